"""Workflows from end to end: nodes, their state, and runs that wait, hang and are taken back."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from jobrunner.clock import SystemClock
from jobrunner.store import open_store
from tests.lifecycle.project import Project, stop, wait_until

WAITS = """
ctx.step("before", note, "before")
try:
    return ctx.wait_for("approval", timeout={timeout!r})
finally:
    note("unwound")
"""


def newest(project: Project, name: str) -> dict[str, Any]:
    rows = project.history(name)
    return rows[-1] if rows else {"state": "none"}


def ends(project: Project, name: str, state: str) -> dict[str, Any]:
    wait_until(lambda: newest(project, name)["state"] == state, f"{name} to be {state}")
    return newest(project, name)


def complete(project: Project, run: int, path: str, result: Any) -> None:
    store = open_store(project.url)
    store.complete(run, path, result=result, error=None, now=SystemClock().now())
    store.close()


@pytest.mark.parametrize("killed", [False, True])
def test_a_run_that_waits_holds_no_process_and_goes_on_when_the_event_is_there(
    project: Project, killed: bool
) -> None:
    project.job("flow", WAITS.format(timeout="1h"), schedule="* * * * * *", numberOfExecutions=1)
    project.job("other")
    node = project.start("--slots", "1")
    run = ends(project, "flow", "waiting")
    assert run["pid"] is None
    assert project.notes() == ["before", "unwound"]
    before = len(project.history("other"))
    wait_until(lambda: len(project.history("other")) > before + 1, "the only slot to be used by others")
    if killed:
        stop(node, signal.SIGKILL)
        project.start("--slots", "1")
    complete(project, run["id"], "approval", "yes")
    done = ends(project, "flow", "succeeded")
    assert (done["id"], done["attempt"], done["result"]) == (run["id"], 1, "yes")
    assert project.notes() == ["before", "unwound", "unwound"]
    assert len(project.history("flow")) == 1


def test_an_event_that_does_not_come_in_time_fails_the_run(project: Project) -> None:
    project.job("flow", WAITS.format(timeout="200ms"), schedule="* * * * * *", numberOfExecutions=1)
    project.start()
    run = ends(project, "flow", "failed")
    assert run["error"]["type"] == "TimeoutError"
    assert project.notes() == ["before", "unwound", "unwound"]


HANGS = """
import time

from jobrunner.workflow import step, undo

config = {{"name": "hang", "schedule": "* * * * * *", "numberOfExecutions": 1}}


def note(text):
    with open({out!r}, "a") as file:
        file.write(text + "\\n")


def deaf():
    while True:
        try:
            time.sleep(3600)
        except BaseException:
            pass


def default(ctx):
    ctx.step("first", note, "did first", undo=undo(note, "undid first"))
    ctx.step("deaf", deaf, timeout="100ms", undo=undo(note, "undid deaf"))
"""


def test_a_step_that_cannot_be_stopped_ends_its_run_and_all_is_taken_back(project: Project) -> None:
    (project.jobs / "hang.py").write_text(HANGS.format(out=str(project.out)))
    project.start()
    wait_until(lambda: newest(project, "hang").get("reason") == "compensated", "all to be taken back")
    first, undo = project.history("hang")
    assert (first["state"], first["error"]["type"], undo["state"]) == ("failed", "TimeoutError", "failed")
    assert "step 'deaf'" in first["error"]["message"]
    assert project.notes() == ["did first", "undid deaf", "undid first"]


RESUMES = """
from jobrunner.outcomes import PermanentFailure
state = container.resolve("state")

def add():
    state.set("count", state.get("count", 0) + 1)
    return ctx.attempt

made = ctx.step("add", add)
if ctx.attempt == 1:
    raise ValueError("not yet")
ctx.step("add-again", add)
return [made, state.get("count")]
"""


def test_what_a_finished_step_wrote_is_committed_once_by_the_attempt_that_succeeds(project: Project) -> None:
    path = project.job(
        "count", RESUMES, schedule="* * * * * *", numberOfExecutions=1, delivery="exactly-once",
        retries={"max": 1, "delay": 0},
    )  # fmt: skip
    path.write_text(path.read_text().replace("def default(ctx):", "def default(ctx, container):"))
    project.start()
    run = ends(project, "count", "succeeded")
    assert (run["attempt"], run["result"]) == (2, [1, 2])
    assert project.ask("SELECT value FROM {schema}.documents") == [("2",)]


@pytest.mark.parametrize("reads", ['n = state.get("n", 0)', 'n = ctx.step("read", state.get, "n", 0)'])
def test_a_step_that_writes_by_what_was_read_before_it_loses_no_update(project: Project, reads: str) -> None:
    """The write is handed back when its run meets a conflict; it must not be, for it rests on an old read."""
    path = project.jobs / "count.py"
    path.write_text(
        'import time\n\nconfig = {"name": "count", "schedule": None, "concurrency": "allow",\n'
        '          "delivery": "exactly-once"}\n\n\ndef default(ctx, state):\n'
        f'    {reads}\n    ctx.step("write", state.set, "n", n + 1)\n    time.sleep(0.05)\n'
    )
    for _ in range(12):
        project.run("trigger", "count", check=0)
    project.start("--slots", "4")
    wait_until(lambda: [row["state"] for row in project.history("count")] == ["succeeded"] * 12, "all runs")
    assert project.ask("SELECT value FROM {schema}.documents WHERE key = 'n'") == [("12",)]
    ((conflicts,),) = project.ask("SELECT sum(conflicts) FROM {schema}.runs")
    assert conflicts > 0
