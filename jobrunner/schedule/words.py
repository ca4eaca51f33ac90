"""Schedules in English. Short and right beats clever: every restricted field is mentioned."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

from jobrunner.clock import DAY, HOUR, MILLISECOND, MINUTE, SECOND
from jobrunner.schedule.fields import Days, Fields

MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
WEEKDAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
PLACES = ("last", "first", "second", "third", "fourth", "fifth")
UNITS = ((DAY, "day"), (HOUR, "hour"), (MINUTE, "minute"), (SECOND, "second"), (MILLISECOND, "millisecond"))
MANY = 4  # more clock times than this are described, not listed


def interval(micros: int, after_end: bool) -> str:
    """Return an interval in words: `every 5 minutes`, `10 minutes after each run ends`."""
    if after_end:
        return f"{_length(micros)} after each run ends"
    for unit, name in UNITS[1:]:
        if micros == unit:
            return f"every {name}"
    return f"every {_length(micros)}"


def _length(micros: int) -> str:
    if micros == DAY:
        return "24 hours"  # "every day" would sound like a time of day
    parts = []
    for unit, name in UNITS:
        number, micros = divmod(micros, unit)
        if number:
            parts.append(f"{number} {name}" + "s" * (number != 1))
    return " ".join(parts)


def several(texts: Iterable[str]) -> str:
    """Return the words of a list of schedules."""
    return ", and ".join(texts)


def cron(fields: Fields) -> str:
    """Return a cron schedule in words: `every day at 02:30`, `at 09:00 on Monday to Friday in March`."""
    time, day = _time(fields), _day(fields.days)
    if not day and ":" in time and time.startswith("at "):
        time = f"every day {time}"
    month = _month(fields)
    if month and _is_twofold(fields.days):
        return f"{time} {month}, {day}"  # at the end it would seem to belong to the weekdays alone
    return " ".join(part for part in (time, day, month) if part)


def _time(fields: Fields) -> str:
    hours, minutes, seconds = fields.hours, fields.minutes, fields.seconds
    one_an_hour = len(minutes) == len(seconds) == 1
    if len(hours) < 24 and (one_an_hour or len(hours) * len(minutes) * len(seconds) <= MANY):
        return _clock_times(fields)
    if len(hours) == 24:
        within = _within_hour(fields)
        return within if _is_plain(within) else f"{within} of every hour"
    return _in_hours(fields)


def _clock_times(fields: Fields) -> str:
    hours, step = fields.hours, _step(fields.hours)
    times = [_clock(h, m, s) for h in hours for m in fields.minutes for s in fields.seconds]
    if len(times) > MANY and step:
        return f"every {_units(step, 'hour')} from {times[0]} to {times[-1]}"
    return "at " + _and(times)


def _clock(hour: int, minute: int, second: int) -> str:
    return f"{hour:02}:{minute:02}" + (f":{second:02}" if second else "")


def _in_hours(fields: Fields) -> str:
    hours, within = fields.hours, _within_hour(fields)
    contiguous = hours[-1] - hours[0] == len(hours) - 1
    if contiguous and _is_plain(within):
        start = _clock(hours[0], fields.minutes[0], fields.seconds[0])
        return f"{within} from {start} to {_clock(hours[-1], fields.minutes[-1], fields.seconds[-1])}"
    return f"{within} of {_of(hours, 'hour', 24)}"


def _within_hour(fields: Fields) -> str:
    minutes, seconds = fields.minutes, fields.seconds
    if seconds == (0,):
        return _every(minutes, "minute")
    within = _every(seconds, "second")
    if len(minutes) == 60 and _is_plain(within):
        return within
    return f"{within} of {_of(minutes, 'minute', 60)}"


def _is_plain(within: str) -> bool:
    """Return whether words such as `every 5 minutes` stand for themselves, without "of" which hours."""
    return within.startswith("every") and " of " not in within and " from " not in within


def _every(values: Sequence[int], unit: str) -> str:
    """Return when something happens in a row of 60: `every 5 minutes`, `at minutes 5 and 20`."""
    step = _step(values)
    if step and _whole(values, step, 60):
        return f"every {_units(step, unit)}"
    if step and len(values) > 2:
        return f"every {_units(step, unit)} from {unit} {values[0]} to {values[-1]}"
    return f"at {_numbered(values, unit)}"


def _of(values: Sequence[int], unit: str, size: int) -> str:
    """Return which of a row are meant: `every hour`, `every 2nd hour`, `hours 9 to 17`."""
    step = _step(values)
    if step == 1 and len(values) == size:
        return f"every {unit}"
    if step > 1 and _whole(values, step, size):
        return f"every {_ordinal(step)} {unit}"
    if step > 1 and len(values) > MANY:
        return f"every {_ordinal(step)} {unit} from {values[0]} to {values[-1]}"
    return _numbered(values, unit)


def _whole(values: Sequence[int], step: int, size: int) -> bool:
    return values[0] == 0 and size % step == 0 and len(values) == size // step


def _step(values: Sequence[int]) -> int:
    """Return the distance of evenly spaced values, else 0."""
    steps = {b - a for a, b in pairwise(values)}
    return steps.pop() if len(steps) == 1 else 0


def _units(number: int, unit: str) -> str:
    return unit if number == 1 else f"{number} {unit}s"


def _ordinal(number: int) -> str:
    ending = "th" if 10 < number % 100 < 14 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _numbered(values: Sequence[int], unit: str) -> str:
    return f"{unit}{'s' * (len(values) > 1)} {_and(_runs(values, str))}"


def _day(days: Days) -> str:
    if days.all:
        return ""
    if days.both and (days.any_number or days.any_weekday):
        return "on " + (_weekdays(days) if days.any_number else _numbers(days))
    if days.both:
        return f"on {_numbers(days)}, only if it is {_weekdays(days, 'or')}"
    return f"on {_numbers(days)} or on {_weekdays(days)}"


def _is_twofold(days: Days) -> bool:
    """Return whether the words speak both of days of the month and of days of the week."""
    return not days.all and not (days.both and (days.any_number or days.any_weekday))


def _numbers(days: Days) -> str:
    numbers = sorted(days.numbers)
    step = _step(numbers)
    if step > 1 and len(numbers) > MANY:
        end = f" to {numbers[-1]}" if numbers[-1] + step <= 31 else ""
        last = ", and on the last day" * days.last
        return f"every {_ordinal(step)} day of the month from day {numbers[0]}{end}{last}"
    parts = [_numbered(sorted(days.numbers), "day")] if days.numbers else []
    return _and([*parts, *["the last day"] * days.last]) + " of the month"


def _weekdays(days: Days, word: str = "and") -> str:
    plain = _runs(sorted(day or 7 for day in days.weekdays), lambda day: WEEKDAYS[day])
    places = sorted((place or 6, day or 7) for day, place in days.places)
    named = [f"the {PLACES[place % 6]} {WEEKDAYS[day]}" for place, day in places]
    return _joined([*plain, *named], word) + (" of the month" if named else "")


def _month(fields: Fields) -> str:
    if len(fields.months) == 12:
        return ""
    return "in " + _and(_runs(sorted(fields.months), lambda month: MONTHS[month - 1]))


def _runs(values: Sequence[int], name: Callable[[int], str]) -> list[str]:
    """Return names of values, three or more in a row as `a to b`."""
    runs: list[list[int]] = []
    for value in values:
        if runs and runs[-1][-1] == value - 1:
            runs[-1].append(value)
        else:
            runs.append([value])
    return [text for run in runs for text in _run(run, name)]


def _run(run: list[int], name: Callable[[int], str]) -> list[str]:
    return [f"{name(run[0])} to {name(run[-1])}"] if len(run) > 2 else [name(value) for value in run]


def _and(parts: Sequence[str]) -> str:
    return _joined(parts, "and")


def _joined(parts: Sequence[str], word: str) -> str:
    return f" {word} ".join([*[", ".join(parts[:-1])] * (len(parts) > 1), parts[-1]])
