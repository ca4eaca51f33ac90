"""The schedule alone: what is due, without store, runs and their policies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from jobrunner.clock import Instant
from jobrunner.model import Job, Standing
from jobrunner.plan import next_due
from jobrunner.scheduler import gate, shut
from jobrunner.simulation.jobs import Subject
from jobrunner.simulation.timeline import Entry, Timeline, in_order

Span = tuple[Instant, Instant]


def preview(
    subject: Subject, start: Instant, end: Instant, *, pauses: Sequence[Span], takes: Callable[[Job], int]
) -> Timeline:
    """Return what is due from `start` up to `end`: to run (pending), or to be skipped because the job is
    shut, schedules are paused, or a clock change drops it.

    Nothing waits for anything: a job that is due while it still runs is here due like any other. `takes`
    counts for schedules that count from the end of a run.
    """
    entries: list[Entry] = []
    for job in subject.jobs.values():
        planned = _Planned(subject, job, start, end, pauses)
        entries += planned.due(takes(job))
        entries += planned.dropped()
    zones = {job.name: job.timezone for job in subject.jobs.values()}
    return Timeline(start, end, subject.settings.timezone, in_order(entries), zones, subject.problems)


class _Planned:
    """One job, looked at whenever it is due."""

    def __init__(
        self, subject: Subject, job: Job, start: Instant, end: Instant, pauses: Sequence[Span]
    ) -> None:
        cursor = subject.cursor(job, start)
        self._job = job
        self._end = end
        self._pauses = pauses
        self._standing = Standing(
            job_id=0, job=job.name, scope="", schedule_key="", consumed=cursor, anchor=cursor, executions=0
        )
        self._shut, _ = shut(job, self._standing, gate(job, subject.settings))
        self._last = self._standing  # where the job stands when all is said

    def due(self, took: int) -> Iterator[Entry]:
        """Yield what is due."""
        job, standing = self._job, self._standing
        if job.run_on_start:
            yield self._entry(standing.anchor)
            standing = standing._replace(executions=1, ended_at=standing.anchor + took)
        while (at := next_due(job, standing)) is not None and at + job.offset < self._end:
            entry = self._entry(at)
            ran = entry.state == "pending"
            standing = standing._replace(consumed=at, executions=standing.executions + ran,
                ended_at=at + job.offset + took if ran else standing.ended_at,
            )  # fmt: skip
            yield entry
        self._last = standing

    def dropped(self) -> Iterator[Entry]:
        """Yield the clock changes that leave out what would have been due."""
        return dropped(self._job, self._standing, self._last, self._end)

    def _entry(self, at: Instant) -> Entry:
        reason = self._shut
        if self._pauses and reason is None:
            effective = at + self._job.offset
            reason = "paused" if any(low <= effective < high for low, high in self._pauses) else None
        if reason is None:
            return Entry(self._job.name, at, "pending")
        return Entry(self._job.name, at, "skipped", reason)


def dropped(job: Job, before: Standing, after: Standing, end: Instant) -> Iterator[Entry]:
    """Yield the clock changes before `end` that leave out what would have been due, for a job that has come
    from one standing to another. A node writes them down with the next occurrence, which may be beyond `end`.
    """
    if job.schedule is None:
        return
    until = after.consumed if next_due(job, after) is None else end - 1
    low = max(before.consumed, (job.start_at or 1) - 1)
    high = until if job.end_at is None else min(until, job.end_at)
    for at in job.schedule.dropped(low, high, before.anchor) if low < high else ():
        yield Entry(job.name, at, "skipped", "dst")
