"""Interval schedules: "every 30s", "every 5 minutes", "every 10m after end"."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from jobrunner import durations
from jobrunner.clock import DAY, MILLISECOND, Instant
from jobrunner.errors import ScheduleError
from jobrunner.schedule import words
from jobrunner.schedule.fields import fail

SHORTEST = 100 * MILLISECOND
LONGEST = 50 * 365 * DAY  # next_after looks no further

_EVERY = re.compile(r"every\b\s*(.*?)(\s+after\s+end)?", re.IGNORECASE)
_PART = re.compile(r"(\d+(?:\.\d+)?)? ?([a-z]+)")
_UNITS = {
    "ms": ("ms", "millisecond", "milliseconds"),
    "s": ("s", "sec", "secs", "second", "seconds"),
    "m": ("m", "min", "mins", "minute", "minutes"),
    "h": ("h", "hr", "hrs", "hour", "hours"),
    "d": ("d", "day", "days"),
}
_SHORT = {word: unit for unit, names in _UNITS.items() for word in names}
_HINT = 'write a number and a unit, such as "every 30s", "every 5 minutes" or "every 1h30m"'


@dataclass(frozen=True)
class Every:
    """A grid of instants, `interval` microseconds apart; the first is one interval after the anchor.

    With `after_end` the caller passes the end of the last run as anchor.
    """

    interval: int
    after_end: bool = False
    zone: ClassVar[str] = "UTC"  # a grid of elapsed time looks the same in every zone

    @property
    def text(self) -> str:
        """The canonical text: `every 1h30m`, `every 10m after end`."""
        return f"every {durations.text(self.interval)}" + " after end" * self.after_end

    def next_after(self, after: Instant, anchor: Instant) -> Instant:
        """Return the first instant of the grid strictly after `after`."""
        return anchor + (self._number(after, anchor) + 1) * self.interval

    def latest(self, after: Instant, until: Instant, anchor: Instant) -> Instant | None:
        """Return the last instant of the grid in (after, until], or None."""
        number = self._number(until, anchor)
        return anchor + number * self.interval if number > self._number(after, anchor) else None

    def count(self, after: Instant, until: Instant, anchor: Instant) -> int:
        """Return how many instants of the grid are in (after, until]."""
        return max(0, self._number(until, anchor) - self._number(after, anchor))

    def dropped(self, after: Instant, until: Instant, anchor: Instant | None = None) -> list[Instant]:
        """Return nothing: elapsed time has no gaps."""
        return []

    def has(self, instant: Instant, anchor: Instant) -> bool:
        """Return whether an instant is on the grid."""
        return instant > anchor and (instant - anchor) % self.interval == 0

    def shortest(self) -> int:
        """Return the interval in microseconds."""
        return self.interval

    def words(self) -> str:
        """Return the interval in English."""
        return words.interval(self.interval, self.after_end)

    def _number(self, instant: Instant, anchor: Instant) -> int:
        return max(0, (instant - anchor) // self.interval)


def read_every(text: str) -> Every:
    """Return the interval of folded text that starts with "every".

    Raises ScheduleError, quoting the text, when it is malformed, under 100 ms or over 50 years.
    """
    match = _EVERY.fullmatch(text)
    length = match[1].lower() if match else ""
    micros = _micros(length)
    if micros is None:
        raise fail(f'the interval "{length}" of "{text}" is not understood', _HINT)
    return Every(_checked(micros, text), bool(match and match[2]))


def _checked(micros: int, text: str) -> int:
    if micros < SHORTEST or micros > LONGEST:
        raise _out_of_range(text)
    if micros % MILLISECOND:
        raise fail(f'the interval of "{text}" is not a whole number of milliseconds', "round it")
    return micros


def _out_of_range(text: str) -> ScheduleError:
    return fail(f'the interval of "{text}" is not between 100 milliseconds and 50 years', _HINT)


def _micros(length: str) -> int | None:
    length = length.replace(" and ", " ")
    parts = list(_PART.finditer(length))
    short = "".join(f"{part[1] or 1}{_SHORT.get(part[2], '?')}" for part in parts)
    rest = _PART.sub("", length).strip()
    only_unit_alone = len(parts) == 1 or all(part[1] for part in parts)
    if rest or not parts or not only_unit_alone:
        return None
    try:
        return durations.parse(short)
    except ValueError:
        return None
