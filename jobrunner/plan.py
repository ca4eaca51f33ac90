"""What is due, and what becomes of it: pure arithmetic over a job, where it stands, and now.

1. Everything after the cursor and not after now is due; consuming it moves the cursor to the newest.
2. The newest runs; all older ones are missed (a later one is due already).
3. So is the newest when it is planned more than `MISSED_AFTER` late: then `misfire` decides.
4. A run that is still pending from before such an outage counts among the missed.
5. Whatever does not run is written down with its reason, and never looked at again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from jobrunner.clock import SECOND, Instant
from jobrunner.model import Due, Job, Reason, Standing

MISSED_AFTER = 5 * SECOND
SINGLES = 100  # more skips of one reason than this are one row


@dataclass(frozen=True, slots=True)
class Plan:
    """What one look at a job's schedule comes to: the new cursor, and the rows to write.

    `supersede`: the run that is still pending has been overtaken and becomes skipped/missed.
    """

    until: Instant
    due: tuple[Due, ...]
    supersede: bool = False


def next_due(job: Job, standing: Standing) -> Instant | None:
    """Return the job's first instant after its cursor, within startAt and endAt; None when there is none."""
    if job.schedule is None or exhausted(job, standing):
        return None
    anchor = _anchor(job, standing)
    after = max(standing.consumed, anchor if job.schedule.after_end else standing.consumed)
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
    limit = job.number_of_executions
    queued = limit is not None and standing.executions + standing.pending >= limit
    return queued or bool(job.schedule and job.schedule.after_end and standing.open)


def plan(job: Job, standing: Standing, now: Instant, gate: Reason | None = None) -> Plan | None:
    """Return what to do about all occurrences that are due at `now`; None when none is.

    `gate` is the reason for which nothing of this job may run at present (paused, disabled,
    environment), or None.
    """
    first = next_due(job, standing)
    if first is None or first > now or (gate is None and waits(job, standing)):
        return None
    newest = _newest(job, standing, first, now)
    if gate is not None:
        return Plan(newest, _skips(job, standing, first, newest, gate), standing.pending_id is not None)
    late = now - newest
    missed = late > MISSED_AFTER
    supersede = standing.pending_id is not None and (missed or newest != first)
    decision = _decision(job, standing, late, supersede)
    older = _older(job, standing, first, newest)
    return Plan(newest, (*older, Due(scheduled_for=newest, effective_at=newest, skip=decision)), supersede)


def overtaken(
    job: Job, effective_at: Instant, now: Instant, *, outage: bool, last: bool = True
) -> Reason | None:
    """Return why a run that is still pending must not start any more, or None.

    `outage`: no node was there when it could have started, so it is missed like any other; of several
    only the `last` may make up for them.
    """
    late = now - effective_at
    if job.misfire_grace is not None and late > job.misfire_grace:
        return "grace"
    missed = outage and late > MISSED_AFTER
    return "missed" if missed and (job.misfire == "skip" or not last) else None


def _decision(job: Job, standing: Standing, late: int, supersede: bool) -> Reason | None:
    """Return why the newest due occurrence does not run, or None if it does."""
    if job.misfire == "skip" and late > MISSED_AFTER:
        return "missed"
    if job.misfire_grace is not None and late > job.misfire_grace:
        return "grace"
    occupied = standing.open - (1 if supersede else 0)
    return "overlap" if job.concurrency == "forbid" and occupied > 0 else None


def _anchor(job: Job, standing: Standing) -> Instant:
    if job.schedule is not None and job.schedule.after_end and standing.ended_at is not None:
        return max(standing.anchor, standing.ended_at)
    return standing.anchor


def _newest(job: Job, standing: Standing, first: Instant, now: Instant) -> Instant:
    assert job.schedule is not None
    if job.schedule.after_end:  # there is no second one before the first has run
        return first
    until = now if job.end_at is None else min(now, job.end_at)
    return cast(Instant, job.schedule.latest(first - 1, until, standing.anchor))


def _older(job: Job, standing: Standing, first: Instant, newest: Instant) -> tuple[Due, ...]:
    """Return the rows for the missed ones before the newest."""
    return _skips(job, standing, first, newest - 1, "missed") if first < newest else ()


def _skips(job: Job, standing: Standing, first: Instant, last: Instant, reason: Reason) -> tuple[Due, ...]:
    """Return a row for each due instant from `first` to `last`, or one for them all if they are many."""
    assert job.schedule is not None
    if job.schedule.after_end:
        return (Due(scheduled_for=first, effective_at=first, skip=reason),)
    anchor = standing.anchor
    count = job.schedule.count(first - 1, last, anchor)
    if count > SINGLES:
        last_for = job.schedule.latest(first - 1, last, anchor)
        return (Due(scheduled_for=first, effective_at=first, skip=reason, count=count, last_for=last_for),)
    rows = []
    instant: Instant | None = first
    while instant is not None and instant <= last:
        rows.append(Due(scheduled_for=instant, effective_at=instant, skip=reason))
        instant = job.schedule.next_after(instant, anchor)
    return tuple(rows)
