"""Which days a cron schedule runs on: one bit per day of a month, day numbers counted from 1970-01-01.

A month's matching days depend only on its first weekday and its length, so a schedule has at most 28
different months whatever the span. croniter is asked for those, and only when a day field is restricted:
importing it costs 60 ms, which `*/5 * * * *` need not pay.
"""

from __future__ import annotations

import calendar
from datetime import date, datetime, timedelta
from functools import lru_cache

from jobrunner.schedule.fields import LAST, Days, fail

EPOCH = date(1970, 1, 1).toordinal()
LAST_DAY = date(9999, 1, 1).toordinal() - EPOCH
REACH = range(2000, 2050)  # fifty years have each month in all its forms, leap days on each weekday included

FAR = 366 * len(REACH)  # days; further apart than any two matching ones
ALL_MONTHS = frozenset(range(1, 13))


class Calendar:
    """The matching days of all months, for one pair of day fields and one month field."""

    __slots__ = ("_days", "_masks", "_months", "every_day")

    def __init__(self, days: Days, months: frozenset[int]) -> None:
        self._days = days
        self._months = months
        self._masks: dict[int, int] = {}
        self.every_day = days.all and months == ALL_MONTHS

    def month(self, year: int, month: int) -> int:
        """Return the matching days of a month as bits: bit 1 is the first day, bit 0 is never set."""
        key = year * 12 + month
        mask = self._masks.get(key)
        if mask is None:
            mask = self._masks[key] = self._month(year, month)
        return mask

    def _month(self, year: int, month: int) -> int:
        if month not in self._months:
            return 0
        first, length = calendar.monthrange(year, month)
        return _full(length) if self._days.all else days_mask(self._days, first, length)

    def has(self, day: int) -> bool:
        """Return whether a day matches."""
        if self.every_day:
            return True
        found = date.fromordinal(day + EPOCH)
        return bool(self.month(found.year, found.month) >> found.day & 1)

    def first(self, day: int, limit: int) -> int | None:
        """Return the first matching day from `day` to `limit`, or None."""
        if self.every_day:
            return day if day <= limit else None
        found = date.fromordinal(day + EPOCH)
        year, month, rest = found.year, found.month, -1 << found.day
        while (start := _start(year, month)) <= limit:
            if mask := self.month(year, month) & rest:
                day = start + (mask & -mask).bit_length() - 2
                return day if day <= limit else None
            year, month, rest = year + month // 12, month % 12 + 1, -1
        return None

    def last(self, day: int, limit: int) -> int | None:
        """Return the last matching day from `day` back to `limit`, or None."""
        if self.every_day:
            return day if day >= limit else None
        found = date.fromordinal(day + EPOCH)
        year, month, rest = found.year, found.month, (2 << found.day) - 1
        while _start(year, month) + 31 > limit:
            if mask := self.month(year, month) & rest:
                day = _start(year, month) + mask.bit_length() - 2
                return day if day >= limit else None
            year, month, rest = year - (month == 1), (month - 2) % 12 + 1, -1
        return None

    def count(self, first: int, end: int) -> int:
        """Return how many days match from `first` up to, not including, `end`."""
        if self.every_day or end <= first:
            return max(0, end - first)
        return self._before(end) - self._before(first) + self._whole_months(first, end)

    def _before(self, day: int) -> int:
        found = date.fromordinal(day + EPOCH)
        return (self.month(found.year, found.month) & ((1 << found.day) - 1)).bit_count()

    def _whole_months(self, first: int, end: int) -> int:
        low, high = date.fromordinal(first + EPOCH), date.fromordinal(end + EPOCH)
        months = range(low.year * 12 + low.month - 1, high.year * 12 + high.month - 1)
        return sum(self.month(number // 12, number % 12 + 1).bit_count() for number in months)

    def closest(self) -> int:
        """Return the least number of days between two matching ones."""
        if self.every_day:
            return 1
        best, before = FAR, -FAR
        for year in REACH:
            for number in self._year(year):
                best, before = min(best, number - before), number
            if best == 1:
                break
        return best

    def _year(self, year: int) -> list[int]:
        return [
            _start(year, month) + day - 1 for month in range(1, 13) for day in bits(self.month(year, month))
        ]


@lru_cache(maxsize=1024)
def calendar_of(days: Days, months: frozenset[int], text: str) -> Calendar:
    """Return the calendar of the day and month fields. Raises ScheduleError when no day ever matches."""
    found = Calendar(days, months)
    if not _ever(days, months, found):
        raise fail(
            f'the schedule "{text}" never fires: no month has such a day',
            "check the day-of-month, month and day-of-week fields against each other",
        )
    return found


def _ever(days: Days, months: frozenset[int], found: Calendar) -> bool:
    """Decide without croniter where that is possible: one field alone, or one of two, is enough."""
    if not days.both or days.any_number:
        return True
    if days.any_weekday:
        return days.last or any(min(days.numbers) <= calendar.monthrange(2000, month)[1] for month in months)
    return any(found.month(year, month) for year in REACH for month in months)


@lru_cache(maxsize=4096)
def days_mask(days: Days, first: int, length: int) -> int:
    """Return the matching days, as bits, of a month whose first day is weekday `first` (Monday 0)."""
    numbers = _numbers_mask(days, first, length)
    weekdays = _weekdays_mask(days, first, length)
    return numbers & weekdays if days.both else numbers | weekdays


def _numbers_mask(days: Days, first: int, length: int) -> int:
    if days.any_number:
        return _full(length)
    mask = _ask("L * *", first, length) if days.last else 0
    return mask | (_ask(f"{_listed(days.numbers)} * *", first, length) if days.numbers else 0)


def _weekdays_mask(days: Days, first: int, length: int) -> int:
    if days.any_weekday:
        return _full(length)
    mask = _ask(f"* * {_listed(days.weekdays)}", first, length) if days.weekdays else 0
    for weekday, place in days.places:
        # One question each: croniter refuses plain weekdays and places in one field. It writes 5L as L5.
        word = f"L{weekday}" if place == LAST else f"{weekday}#{place}"
        mask |= _ask(f"* * {word}", first, length)
    return mask


def _listed(values: frozenset[int]) -> str:
    return ",".join(map(str, sorted(values)))


@lru_cache(maxsize=4096)
def _ask(fields: str, first: int, length: int) -> int:
    """Ask croniter which days of such a month match the last three fields of a cron text."""
    from croniter import CroniterBadDateError, croniter

    month = _examples()[first, length]
    walk = croniter(f"0 0 {fields}", month - timedelta(seconds=1))
    mask = 0
    try:
        while (day := walk.get_next(datetime)) < month + timedelta(days=length):
            mask |= 1 << day.day
    except CroniterBadDateError:  # none for 50 years: none in this month either
        pass
    return mask


@lru_cache(maxsize=1)
def _examples() -> dict[tuple[int, int], datetime]:
    """Return a real month for each first weekday and length."""
    return {calendar.monthrange(y, m): datetime(y, m, 1) for y in REACH for m in range(1, 13)}


def bits(mask: int) -> list[int]:
    """Return the numbers of the set bits, ascending."""
    return [bit for bit in range(mask.bit_length()) if mask >> bit & 1]


def _start(year: int, month: int) -> int:
    return date(year, month, 1).toordinal() - EPOCH


def _full(length: int) -> int:
    return (2 << length) - 2
