"""How a run is brought to its end while its node works: time-outs, cancels, limits, a newer occurrence."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import pytest

from jobrunner.clock import SECOND, from_iso
from tests.lifecycle.desk import Desk
from tests.lifecycle.project import Project, alive, stop, tagged, wait_until

ENDED = ("succeeded", "failed", "timed_out", "canceled", "lost")
STUBBORN = """
    import signal, time
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    note(str(os.getpid()))
    while True:
        try:
            time.sleep(600)
        except BaseException:
            pass
"""
HIDDEN = """
    import time
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for name in os.listdir("/proc/self/fd"):
                if int(name) > 2:
                    try:
                        os.close(int(name))
                    except OSError:
                        pass
            note(str(os.getpid()))
            time.sleep(600)
        os._exit(0)
    time.sleep(600)
"""
PATIENT = """
    import time
    note("begun")
    while not ctx.cancelled:
        time.sleep(0.01)
    note("asked")
    ctx.raise_if_cancelled()
"""


def runs(project: Project, name: str, *states: str) -> list[dict[str, Any]]:
    return [run for run in project.history(name) if run["state"] in (states or ENDED)]


def ended(project: Project, name: str, number: int = 1) -> list[dict[str, Any]]:
    """Wait until so many runs of a job have ended."""
    wait_until(lambda: len(runs(project, name)) >= number, f"{number} runs of {name} to end")
    return runs(project, name)


def took(run: dict[str, Any]) -> float:
    return (from_iso(run["finishedAt"]) - from_iso(run["startedAt"])) / SECOND


def once(project: Project, name: str, body: str, **config: Any) -> None:
    """Write a job that is due once, at its first registration."""
    project.job(name, body, schedule="0 0 1 1 *", runOnStart=True, **config)


# --- time-outs ----------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [STUBBORN, HIDDEN], ids=["ignores TERM", "hides in a session of its own"])
def test_a_body_that_will_not_end_is_ended_by_its_timeout_with_all_it_has_started(
    project: Project, body: str
) -> None:
    once(project, "stuck", body, timeout="1s")
    node = project.start("--grace", "1s", TEST_TAG=str(project.root))
    run = ended(project, "stuck")[0]
    assert (run["state"], run["error"]["type"]) == ("timed_out", "TimedOut")
    assert len(project.notes()) == 1
    pid = int(project.notes()[0])
    wait_until(lambda: not alive(pid), "what it has started to be gone", 5)
    assert stop(node) == 0
    wait_until(lambda: not tagged(str(project.root)), "nothing to be left", 10)


def test_an_async_body_is_ended_by_its_timeout_and_its_clean_up_runs(project: Project) -> None:
    path = project.jobs / "waits.py"
    path.write_text(
        "import asyncio\n"
        "config = {'name': 'waits', 'schedule': '0 0 1 1 *', 'runOnStart': True, 'timeout': '1s'}\n"
        "async def default(ctx):\n"
        "    try:\n"
        "        await asyncio.sleep(600)\n"
        "    finally:\n"
        f"        open({str(project.out)!r}, 'a').write('cleaned\\n')\n"
    )
    node = project.start("--grace", "20s")
    run = ended(project, "waits")[0]
    assert (run["state"], run["error"]["type"]) == ("timed_out", "TimedOut")
    assert took(run) < 19, "it is asked, and goes: nobody has to wait for the grace to be over"
    assert project.notes() == ["cleaned"]
    assert stop(node) == 0


def test_a_run_that_timed_out_is_tried_again_as_often_as_its_retries_say(project: Project) -> None:
    body = "import time; note(str(ctx.attempt)); time.sleep(600)"
    once(project, "slow", body, timeout="300ms", retries={"max": 2, "delay": "200ms"})
    node = project.start("--grace", "200ms")
    found = ended(project, "slow", 3)
    assert [(run["attempt"], run["state"]) for run in found] == [
        (1, "timed_out"), (2, "timed_out"), (3, "timed_out"),
    ]  # fmt: skip
    assert project.notes() == ["1", "2", "3"]
    assert project.ls("slow")["executions"] == 1
    assert stop(node) == 0


# --- cancels ------------------------------------------------------------------------------------


def test_a_cancel_from_another_process_reaches_the_body_by_the_nodes_next_look(project: Project) -> None:
    once(project, "patient", PATIENT)
    node = project.start("--grace", "30s")
    wait_until(lambda: project.notes() == ["begun"], "the body")
    run_id = runs(project, "patient", "running")[0]["id"]
    Desk(project).cancel(run_id)
    asked = time.time()
    wait_until(lambda: "asked" in project.notes(), "the body to hear of it", 10)
    run = ended(project, "patient")[0]
    assert (run["state"], run["reason"]) == ("canceled", None)
    assert from_iso(run["finishedAt"]) / SECOND - asked < 5, "by the next look, not by the end of the grace"
    assert stop(node) == 0


@pytest.mark.parametrize("how", ["job", "all"])
def test_cancelling_a_job_or_all_ends_what_runs_and_what_waits_for_its_next_attempt(
    project: Project, how: str
) -> None:
    once(project, "patient", PATIENT)
    once(project, "other", PATIENT)
    once(project, "again", "note('tried'); raise RuntimeError", retries={"max": 3, "delay": "1h"})
    node = project.start("--grace", "30s")
    wait_until(lambda: sorted(project.notes()) == ["begun", "begun", "tried"], "all bodies")
    wait_until(lambda: runs(project, "again", "pending"), "the next attempt")
    desk = Desk(project)
    desk.cancel_job("patient") if how == "job" else desk.cancel_all()
    assert ended(project, "patient")[0]["state"] == "canceled"
    if how == "job":
        assert not runs(project, "other")
        assert runs(project, "again", "pending")
    else:
        assert ended(project, "other")[0]["state"] == "canceled"
        assert [run["state"] for run in ended(project, "again", 2)] == ["failed", "canceled"]
    desk.cancel_all()
    assert stop(node) == 0


def test_a_canceled_run_that_goes_on_is_killed_when_the_grace_is_over_and_not_repeated(
    project: Project,
) -> None:
    once(project, "stuck", STUBBORN, delivery="at-least-once", retries=3)
    node = project.start("--grace", "1s", TEST_TAG=str(project.root))
    pid = int(wait_until(project.notes, "the body")[0])
    Desk(project).cancel_all()
    run = ended(project, "stuck")[0]
    assert (run["state"], run["reason"]) == ("canceled", None)
    wait_until(lambda: not alive(pid), "the body to be gone", 5)
    assert not runs(project, "stuck", "pending", "running")
    assert stop(node) == 0
    wait_until(lambda: not tagged(str(project.root)), "nothing to be left", 10)


def test_a_job_stays_occupied_until_a_canceled_body_has_really_ended(project: Project) -> None:
    body = """
        import time
        note(f"begun {time.time()}")
        try:
            while not ctx.cancelled:
                time.sleep(0.01)
            time.sleep(2.5)
        finally:
            note(f"ended {time.time()}")
    """
    project.job("slow", body, schedule="* * * * * *")
    node = project.start("--grace", "30s")
    wait_until(project.notes, "the body")
    desk = Desk(project)
    desk.cancel_job("slow")
    wait_until(lambda: len(project.notes()) >= 3, "the next run")
    desk.cancel_all()
    assert stop(node) == 0
    kinds = [note.split()[0] for note in project.notes()]
    assert kinds == ["begun", "ended"] * (len(kinds) // 2), "one after another"
    skips = [run for run in project.history("slow") if run["state"] == "skipped"]
    assert {run["reason"] for run in skips} == {"overlap"}
    assert sum(run["count"] for run in skips) >= 2, "it was occupied while the body cleaned up"


def test_replace_ends_the_old_run_before_the_new_one_starts(project: Project) -> None:
    body = """
        import time
        note(f"begun {ctx.run_id}")
        try:
            while not ctx.cancelled:
                time.sleep(0.01)
            time.sleep(0.2)
        finally:
            note(f"ended {ctx.run_id}")
        ctx.raise_if_cancelled()
    """
    project.job("newest", body, schedule="*/2 * * * * *", concurrency="replace")
    node = project.start("--grace", "30s")
    wait_until(lambda: len(project.notes()) >= 7, "some replacements")
    Desk(project).disable("newest")
    Desk(project).cancel_all()
    wait_until(lambda: len(project.notes()) % 2 == 0, "the last to end")
    assert stop(node) == 0
    notes = [note.split() for note in project.notes()]
    assert [kind for kind, _ in notes] == ["begun", "ended"] * (len(notes) // 2)
    assert all(first[1] == second[1] for first, second in zip(notes[::2], notes[1::2], strict=True))
    found = runs(project, "newest")
    assert [run["reason"] for run in found[:3]] == ["replaced"] * 3
    assert {run["state"] for run in found} == {"canceled"}


# --- limits -------------------------------------------------------------------------------------


def test_a_memory_limit_ends_that_run_alone(project: Project) -> None:
    project.job("steady", "note('steady')")
    once(project, "greedy", """
        import time
        for _ in range(4):
            if os.fork() == 0:
                block = bytearray(40_000_000)
                for at in range(0, len(block), 4096):
                    block[at] = 1
                time.sleep(600)
        time.sleep(600)
    """, memoryLimit="80MB")  # fmt: skip
    node = project.start("--grace", "5s")
    run = ended(project, "greedy")[0]
    assert (run["state"], run["error"]["type"]) == ("failed", "MemoryLimit")
    count = len(project.notes())
    wait_until(lambda: len(project.notes()) >= count + 2, "the other job to go on")
    assert stop(node) == 0
    assert {run["state"] for run in runs(project, "steady")} == {"succeeded"}


def test_a_silent_run_is_warned_about_and_marked_until_it_speaks_again(project: Project) -> None:
    once(project, "quiet", """
        import time
        note("begun")
        while not os.path.exists("speak"):
            time.sleep(0.01)
        ctx.heartbeat()
        note("spoken")
        while not os.path.exists("end"):
            time.sleep(0.01)
            ctx.heartbeat()
    """, stallAfter="1s")  # fmt: skip
    node = project.start()
    wait_until(lambda: runs(project, "quiet", "running"), "the run")
    wait_until(lambda: runs(project, "quiet", "running")[0]["stalled"], "the mark")
    assert "quiet #" in project.words() and "is it stuck?" in project.words()
    (project.root / "speak").touch()
    wait_until(lambda: not runs(project, "quiet", "running")[0]["stalled"], "the mark to go")
    (project.root / "end").touch()
    run = ended(project, "quiet")[0]
    assert (run["state"], run["stalled"]) == ("succeeded", False)
    assert stop(node) == 0


# --- shutdown -----------------------------------------------------------------------------------


@pytest.mark.parametrize("hard", [False, True], ids=["after the grace", "by a second signal"])
@pytest.mark.parametrize(
    ("delivery", "attempts"), [("at-most-once", ["1"]), ("at-least-once", ["1", "2"])]
)  # fmt: skip
def test_a_run_cut_by_a_shutdown_is_repeated_by_the_next_start_only_if_it_may_be(
    project: Project, delivery: str, attempts: list[str], hard: bool
) -> None:
    once(project, "cut", """
        import time
        note(str(ctx.attempt))
        if ctx.attempt == 1:
            time.sleep(600)
    """, delivery=delivery, retries={"max": 0, "delay": "100ms"}, numberOfExecutions=1)  # fmt: skip
    node = project.start("--grace", "600s" if hard else "500ms")
    wait_until(project.notes, "the body")
    if hard:
        node.send_signal(signal.SIGTERM)
        wait_until(lambda: "stopping" in project.words(), "the drain")
    assert stop(node) == (130 if hard else 0)
    run = runs(project, "cut")[0]
    assert (run["state"], run["reason"]) == ("canceled", "shutdown")
    assert project.start("--until-done").wait(60) == 0
    assert project.notes() == attempts
    assert [run["attempt"] for run in runs(project, "cut")] == [int(attempt) for attempt in attempts]
    assert project.ls("cut")["executions"] == 1


def test_a_run_that_has_ended_leaves_no_process_behind(project: Project) -> None:
    once(project, "parent", """
        import subprocess
        child = subprocess.Popen(["sleep", "600"], start_new_session=True)
        note(str(child.pid))
    """)  # fmt: skip
    node = project.start()
    assert ended(project, "parent")[0]["state"] == "succeeded"
    pid = int(project.notes()[0])
    wait_until(lambda: not alive(pid), "what it has started to be gone", 5)
    assert os.path.exists(f"/proc/{node.pid}"), "the node lives on"
    assert stop(node) == 0
