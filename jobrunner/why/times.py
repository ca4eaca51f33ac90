"""Moments as the clock on the wall of a job's zone shows them, as short as today allows."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from jobrunner.clock import Instant, to_datetime

NEAR = {-1: "yesterday", 1: "tomorrow"}


class Times:
    """Says moments in one zone, seen from `now`."""

    def __init__(self, zone: str, now: Instant) -> None:
        self._zone = ZoneInfo(zone)
        self._today = self._local(now).date()

    def clock(self, instant: Instant) -> str:
        """Return `08:00`, `08:00:05`, `tomorrow 08:00` or `2026-05-01 08:00`."""
        day, time = self._parts(instant)
        return f"{day} {time}" if day else time

    def at(self, instant: Instant) -> str:
        """Return `at 08:00`, `yesterday at 08:00` or `on 2026-05-01 at 08:00`."""
        day, time = self._parts(instant)
        if not day:
            return f"at {time}"
        return f"{day} at {time}" if day in NEAR.values() else f"on {day} at {time}"

    def span(self, start: Instant | None, end: Instant | None) -> str:
        """Return `from 02:10 to 06:03`; without an end `since 02:10`, without a start `before 06:03`."""
        if start is None:
            return "" if end is None else f"before {self.clock(end)}"
        return (
            f"since {self.clock(start)}" if end is None else f"from {self.clock(start)} to {self.clock(end)}"
        )

    def _parts(self, instant: Instant) -> tuple[str, str]:
        local = self._local(instant)
        away = (local.date() - self._today) // timedelta(days=1)
        day = "" if away == 0 else NEAR.get(away, f"{local:%Y-%m-%d}")
        return day, f"{local:%H:%M:%S}" if local.second else f"{local:%H:%M}"

    def _local(self, instant: Instant) -> datetime:
        return to_datetime(instant).astimezone(self._zone)
