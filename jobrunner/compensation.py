"""Taking back: when a chain has not ended well, an attempt of its own undoes the steps that it has done.

That attempt is a row like any other: claimed, fenced, logged, and given to another node when its own dies.
"""

from __future__ import annotations

from jobrunner.clock import Instant
from jobrunner.events import Compensating, Event
from jobrunner.model import Job, Outcome, Run
from jobrunner.retry import delay
from jobrunner.store.base import Store

TRIES = 3  # at undoing; what a death or a shutdown cut short does not count
MOST_LOST = 10  # of such: one that takes its node along each time must come to an end
WELL = frozenset({"succeeded", "skipped"})


def begin(store: Store, run: Run, outcome: Outcome, now: Instant) -> Event | None:
    """Write the attempt that takes the steps of this chain back; None when there is nothing to take back.

    `run` is the chain's last attempt, inside the transaction in which it ends; the chain is not over yet.
    """
    if run.undo or outcome.state in WELL or not store.to_undo(run.root_id):
        return None
    if store.again(run, now, now, undo=1) is None:
        return None
    return Compensating(run.id, run.job, run.attempt + 1)


def again(store: Store, run: Run, outcome: Outcome, job: Job | None, now: Instant) -> Event | None:
    """Write another try after one that has failed; None when there is none to follow."""
    cut = outcome.state == "lost" or outcome.reason == "shutdown"
    if run.undo >= TRIES and not cut:
        return None
    if sum(each.undo > 0 and each.state == "lost" for each in store.chain(run.root_id)) >= MOST_LOST:
        return None
    at = now if cut or job is None else now + delay(job.retries, run._replace(attempt=run.undo))
    if store.again(run, at, now, undo=run.undo + (not cut)) is None:
        return None
    return Compensating(run.id, run.job, run.attempt + 1)


def verdict(store: Store, run: Run, outcome: Outcome) -> Outcome:
    """Return how an attempt at undoing counts: if it went well, as the end of the body it made up for."""
    if outcome.state != "succeeded":
        return outcome
    bodies = [each for each in store.chain(run.root_id) if not each.undo]
    if not bodies:
        return outcome._replace(state="failed", reason="compensated")
    last = bodies[-1]
    return Outcome(state=last.state, reason="compensated", error=last.error, file_hash=outcome.file_hash)
