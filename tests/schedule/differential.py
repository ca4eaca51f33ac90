"""Zone changes, and what cronsim and jobrunner make of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo

from cronsim import CronSim

from jobrunner.clock import SECOND
from jobrunner.schedule import Schedule

HOUR = 3600
FIRST = int(datetime(2000, 1, 1, tzinfo=UTC).timestamp())
LAST = int(datetime(2041, 1, 1, tzinfo=UTC).timestamp())

ZONES = (
    "Africa/Cairo",
    "Africa/Casablanca",
    "America/Asuncion",
    "America/Caracas",
    "America/Havana",
    "America/Los_Angeles",
    "America/New_York",
    "America/Santiago",
    "America/Sao_Paulo",
    "America/St_Johns",
    "Antarctica/Casey",
    "Antarctica/Troll",
    "Asia/Amman",
    "Asia/Beirut",
    "Asia/Gaza",
    "Asia/Kathmandu",
    "Asia/Pyongyang",
    "Asia/Tehran",
    "Atlantic/Azores",
    "Australia/Lord_Howe",
    "Australia/Sydney",
    "Europe/Berlin",
    "Europe/Dublin",
    "Europe/London",
    "Europe/Moscow",
    "Pacific/Apia",
    "Pacific/Auckland",
    "Pacific/Chatham",
    "Pacific/Norfolk",
    "UTC",
)


def offset(zone: str, instant: int) -> int:
    found = datetime.fromtimestamp(instant, ZoneInfo(zone)).utcoffset()
    assert found is not None
    return found.days * 86_400 + found.seconds


@cache
def changes(zone: str, first: int = FIRST, last: int = LAST, step: int = 6 * HOUR) -> tuple[int, ...]:
    """Return the instants at which the offset changes, by looking once a `step` and then halving."""
    found = []
    looks = ((at, offset(zone, at)) for at in range(first, last + step, step))
    for (low, before), (high, after) in pairwise(looks):
        if before != after:
            found.append(_change(zone, low, high))
    return tuple(found)


def _change(zone: str, low: int, high: int) -> int:
    before = offset(zone, low)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if offset(zone, middle) == before else (low, middle)
    return high


class StuckError(Exception):
    """cronsim went round in circles."""


class Bounded(CronSim):
    """cronsim that gives up: around a change at 00:01 (St John's, Gaza) it loops for ever."""

    ticks = 0

    def tick(self, seconds: int = 1) -> None:
        self.ticks += 1
        if self.ticks > 20_000:
            raise StuckError
        super().tick(seconds)


def cronsim(expression: str, zone: str, start: int, end: int) -> list[int] | None:
    """Return cronsim's instants in [start, end), each once; None when it does not come back."""
    walk = Bounded(expression, datetime.fromtimestamp(start, ZoneInfo(zone)) - timedelta(seconds=1))
    found: list[int] = []
    try:
        while (moment := int(next(walk).timestamp())) < end:
            if not found or moment != found[-1]:
                found.append(moment)
    except StuckError:
        return None
    return found


def ours(schedule: Schedule, start: int, end: int) -> list[int]:
    """Return jobrunner's instants in [start, end)."""
    found: list[int] = []
    following = schedule.next_after(start * SECOND - 1, 0)
    while following is not None and following < end * SECOND:
        assert following % SECOND == 0
        found.append(following // SECOND)
        following = schedule.next_after(following, 0)
    return found
