"""What follows when an attempt has ended: another one, or its chain's end and what that means."""

from __future__ import annotations

from collections.abc import Callable

from jobrunner import compensation
from jobrunner.clock import Instant
from jobrunner.events import ChainEnded, Event, JobDisabled, Retrying
from jobrunner.model import Job, Outcome, Run
from jobrunner.retry import next_attempt
from jobrunner.store.base import Store

FAILED = frozenset({"failed", "timed_out", "lost"})


class Aftermath:
    """Settles ended attempts, inside the transaction in which they end.

    `find` returns a job's definition by its stored name, also of one that only the store knows, or
    None. `actor` is who the audit trail names.
    """

    def __init__(self, store: Store, find: Callable[[str], Job | None], actor: str) -> None:
        self._store = store
        self._find = find
        self._actor = actor

    def settle(self, run: Run, outcome: Outcome, now: Instant, *, last: bool = False) -> list[Event]:
        """Write the next attempt, or conclude the chain: always when this was the `last`, as for a run that
        somebody asked to end."""
        job = self._find(run.job) or self._renamed(run)
        follows = self._again(run, outcome, job, now, last=last)
        if follows is not None:
            return [follows]
        failures = self._store.conclude(run, outcome, now)
        events: list[Event] = [ChainEnded(run._replace(finished_at=now), outcome)]
        if job is not None and outcome.state in FAILED and 0 < job.stop_on_error <= failures:
            events.append(self._disable(run, failures, now))
        return events

    def _renamed(self, run: Run) -> Job | None:
        """Return a run's job where it has got another name since the run was claimed."""
        known = self._store.run(run.id)
        return None if known is None or known.job == run.job else self._find(known.job)

    def _again(
        self, run: Run, outcome: Outcome, job: Job | None, now: Instant, *, last: bool
    ) -> Event | None:
        """Let the chain go on, with another attempt at the body or at taking its steps back."""
        if run.undo:
            done = last or outcome.reason == "compensated"
            return None if done else compensation.again(self._store, run, outcome, job, now)
        at = next_attempt(job, run, outcome, now) if job is not None and not last else None
        if at is not None and self._store.again(run, at, now) is not None:
            return Retrying(run.id, run.job, run.attempt + 1, at)
        return compensation.begin(self._store, run, outcome, now)

    def _disable(self, run: Run, failures: int, now: Instant) -> JobDisabled:
        times = "after a failure" if failures == 1 else f"after {failures} failures in a row"
        self._store.set_enabled(run.job_id, False, times, now)
        self._store.note(self._actor, "disabled", run.job, times, now)
        return JobDisabled(run.job, times)
