"""The text of a cron schedule, read into explicit numbers.

Every field becomes the list of its values before anything is computed, so that `5-5` means 5 and a `*` late
in a list means every value; libraries differ on both. What the numbers cannot hold, whether a field *starts*
with `*`, decides two rules of Debian's cron and is kept beside them: see `Fields.wildcard` and `Days.both`.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from jobrunner import durations
from jobrunner.errors import ScheduleError, written

LONGEST_TEXT = 256
LAST = 0  # the place of `5L` among the weekdays of a month; 1 to 5 are those of `5#1` to `5#5`

ALIASES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")

_TERM = re.compile(r"(?:(\*)|(\w+)(?:-(\w+))?)(?:/(\w+))?", re.ASCII)
_NTH = re.compile(r"(\w+)#(\w+)", re.ASCII)
_LAST_WEEKDAY = re.compile(r"([0-9]+)L", re.ASCII)
_NO_DIGITS = re.compile(r"[^0-9]")


class Kind(NamedTuple):
    """One of the six fields: what it is called and which values it may have; `size` is how many differ."""

    name: str
    low: int
    high: int
    size: int
    names: tuple[str, ...] = ()
    hint: str = ""


KINDS = (
    Kind("second", 0, 59, 60),
    Kind("minute", 0, 59, 60),
    Kind("hour", 0, 23, 24),
    Kind("day-of-month", 1, 31, 31, hint="use 1 to 31, a range, a list, a step or L for the last day"),
    Kind("month", 1, 12, 12, MONTHS, hint="use 1 to 12 or JAN to DEC"),
    Kind("day-of-week", 0, 7, 7, WEEKDAYS, hint="use 0 to 7 (0 and 7 are Sunday), SUN to SAT, 1#2 or 5L"),
)


class Days(NamedTuple):
    """Which days of a month match: hashable, so that all schedules with the same days share one calendar.

    `weekdays` has Sunday as 0; `places` holds (weekday, place), place 1 to 5 or LAST. `both` is Debian's
    rule: a day must match both fields if either starts with `*`, else one of them is enough.
    """

    numbers: frozenset[int]
    last: bool
    weekdays: frozenset[int]
    places: frozenset[tuple[int, int]]
    both: bool

    @property
    def any_number(self) -> bool:
        """Whether the day-of-month field allows every day."""
        return len(self.numbers) == 31

    @property
    def any_weekday(self) -> bool:
        """Whether the day-of-week field allows every day."""
        return len(self.weekdays) == 7

    @property
    def all(self) -> bool:
        """Whether every day matches."""
        free = (self.any_number, self.any_weekday)
        return all(free) if self.both else any(free)


class Fields(NamedTuple):
    """A parsed cron schedule. Values are sorted; `wildcard` decides what a clock change does to it."""

    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: Days
    months: frozenset[int]
    wildcard: bool


def fail(message: str, hint: str | None = None) -> ScheduleError:
    """Return the error for a schedule that cannot be used."""
    return ScheduleError(message, hint=hint, key="schedule")


def quoted(value: object) -> str:
    """Return a value as a message shows it, in ASCII; its type where it has no short text of its own."""
    return written(value, ascii)[:80]


def folded(text: object) -> str:
    """Return `text` with its blanks folded. Raises ScheduleError for what cannot be a schedule at all."""
    if not isinstance(text, str):
        raise fail(
            f"the schedule {quoted(text)} is not text",
            'write cron text such as "*/5 * * * *", or "every 30s"',
        )
    if len(text) > LONGEST_TEXT:
        raise fail(
            f"the schedule {quoted(text[:40])}… is longer than {LONGEST_TEXT} characters",
            "split it into a list of schedules",
        )
    if not all(char == "\t" or " " <= char <= "~" for char in text):
        raise fail(
            f"the schedule {quoted(text)} holds a character that is not plain text",
            "write it on one line with ASCII letters and digits",
        )
    return " ".join(text.split())


def read(text: str) -> Fields:
    """Return the fields of folded cron text. Raises ScheduleError, quoting the field, if it is malformed."""
    parts = _parts(text)
    values = [_expand(part, kind, text) for part, kind in zip(parts[:3], KINDS, strict=False)]
    seconds, minutes, hours = (tuple(sorted(found)) for found in values)
    return Fields(
        seconds,
        minutes,
        hours,
        _days(parts[3], parts[5], text),
        frozenset(_expand(parts[4], KINDS[4], text)),
        any(part.startswith("*") for part in parts[:3]),
    )


def _parts(text: str) -> list[str]:
    if text.startswith("@"):
        text = _alias(text)
    parts = text.upper().split()
    if len(parts) not in (5, 6):
        raise fail(
            f'the schedule "{text}" has {len(parts)} fields where 5 or 6 are needed',
            'write "minute hour day-of-month month day-of-week", with seconds in front if there are six; '
            'or "every 30s", or @daily',
        )
    return parts if len(parts) == 6 else ["0", *parts]


def _alias(text: str) -> str:
    if text.lower() == "@reboot":
        raise fail(
            'the schedule "@reboot" names no moment',
            "use runOnStart: true, or run the job by hand with `jobrunner run NAME`",
        )
    if text.lower() not in ALIASES:
        hint = _interval(text.lower()) or "use one of " + ", ".join(ALIASES)
        raise fail(f'the schedule "{text}" is no known alias', hint)
    return ALIASES[text.lower()]


def _interval(text: str) -> str | None:
    """Return how the `@every 5m` of other schedulers is written here."""
    word, _, length = text.partition(" ")
    if word != "@every":
        return None
    try:
        return f'write "every {durations.text(durations.parse(length))}"'
    except ValueError:
        return 'write "every 5m"'


def _days(numbers: str, weekdays: str, text: str) -> Days:
    terms = numbers.split(",")
    plain = [term for term in terms if term != "L"]
    days_of_week, places = _weekdays(weekdays, text)
    return Days(
        frozenset().union(*(_term(term, numbers, KINDS[3], text) for term in plain)),
        len(plain) < len(terms),
        frozenset(day % 7 for day in days_of_week),
        frozenset((day % 7, place) for day, place in places),
        numbers.startswith("*") or weekdays.startswith("*"),
    )


def _weekdays(field: str, text: str) -> tuple[set[int], set[tuple[int, int]]]:
    plain: set[int] = set()
    places: set[tuple[int, int]] = set()
    for term in field.split(","):
        if nth := _NTH.fullmatch(term):
            places.add((_value(nth[1], field, KINDS[5], text), _place(nth[2], field, text)))
        elif last := _LAST_WEEKDAY.fullmatch(term):
            places.add((_value(last[1], field, KINDS[5], text), LAST))
        else:
            plain |= _term(term, field, KINDS[5], text)
    return plain, places


def _place(digits: str, field: str, text: str) -> int:
    if digits not in ("1", "2", "3", "4", "5"):
        raise _bad(KINDS[5], field, text, f"#{digits} is not one of #1 to #5")
    return int(digits)


def _expand(field: str, kind: Kind, text: str) -> set[int]:
    return set().union(*(_term(term, field, kind, text) for term in field.split(",")))


def _term(term: str, field: str, kind: Kind, text: str) -> set[int]:
    match = _TERM.fullmatch(term)
    if match is None:
        raise _bad(kind, field, text, f'"{term}" is not understood')
    star, first, last, step = match.groups()
    low = kind.low if star else _value(first, field, kind, text)
    high = kind.high if star else low if last is None else _value(last, field, kind, text)
    if high < low:
        raise _bad(
            kind, field, text, f'the range "{first}-{last}" runs backwards', _forwards(kind, low, high)
        )
    if step is None:
        return set(range(low, high + 1))
    # `a/n` alone means from a to the end, as in cronsim; Debian refuses it.
    end = high if star or last is not None else kind.high
    return set(range(low, end + 1, _step(step, field, kind, text)))


def _forwards(kind: Kind, low: int, high: int) -> str:
    if kind is KINDS[5] and high == 0:
        return f"write {low}-7: 7 is Sunday too"
    return (
        f"write the two parts as a list: {low}-{min(kind.high, kind.low + kind.size - 1)},{kind.low}-{high}"
    )


def _step(digits: str, field: str, kind: Kind, text: str) -> int:
    step = 0 if _NO_DIGITS.search(digits) else int(digits)
    if not 1 <= step <= kind.size:
        raise _bad(kind, field, text, f'the step "{digits}" is not 1 to {kind.size}')
    return step


def _value(word: str, field: str, kind: Kind, text: str) -> int:
    if word in kind.names:
        return kind.names.index(word) + kind.low
    if _NO_DIGITS.search(word):
        raise _bad(kind, field, text, f'"{word}" is not understood')
    if not kind.low <= int(word) <= kind.high:
        raise _bad(kind, field, text, f"{word} is not {kind.low} to {kind.high}")
    return int(word)


def _bad(kind: Kind, field: str, text: str, why: str, hint: str | None = None) -> ScheduleError:
    hint = hint or kind.hint or f"use {kind.low} to {kind.high}, a range, a list or a step such as */5"
    return fail(f'the {kind.name} field "{field}" of "{text}" cannot be used: {why}', hint)
