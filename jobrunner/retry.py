"""WHETHER AGAIN: what becomes of a chain when one of its attempts has ended. Pure."""

from __future__ import annotations

from hashlib import sha256

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
    wait = retries.delay
    if retries.backoff == "exponential":
        wait <<= min(run.attempt - 1, 40)
    wait = min(wait, retries.max_delay)
    most = wait // 2 if retries.jitter is True else int(retries.jitter)
    return wait + (_hashed(run) % (most + 1) if most else 0)


def _hashed(run: Run) -> int:
    return int.from_bytes(sha256(f"{run.root_id}/{run.attempt}".encode()).digest()[:8])
