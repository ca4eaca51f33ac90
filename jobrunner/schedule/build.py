"""Builders: schedules as Python instead of text.

    every(2).minutes                      every 2 minutes, counted from the job's first registration
    every(10).minutes.after_end           10 minutes after each run ends
    every(10).minutes.between("09:00", "17:00")
    hourly(minute=5)                      daily(at="02:30")           daily(at=["09:00", "17:00"])
    weekly("mon", at="09:00")             weekdays(at="08:00")        weekends(at="10:00")
    monthly(1, at="06:00")                monthly("last")             yearly("mar 1", at="07:00")
    cron("*/5 * * * *")

A builder's result is a value that carries the schedule's canonical text, so that a config read in another
process can be sent as text. All times are wall clock of the job's time zone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from jobrunner import durations
from jobrunner.clock import DAY, HOUR, MINUTE, SECOND
from jobrunner.schedule.fields import MONTHS, WEEKDAYS, fail, quoted

SEPARATOR = "; "

_TIME = re.compile(r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?")
_DATE = re.compile(r"([A-Za-z]+)[ -]([0-9]{1,2})")
Times = str | Iterable[str]


@dataclass(frozen=True)
class Built:
    """The result of a builder: `text` is what `parse` reads."""

    text: str

    def __str__(self) -> str:
        return self.text


class Interval(Built):
    """`every(n)` with its unit; may be narrowed further."""

    @property
    def after_end(self) -> Built:
        """The same interval, counted from the end of the last run instead of on a fixed grid."""
        return Built(f"{self.text} after end")

    def between(self, start: str, end: str) -> Built:
        """Return the interval kept to some hours of the day: from `start` up to, not including, `end`.

        It becomes a cron schedule, on the wall clock. Raises ScheduleError when cron cannot say it: the times
        must be whole hours, and the interval must divide a minute, an hour or the hours of a day.
        """
        hours = _hours(start, end)
        micros = durations.parse(self.text.removeprefix("every "))
        if micros % HOUR == 0 and micros // HOUR <= len(hours):
            return Built(f"0 {_listed(hours[:: micros // HOUR])} * * *")
        for unit, form in ((SECOND, "* {}"), (MINUTE, "{}")):
            number, rest = divmod(micros, unit)
            if not rest and number < 60 and 60 % number == 0:
                step = "*" if number == 1 else f"*/{number}"
                return Built(f"{step} {form.format(_listed(hours))} * * *")
        raise fail(
            f'"{self.text}" between "{start}" and "{end}" is not a cron schedule',
            "use an interval that divides a minute or an hour, or whole hours",
        )


@dataclass(frozen=True)
class Number:
    """`every(n)` before its unit: `.seconds .minutes .hours .days .weeks`, singular too."""

    number: int | float

    @property
    def text(self) -> str:
        """Raises ScheduleError: a number without its unit is no schedule yet."""
        raise fail(f"every({quoted(self.number)}) has no unit", f"write every({quoted(self.number)}).minutes")

    @property
    def seconds(self) -> Interval:
        """The interval in seconds."""
        return self._interval(SECOND)

    @property
    def minutes(self) -> Interval:
        """The interval in minutes."""
        return self._interval(MINUTE)

    @property
    def hours(self) -> Interval:
        """The interval in hours."""
        return self._interval(HOUR)

    @property
    def days(self) -> Interval:
        """The interval in days of 24 hours."""
        return self._interval(DAY)

    @property
    def weeks(self) -> Interval:
        """The interval in weeks of seven days."""
        return self._interval(7 * DAY)

    second, minute, hour, day, week = seconds, minutes, hours, days, weeks

    def _interval(self, unit: int) -> Interval:
        if isinstance(self.number, bool) or not isinstance(self.number, int | float):
            raise fail(f"every({quoted(self.number)}) is not a number", "write every(2).minutes")
        try:
            micros = durations.parse(self.number * unit / SECOND)
        except (ValueError, OverflowError):
            raise fail(
                f"every({quoted(self.number)}) is no length of time", "write every(2).minutes"
            ) from None
        return Interval(f"every {durations.text(micros)}")


def every(number: int | float = 1) -> Number:
    """Return an interval without its unit: `every(2).minutes`, `every().hour`."""
    return Number(number)


def hourly(minute: int = 0) -> Built:
    """Return a schedule for this minute of every hour."""
    return Built(f"{_whole(minute, 'minute', 0, 59)} * * * *")


def daily(at: Times = "00:00") -> Built:
    """Return a schedule for one or several times of day, `HH:MM` or `HH:MM:SS`."""
    return _at(at, "* * *")


def weekly(day: str | Iterable[str], at: Times = "00:00") -> Built:
    """Return a schedule for days of the week: "mon", "Monday", "mon-fri", "mon,thu", or a list."""
    names = day.split(",") if isinstance(day, str) else _many(day)
    return _at(at, "* * " + ",".join(_weekday_range(name) for name in names))


def weekdays(at: Times = "00:00") -> Built:
    """Return a schedule for Monday to Friday."""
    return weekly("mon-fri", at)


def weekends(at: Times = "00:00") -> Built:
    """Return a schedule for Saturday and Sunday."""
    return weekly("sat,sun", at)


def monthly(day: int | str | Iterable[int | str] = 1, at: Times = "00:00") -> Built:
    """Return a schedule for days of the month, 1 to 31 or "last"; months without such a day are skipped."""
    return _at(at, ",".join(map(_month_day, _many(day))) + " * *")


def yearly(month: int | str, day: int | None = None, at: Times = "00:00") -> Built:
    """Return a schedule for one day of the year: `yearly("mar 1")`, `yearly(3, 1)`, `yearly("mar", 1)`."""
    date = _DATE.fullmatch(month.strip()) if isinstance(month, str) else None
    if date and day is None:
        month, day = date[1], int(date[2])
    if day is None:
        raise fail(f"yearly({quoted(month)}) has no day", 'write yearly("mar 1") or yearly(3, 1)')
    return _at(at, f"{_month_day(day)} {_month(month)} *")


def cron(text: str) -> Built:
    """Return a cron text as it is; it is checked when it is parsed."""
    return Built(text)


class Builder:
    """All builders in one place, as a schedule's callable gets it: `lambda b: b.every(2).minutes`.

    It may be called like `every` itself: `lambda every: every(2).minutes`.
    """

    every = staticmethod(every)
    hourly = staticmethod(hourly)
    daily = staticmethod(daily)
    weekly = staticmethod(weekly)
    weekdays = staticmethod(weekdays)
    weekends = staticmethod(weekends)
    monthly = staticmethod(monthly)
    yearly = staticmethod(yearly)
    cron = staticmethod(cron)

    def __call__(self, number: int | float = 1) -> Number:
        """Return an interval without its unit."""
        return every(number)


def from_callable(function: Callable[[Builder], object]) -> str:
    """Return the schedule text that `function` makes with the builder it is given.

    Raises ScheduleError when it returns no schedule; what the function itself raises comes through.
    """
    return _text(function(Builder()))


def _text(value: object) -> str:
    if isinstance(value, list | tuple) and value:
        return SEPARATOR.join(map(_text, value))
    text = getattr(value, "text", value)
    if not isinstance(text, str):
        raise fail(
            f"the schedule's callable returned {quoted(value)}, which is no schedule",
            'return text or a builder\'s result, such as daily(at="02:30")',
        )
    return text


def _at(at: Times, days: str) -> Built:
    times = [_time(time) for time in _many(at)]
    if not times:
        raise fail("at=[] names no time", 'write at="02:30" or at=["09:00", "17:00"]')
    groups: dict[str, list[int]] = {}
    for hour, minute, second in times:
        groups.setdefault(f"{second} {minute}".removeprefix("0 "), []).append(hour)
    texts = (f"{within} {_listed(hours)} {days}" for within, hours in groups.items())
    return Built(SEPARATOR.join(texts))


def _listed(hours: list[int]) -> str:
    runs: list[list[int]] = []
    for hour in sorted(set(hours)):
        if runs and runs[-1][-1] == hour - 1:
            runs[-1].append(hour)
        else:
            runs.append([hour])
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def _time(text: object) -> tuple[int, int, int]:
    match = _TIME.fullmatch(text.strip()) if isinstance(text, str) else None
    hour, minute, second = (int(part or 0) for part in match.groups()) if match else (24, 0, 0)
    if hour > 23 or minute > 59 or second > 59:
        raise fail(
            f"{quoted(text)} is no time of day", 'write it as "02:30" or "02:30:15", 00:00 to 23:59:59'
        )
    return hour, minute, second


def _hours(start: str, end: str) -> list[int]:
    first, last = _time(start), (24, 0, 0) if end == "24:00" else _time(end)
    if any((*first[1:], *last[1:])):
        raise fail(f'between("{start}", "{end}") needs whole hours', 'write between("09:00", "17:00")')
    return [hour % 24 for hour in range(first[0], last[0] if last[0] > first[0] else last[0] + 24)]


def _many(value: object) -> list[object]:
    """Return the members of a list or the like, or the one value that it is."""
    return list(value) if isinstance(value, Iterable) and not isinstance(value, str) else [value]


def _weekday_range(days: object) -> str:
    return "-".join(map(_weekday, days.split("-") if isinstance(days, str) else [days]))


def _weekday(name: object) -> str:
    return _name(name, WEEKDAYS, "day of the week", 'write "mon" to "sun"')


def _month(month: int | str) -> str:
    if isinstance(month, int):
        return str(_whole(month, "month", 1, 12))
    return _name(month, MONTHS, "month", 'write "jan" to "dec", or 1 to 12')


def _name(name: object, names: tuple[str, ...], kind: str, hint: str) -> str:
    text = name.strip() if isinstance(name, str) else ""
    if text[:3].upper() not in names:
        raise fail(f"{quoted(name)} is no {kind}", hint)
    return text[:3].lower()


def _month_day(day: object) -> str:
    if isinstance(day, str) and day.strip().lower() == "last":
        return "L"
    return str(_whole(day, "day of the month", 1, 31))


def _whole(value: object, kind: str, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise fail(f"{quoted(value)} is no {kind}", f"use {low} to {high}")
    return value
