"""An independent judge: Debian cron's main loop, run over every real minute or second of a window.

It shares no code with jobrunner. It reads the expression with a few regular expressions of its own, keeps
cron's "virtual time", and asks at each real tick which jobs that loop would start.
"""

from __future__ import annotations

import calendar
from datetime import UTC, datetime
from functools import lru_cache
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

LIMIT = 3 * 3600
NAMES = {
    name: number
    for names in ("SUN MON TUE WED THU FRI SAT", "- JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC")
    for number, name in enumerate(names.split())
}
RANGES = ((0, 59), (0, 59), (0, 23), (1, 31), (1, 12), (0, 7))


def number(word: str) -> int:
    return NAMES[word] if word in NAMES else int(word)


def values(field: str, low: int, high: int) -> set[int]:
    found = set()
    for term in field.split(","):
        if "#" in term or term.endswith("L"):
            continue
        span, _, step = term.partition("/")
        start, _, end = ("*", "", "") if span == "*" else span.partition("-")
        first = low if start == "*" else number(start)
        last = high if start == "*" or (step and not end) else number(end or start)
        found |= set(range(first, last + 1, int(step or 1)))
    return found


class Job:
    def __init__(self, expression: str) -> None:
        self.parts = expression.upper().split()
        if len(self.parts) == 5:
            self.parts.insert(0, "0")
        self.second, self.minute, self.hour, self.day, self.month, self.weekday = (
            values(part, *limits) for part, limits in zip(self.parts, RANGES, strict=True)
        )
        self.wildcard = any(part[0] == "*" for part in self.parts[:3])
        self.both = self.parts[3][0] == "*" or self.parts[5][0] == "*"
        self.by_second = self.parts[0] != "0"
        self.minutes = frozenset(60 * hour + minute for hour in self.hour for minute in self.minute)
        self.on_day = lru_cache(maxsize=None)(self._on_day)

    def _on_day(self, year: int, month: int, day: int) -> bool:
        if month not in self.month:
            return False
        by_number, by_weekday = self._by_number(year, month, day), self._by_weekday(year, month, day)
        return (by_number and by_weekday) if self.both else (by_number or by_weekday)

    def _by_number(self, year: int, month: int, day: int) -> bool:
        is_last = day == calendar.monthrange(year, month)[1]
        return day in self.day or (is_last and "L" in self.parts[3].split(","))

    def _by_weekday(self, year: int, month: int, day: int) -> bool:
        weekday = (calendar.weekday(year, month, day) + 1) % 7
        same = {weekday, 7} if weekday == 0 else {weekday}
        for term in self.parts[5].split(","):
            if "#" in term and number(term.split("#")[0]) in same and int(term[-1]) == (day - 1) // 7 + 1:
                return True
            if term[1:] == "L" and int(term[0]) in same and day + 7 > calendar.monthrange(year, month)[1]:
                return True
        return bool(same & self.weekday)

    def at(self, wall: int) -> bool:
        """Whether the wall time, in seconds as if it were UTC, matches."""
        if wall // 60 % 1440 not in self.minutes or wall % 60 not in self.second:
            return False
        moment = civil(wall // 86_400)
        return self.on_day(moment.year, moment.month, moment.day)


@lru_cache(maxsize=100_000)
def civil(day: int) -> datetime:
    return datetime.fromtimestamp(day * 86_400, UTC)


def walls(zone: str, start: int, end: int, tick: int) -> list[tuple[int, int]]:
    """Return (instant, wall time) of each tick of [start, end)."""
    info = ZoneInfo(zone)
    row = []
    for instant in range(start, end, tick):
        offset = datetime.fromtimestamp(instant, info).utcoffset()
        assert offset is not None
        row.append((instant, instant + offset.days * 86_400 + offset.seconds))
    return row


def due(
    job: Job, row: list[tuple[int, int]], tick: int, *, gap: str = "run-after", fold: str = "first"
) -> list[int]:
    """Return the instants of a row at which Debian's loop starts the job, each at most once.

    `virtual` is the wall time up to which fixed-time jobs have been looked at. After a small jump ahead
    the loop makes up for them, after a small jump back it waits for the wall clock to catch up; a larger
    jump resets it. `gap` and `fold` are our options beside what Debian does, which is their defaults.
    """
    found = []
    virtual = row[0][1] - tick
    early = first_passes(row) if fold == "second" and not job.wildcard else frozenset()
    for instant, wall in row:
        ahead = wall - virtual
        if ahead == tick:  # nearly always
            starts = wall // 60 % 1440 in job.minutes and job.at(wall)
            virtual = wall
        elif ahead > LIMIT or ahead <= -LIMIT:
            starts = job.at(wall)
            virtual = wall
        elif ahead <= 0:
            starts = (job.wildcard or fold != "first") and job.at(wall)
        elif job.wildcard or gap == "skip":
            starts = job.at(wall)
            virtual = wall
        else:
            starts = any(job.at(missed) for missed in range(virtual + tick, wall + tick, tick))
            virtual = wall
        if starts and instant not in early:
            found.append(instant)
    return found


def first_passes(row: list[tuple[int, int]]) -> frozenset[int]:
    """Return the instants of a row whose wall time comes once more, after a small jump back."""
    found: set[int] = set()
    for number, ((_, before), (_, wall)) in enumerate(pairwise(row)):
        if before - LIMIT < wall <= before:
            earlier = reversed(row[: number + 1])
            found |= {instant for instant, passed in islice(earlier, LIMIT) if passed >= wall}
    return frozenset(found)


def dropped(job: Job, row: list[tuple[int, int]], tick: int, *, skip: bool = False) -> list[int]:
    """Return the instants of a row after a gap whose fixed times never start, unless the job starts there.

    With `skip` no gap is made up for, however small.
    """
    started = matching(job, row) if skip else set(due(job, row, tick))
    found = []
    for (_, before), (instant, wall) in pairwise(row):
        gap = wall - before > tick and not job.wildcard and instant not in started
        if gap and any(job.at(missed) for missed in range(before + tick, wall, tick)):
            found.append(instant)
    return found


def matching(job: Job, row: list[tuple[int, int]]) -> set[int]:
    """Return the instants of a row whose wall time matches."""
    return {instant for instant, wall in row if wall // 60 % 1440 in job.minutes and job.at(wall)}
