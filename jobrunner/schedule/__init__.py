"""WHEN: pure arithmetic. No clock, no database: instants in, instants out.

A schedule is an immutable value, parsed once from text or a builder and shared freely.

    parse       text, list or builder -> Schedule; everything else here is behind it
    fields.py   cron text into explicit numbers, and the refusals
    days.py     which days match, by month (croniter is asked here and nowhere else)
    times.py    which times of day match
    zones.py    a time zone as stretches of constant offset
    cron.py     the three together: instants, and what a clock change does to them
    every.py    "every 30s": a grid of elapsed time
    union.py    a list of schedules, with crons.py to count it
    build.py    `every(2).minutes`, `daily(at="02:30")`: builders of text
    words.py    a schedule in English
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Protocol

from jobrunner.clock import Instant
from jobrunner.errors import ScheduleError
from jobrunner.schedule.cron import Cron, read_cron
from jobrunner.schedule.every import Every, read_every
from jobrunner.schedule.fields import fail, folded, quoted
from jobrunner.schedule.union import Union
from jobrunner.schedule.zones import zone_of

__all__ = ["Schedule", "parse"]

GAPS = ("run-after", "skip")
FOLDS = ("first", "second", "both")
MOST = 100  # schedules in one list


class Schedule(Protocol):
    """Which moments a job is due. All instants are microseconds UTC.

    `anchor` is the moment a job was first registered: interval schedules count their grid from it,
    all others ignore it. Every method is a pure function of its arguments.
    """

    @property
    def text(self) -> str:
        """The canonical text: equal texts fire at equal moments; `parse(text)` gives an equal schedule."""
        ...

    @property
    def after_end(self) -> bool:
        """Whether the caller must use the end of the last run as `anchor` (`every(10).minutes.after_end`)."""
        ...

    def next_after(self, after: Instant, anchor: Instant) -> Instant | None:
        """Return the first due instant strictly after `after`; None when there is none within 50 years."""
        ...

    def latest(self, after: Instant, until: Instant, anchor: Instant) -> Instant | None:
        """Return the last due instant in (after, until], or None; cheap however long the span is."""
        ...

    def count(self, after: Instant, until: Instant, anchor: Instant) -> int:
        """Return how many instants are due in (after, until]; cheap however long the span is."""
        ...

    def dropped(self, after: Instant, until: Instant, anchor: Instant | None = None) -> list[Instant]:
        """Return the instants in (after, until] at which a clock change made fixed times fall out for good.

        That is one instant per change, the first valid one after the gap, however many times fell in it; none
        where the schedule is due at that instant anyhow. A list with intervals needs `anchor` to know whether
        those are. Cheap where the clock does not change, whatever the schedule.
        """
        ...

    def shortest(self) -> int:
        """Return a lower bound of the microseconds between two neighbouring due instants."""
        ...

    def words(self) -> str:
        """Return the schedule in English, without the zone: `every 5 minutes`, `at 02:30 on weekdays`."""
        ...


def parse(value: object, zone: str = "UTC", dst_gap: str = "run-after", dst_fold: str = "first") -> Schedule:
    """Return the schedule of cron text, an alias, "every 30s", a builder's result, or a list of these.

    `zone` is an IANA name; `dst_gap` ("run-after", "skip") and `dst_fold` ("first", "second", "both") say
    what a clock change does to fixed times. Text may also be a list's canonical text, joined with ";".
    Raises ScheduleError, quoting the field, when it is malformed, never fires, or the zone is unknown.
    """
    _check("dstGap", dst_gap, GAPS)
    _check("dstFold", dst_fold, FOLDS)
    if not isinstance(zone, str):
        raise fail(
            f"the time zone {quoted(zone)} is not text", "use an IANA name such as Europe/Berlin or UTC"
        )
    if type(value) is str:
        return _parse(value, zone, dst_gap, dst_fold)
    return _parse("; ".join(_texts(value)), zone, dst_gap, dst_fold)


def _check(key: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ScheduleError(f"{key} is {quoted(value)}", hint="use one of " + ", ".join(allowed), key=key)


def _texts(value: object) -> Iterator[str]:
    """Yield the texts of a list, which may be nested, of texts and builders."""
    if isinstance(value, list | tuple):
        if not value:
            raise fail("the list of schedules is empty", "use None for a job that runs only on demand")
        for member in value:
            yield from _texts(member)
        return
    text = getattr(value, "text", value)
    yield text if isinstance(text, str) and ";" in text else folded(text)


@lru_cache(maxsize=4096)
def _parse(value: str, zone: str, gap: str, fold: str) -> Schedule:
    zone_of(zone)
    parts = value.split(";", MOST)
    if len(parts) > MOST:
        raise fail(f"the list has more than {MOST} schedules", "use ranges and steps, or several jobs")
    texts = dict.fromkeys(folded(part) for part in parts)
    members = list(dict.fromkeys(_one(text, zone, gap, fold) for text in texts))
    if len(members) == 1:
        return members[0]
    if any(member.after_end for member in members):
        raise fail(f'"after end" cannot be part of the list "{value}"', "give it a job of its own")
    return Union(members, zone)


def _one(text: str, zone: str, gap: str, fold: str) -> Cron | Every:
    if not text:
        raise fail("the schedule is empty", "use None for a job that runs only on demand")
    if text[:5].lower() == "every":
        return read_every(text)
    return read_cron(text, zone, gap, fold)
