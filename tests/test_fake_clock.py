"""`FakeClock`: time that the test moves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from jobrunner.clock import Clock, from_iso
from jobrunner.errors import BadArgument
from jobrunner.testing import FakeClock

START = "2026-01-01T00:00:00Z"


def read(clock: Clock, since: int) -> tuple[float, float, float]:
    """Return how many seconds the wall clock is on, and the two others."""
    return (clock.now() - since) / 1e6, clock.monotonic(), clock.boottime()


def test_it_stands_still_until_it_is_moved() -> None:
    clock = FakeClock(START)
    assert read(clock, from_iso(START)) == read(clock, from_iso(START)) == (0, 0, 0)
    assert clock.datetime == datetime(2026, 1, 1, tzinfo=UTC)
    assert FakeClock().datetime.isoformat() == "2026-11-20T12:00:00+00:00"


@pytest.mark.parametrize("duration", [90, "1m30s", timedelta(seconds=90)])
def test_time_passes_for_all_clocks_alike(duration: Any) -> None:
    clock = FakeClock(START)
    clock.advance(duration)
    assert read(clock, from_iso(START)) == (90, 90, 90)


def test_a_machine_that_sleeps_has_a_monotonic_clock_that_stands_still() -> None:
    clock = FakeClock(START)
    clock.advance(1)
    clock.suspend("8h")
    assert read(clock, from_iso(START)) == (1 + 8 * 3600, 1, 1 + 8 * 3600)


def test_a_wall_clock_that_is_set_takes_no_time_with_it() -> None:
    clock = FakeClock(START)
    clock.set(datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=1))))
    assert read(clock, from_iso(START)) == (3600, 0, 0)
    clock.set("2025-12-31")
    assert read(clock, from_iso(START)) == (-86_400, 0, 0)


def test_what_is_no_moment_and_no_duration_is_refused_by_name() -> None:
    clock = FakeClock()
    with pytest.raises(BadArgument, match="when is 2026-01-01") as raised:
        clock.set(datetime(2026, 1, 1))
    assert raised.value.argument == "when"
    for wrong in ("soon", -1, None):
        with pytest.raises(BadArgument, match="duration"):
            clock.advance(wrong)
