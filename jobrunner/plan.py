"""What is due, and what becomes of it: pure arithmetic over a job, where it stands, and now.

1. Everything after the cursor and not after now is due; consuming it moves the cursor to the newest.
   Schedules, cursors and rows speak of nominal instants; each is due its job's `offset` later.
2. The newest runs; all older ones are missed (a later one is due already).
3. So is the newest when it is planned more than `MISSED_AFTER` late: then `misfire` decides.
4. A run that is still pending from before such an outage counts among the missed.
5. While the job is occupied, `concurrency` decides. With misfire `all` nothing is missed: what is late
   runs one after another, and what is due meanwhile waits behind it.
6. Whatever does not run is written down with its reason, and never looked at again.
"""

from __future__ import annotations

from typing import NamedTuple, cast

from jobrunner.clock import SECOND, Instant
from jobrunner.model import Due, Job, Reason, Standing

MISSED_AFTER = 5 * SECOND
SINGLES = 100  # more skips of one reason than this are one row
CATCH_UP = 100  # missed occurrences that misfire "all" runs at most

Span = tuple[Instant, Instant]


class Plan(NamedTuple):
    """What one look at a job's schedule comes to: the new cursor, and the rows to write.

    `supersede`: why the run that is still pending is skipped, or None: it stays. `replace`: the runs
    that occupy the job are to make way.
    """

    until: Instant
    due: tuple[Due, ...]
    supersede: Reason | None = None
    replace: bool = False


def next_due(job: Job, standing: Standing) -> Instant | None:
    """Return the job's first nominal instant after its cursor, within startAt and endAt, or None."""
    if job.schedule is None or exhausted(job, standing):
        return None
    anchor = _anchor(job, standing)
    after = max(standing.consumed, anchor) if job.schedule.after_end else standing.consumed
    if job.start_at is not None:
        after = max(after, job.start_at - 1)
    instant = job.schedule.next_after(after, anchor)
    beyond = instant is not None and job.end_at is not None and instant > job.end_at
    return None if beyond else instant


def exhausted(job: Job, standing: Standing) -> bool:
    """Say whether numberOfExecutions is reached: such a job has no further occurrences."""
    return job.number_of_executions is not None and standing.executions >= job.number_of_executions


def waits(job: Job, standing: Standing) -> bool:
    """Say whether the schedule stands still until an open run has started or ended.

    Either the last allowed start is already queued, or the schedule counts from the end of a run.
    """
    return _allowance(job, standing) <= 0 or _without_end(job, standing)


def _without_end(job: Job, standing: Standing) -> bool:
    """Say whether what the schedule counts from has not come yet; so there is nothing to skip, either."""
    return bool(job.schedule and job.schedule.after_end and standing.open)


def plan(
    job: Job, standing: Standing, now: Instant, gate: Reason | None = None, slept: Span | None = None
) -> Plan | None:
    """Return what to do about all occurrences that are due at `now`; None when none is.

    `gate` is the reason for which nothing of this job may run at present (paused, disabled,
    environment, broken-file), or None. `slept` is when the machine last slept.
    """
    first = next_due(job, standing)
    if first is None or first > now - job.offset or _without_end(job, standing):
        return None
    if gate is None and waits(job, standing):
        return None
    return _Look(job, standing, now - job.offset, first, slept).plan(gate)


class _Look:
    """One look at one job; `now` is nominal."""

    def __init__(
        self, job: Job, standing: Standing, now: Instant, first: Instant, slept: Span | None
    ) -> None:
        self._job = job
        self._standing = standing
        self._first = first
        self._newest = _newest(job, standing, first, now)
        self._late = now - self._newest
        self._gaps = self._dropped()
        start, end = slept or (0, -1)
        self._slept = start - job.offset, end - job.offset

    def plan(self, gate: Reason | None) -> Plan:
        pending = self._standing.pending_id is not None
        if gate is not None:
            return self._made(self._skips(self._first, self._newest, gate), gate if pending else None)
        if self._job.misfire == "all" and (self._outage or self._standing.catching_up):
            return self._catch_up()
        supersede: Reason | None = "missed" if pending and self._outage else None
        reason = self._too_late() or self._busy(supersede)
        if reason is None and pending and self._job.concurrency in ("queue", "replace"):
            supersede = supersede or "replaced"
        older = self._missed(self._first, self._newest - 1)
        replace = reason is None and self._job.concurrency == "replace" and self._occupied(supersede)
        return self._made((*older, self._due(self._newest, reason)), supersede, replace=replace)

    @property
    def _outage(self) -> bool:
        """Whether something due was not looked at in time."""
        return self._late > MISSED_AFTER or self._newest != self._first

    def _too_late(self) -> Reason | None:
        if self._job.misfire == "skip" and self._late > MISSED_AFTER:
            return self._cause(self._newest)
        grace = self._job.misfire_grace
        return "grace" if grace is not None and self._late > grace else None

    def _busy(self, supersede: Reason | None) -> Reason | None:
        return "overlap" if self._job.concurrency == "forbid" and self._occupied(supersede) else None

    def _occupied(self, supersede: Reason | None) -> bool:
        return self._standing.open - (1 if supersede else 0) > 0

    # -- misfire "all" -------------------------------------------------------------------------------

    def _catch_up(self) -> Plan:
        """Let what is late run one after another, oldest first, and what is due now behind it.

        What goes beyond CATCH_UP is missed; what goes beyond numberOfExecutions is left where it is.
        """
        room = max(0, CATCH_UP - self._standing.pending)
        total = self._count(self._first, self._newest)
        if not room:
            return self._made(
                (*self._missed(self._first, self._newest - 1), self._due(self._newest, "overlap"))
            )
        start = self._first if total <= room else self._from_the_end(room)
        late = self._instants(start, self._newest)[: _allowance(self._job, self._standing)]
        rows = [self._late_due(instant) for instant in late]
        older = self._missed(self._first, start - 1)
        return self._made((*older, *rows), until=late[-1])

    def _late_due(self, instant: Instant) -> Due:
        late, grace = self._newest + self._late - instant, self._job.misfire_grace
        if grace is not None and late > grace:
            return self._due(instant, "grace")
        effective = instant + self._job.offset
        return Due(scheduled_for=instant, effective_at=effective, serial=True)

    def _from_the_end(self, number: int) -> Instant:
        """Return the oldest of the newest `number` due instants."""
        low, high = self._first, self._newest
        while low < high:  # the largest instant from which on there are still that many
            middle = (low + high + 1) // 2
            if self._count(middle, self._newest) >= number:
                low = middle
            else:
                high = middle - 1
        return low

    # -- rows ----------------------------------------------------------------------------------------

    def _made(
        self, due: tuple[Due, ...], supersede: Reason | None = None, *, replace: bool = False,
        until: Instant | None = None,
    ) -> Plan:  # fmt: skip
        until = self._newest if until is None else until
        gaps = (self._due(instant, "dst") for instant in self._gaps if instant <= until)
        rows = sorted((*due, *gaps), key=lambda row: row.scheduled_for)
        return Plan(until, tuple(rows), supersede, replace)

    def _due(self, instant: Instant, reason: Reason | None) -> Due:
        blocker = self._standing.occupant if reason == "overlap" else None
        effective = instant + self._job.offset
        return Due(scheduled_for=instant, effective_at=effective, skip=reason, blocked_by=blocker)

    def _dropped(self) -> list[Instant]:
        """Return the clock changes that left out what was due."""
        assert self._job.schedule is not None
        after = max(self._standing.consumed, (self._job.start_at or 1) - 1)
        return self._job.schedule.dropped(after, self._newest, self._standing.anchor)

    def _cause(self, instant: Instant) -> Reason:
        return "asleep" if self._slept[0] <= instant <= self._slept[1] else "missed"

    def _missed(self, first: Instant, last: Instant) -> tuple[Due, ...]:
        """Return the rows for what is missed from `first` to `last`: before, during and after the sleep."""
        start, end = self._slept
        return (
            *self._skips(first, min(last, start - 1), "missed"),
            *self._skips(max(first, start), min(last, end), "asleep"),
            *self._skips(max(first, start, end + 1), last, "missed"),
        )

    def _skips(self, first: Instant, last: Instant, reason: Reason) -> tuple[Due, ...]:
        """Return the rows for the due instants from `first` to `last`: no row reaches over a clock change
        that has one of its own."""
        rows: tuple[Due, ...] = ()
        for gap in self._gaps:
            if first < gap < last:
                rows, first = (*rows, *self._stretch(first, gap - 1, reason)), gap + 1
        return (*rows, *self._stretch(first, last, reason))

    def _stretch(self, first: Instant, last: Instant, reason: Reason) -> tuple[Due, ...]:
        """Return a row for each due instant from `first` to `last`, or one for them all if they are many."""
        if first > last:
            return ()
        if (count := self._count(first, last)) <= SINGLES:
            return tuple(self._due(instant, reason) for instant in self._instants(first, last))
        assert self._job.schedule is not None
        anchor = self._standing.anchor
        begin = self._job.schedule.next_after(first - 1, anchor)
        end = self._job.schedule.latest(first - 1, last, anchor)
        assert begin is not None
        effective = begin + self._job.offset
        return (Due(scheduled_for=begin, effective_at=effective, skip=reason, count=count, last_for=end),)

    def _count(self, first: Instant, last: Instant) -> int:
        assert self._job.schedule is not None
        if self._job.schedule.after_end:  # there is no second one before the first has run
            return 1 if first <= self._first <= last else 0
        return self._job.schedule.count(first - 1, last, self._standing.anchor)

    def _instants(self, first: Instant, last: Instant) -> list[Instant]:
        """Return the due instants from `first` to `last`."""
        assert self._job.schedule is not None
        if self._job.schedule.after_end:
            return [self._first] if first <= self._first <= last else []
        found: list[Instant] = []
        instant = self._job.schedule.next_after(first - 1, self._standing.anchor)
        while instant is not None and instant <= last:
            found.append(instant)
            instant = self._job.schedule.next_after(instant, self._standing.anchor)
        return found


def overtaken(
    job: Job, effective_at: Instant, now: Instant, *, outage: bool, last: bool = True
) -> Reason | None:
    """Return why a run that is still pending must not start any more, or None.

    `outage`: no node was there when it could have started, so it is missed like any other; of several
    only the `last` may make up for them, unless all shall run.
    """
    late = now - effective_at
    if job.misfire_grace is not None and late > job.misfire_grace:
        return "grace"
    missed = outage and late > MISSED_AFTER and job.misfire != "all"
    return "missed" if missed and (job.misfire == "skip" or not last) else None


def _allowance(job: Job, standing: Standing) -> int:
    """Return how many more scheduled starts may be queued."""
    limit = job.number_of_executions
    return CATCH_UP if limit is None else limit - standing.executions - standing.pending


def _anchor(job: Job, standing: Standing) -> Instant:
    if job.schedule is not None and job.schedule.after_end and standing.ended_at is not None:
        return max(standing.anchor, standing.ended_at)
    return standing.anchor


def _newest(job: Job, standing: Standing, first: Instant, now: Instant) -> Instant:
    assert job.schedule is not None
    if job.schedule.after_end:
        return first
    until = now if job.end_at is None else min(now, job.end_at)
    return cast(Instant, job.schedule.latest(first - 1, until, standing.anchor))
