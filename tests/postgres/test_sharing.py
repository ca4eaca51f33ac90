"""The session's server, seen from sessions of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.docs.pages import ROOT
from tests.lifecycle.project import alive, wait_until

TESTS = """
import json
import os
import pathlib
import time


def test_it(postgres, postgres_url):
    worker = os.environ.get("PYTEST_XDIST_WORKER", "alone")
    told = {"server": postgres.pid, "folder": str(postgres.folder), "url": postgres_url, "worker": worker}
    pathlib.Path(f"told-{worker}.draft").write_text(json.dumps(told))
    os.rename(f"told-{worker}.draft", f"told-{worker}")
    while os.path.exists("wait"):
        time.sleep(0.05)
"""
BARE = """
from tests.postgres import binaries
binaries.FOLDERS, binaries.WHEEL = (), "a-wheel-that-is-not-installed"
"""
INTERRUPTED = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
"""
ALONE: list[str] = []
TWO = ["-n", "2", "--dist", "each"]


class Session:
    """A pytest of its own on one small file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "test_small.py").write_text(TESTS)
        (folder / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")

    def start(self, *options: str, **environment: str) -> subprocess.Popen[bytes]:
        plugins = [f"-p{name}" for name in ("xdist", "no:cacheprovider", "tests.postgres.fixtures")]
        env = {name: text for name, text in os.environ.items() if not name.startswith("PYTEST_")}
        env |= {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **environment}
        with (self.folder / "said").open("wb") as said:
            return subprocess.Popen(
                [sys.executable, "-m", "pytest", *plugins, *options], env=env, cwd=self.folder,
                stdout=said, stderr=said, start_new_session=True,
            )  # fmt: skip

    def said(self) -> str:
        return (self.folder / "said").read_text("utf-8")

    def told(self) -> list[dict[str, Any]]:
        return [json.loads(each.read_text()) for each in self.folder.glob("told-*[!t]")]

    def nothing_is_left(self) -> bool:
        return not any(alive(told["server"]) or Path(told["folder"]).exists() for told in self.told())


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return Session(tmp_path)


def test_two_workers_share_one_server_but_no_schema_and_leave_nothing(session: Session) -> None:
    assert session.start(*TWO).wait(100) == 0, session.said()
    told = session.told()
    assert {each["worker"] for each in told} == {"gw0", "gw1"}
    assert len({each["server"] for each in told}) == 1
    assert len({each["url"] for each in told}) == 2
    wait_until(session.nothing_is_left, "the server and its folder to go")


def test_nothing_is_left_after_a_session(session: Session) -> None:
    assert session.start().wait(100) == 0, session.said()
    assert len(session.told()) == 1
    wait_until(session.nothing_is_left, "the server and its folder to go")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["Ctrl-C", "kill -9"])
@pytest.mark.parametrize("options", [ALONE, TWO], ids=["alone", "two workers"])
def test_nothing_is_left_after_a_session_that_was_cut_short(
    session: Session, options: list[str], number: int
) -> None:
    (session.folder / "conftest.py").write_text(INTERRUPTED)
    (session.folder / "wait").touch()
    running = session.start(*options)
    try:
        wait_until(lambda: len(session.told()) == (2 if options else 1), "the tests to have the server")
        assert not session.nothing_is_left()
        os.kill(running.pid, number)
        assert running.wait(100) != 0
        wait_until(session.nothing_is_left, "the server and its folder to go")
    finally:
        (session.folder / "wait").unlink()
        running.kill()
        running.wait()


def test_a_test_that_needs_a_server_where_none_can_be_had_fails_and_says_what_to_install(
    session: Session,
) -> None:
    (session.folder / "conftest.py").write_text(BARE)
    assert session.start(PATH="/nowhere").wait(100) == 1
    assert "pip install" in session.said()
    assert "1 error" in session.said()
    assert "skipped" not in session.said()


def test_a_session_that_needs_no_server_has_none(session: Session) -> None:
    (session.folder / "test_small.py").write_text("def test_it(): pass\n")
    assert session.start(TMPDIR=str(session.folder)).wait(100) == 0
    assert list(session.folder.glob("jobrunner-pg-*")) == []
