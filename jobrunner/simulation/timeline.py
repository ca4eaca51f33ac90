"""What came of a simulation: every occurrence, attempt and skip, in the order of time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, NamedTuple

from jobrunner.clock import SECOND, Instant, to_datetime
from jobrunner.model import Problem, Run
from jobrunner.record import Object, iso
from jobrunner.schedule.zones import zone_of

IN_THE_WAY = frozenset({"overlap", "replaced"})
NOTHING: Mapping[str, Any] = {}


class Entry(NamedTuple):
    """One attempt of an occurrence or call, or a skip; instants are microseconds UTC.

    `due` is the nominal moment (of a call: when it was to be made). One entry stands for more than one
    skipped occurrence where `occurrences` says so: those from `due` to `last_due`. A planned entry, of
    `plan_only`, is pending.
    """

    job: str
    due: Instant
    state: str
    reason: str | None = None
    began: Instant | None = None
    ended: Instant | None = None
    attempt: int = 1
    trigger: str = "schedule"
    occurrences: int = 1
    last_due: Instant | None = None
    run_id: int = 0
    root_id: int = 0
    params: Mapping[str, Any] = NOTHING
    result: Any = None
    error: Mapping[str, Any] | None = None
    log: str = ""

    @property
    def scheduled_for(self) -> datetime | None:
        """The occurrence that it is about; None for a call."""
        return to_datetime(self.due) if self.trigger == "schedule" else None

    @property
    def started_at(self) -> datetime | None:
        """When the attempt started."""
        return _moment(self.began)

    @property
    def finished_at(self) -> datetime | None:
        """When it ended; None for what was under way or pending at the end of the simulation."""
        return _moment(self.ended)

    @property
    def took(self) -> int | None:
        """How long it took, in microseconds."""
        return None if self.began is None or self.ended is None else self.ended - self.began

    @property
    def ran(self) -> bool:
        """Whether its body ran."""
        return self.began is not None

    @property
    def is_planned(self) -> bool:
        """Whether it is only what is due: there was no node to run it."""
        return self.state == "pending" and not self.run_id

    def to_json(self) -> Object:
        """Return it as plain data."""
        return {
            "job": self.job,
            "trigger": self.trigger,
            "scheduledFor": iso(self.due) if self.trigger == "schedule" else None,
            "startedAt": iso(self.began),
            "finishedAt": iso(self.ended),
            "state": self.state,
            "reason": self.reason,
            "attempt": self.attempt,
            "count": self.occurrences,
            "lastFor": iso(self.last_due),
            "result": self.result,
            "error": self.error,
        }


class ClockChange(NamedTuple):
    """A moment at which clocks are set ahead, or back (`seconds` below 0), in these zones."""

    at: Instant
    seconds: int
    zones: tuple[str, ...]


@dataclass(frozen=True)
class Timeline:
    """The entries from `start` up to, and without, `end`, by the moment they were due.

    `zones` are those of the jobs, by name; `problems` why files of the project are no jobs; `documents` what
    bodies have left in `state`.
    """

    start: Instant
    end: Instant
    timezone: str
    entries: tuple[Entry, ...]
    zones: Mapping[str, str] = field(default_factory=dict)
    problems: Sequence[Problem] = ()
    documents: Mapping[str, Any] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def of(self, job: str) -> tuple[Entry, ...]:
        """Return the entries of one job."""
        return tuple(entry for entry in self.entries if entry.job == job)

    @property
    def runs(self) -> tuple[Entry, ...]:
        """What started, one entry an attempt."""
        return tuple(entry for entry in self.entries if entry.ran)

    @property
    def skips(self) -> tuple[Entry, ...]:
        """What did not run, and why."""
        return tuple(entry for entry in self.entries if entry.state == "skipped")

    @property
    def overlaps(self) -> tuple[Entry, ...]:
        """What was due while an earlier occurrence of its job was not over: skipped, queued, replaced or run
        beside it, as the job's `concurrency` says."""
        return tuple(overlaps(self.entries))

    def by_job(self) -> dict[str, tuple[Entry, ...]]:
        """Return the entries by job, sorted by name."""
        return grouped((entry.job, entry) for entry in sorted(self.entries, key=lambda one: one.job))

    def by_day(self, timezone: str | None = None) -> dict[date, tuple[Entry, ...]]:
        """Return the entries by the day they were due, on the calendar of a zone: the project's, if none."""
        zone = zone_of(timezone or self.timezone)
        return grouped((date.fromordinal(EPOCH + _day(entry.due, zone)), entry) for entry in self.entries)

    def clock_changes(self) -> list[ClockChange]:
        """Return when clocks change in the zones of the jobs."""
        found: dict[tuple[Instant, int], list[str]] = {}
        for name in sorted({self.timezone, *self.zones.values()}):
            zone = zone_of(name)
            for second in zone.changes(-(-self.start // SECOND), (self.end - 1) // SECOND):
                stretch = zone.at(second)
                found.setdefault((second * SECOND, stretch.offset - stretch.before), []).append(name)
        return [ClockChange(at, by, tuple(names)) for (at, by), names in sorted(found.items())]

    def to_json(self) -> Object:
        """Return all of it as plain data."""
        return {
            "from": iso(self.start),
            "to": iso(self.end),
            "timezone": self.timezone,
            "clockChanges": [
                {"at": iso(one.at), "seconds": one.seconds, "timezones": list(one.zones)}
                for one in self.clock_changes()
            ],
            "entries": [entry.to_json() for entry in self.entries],
        }


EPOCH = date(1970, 1, 1).toordinal()


def of_run(run: Run) -> Entry:
    """Return the entry of a row of the store."""
    return Entry(
        run.job, run.effective_at if run.scheduled_for is None else run.scheduled_for, run.state, run.reason,
        run.started_at, run.finished_at, run.attempt, run.trigger, run.count, run.last_for, run.id,
        run.root_id, run.params, run.result, run.error,
    )  # fmt: skip


def in_order(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """Return entries by the moment they were due, then by job, chain and attempt."""
    return tuple(sorted(entries, key=lambda one: (one.due, one.job, one.root_id, one.attempt)))


def overlaps(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Yield, of entries in their order, what was due before an earlier chain of its job had ended."""
    until: dict[str, tuple[int, float]] = {}  # job -> (chain, when it ended)
    for entry in entries:
        chain, end = until.get(entry.job, (0, -1.0))
        if entry.reason in IN_THE_WAY or (entry.attempt == 1 and chain != entry.root_id and entry.due < end):
            yield entry
        if entry.began is not None:
            over = float("inf") if entry.ended is None else entry.ended
            until[entry.job] = (entry.root_id, over) if over >= end else (chain, end)


def grouped(pairs: Iterable[tuple[Any, Entry]]) -> dict[Any, tuple[Entry, ...]]:
    """Return entries by the key that each comes with, in the order of the keys' coming."""
    found: dict[Any, list[Entry]] = {}
    for key, entry in pairs:
        found.setdefault(key, []).append(entry)
    return {key: tuple(entries) for key, entries in found.items()}


def _day(at: Instant, zone: Any) -> int:
    """Return the day of an instant on the calendar of a zone, counted from 1970."""
    second = at // SECOND
    return int((second + zone.at(second).offset) // 86_400)


def _moment(at: Instant | None) -> datetime | None:
    return None if at is None else to_datetime(at)
