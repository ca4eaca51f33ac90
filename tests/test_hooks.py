"""Which hooks are called, of which run, and how many calls may wait."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from jobrunner import hooks, settings
from jobrunner.clock import MINUTE, SECOND
from jobrunner.errors import StateError
from jobrunner.events import ChainEnded, Skipped
from jobrunner.executor import HookEnded
from jobrunner.hooks import Hooks
from jobrunner.masking import Masker
from jobrunner.model import Job, Outcome, Run
from jobrunner.wire import RunSpec
from tests.desk import House, live
from tests.fakes import NOON, a_job

SKIP = {"on_skip": ":skipped"}


# -- the backlog -----------------------------------------------------------------------------------------


class Callers:
    """Processes for hooks, of which there are none until the test says so."""

    def __init__(self) -> None:
        self.open = False
        self.called: list[tuple[int, RunSpec]] = []

    def run_hook(self, spec: RunSpec, number: int) -> bool:
        if self.open:
            self.called.append((number, spec))
        return self.open


def a_run(number: int) -> Run:
    return Run(
        id=number, job_id=1, job="job", trigger="schedule", scope="", scheduled_for=NOON, effective_at=NOON,
        state="failed", attempt=1, root_id=number, created_at=NOON,
    )  # fmt: skip


def drain(calls: Hooks, callers: Callers) -> list[int]:
    """Let all that waits be called and end; returns the ids of the runs."""
    callers.open = True
    ended = 0
    calls.pump()
    while ended < len(callers.called):
        number, _ = callers.called[ended]
        list(calls.hear(HookEnded(number, Outcome(state="succeeded"))))
        ended += 1
        calls.pump()
    return [spec["hook"]["run"]["id"] for _, spec in callers.called if spec["hook"] is not None]


def test_of_calls_that_nobody_can_make_only_the_newest_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hooks, "BACKLOG", 20)
    callers = Callers()
    calls = Hooks(callers, settings.load({"project": str(tmp_path)}, {}), Masker(()), frozenset())
    job = a_job(hooks={"on_failure": ":failed"})
    for number in range(1, 31):
        calls.ended(a_run(number), Outcome(state="failed"), job)
        calls.pump()
    assert drain(calls, callers) == list(range(11, 31))
    assert not calls.busy


# -- what is skipped -------------------------------------------------------------------------------------


def told(specs: Sequence[RunSpec]) -> list[tuple[str, Any, Any, bool]]:
    """Return (hook, reason, scheduled moment, whether it is a row that can be looked up)."""
    calls = [spec["hook"] for spec in specs if spec["hook"] is not None]
    return [
        (call["name"], call["run"]["reason"], call["run"]["scheduledFor"], call["run"]["id"] > 0)
        for call in calls
    ]


AT_ONE = "2026-11-20T12:01:00.000Z"


def test_a_hook_hears_of_a_moment_that_passes_in_a_pause(house: House) -> None:
    desk = house.open(a_job(hooks=SKIP))
    desk.store.pause("ana", None, house.clock.now())
    live(desk, 65 * SECOND)
    assert told(desk.executor.hooks) == [("on_skip", "paused", AT_ONE, True)]


def test_a_hook_hears_of_a_moment_that_is_looked_at_too_late(house: House) -> None:
    job = a_job(misfire_grace=20 * SECOND, hooks=SKIP)
    first = house.open(job)
    live(first, 10 * SECOND)
    dead = house.kill(first)
    house.clock.advance(80 * SECOND)
    desk = house.open(job, dead=[dead])
    live(desk, 10 * SECOND)
    assert desk.ledger() == ["1 skipped/grace"]
    assert told(desk.executor.hooks) == [("on_skip", "grace", AT_ONE, True)]


def test_a_hook_hears_of_a_run_whose_job_no_file_defines_any_more(house: House) -> None:
    job = known(a_job(hooks=SKIP))
    first = house.open(job, slots=0)
    live(first, 61 * SECOND)
    first.leave()
    desk = house.open(a_job("another"))
    for event in list(desk.events):
        desk.dispatcher.tell(event)
    live(desk, SECOND)
    assert desk.ledger("job") == ["1 skipped/orphan"]
    assert told(desk.executor.hooks) == [("on_skip", "orphan", AT_ONE, True)]


def test_where_its_row_is_gone_already_a_hook_hears_what_the_event_says(house: House) -> None:
    job = a_job(hooks=SKIP)
    desk = house.open(job)
    desk.store.pause("ana", None, house.clock.now())
    live(desk, 65 * SECOND)
    event = next(event for event in desk.events if isinstance(event, Skipped))
    desk.dispatcher.tell(Skipped(event.job, NOON - SECOND, event.reason, event.count))
    assert told(desk.executor.hooks)[:1] == [("on_skip", "paused", AT_ONE, True)]
    desk.dispatcher.hooks.pump()
    assert told(desk.executor.hooks)[1:] == [("on_skip", "paused", "2026-11-20T11:59:59.000Z", False)]


def known(job: Job) -> Job:
    """Return the job with a config from which it can be restored, its hooks included."""
    return job._replace(config={**job.config, "hooks": dict(job.hooks)})


# -- when the state cannot be read -----------------------------------------------------------------------


def unreadable(*_: object) -> Any:
    raise StateError("the disk is gone")


def test_a_row_that_cannot_be_read_for_a_hook_keeps_no_claimed_run_from_its_child(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = house.open(a_job("long", concurrency="forbid", hooks=SKIP), a_job("other"))
    desk.turn(MINUTE)
    (other,) = (run_id for run_id, spec in desk.executor.specs.items() if spec["job"] == "other")
    desk.executor.end(other)
    monkeypatch.setattr(desk.store, "due_before", unreadable)
    desk.turn(MINUTE)
    assert desk.bodies("other") == [1, 2]
    assert [event.reason for event in desk.events if isinstance(event, Skipped)] == ["overlap"]


def test_an_end_is_told_though_the_definition_with_its_hooks_cannot_be_read(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = house.open(a_job())
    monkeypatch.setattr(desk.store, "definitions", unreadable)
    ended = ChainEnded(a_run(1)._replace(job="another"), Outcome(state="failed"))
    desk.dispatcher.tell(ended)
    assert desk.said(ChainEnded) == [ended]
