"""Which occurrences are due now: a heap of the next instant of each job.

The heap is a memory of the store's cursors, not a second truth: what it says is due is read again and
consumed in the turn's transaction, so a node whose memory is old finds nothing to do, never too much.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

from jobrunner import compensation
from jobrunner.clock import DAY, MINUTE, SECOND, Instant
from jobrunner.events import (
    ChainEnded,
    CursorAhead,
    CursorReset,
    DefinitionsOutdated,
    Event,
    Skipped,
)  # fmt: skip
from jobrunner.facts import NodeFacts
from jobrunner.garbage import no_collector
from jobrunner.labels import lacking
from jobrunner.model import Due, Job, Outcome, Reason, Run, Standing
from jobrunner.plan import Plan, Span, next_due, overtaken, plan, waits
from jobrunner.settings import Settings
from jobrunner.store.base import Store

LOOK_AGAIN = SECOND
Holding = tuple[dict[str, Job], dict[str, Reason]]  # jobs, and why they may not run here, by folded name
AHEAD = MINUTE  # a cursor this far in the future is worth a word


class Scheduler:
    """Plans the jobs that this node holds. Jobs are looked up by name, ignoring case."""

    def __init__(self, store: Store, me: NodeFacts, jobs: Mapping[str, Job], settings: Settings) -> None:
        self._store = store
        self._me = me
        self._heap: list[tuple[Instant, int]] = []
        self._names: dict[int, str] = {}
        self._warned: set[int] = set()
        self._outdated: frozenset[str] = frozenset()
        self._waiting: set[int] = set()  # jobs whose schedule stands still: their moment is that of a look
        self._watched: set[int] = set()  # jobs of ours that are shut or have a grace, as of the last load
        self.slept: Span | None = None  # when the machine last slept
        self.closed = False  # plan nothing any more
        self.halted = False  # plan nothing for now
        self.astray = False  # claim nothing either: our machine's clock is not the database's
        self.stale = False  # the heap holds what a transaction that failed would have made true
        self.replaced = False  # runs were asked to make way for newer ones
        self.adopt(jobs, settings)

    def adopt(
        self, jobs: Mapping[str, Job], settings: Settings, broken: Mapping[str, Job] = MappingProxyType({})
    ) -> None:
        """Hold these definitions from now on; of the `broken` ones nothing runs, and that is recorded.

        The caller registers them, and then calls `load`.
        """
        self.settings = settings
        self._jobs = {folded(name): job for held in (broken, jobs) for name, job in held.items()}
        shut = ((name, gate(job, settings)) for name, job in self._jobs.items())
        self._gates: dict[str, Reason] = {name: reason for name, reason in shut if reason is not None}
        self._gates |= {name.casefold(): "broken-file" for name in broken if name not in jobs}

    @property
    def holding(self) -> Holding:
        """What `adopt` has made of definitions, to be given to `hold` when they cannot be registered."""
        return self._jobs, self._gates

    def hold(self, holding: Holding) -> None:
        """Hold again what was held before."""
        self._jobs, self._gates = holding
        self.stale = True

    @property
    def gates(self) -> Mapping[str, Reason]:
        """Why jobs of ours may not run on this node alone, by name, case folded."""
        return self._gates

    @property
    def held(self) -> list[Job]:
        """What this node holds."""
        return list(self._jobs.values())

    def job(self, name: str) -> Job | None:
        """Return a held job by its stored name."""
        return self._jobs.get(name.casefold())

    def load(self, now: Instant) -> list[Event]:
        """Read where all our jobs stand and arm them anew. Returns warnings about cursors in the future."""
        self._heap, self._waiting, self.stale = [], set(), True  # so it stays if what follows cannot be read
        events: list[Event] = []
        ours: set[str] = set()
        self._watched.clear()
        with no_collector():
            for standing in self._standings():
                job = self._jobs[standing.job.casefold()]
                current = self._rekeyed(standing, job, now)
                if current.consumed > now:
                    warnings, current = self._check_ahead(current, job, now)
                    events += warnings
                if current.anchor > current.consumed:
                    current = current._replace(anchor=current.consumed)
                self._arm(current, now)
                ours.add(standing.job.casefold())
                if job.misfire_grace is not None or self._gate(job, standing)[0] is not None:
                    self._watched.add(standing.job_id)
        self.stale = False
        return events + self._check_outdated(frozenset(self._jobs.keys() - ours))

    def _standings(self, ids: Sequence[int] | None = None) -> Iterator[Standing]:
        """Yield where our jobs stand; one that bears a name we do not know has just been renamed."""
        for standing in self._store.standings(self._me.owner, self._me.machine, ids):
            if standing.job.casefold() in self._jobs:
                yield standing

    def next_due(self) -> Instant | None:
        """Return when this node must look next; None when it has nothing to wait for."""
        if self.stale:
            return 0
        return self._heap[0][0] if self._heap and not self.closed and not self.halted else None

    @property
    def waiting(self) -> bool:
        """Whether schedules of ours stand still until one of their runs has started or ended."""
        return bool(self._waiting)

    def next_moment(self) -> Instant | None:
        """Return when something is due next, as `next_due`, but without the looks at what waits for a run:
        for who knows of each run's end, and has us `load` then."""
        if not self._waiting or self.stale:
            return self.next_due()
        return min((at for at, job_id in self._heap if job_id not in self._waiting), default=None)

    def upcoming(self, number: int) -> tuple[tuple[str, Instant], ...]:
        """Return the next moments that this node waits for, soonest first: (job id's name, instant)."""
        return tuple((self._names[job_id], at) for at, job_id in heapq.nsmallest(number, self._heap))

    def turn(self, now: Instant) -> list[Event]:
        """Consume all that is due, inside the caller's transaction; mark us stale if that one fails."""
        events = self.load(now) if self.stale else []
        ids = [] if self.closed or self.halted else [job_id for _, job_id in self._pop(now)]
        if not ids:
            return events
        for standing in self._standings(ids):
            events += self._consume(standing, now)
        return events

    @property
    def may_give_up(self) -> bool:
        """Whether a pending run of ours may have to end without having started."""
        return bool(self._watched)

    def give_up(self, now: Instant, *, outage: bool) -> list[Event]:
        """Let pending runs that must not start any more end: those that are too late, and those of jobs
        that are shut here and everywhere. What waits for its next attempt waits out a pause. After an
        outage everything may be too late, otherwise only what has a grace."""
        found = self._store.waiting_runs(None if outage else self._watched)
        if not found:
            return []
        waiting = [run for run in reversed(found) if self.job(run.job) is not None]
        where = {(each.job_id, each.scope): each for each in self._standings([run.job_id for run in waiting])}
        events: list[Event] = []
        newest: set[tuple[int, str]] = set()
        for run in waiting:
            place = run.job_id, run.scope
            if place in where:
                reason = self._hindrance(run, where[place], now, outage=outage, last=place not in newest)
                events += [] if reason is None else self._give_up(run, reason, now)
                newest |= {place} if run.attempt == 1 else set()
        return events

    def _hindrance(
        self, run: Run, standing: Standing, now: Instant, *, outage: bool, last: bool
    ) -> Reason | None:
        """Return why a pending run must not start any more, on any node, or None."""
        job = self._jobs[standing.job.casefold()]
        reason, ours_alone = self._gate(job, standing)
        if ours_alone and standing.elsewhere:
            reason = None
        if run.attempt > 1:
            return "disabled" if reason == "disabled" else None
        return reason or overtaken(job, run.effective_at, now, outage=outage, last=last)

    def _give_up(self, run: Run, reason: Reason, now: Instant) -> list[Event]:
        with self._store.transaction():
            if not self._store.give_up(run.id, reason, self._me, now):
                return []
            if run.attempt > 1:
                return [self._conclude(run, reason, now)]
        return [Skipped(run.job, run.scheduled_for or run.effective_at, reason, 1)]

    def start_at_once(self, names: Sequence[str], now: Instant) -> None:
        """Enqueue the one extra occurrence of new jobs with runOnStart, where they are first registered."""
        wanted = {name.casefold() for name in names if self._jobs[name.casefold()].run_on_start}
        for standing in self._standings() if wanted else ():
            if standing.job.casefold() in wanted:
                job, anchor = self._jobs[standing.job.casefold()], standing.anchor
                skip, _ = self._gate(job, standing)
                rows = Plan(anchor, (Due(scheduled_for=anchor, effective_at=anchor, skip=skip),))
                self._write(standing, rows, job, now)

    def _pop(self, now: Instant) -> Iterator[tuple[Instant, int]]:
        while self._heap and self._heap[0][0] <= now:
            yield heapq.heappop(self._heap)

    def _consume(self, standing: Standing, now: Instant) -> list[Event]:
        job = self._jobs[standing.job.casefold()]
        reason, ours_alone = self._gate(job, standing)
        if ours_alone and standing.elsewhere:  # where it may run it is planned, and recorded
            self._arm(standing, now, lost=True)
            return []
        todo = plan(job, standing, now, reason, self.slept)
        waited = self._to_be_superseded(standing, todo)
        if todo is None or not self._write(standing, todo, job, now):
            self._arm(standing, now, lost=todo is not None)
            return []
        ended = self._make_way(standing, now) if todo.replace else []
        self._arm(moved(standing, todo), now)
        skipped = [Skipped(job.name, due.scheduled_for, due.skip, due.count) for due in todo.due if due.skip]
        return [*waited, *ended, *skipped]

    def _to_be_superseded(self, standing: Standing, todo: Plan | None) -> list[Event]:
        """Return what is to be said of the pending run that a plan skips."""
        if todo is None or todo.supersede is None or standing.pending_id is None:
            return []
        run = self._store.run(standing.pending_id)
        if run is None or run.scheduled_for is None:
            return []
        return [Skipped(run.job, run.scheduled_for, todo.supersede, 1)]

    def _make_way(self, standing: Standing, now: Instant) -> list[Event]:
        """Let the newer occurrence be next: what runs is asked to end, what waits for an attempt ends."""
        self.replaced = True
        return [self._conclude(run, "replaced", now) for run in self._store.replace(standing, now)]

    def _conclude(self, run: Run, reason: Reason, now: Instant) -> Event:
        """A chain ends while it waits for its next attempt."""
        outcome = Outcome(state="canceled", reason=reason)
        follows = compensation.begin(self._store, run, outcome, now)
        if follows is not None:
            return follows
        self._store.conclude(run, outcome, now)
        return ChainEnded(run, outcome)

    def _write(self, standing: Standing, todo: Plan, job: Job, now: Instant) -> bool:
        return self._store.consume(
            standing, todo.until, todo.due, job=job, supersede=todo.supersede, node=self._me, now=now
        )

    def _arm(self, standing: Standing, now: Instant, *, lost: bool = False) -> None:
        job = self._jobs[standing.job.casefold()]
        nominal = next_due(job, standing)
        if nominal is None:
            return
        instant = nominal + job.offset
        self._waiting.discard(standing.job_id)
        if lost or (waits(job, standing) and instant <= now):
            instant = now + LOOK_AGAIN
            self._waiting.add(standing.job_id)
        self._names[standing.job_id] = job.name
        heapq.heappush(self._heap, (instant, standing.job_id))

    def _check_outdated(self, names: frozenset[str]) -> list[Event]:
        """Tell when another node has brought another definition: then it plans the job, and we do not; and
        when ours is current again."""
        new, over = names - self._outdated, (self._outdated - names) & self._jobs.keys()
        self._outdated = names
        events: list[Event] = [DefinitionsOutdated(self._known_as(new))] if new else []
        return [*events, DefinitionsOutdated(self._known_as(over), over=True)] if over else events

    def _known_as(self, names: Iterable[str]) -> tuple[str, ...]:
        return tuple(sorted(self._jobs[name].name for name in names))

    def _rekeyed(self, standing: Standing, job: Job, now: Instant) -> Standing:
        """A rollback: the cursor is of a schedule whose last holder is gone. Ours starts from now."""
        key = job.schedule_key
        if standing.schedule_key == key or not self._store.rekey(standing, key, now):
            return standing
        return standing._replace(schedule_key=key, consumed=now, anchor=now)

    def _check_ahead(self, standing: Standing, job: Job, now: Instant) -> tuple[list[Event], Standing]:
        """A cursor in the future means that a clock was wrong. A day is waited for, more is set back."""
        ahead = standing.consumed - now
        if ahead > DAY:
            self._store.rewind(standing, now, job)
            self._store.note(
                self._me.node, "cursor-reset", standing.job, f"stood at {standing.consumed}", now
            )
            return [CursorReset(standing.job, standing.consumed)], standing._replace(consumed=now)
        if ahead > AHEAD and standing.job_id not in self._warned:
            self._warned.add(standing.job_id)
            return [CursorAhead(standing.job, standing.consumed)], standing
        return [], standing

    def _gate(self, job: Job, standing: Standing) -> tuple[Reason | None, bool]:
        return shut(job, standing, self._gates.get(job.name.casefold()))


def folded(name: str) -> str:
    """Return a name as it is looked up: mostly the very same text, which is not kept twice then."""
    key = name.casefold()
    return name if key == name else key


def gate(job: Job, settings: Settings) -> Reason | None:
    """Return why a job may not run on this node by what its environment says, or None."""
    if job.name in settings.disabled:
        return "disabled"
    if job.environments is not None and settings.env not in job.environments:
        return "environment"
    if lacking(job.runs_on, settings.labels):
        return "labels"
    return "paused" if settings.paused else None


def shut(job: Job, standing: Standing, here: Reason | None) -> tuple[Reason | None, bool]:
    """Return why nothing of a job may start, if so, and whether that is so on this node alone.

    `here` is what `gate` says of this node.
    """
    if here in ("broken-file", "disabled"):
        return here, True
    if not (job.enabled if standing.enabled is None else standing.enabled):
        return "disabled", False
    if here is not None:
        return here, True
    return ("paused" if standing.paused else None), False


def moved(standing: Standing, todo: Plan) -> Standing:
    """Return where the job stands after a plan was written."""
    runs = sum(1 for due in todo.due if due.skip is None)
    superseded = 1 if todo.supersede else 0
    return standing._replace(
        consumed=todo.until,
        open=standing.open + runs - superseded,
        pending=standing.pending + runs - superseded,
    )
