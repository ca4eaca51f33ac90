"""kill -9 of the node between any two steps of a run: what the ledger says then, and how often the body ran.

The job is due once: at its first registration. The first node dies at the named point; the second one works
until nothing is left to do. Each row of the table is a promise (RELIABILITY: at most once, at least once).
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.lifecycle.project import Project, tagged, wait_until

SEEN, UNSEEN = "began ", "no sign that the body began"
BODY = """
    import subprocess, time
    subprocess.Popen(["sleep", "600"], start_new_session=True)
    note(f"attempt {ctx.attempt}")
    if ctx.attempt == 1 and os.path.exists("hold"):
        time.sleep(600)
"""
Row = tuple[int, str, str | None]  # attempt, state, what its error says


class Promise(NamedTuple):
    """What must be true after a death at `point`. `first`: how often the first body may have begun."""

    point: str
    delivery: str
    ledger: list[Row]
    first: set[int]
    second: int = 0


ONCE: list[Row] = [(1, "succeeded", None)]
LOST: list[Row] = [(1, "lost", UNSEEN)]
AGAIN: list[Row] = [(1, "lost", UNSEEN), (2, "succeeded", None)]
AMO, ALO = "at-most-once", "at-least-once"
TABLE = [
    # nothing was started: it is started once, whatever was promised
    Promise("before-claim", AMO, ONCE, {1}),
    Promise("before-claim", ALO, ONCE, {1}),
    Promise("after-claim", AMO, ONCE, {1}),
    Promise("after-claim", ALO, ONCE, {1}),
    # the start is committed, and the body was not told: nobody can prove that
    Promise("after-claim-commit", AMO, LOST, {0}),
    Promise("after-claim-commit", ALO, AGAIN, {0}, 1),
    Promise("before-go", AMO, LOST, {0}),
    Promise("before-go", ALO, AGAIN, {0}, 1),
    # it was told, and perhaps it began before it was killed with its node
    Promise("after-go", AMO, LOST, {0, 1}),
    Promise("after-go", ALO, AGAIN, {0, 1}, 1),
    Promise("body", AMO, LOST, {0, 1}),
    Promise("body", ALO, AGAIN, {0, 1}, 1),
    # it has ended, and nobody has recorded that
    Promise("after-reply", AMO, LOST, {1}),
    Promise("after-reply", ALO, AGAIN, {1}, 1),
    Promise("before-commit", AMO, LOST, {1}),
    Promise("before-commit", ALO, AGAIN, {1}, 1),
    # its end is recorded
    Promise("after-commit", AMO, ONCE, {1}),
    Promise("after-commit", ALO, ONCE, {1}),
    Promise("reaped", AMO, ONCE, {1}),
    Promise("reaped", ALO, ONCE, {1}),
]


@pytest.mark.parametrize("promise", TABLE, ids=lambda row: f"{row.point}, {row.delivery}")
def test_a_death_at_any_point_leaves_what_was_promised(project: Project, promise: Promise) -> None:
    _write_job(project, promise.delivery)
    mark = project.root / "mark"
    node = project.start(
        JOBRUNNER_TESTING="1",
        JOBRUNNER_FAILPOINT=f"{promise.point}:kill",
        JOBRUNNER_FAILPOINT_MARK=str(mark),
        TEST_TAG=str(project.root),
    )
    assert node.wait(60) == -signal.SIGKILL
    assert mark.read_text() == f"{promise.point} 1\n"
    _nothing_is_left(project)
    assert project.start("--until-done").wait(60) == 0
    assert _ledger(project, promise.ledger) == promise.ledger
    notes = project.notes()
    assert notes.count("attempt 1") in promise.first
    assert notes.count("attempt 2") == promise.second
    assert len(notes) == notes.count("attempt 1") + promise.second
    assert project.ls("sole")["executions"] == 1, "a start is counted once, however often it is tried"


@pytest.mark.parametrize(
    ("delivery", "ledger", "notes"),
    [
        (AMO, [(1, "lost", SEEN)], ["attempt 1"]),
        (ALO, [(1, "lost", SEEN), (2, "succeeded", None)], ["attempt 1", "attempt 2"]),
    ],
)
def test_a_death_while_the_body_is_at_work_leaves_what_was_promised(
    project: Project, delivery: str, ledger: list[Row], notes: list[str]
) -> None:
    _write_job(project, delivery)
    (project.root / "hold").touch()
    node = project.start(TEST_TAG=str(project.root))
    wait_until(project.notes, "the body")
    wait_until(lambda: _begun_is_stored(project), "the node to write that it began")
    os.kill(node.pid, signal.SIGKILL)
    node.wait()
    _nothing_is_left(project)
    assert project.start("--until-done").wait(60) == 0
    assert _ledger(project, ledger) == ledger
    assert project.notes() == notes
    assert project.ls("sole")["executions"] == 1


def test_a_run_whose_nodes_die_each_time_is_lost_for_good_after_three_more_attempts(project: Project) -> None:
    _write_job(project, ALO)
    for _ in range(4):
        node = project.start(JOBRUNNER_TESTING="1", JOBRUNNER_FAILPOINT="before-go:kill")
        assert node.wait(60) == -signal.SIGKILL
    assert project.start("--until-done").wait(60) == 0
    expected: list[Row] = [(attempt, "lost", UNSEEN) for attempt in (1, 2, 3, 4)]
    assert _ledger(project, expected) == expected
    assert project.notes() == []
    assert project.ls("sole")["executions"] == 1


def _write_job(project: Project, delivery: str) -> Path:
    return project.job(
        "sole", BODY, schedule="0 0 1 1 *", runOnStart=True, numberOfExecutions=1, delivery=delivery,
        retries={"max": 0, "delay": "100ms"},
    )  # fmt: skip


def _ledger(project: Project, expected: list[Row]) -> list[Row]:
    """Return all rows; of an error message only what is expected of it, if it is there."""
    rows: list[Row] = []
    for number, run in enumerate(project.history("sole")):
        assert run["reason"] is None
        message = (run["error"] or {}).get("message")
        want = expected[number][2] if number < len(expected) else None
        said = want if want is not None and message is not None and message.startswith(want) else message
        rows.append((run["attempt"], run["state"], said))
    return rows


def _begun_is_stored(project: Project) -> bool:
    return project.ask("SELECT count(*) FROM {schema}.runs WHERE began_at IS NOT NULL") == [(1,)]


def _nothing_is_left(project: Project) -> None:
    wait_until(lambda: not tagged(str(project.root)), "the dead node's processes to be gone", 10)
