"""Builders are text in another form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from jobrunner import schedules
from jobrunner.errors import ScheduleError
from jobrunner.schedule import parse
from jobrunner.schedule.build import from_callable
from jobrunner.schedules import cron, daily, every, hourly, monthly, weekdays, weekends, weekly, yearly


@pytest.mark.parametrize(
    ("built", "text"),
    [
        (every(2).minutes, "every 2m"),
        (every(30).seconds, "every 30s"),
        (every(0.5).seconds, "every 500ms"),
        (every(36).hours, "every 1d12h"),
        (every(3).days, "every 3d"),
        (every(2).weeks, "every 14d"),
        (every().second, "every 1s"),
        (every().minute, "every 1m"),
        (every().hour, "every 1h"),
        (every().day, "every 1d"),
        (every().week, "every 7d"),
        (every(10).minutes.after_end, "every 10m after end"),
        (every(10).minutes.between("09:00", "17:00"), "*/10 9-16 * * *"),
        (every(1).minute.between("9:00", "17:00"), "* 9-16 * * *"),
        (every(30).seconds.between("09:00", "10:00"), "*/30 * 9 * * *"),
        (every(2).hours.between("08:00", "18:00"), "0 8,10,12,14,16 * * *"),
        (every(1).hour.between("08:00", "18:00"), "0 8-17 * * *"),
        (every(15).minutes.between("22:00", "02:00"), "*/15 0-1,22-23 * * *"),
        (every(15).minutes.between("00:00", "24:00"), "*/15 0-23 * * *"),
        (hourly(), "0 * * * *"),
        (hourly(minute=5), "5 * * * *"),
        (daily(), "0 0 * * *"),
        (daily(at="02:30"), "30 2 * * *"),
        (daily(at="02:30:15"), "15 30 2 * * *"),
        (daily(at=["17:00", "09:00"]), "0 9,17 * * *"),
        (daily(at=["09:00", "17:30"]), "0 9 * * *; 30 17 * * *"),
        (weekly("mon", at="09:00"), "0 9 * * mon"),
        (weekly("Monday"), "0 0 * * mon"),
        (weekly("mon,thu", at="09:00"), "0 9 * * mon,thu"),
        (weekly(["mon", "Friday"], at="09:00"), "0 9 * * mon,fri"),
        (weekly("tue-fri", at="09:00"), "0 9 * * tue-fri"),
        (weekdays(at="08:00"), "0 8 * * mon-fri"),
        (weekends(at="08:00"), "0 8 * * sat,sun"),
        (monthly(), "0 0 1 * *"),
        (monthly(31, at="06:00"), "0 6 31 * *"),
        (monthly("last", at="06:00"), "0 6 L * *"),
        (monthly([1, "last"]), "0 0 1,L * *"),
        (yearly("mar 1", at="07:00"), "0 7 1 mar *"),
        (yearly(3, 1), "0 0 1 3 *"),
        (yearly("December", 24), "0 0 24 dec *"),
        (cron("*/5 * * * *"), "*/5 * * * *"),
    ],
)
def test_a_builder_gives_text_that_parse_reads(built: Any, text: str) -> None:
    assert built.text == str(built) == text
    assert parse(built) == parse(text)
    assert parse(built).words()
    assert parse(parse(built).text) == parse(built)


@pytest.mark.parametrize(
    "build",
    [
        lambda: parse(every(2)),
        lambda: parse(every(0).minutes),
        lambda: every(-1).minutes,
        lambda: every(float("nan")).minutes,
        lambda: every("2").minutes,  # type: ignore[arg-type]
        lambda: every(True).minutes,
        lambda: every(7).minutes.between("09:00", "17:00"),
        lambda: every(10).minutes.between("09:30", "17:00"),
        lambda: every(90).minutes.between("09:00", "17:00"),
        lambda: every(9).hours.between("09:00", "17:00"),
        lambda: hourly(60),
        lambda: daily(at="25:00"),
        lambda: daily(at="02:60"),
        lambda: daily(at="2"),
        lambda: daily(at=[]),
        lambda: daily(at=[5]),  # type: ignore[list-item]
        lambda: weekly("day"),
        lambda: weekly(""),
        lambda: daily(at=5),  # type: ignore[arg-type]
        lambda: weekly(1),  # type: ignore[arg-type]
        lambda: parse(weekly("sat-mon")),
        lambda: monthly(0),
        lambda: monthly(32),
        lambda: monthly("first"),
        lambda: monthly(True),
        lambda: yearly("mar"),
        lambda: yearly("foo 1"),
        lambda: yearly(13, 1),
        lambda: parse(yearly("feb 30")),
        lambda: parse(cron("61 * * * *")),
    ],
)
def test_a_builder_that_cannot_be_used_says_so_with_a_hint(build: Callable[[], object]) -> None:
    with pytest.raises(ScheduleError) as caught:
        build()
    assert caught.value.hint


def test_a_callable_gets_the_builder_and_its_result_becomes_text() -> None:
    assert from_callable(lambda b: b.every(2).minutes) == "every 2m"
    assert from_callable(lambda every: every(2).minutes) == "every 2m"
    assert from_callable(lambda b: [b.daily(at="02:30"), "@weekly"]) == "30 2 * * *; @weekly"
    assert from_callable(lambda b: "*/5 * * * *") == "*/5 * * * *"
    with pytest.raises(ScheduleError, match="no schedule"):
        from_callable(lambda _: None)
    with pytest.raises(ScheduleError, match="no schedule"):
        from_callable(lambda _: [])
    with pytest.raises(ScheduleError, match="no unit"):
        from_callable(lambda every: every(2))


def test_the_public_module_has_the_builders() -> None:
    assert sorted(schedules.__all__) == schedules.__all__
    assert all(callable(getattr(schedules, name)) for name in schedules.__all__)


def test_a_list_may_mix_text_and_builders() -> None:
    assert parse([daily(at="02:30"), "0 9 * * 1"]).text == "30 2 * * *; 0 9 * * 1"
