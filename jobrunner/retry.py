"""WHETHER AGAIN: what becomes of a chain when one of its attempts has ended. Pure."""

from __future__ import annotations

from jobrunner import backoff
from jobrunner.clock import Instant
from jobrunner.model import Job, Outcome, Retries, Run

AFTER_A_CRASH = 3  # attempts that follow a crash or loss where `retries` says nothing


def next_attempt(job: Job, run: Run, outcome: Outcome, now: Instant) -> Instant | None:
    """Return when an ended run is tried again, or None: then its outcome is its chain's.

    `retries` covers failures and time-outs. Crashes, losses and shutdowns prove nothing about what the
    body did: only a delivery that may start twice repeats them, `retries` times, or three.
    """
    if run.attempt > _allowed(job, run, outcome):
        return None
    return now + delay(job.retries, run)


def _allowed(job: Job, run: Run, outcome: Outcome) -> int:
    error = outcome.error or {}
    crashed = error.get("type") == "Crashed" and not error.get("traceback")  # else a body raised it
    if outcome.state == "lost" or crashed or outcome.reason == "shutdown":
        return 0 if run.delivery == "at-most-once" else job.retries.max or AFTER_A_CRASH
    if outcome.state not in ("failed", "timed_out") or error.get("permanent"):
        return 0
    return job.retries.max


def delay(retries: Retries, run: Run) -> int:
    """Return how long to wait after this attempt, in microseconds: the same whenever it is asked."""
    return backoff.wait(
        run.attempt, str(run.root_id), retries.delay, retries.max_delay,
        doubles=retries.backoff == "exponential", jitter=retries.jitter,
    )  # fmt: skip
