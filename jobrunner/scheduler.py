"""Which occurrences are due now: a heap of the next instant of each job.

The heap is a memory of the store's cursors, not a second truth: what it says is due is read again and
consumed in the turn's transaction, so a node whose memory is old finds nothing to do, never too much.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from jobrunner.clock import DAY, MINUTE, SECOND, Instant
from jobrunner.events import CursorAhead, CursorReset, DefinitionsOutdated, Event, Skipped
from jobrunner.model import Due, Job, NodeFacts, Reason, Standing
from jobrunner.plan import Plan, next_due, overtaken, plan, waits
from jobrunner.settings import Settings
from jobrunner.store.base import Store

LOOK_AGAIN = SECOND
AHEAD = MINUTE  # a cursor this far in the future is worth a word


class Scheduler:
    """Plans the jobs that this node holds. Jobs are looked up by name, ignoring case."""

    def __init__(self, store: Store, me: NodeFacts, jobs: Mapping[str, Job], settings: Settings) -> None:
        self._store = store
        self._me = me
        self._jobs = {name.casefold(): job for name, job in jobs.items()}
        shut = {name: gate(job, settings) for name, job in self._jobs.items()}
        self._gates: dict[str, Reason] = {name: reason for name, reason in shut.items() if reason is not None}
        self._heap: list[tuple[Instant, int]] = []
        self._warned: set[int] = set()
        self._outdated: frozenset[str] = frozenset()
        self.closed = False  # plan nothing any more
        self.halted = False  # plan nothing for now
        self.stale = False  # the heap holds what a transaction that failed would have made true

    @property
    def gates(self) -> Mapping[str, Reason]:
        """Why jobs of ours may not run on this node, by name, case folded."""
        return self._gates

    def job(self, name: str) -> Job:
        """Return a held job by its stored name."""
        return self._jobs[name.casefold()]

    def load(self, now: Instant) -> list[Event]:
        """Read where all our jobs stand and arm them anew. Returns warnings about cursors in the future."""
        self._heap, self.stale = [], False
        events: list[Event] = []
        ours: set[str] = set()
        for standing in self._store.standings(self._me.owner, ""):
            current = self._rekeyed(standing, now)
            warnings, consumed = self._check_ahead(current, now)
            events += warnings
            self._arm(replace(current, consumed=consumed, anchor=min(current.anchor, consumed)), now)
            ours.add(standing.job.casefold())
        return events + self._check_outdated(frozenset(self._jobs.keys() - ours))

    def next_due(self) -> Instant | None:
        """Return when this node must look next; None when it has nothing to wait for."""
        if self.stale:
            return 0
        return self._heap[0][0] if self._heap and not self.closed and not self.halted else None

    def turn(self, now: Instant) -> list[Event]:
        """Consume all that is due, inside the caller's transaction; mark us stale if that one fails."""
        events = self.load(now) if self.stale else []
        ids = [] if self.closed or self.halted else [job_id for _, job_id in self._pop(now)]
        if not ids:
            return events
        for standing in self._store.standings(self._me.owner, "", ids):
            events += self._consume(standing, now)
        return events

    def give_up_overtaken(self, now: Instant, *, outage: bool) -> list[Event]:
        """Let pending runs that are too late to start end as skipped, inside the caller's transaction."""
        if not outage and all(job.misfire_grace is None for job in self._jobs.values()):
            return []
        events: list[Event] = []
        newest: set[int] = set()
        for run in reversed(self._store.open_runs()):
            job = self._jobs.get(run.job.casefold())
            if job is None or run.state != "pending" or run.scheduled_for is None:
                continue
            last = run.job_id not in newest
            newest.add(run.job_id)
            reason = self._gate(job) or overtaken(job, run.effective_at, now, outage=outage, last=last)
            if reason is not None and self._store.give_up(run.id, reason, self._me, now):
                events.append(Skipped(job.name, run.scheduled_for, reason, 1))
        return events

    def start_at_once(self, names: Sequence[str], now: Instant) -> None:
        """Enqueue the one extra occurrence of new jobs with runOnStart, where they are first registered."""
        wanted = {name.casefold() for name in names if self.job(name).run_on_start}
        for standing in self._store.standings(self._me.owner, ""):
            if standing.job.casefold() in wanted:
                job, anchor = self.job(standing.job), standing.anchor
                skip = self._gate(job)
                rows = Plan(anchor, (Due(scheduled_for=anchor, effective_at=anchor, skip=skip),))
                self._write(standing, rows, job, now)

    def _pop(self, now: Instant) -> Iterator[tuple[Instant, int]]:
        while self._heap and self._heap[0][0] <= now:
            yield heapq.heappop(self._heap)

    def _consume(self, standing: Standing, now: Instant) -> list[Event]:
        job = self.job(standing.job)
        reason = self._gate(job)
        if reason is not None and standing.elsewhere:  # where it may run it is planned, and recorded
            self._arm(standing, now, lost=True)
            return []
        todo = plan(job, standing, now, reason)
        if todo is not None and self._write(standing, todo, job, now):
            standing = moved(standing, todo)
            self._arm(standing, now)
            return [Skipped(job.name, due.scheduled_for, due.skip, due.count) for due in todo.due if due.skip]
        self._arm(standing, now, lost=todo is not None)
        return []

    def _write(self, standing: Standing, todo: Plan, job: Job, now: Instant) -> bool:
        return self._store.consume(
            standing, todo.until, todo.due, job=job, supersede=todo.supersede, node=self._me, now=now
        )

    def _arm(self, standing: Standing, now: Instant, *, lost: bool = False) -> None:
        job = self.job(standing.job)
        instant = next_due(job, standing)
        if instant is None:
            return
        if lost or (waits(job, standing) and instant <= now):
            instant = now + LOOK_AGAIN
        heapq.heappush(self._heap, (instant, standing.job_id))

    def _check_outdated(self, names: frozenset[str]) -> list[Event]:
        """Tell when another node has brought another definition: then it plans the job, and we do not."""
        new, self._outdated = names - self._outdated, names
        return [DefinitionsOutdated(tuple(sorted(self._jobs[name].name for name in new)))] if new else []

    def _rekeyed(self, standing: Standing, now: Instant) -> Standing:
        """A rollback: the cursor is of a schedule whose last holder is gone. Ours starts from now."""
        key = self.job(standing.job).schedule_key
        if standing.schedule_key == key or not self._store.rekey(standing, key, now):
            return standing
        return replace(standing, schedule_key=key, consumed=now, anchor=now)

    def _check_ahead(self, standing: Standing, now: Instant) -> tuple[list[Event], Instant]:
        """A cursor in the future means that a clock was wrong. A day is waited for, more is set back."""
        ahead = standing.consumed - now
        if ahead > DAY:
            self._store.rewind(standing, now, self.job(standing.job))
            self._store.note("node", "cursor-reset", standing.job, f"stood at {standing.consumed}", now)
            return [CursorReset(standing.job, standing.consumed)], now
        if ahead > AHEAD and standing.job_id not in self._warned:
            self._warned.add(standing.job_id)
            return [CursorAhead(standing.job, standing.consumed)], standing.consumed
        return [], standing.consumed

    def _gate(self, job: Job) -> Reason | None:
        return self._gates.get(job.name.casefold())


def gate(job: Job, settings: Settings) -> Reason | None:
    """Return why a job may not run here at all by its definition and the environment, or None."""
    if not job.enabled or job.name in settings.disabled:
        return "disabled"
    if job.environments is not None and settings.env not in job.environments:
        return "environment"
    return "paused" if settings.paused else None


def moved(standing: Standing, todo: Plan) -> Standing:
    """Return where the job stands after a plan was written."""
    runs = sum(1 for due in todo.due if due.skip is None)
    superseded = 1 if todo.supersede else 0
    return replace(
        standing,
        consumed=todo.until,
        open=standing.open + runs - superseded,
        pending=standing.pending + runs - superseded,
    )
