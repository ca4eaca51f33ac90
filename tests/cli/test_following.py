"""show -f: a run or a job as it goes on."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from jobrunner.cli.following import Changes
from jobrunner.clock import SystemClock
from jobrunner.model import Outcome, Run
from tests.cli.house import House, command
from tests.cli.terminal import AtTerminal

pytestmark = pytest.mark.usefixtures("store_kind")

ERROR = {
    "type": "ValueError",
    "message": "no\x1b[2J",
    "traceback": "Traceback:\n" + "  line\n" * 60 + "the end",
    "phase": "body",
}


@pytest.fixture
def at(house: House) -> Iterator[list[AtTerminal]]:
    """Commands at a terminal, ended with the test."""
    running: list[AtTerminal] = []
    yield running
    for one in running:
        one.kill()


def says(house: House, run: Run, value: object, message: str) -> None:
    store = house.store()
    said = {"value": value, "max": 100, "message": message}
    assert store.progress(run.id, run.owner or "", run.attempt, said, SystemClock().now())
    store.close()


def ends(house: House, run: Run, state: Any, error: dict[str, str] | None = None) -> None:
    store = house.store()
    reason = "body" if state == "skipped" else None
    assert store.finish(run, Outcome(state=state, reason=reason, error=error), 0, SystemClock().now())
    store.close()


def piped(house: House, *args: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command(args), cwd=house.root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize(
    ("state", "code"),
    [("succeeded", 0), ("skipped", 0), ("failed", 1), ("lost", 1), ("timed_out", 5), ("canceled", 6)],
)
def test_at_a_pipe_a_run_is_a_line_a_change_and_its_exit_code_tells(
    house: House, state: str, code: int
) -> None:
    house.job("a")
    run = house.ran("a", "running")
    says(house, run, 20, "copying")
    child = piped(house, "show", "1", "-f")
    assert child.stdout is not None
    assert child.stdout.readline()[25:] == "a #1 running 20 % copying\n"
    says(house, run, 45, "copying\nmore")
    assert child.stdout.readline()[25:] == "a #1 running 45 % copying\\nmore\n"
    ends(house, run, state, ERROR if state == "failed" else None)
    rest, err = child.communicate(timeout=60)
    assert (child.returncode, err) == (code, "")
    assert rest[25:].startswith(f"a #1 {state.replace('_', ' ')} after ")
    why = {"failed": ": ValueError: no\\x1b[2J", "skipped": ": body"}.get(state, "s")
    assert rest.endswith(f"{why}\n")
    assert rest.count("\n") == 1


def test_a_run_that_is_over_is_told_at_once(house: House) -> None:
    house.job("a")
    house.ran("a", "timed_out")
    done = house.call("show", "1", "--follow")
    assert (done.code, done.out[25:]) == (5, "a #1 timed out after 500ms\n")


def test_at_a_pipe_a_job_is_a_line_a_change(house: House) -> None:
    house.job("a", schedule=None)
    child = piped(house, "show", "A", "-f")
    assert child.stdout is not None
    assert child.stdout.readline()[25:] == "a on-demand\n"
    run = house.ran("a", "running")
    assert child.stdout.readline()[25:] == "a on-demand; #1 running\n"
    says(house, run, 45, "copying")
    assert child.stdout.readline()[25:] == "a on-demand; #1 running 45 % copying\n"
    ends(house, run, "succeeded")
    assert child.stdout.readline()[25:].startswith("a on-demand; #1 succeeded after ")
    assert child.poll() is None
    child.send_signal(signal.SIGINT)
    assert child.communicate(timeout=60)[0] == ""
    assert child.returncode == 130


def test_what_has_not_changed_is_not_said_again(capsys: pytest.CaptureFixture[str]) -> None:
    watcher = Changes()
    for said in ("one", "one", "two", "two", "one"):
        assert watcher.show("", said, None, 0)
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines()] == ["one", "two", "one"]


def test_nobody_who_reads_ends_it(house: House) -> None:
    house.job("a")
    run = house.ran("a", "running")
    child = piped(house, "show", "a", "-f")
    assert child.stdout is not None
    child.stdout.readline()
    child.stdout.close()
    says(house, run, 45, "copying")
    assert child.wait(timeout=60) == 0
    assert child.stderr is not None
    assert child.stderr.read() == ""
    child.stderr.close()


def test_at_a_terminal_a_run_is_drawn_in_place_until_it_ends(house: House, at: list[AtTerminal]) -> None:
    house.job("a")
    run = house.ran("a", "running")
    says(house, run, 25, "copying\x1b[2J")
    shown = AtTerminal(house.root, "show", "1", "-f")
    at.append(shown)
    shown.read(lambda raw: "━" * 5 in raw and "25 % copying\\x1b[2J" in raw)
    says(house, run, 50, "more")
    shown.read(lambda raw: "50 % more" in raw)
    assert shown.child.poll() is None
    ends(house, run, "failed", ERROR)
    assert shown.end() == 1
    paper = shown.paper
    assert paper.cursor
    assert paper.text.count("state:") == 1
    assert "25 %" not in paper.text
    assert "━" not in paper.text
    assert paper.text.count("Traceback:") == 1
    assert paper.text.rstrip().count("  line") == 60  # more than fits into the picture


def test_at_a_terminal_a_job_is_drawn_until_ctrl_c(house: House, at: list[AtTerminal]) -> None:
    house.job("a")
    shown = AtTerminal(house.root, "show", "a", "-f")
    at.append(shown)
    shown.read(lambda raw: "every day at 09:00" in raw)
    run = house.ran("a", "running")
    says(house, run, 75, "copying")
    shown.read(lambda raw: "75 % copying" in raw and "TRIGGER" in raw)
    shown.child.send_signal(signal.SIGINT)
    assert shown.end() == 130
    assert shown.paper.cursor
    assert shown.paper.text.count("file: ") == 1
    assert "Traceback" not in shown.raw


@pytest.mark.parametrize(
    ("args", "code"), [(["nobody", "-f"], 3), (["7", "-f"], 3), (["a", "-f", "--json"], 2)]
)
def test_what_cannot_be_followed_is_refused(house: House, args: list[str], code: int) -> None:
    house.job("a")
    house.ran("a")
    assert house.call("show", *args).code == code


def test_show_tells_how_far_a_run_is(house: House) -> None:
    house.job("a")
    says(house, house.ran("a", "running"), 45, "copying")
    assert "45 % copying" in house.call("show", "1").out
    assert house.call("show", "1", "--json").json["progress"] == {
        "value": 45, "max": 100, "message": "copying"
    }  # fmt: skip
