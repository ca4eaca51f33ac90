"""What follows when an attempt has ended: another one, or the end of its chain and what that means."""

from __future__ import annotations

from typing import Any

import pytest

from jobrunner.aftermath import Aftermath
from jobrunner.clock import MINUTE, SECOND
from jobrunner.events import ChainEnded, Event, JobDisabled, Retrying
from jobrunner.model import Job, Outcome, Retries, Run
from tests.desk import BAD, GOOD, Desk, House, live
from tests.fakes import a_job


def ended(desk: Desk, outcome: Outcome, job: Job | None, *, last: bool = False) -> list[Event]:
    """End the running run, and settle it by a definition of the job or by none."""
    (run,) = desk.runs("running")
    now = desk.clock.now()
    with desk.store.transaction():
        assert desk.store.finish(run, outcome, 0, now)
        return Aftermath(desk.store, lambda _: job, "ana").settle(run, outcome, now, last=last)


def closed(run: Run) -> Run:
    """Return a run as hooks hear of it: `running` makes time stand still at its start."""
    return run._replace(finished_at=run.started_at)


def running(house: House, **fields: Any) -> tuple[Desk, Job, Run]:
    job = a_job(**fields)
    desk = house.open(job)
    live(desk, MINUTE, takes=MINUTE)
    (run,) = desk.runs("running")
    return desk, job, run


def test_a_failure_that_may_be_tried_again_is_no_end_of_its_chain(house: House) -> None:
    desk, job, run = running(house, retries=Retries(max=1, delay=5 * SECOND))
    at = house.clock.now() + 5 * SECOND
    assert ended(desk, BAD, job) == [Retrying(run.id, "job", 2, at)]
    (waiting,) = desk.runs("pending")
    assert (waiting.root_id, waiting.attempt, waiting.effective_at) == (run.id, 2, at)
    assert (desk.facts().last_state, desk.facts().consecutive_failures) == (None, 0)


def test_what_was_asked_to_end_is_not_tried_again(house: House) -> None:
    desk, job, run = running(house, retries=Retries(max=1), delivery="at-least-once")
    assert ended(desk, BAD._replace(state="lost"), job, last=True) == [
        ChainEnded(closed(run), BAD._replace(state="lost"))
    ]
    assert desk.ledger() == ["1 lost"]


def test_the_end_of_a_chain_is_told_and_remembered(house: House) -> None:
    desk, job, run = running(house)
    assert ended(desk, GOOD, job) == [ChainEnded(closed(run), GOOD)]
    assert desk.facts().last_state == "succeeded"


def test_a_job_that_nobody_knows_any_more_is_neither_repeated_nor_disabled(house: House) -> None:
    desk, _, run = running(house, retries=Retries(max=3), stop_on_error=1)
    assert ended(desk, BAD, None) == [ChainEnded(closed(run), BAD)]
    assert (desk.facts().consecutive_failures, desk.facts().enabled_override) == (1, None)


@pytest.mark.parametrize("state", ["failed", "timed_out", "lost"])
def test_one_failure_too_many_disables_the_job_and_is_in_the_audit_trail(house: House, state: Any) -> None:
    desk, job, run = running(house, stop_on_error=1)
    outcome = BAD._replace(state=state)
    assert ended(desk, outcome, job) == [
        ChainEnded(closed(run), outcome),
        JobDisabled("job", "after a failure"),
    ]
    facts = desk.facts()
    assert (facts.enabled_override, facts.enabled_reason) == (False, "after a failure")
    note = desk.store.notes("job", limit=1)[0]
    assert (note.actor, note.action, note.detail) == ("ana", "disabled", "after a failure")


@pytest.mark.parametrize(
    "outcome", [GOOD, Outcome(state="canceled"), Outcome(state="skipped", reason="body")]
)
def test_what_is_no_failure_disables_nothing_whatever_came_before(house: House, outcome: Outcome) -> None:
    desk, job, _ = running(house, stop_on_error=2)
    ended(desk, BAD, job)
    desk.dispatcher._live.clear()
    live(desk, MINUTE, takes=MINUTE)
    assert [type(event) for event in ended(desk, outcome, job._replace(stop_on_error=1))] == [ChainEnded]
    assert desk.facts().enabled_override is None


def test_what_fails_after_the_transaction_began_leaves_the_chain_open(house: House) -> None:
    desk, job, _ = running(house)
    with pytest.raises(KeyError), desk.store.transaction():
        ended(desk, BAD, job)
        raise KeyError
    assert [each.state for each in desk.runs()] == ["running"]
    assert desk.facts().last_state is None
