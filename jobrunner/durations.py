"""Lengths of time as people write them: a number of seconds, or "500ms" "30s" "10m" "2h" "1d" "1h30m"."""

from __future__ import annotations

import re
from datetime import timedelta

from jobrunner.errors import written

MICROS = {"ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
LONGEST = 100 * 366 * MICROS["d"]

_PART = re.compile(r"(\d{1,12}(?:\.\d{1,6})?)(ms|s|m|h|d)", re.ASCII)
_WHOLE = re.compile(rf"(?:{_PART.pattern})+", re.ASCII)


def parse(value: object) -> int:
    """Return the microseconds that `value` stands for: seconds as a number, a timedelta, or duration text.

    Raises ValueError, with a sentence that names the value, for anything else, for a negative or
    non-finite number, and for more than a hundred years.
    """
    micros = _micros(value)
    if micros is None or not 0 <= micros <= LONGEST:
        raise ValueError(
            f'{written(value)} is not a duration; write seconds as a number, or text such as "1h30m"'
        )
    return micros


def _micros(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, timedelta):
        return value // timedelta(microseconds=1)
    if isinstance(value, int | float):
        return round(value * MICROS["s"]) if abs(value) <= LONGEST else None  # which no NaN is
    if isinstance(value, str):
        return _text_micros("".join(value.split()).lower())
    return None


def _text_micros(text: str) -> int | None:
    if len(text) > 100 or not _WHOLE.fullmatch(text):
        return None
    units = [unit for _, unit in _PART.findall(text)]
    sizes = [MICROS[unit] for unit in units]
    if sizes != sorted(set(sizes), reverse=True):
        return None
    return sum(round(float(number) * MICROS[unit]) for number, unit in _PART.findall(text))


def text(micros: int) -> str:
    """Return the shortest text of a duration, rounded to a millisecond: `1h30m`, `500ms`, `0s`."""
    rest = round(micros / 1000) * 1000
    parts = []
    for unit in ("d", "h", "m", "s", "ms"):
        number, rest = divmod(rest, MICROS[unit])
        if number:
            parts.append(f"{number}{unit}")
    return "".join(parts) or "0s"


def seconds(micros: int) -> float:
    """Return a duration in seconds."""
    return micros / MICROS["s"]
