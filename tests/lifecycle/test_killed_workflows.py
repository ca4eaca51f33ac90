"""A workflow of five steps whose node is killed with -9 at each of its lines."""

from __future__ import annotations

import subprocess
from collections import Counter
from typing import Any

import pytest

from tests.lifecycle.project import Project, wait_until

JOB = '''
import os, signal, sys

from jobrunner.workflow import undo

config = {config!r}
ROOT = {root!r}


def note(text):
    handle = os.open(ROOT + "/out.txt", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(handle, (text + "\\n").encode())
    os.close(handle)


def line(name):
    """Kill the node here, once."""
    try:
        with open(ROOT + "/kill") as file:
            wanted, pid = file.read().split(":")
        if wanted != name:
            return
        os.rename(ROOT + "/kill", ROOT + "/killed")
    except FileNotFoundError:
        return
    os.kill(int(pid), signal.SIGKILL)
    signal.pause()  # what the node leaves behind is killed with it


def work(number):
    line(f"in {{number}}")
    note(f"did {{number}}")
    line(f"end {{number}}")
    return number * 10


def take_back(number):
    line(f"undoing {{number}}")
    note(f"undid {{number}}")
    line(f"undone {{number}}")


def default(ctx):
    total = 0
    for number in range(1, 6):
        line(f"before {{number}}")
        total += ctx.step(f"step-{{number}}", work, number, undo=undo(take_back, number))
    line("last")
    {end}
    return total
'''
STEPS = range(1, 6)
LINES = [  # in a database each node that dies is waited for, as long as its lease
    pytest.param(f"{where} {number}", marks=[pytest.mark.sqlite] if number in (2, 4) else [])
    for number in STEPS
    for where in ("before", "in", "end")
] + [pytest.param("last")]


def _start(project: Project, delivery: str, line: str, end: str = "") -> subprocess.Popen[bytes]:
    config = {
        "name": "flow", "schedule": "* * * * * *", "numberOfExecutions": 1, "delivery": delivery,
        "retries": {"max": 3, "delay": 0} if delivery == "at-least-once" else 0,
    }  # fmt: skip
    path = project.jobs / "flow.py"
    path.write_text(JOB.format(config=config, root=str(project.root), end=end or "pass"))
    node = project.start()
    (project.root / "kill").write_text(f"{line}:{node.pid}")
    return node


def _after_the_kill(project: Project, node: subprocess.Popen[bytes]) -> list[dict[str, Any]]:
    """Let the node die, and another one see the chain to its end; returns its rows."""
    node.wait(60)
    assert (project.root / "killed").exists(), project.words(0)
    project.start()
    wait_until(lambda: _over(project), "the chain to be over")
    return project.history("flow")


def _over(project: Project) -> bool:
    ((open_, all_),) = project.ask(
        "SELECT count(*) FILTER (WHERE state IN ('pending', 'running', 'waiting')), count(*)"
        " FROM {schema}.runs WHERE job_id = (SELECT id FROM {schema}.jobs WHERE name = 'flow')"
    )
    return bool(all_ and not open_)


def _steps(project: Project, run: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = project.told("show", str(run["id"]))["steps"]
    return found


@pytest.mark.parametrize("line", LINES)
def test_an_at_least_once_workflow_killed_at_any_line_is_completed_and_repeats_no_finished_step(
    project: Project, line: str
) -> None:
    rows = _after_the_kill(project, _start(project, "at-least-once", line))
    assert [row["state"] for row in rows] == ["lost", "succeeded"], rows
    assert rows[-1]["result"] == 150
    done = Counter(project.notes())
    # what a step has done and could not say any more is done again; all else is done once
    twice = {f"did {line.split()[1]}"} if line.startswith("end") else set()
    assert done == {f"did {number}": 2 if f"did {number}" in twice else 1 for number in STEPS}
    steps = _steps(project, rows[-1])
    assert [(step["path"], step["state"]) for step in steps] == [(f"step-{n}", "done") for n in STEPS]


@pytest.mark.parametrize("line", LINES)
def test_an_at_most_once_workflow_killed_at_any_line_is_taken_back_in_reverse_and_not_resumed(
    project: Project, line: str
) -> None:
    rows = _after_the_kill(project, _start(project, "at-most-once", line))
    done = [note for note in project.notes() if note.startswith("did")]
    undone = [note for note in project.notes() if note.startswith("undid")]
    begun = _begun_before(line)
    assert undone == [f"undid {number}" for number in reversed(range(1, begun + 1))]
    assert len(done) == len(set(done)) <= begun
    assert [row["state"] for row in rows] == (["lost", "lost"] if begun else ["lost"])
    if begun:
        assert rows[-1]["reason"] == "compensated"
        assert [step["undo"]["state"] for step in _steps(project, rows[-1])] == ["done"] * begun


def _begun_before(line: str) -> int:
    """Return how many steps have begun when the node dies there."""
    where, _, number = line.partition(" ")
    return 5 if where == "last" else int(number) - (where == "before")


@pytest.mark.parametrize(
    "line", [f"{where} {number}" for number in (5, 3, 1) for where in ("undoing", "undone")]
)
def test_a_compensation_killed_at_any_line_goes_on_where_it_was(project: Project, line: str) -> None:
    node = _start(project, "at-most-once", line, end="raise ValueError('no')")
    rows = _after_the_kill(project, node)
    undone = [note for note in project.notes() if note.startswith("undid")]
    number = int(line.split()[1])
    once = [f"undid {each}" for each in (5, 4, 3, 2, 1)]
    assert list(dict.fromkeys(undone)) == once
    # what was undone and could not be noted any more is undone again: an undo must bear that
    assert len(undone) == 5 + line.startswith("undone"), (undone, number)
    assert [row["state"] for row in rows] == ["failed", "lost", "failed"]
    assert rows[-1]["reason"] == "compensated"
    assert rows[-1]["error"]["message"] == "no"
    assert [step["undo"]["state"] for step in _steps(project, rows[-1])] == ["done"] * 5


def test_a_workflow_that_fails_shows_what_was_taken_back(project: Project) -> None:
    node = _start(project, "at-most-once", "nowhere", end="raise ValueError('no')")
    wait_until(lambda: "flow #" in project.words(), "its start")
    wait_until(lambda: _over(project), "the chain to be over")
    rows = project.history("flow")
    shown = project.run("show", str(rows[-1]["id"]), check=0).stdout
    assert node.poll() is None
    for number in STEPS:
        assert f"step-{number}" in shown
    assert "taken back" in shown
