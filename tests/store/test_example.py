"""The store of examples/store: installed as anybody's package, held to the contract, and worked with."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import sysconfig
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from jobrunner.errors import StateError
from tests.store.example import EXAMPLE, module


class Installed:
    """A virtual environment that has the package, beside all that this one has."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = folder / "venv" / "bin" / "python"
        self._sh(sys.executable, "-m", "venv", "--without-pip", str(folder / "venv"))
        version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
        site = folder / "venv" / "lib" / version / "site-packages"
        ours = sysconfig.get_path("purelib")
        (site / "ours.pth").write_text(f"import site; site.addsitedir({ours!r})\n", "utf-8")
        shutil.copytree(EXAMPLE, folder / "source", ignore=shutil.ignore_patterns("__pycache__"))
        how = ("--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--disable-pip-version-check")
        self._sh(
            sys.executable, "-m", "pip", "--python", str(self.python), "install", *how, str(folder / "source")
        )
        (folder / "jobs").mkdir()

    def _sh(self, *command: str, fails: bool = False) -> subprocess.CompletedProcess[str]:
        state = f"plainsqlite://{self.folder}/state/state.db"
        done = subprocess.run(
            command, cwd=self.folder, capture_output=True, text=True, timeout=280, check=False,
            env={**os.environ, "JOBRUNNER_STATE": state},
        )  # fmt: skip
        assert (done.returncode != 0) == fails, f"{command}\n{done.stdout}\n{done.stderr}"
        return done

    def jobrunner(self, *args: str, fails: bool = False) -> str:
        return self._sh(str(self.python), "-m", "jobrunner", *args, fails=fails).stdout

    def contract(self) -> str:
        tests = str(self.folder / "source" / "tests")
        plain = ("-q", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", tests)
        return self._sh(str(self.python), "-m", "pytest", *plain, tests).stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return Installed(tmp_path_factory.mktemp("installed"))


@pytest.mark.timeout(300)
def test_installed_from_its_folder_it_keeps_the_whole_contract(installed: Installed) -> None:
    said = installed.contract().splitlines()[-1]
    assert int(said.split()[0]) > 400
    assert said.split()[1] == "passed"


@pytest.mark.timeout(300)
def test_jobs_run_over_it_and_every_command_knows_what_became_of_them(installed: Installed) -> None:
    code = """
config = {"name": "tick", "schedule": "every 1s", "numberOfExecutions": 2}


def default(state, logger):
    state.set("ticks", state.get("ticks", 0) + 1)
    logger.info("tick %s", state.get("ticks"))
"""
    (installed.folder / "jobs" / "tick.py").write_text(code, "utf-8")
    installed.jobrunner("start", "--until-done", "--no-watch")
    installed.jobrunner("run", "tick")
    runs = json.loads(installed.jobrunner("history", "--json"))
    assert [run["state"] for run in runs] == ["succeeded"] * 3
    assert "tick 3" in installed.jobrunner("logs", "tick")
    installed.jobrunner("run", "jobrunner.prune")
    doctor = installed.jobrunner("doctor", "--json", fails=True)
    assert f"SQLite {sqlite3.sqlite_version} (sqlite3 of Python), schema " in doctor
    assert "the state is whole" in doctor
    assert not (installed.folder / ".jobrunner" / "state.db").exists()


# -- what the contract does not ask for: its file --------------------------------------------------------


@pytest.fixture
def plain() -> Any:
    return module()


def opened(plain: Any, path: Path, **how: Any) -> Any:
    asked = {"create": True, "patience": 5.0, "allow_network_fs": False, **how}
    return plain.open_state(f"plainsqlite://{path}", **asked)


def test_looking_leaves_no_trace(plain: Any, tmp_path: Path) -> None:
    with pytest.raises(StateError) as found:
        opened(plain, tmp_path / "s" / "state.db", create=False)
    assert found.value.code == "state-missing"
    assert list(tmp_path.iterdir()) == []


def test_who_makes_it_at_once_with_others_gets_the_same(plain: Any, tmp_path: Path) -> None:
    ids: list[str] = []

    def make() -> None:
        with closing(opened(plain, tmp_path / "state.db")) as store:
            ids.append(store.info()["state_id"])

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == 8
    assert len(set(ids)) == 1
    assert not list(tmp_path.glob("*.new"))


@pytest.mark.parametrize("scheme", ["sqlite", "plainsqlite"])
def test_neither_takes_the_others_file_for_its_own(plain: Any, tmp_path: Path, scheme: str) -> None:
    from jobrunner.store import open_store

    path = tmp_path / "state.db"
    mine, theirs = (open_store, plain.open_state) if scheme == "sqlite" else (plain.open_state, open_store)
    how: Any = {"create": True, "patience": 1.0, "allow_network_fs": False}
    mine(f"{scheme}://{path}", **how).close()
    with pytest.raises(StateError) as found:
        theirs(f"{'plainsqlite' if scheme == 'sqlite' else 'sqlite'}://{path}", **how)
    assert found.value.code == "not-a-database"


def test_a_file_that_is_too_new_is_left_alone_also_when_it_becomes_so(plain: Any, tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    store = opened(plain, path)
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("UPDATE meta SET version = 9000, min_reader = 9000")
    with pytest.raises(StateError) as found:
        store.seen("a", 1)
    assert found.value.code == "too-new"
    store.close()
    with pytest.raises(StateError) as found:
        opened(plain, path)
    assert found.value.code == "too-new"


def test_an_older_file_is_brought_up_to_date(plain: Any, tmp_path: Path) -> None:
    path, steps = tmp_path / "state.db", plain.STEPS
    plain.STEPS = steps[:-1]
    opened(plain, path).close()
    plain.STEPS = steps
    with closing(opened(plain, path)) as store:
        assert store.info()["version"] == steps[-1].version


def test_a_file_that_is_gone_or_replaced_is_noticed(plain: Any, tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with closing(opened(plain, path)) as store:
        path.rename(tmp_path / "moved.db")
        with pytest.raises(StateError) as found:
            store.verify()
    assert found.value.code == "replaced"


def test_an_interpreter_whose_sqlite_is_too_old_is_told_so(
    plain: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 37, 2))
    with pytest.raises(StateError, match=r"3\.39 or newer is needed") as found:
        opened(plain, tmp_path / "state.db")
    assert found.value.code == "unsupported"
