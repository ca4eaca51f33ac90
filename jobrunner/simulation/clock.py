"""A clock that is moved by hand."""

from __future__ import annotations

from datetime import datetime

from jobrunner import durations
from jobrunner.clock import SECOND, Instant, from_datetime, from_iso, to_datetime
from jobrunner.errors import BadArgument

When = datetime | str | Instant
NOON = "2026-11-20T12:00:00Z"


class FakeClock:
    """Stands still until it is moved; starts at noon of an ordinary Friday, or when it is told.

    Wherever jobrunner takes a clock it takes this one. It is no clock for `datetime.now()`: code that asks
    the system for the time gets the system's.
    """

    def __init__(self, now: When = NOON) -> None:
        self.wall = instant(now, "now")
        self.elapsed = 0  # microseconds that the machine was awake
        self.slept = 0

    def now(self) -> Instant:
        """Return the wall clock, microseconds UTC."""
        return self.wall

    def monotonic(self) -> float:
        """Return seconds since the clock was made, without those that were slept."""
        return self.elapsed / SECOND

    def boottime(self) -> float:
        """Return seconds since the clock was made."""
        return (self.elapsed + self.slept) / SECOND

    @property
    def datetime(self) -> datetime:
        """The wall clock, as an aware datetime in UTC."""
        return to_datetime(self.wall)

    def advance(self, duration: object) -> None:
        """Let time pass: seconds as a number, a timedelta, or text such as "1h30m"."""
        self.pass_by(_micros(duration))

    def pass_by(self, micros: int) -> None:
        """Let microseconds pass."""
        self.wall += micros
        self.elapsed += micros

    def suspend(self, duration: object) -> None:
        """Let time pass as on a laptop that is shut: the monotonic clock stands still."""
        micros = _micros(duration)
        self.wall += micros
        self.slept += micros

    def set(self, when: When) -> None:
        """Set the wall clock, either way, as `date -s` does: no time passes."""
        self.wall = instant(when, "when")


def instant(when: When, argument: str, zone: str = "UTC") -> Instant:
    """Return the instant of an aware datetime or of ISO text; text without an offset is a time of `zone`.

    Raises BadArgument, naming the argument, for a naive datetime and for what is no moment.
    """
    try:
        if isinstance(when, str):
            return _of_text(when, zone)
        return from_datetime(when) if isinstance(when, datetime) else when
    except (ValueError, OverflowError) as error:
        said = f"{argument} is {when!s:.60}, which is no moment: {error}"
        raise BadArgument(
            said, argument=argument, hint="2026-03-28, 2026-03-28T09:30Z, or a datetime with tzinfo"
        ) from None


def _of_text(text: str, zone: str) -> Instant:
    from zoneinfo import ZoneInfo

    moment = datetime.fromisoformat(text)
    return from_iso(text) if moment.tzinfo else from_datetime(moment.replace(tzinfo=ZoneInfo(zone)))


def _micros(duration: object) -> int:
    try:
        return durations.parse(duration)
    except ValueError as error:
        raise BadArgument(f"duration: {error}", argument="duration") from None
