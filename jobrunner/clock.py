"""The only place that asks for the time.

Instants are integers: microseconds since 1970-01-01T00:00:00Z. They compare, subtract and go into
a database without a zone to lose. Zones exist only in `schedule` (to compute) and where text is made.
"""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from functools import lru_cache
from typing import Protocol

Instant = int

MILLISECOND = 1_000
SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR


class Clock(Protocol):
    """What the loop needs of time. A fake one makes a node run a year in a second."""

    def now(self) -> Instant:
        """Return the wall clock, microseconds UTC; it may jump either way."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go back and stand still while the machine sleeps."""
        ...

    def boottime(self) -> float:
        """Return seconds that never go back and also count sleep, where the system has such a clock."""
        ...


class SystemClock:
    """The machine's clocks; tests may shift them, see `_OFFSETS`."""

    def now(self) -> Instant:
        """Return the wall clock, microseconds UTC."""
        now = time.time_ns() // 1_000
        return now if _OFFSETS is None else now + int(_offsets(_OFFSETS)[0] * SECOND)

    def monotonic(self) -> float:
        """Return seconds of `CLOCK_MONOTONIC`."""
        return time.monotonic()

    def boottime(self) -> float:
        """Return seconds of `CLOCK_BOOTTIME`, else of `CLOCK_MONOTONIC`."""
        clock = getattr(time, "CLOCK_BOOTTIME", None)
        seconds = time.clock_gettime(clock) if clock is not None else time.monotonic()
        return seconds if _OFFSETS is None else seconds + _offsets(_OFFSETS)[1]


# With JOBRUNNER_TESTING=1, JOBRUNNER_CLOCK_FILE names a file with two numbers, read at each call, so that a
# lifecycle test can step the clock or "suspend" a running node.
_OFFSETS = os.environ.get("JOBRUNNER_CLOCK_FILE") if os.environ.get("JOBRUNNER_TESTING") == "1" else None


def _offsets(path: str) -> tuple[float, float]:
    """Return (wall, boot-time) offsets in seconds that a test asks for."""
    try:
        with open(path, encoding="ascii") as file:
            wall, boot = file.read().split()
            return float(wall), float(boot)
    except (OSError, ValueError):
        return 0.0, 0.0


def to_datetime(instant: Instant) -> datetime:
    """Return the aware UTC datetime of an instant, exact to the microsecond."""
    seconds, micros = divmod(instant, SECOND)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=micros)


def from_datetime(moment: datetime) -> Instant:
    """Return the instant of an aware datetime.

    Raises ValueError for a naive one: without a zone it names no moment.
    """
    if moment.tzinfo is None:
        raise ValueError("a datetime without a time zone names no moment")
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * SECOND + delta.microseconds


def to_iso(instant: Instant) -> str:
    """Return ISO-8601 UTC with milliseconds and `Z`, as in all JSON of jobrunner."""
    seconds, micros = divmod(instant, SECOND)
    return f"{_second(seconds)}.{micros // MILLISECOND:03d}Z"


@lru_cache(maxsize=8)
def _second(seconds: int) -> str:
    """A node says much in one second."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def from_iso(text: str) -> Instant:
    """Return the instant of an ISO-8601 text with a zone (`Z` or an offset).

    Raises ValueError when it is malformed or has no zone.
    """
    return from_datetime(datetime.fromisoformat(text))
