"""The short form of `exhaustive`: all kinds of change, all options; the long one has no end of its own."""

from __future__ import annotations

import random
from itertools import islice

import pytest

from jobrunner.errors import ScheduleError
from tests.schedule import exhaustive
from tests.schedule.exhaustive import Case, changes, jump

KINDS = {  # zone and year: what the clock did there
    "an hour": [("Europe/Berlin", 2026), ("America/New_York", 2026), ("America/Santiago", 2019)],
    "half an hour": [("Australia/Lord_Howe", 2024), ("Asia/Pyongyang", 2018), ("America/Caracas", 2007)],
    "from a zone of 45 minutes": [("Pacific/Chatham", 2024), ("Asia/Kathmandu", 1985)],
    "just before or after midnight": [
        ("America/St_Johns", 2010),
        ("Asia/Gaza", 2011),
        ("America/Havana", 2020),
    ],
    "two hours": [("Antarctica/Troll", 2024), ("Europe/Moscow", 1919)],
    "exactly three hours": [("Antarctica/Casey", 2009), ("Antarctica/Casey", 2010)],
    "a day left out": [("Pacific/Apia", 2011), ("Pacific/Kwajalein", 1993), ("Pacific/Kiritimati", 1994)],
    "a day repeated": [("Pacific/Kwajalein", 1969), ("Antarctica/Vostok", 1994)],
    "an odd number of seconds": [("Africa/Monrovia", 1972), ("Europe/Amsterdam", 1940)],
    "forward in winter": [("Europe/Dublin", 1971), ("Africa/Casablanca", 2026)],
}
EACH = 40


def year(instant: int) -> int:
    return int(1970 + instant // 31_556_952)


@pytest.mark.parametrize("kind", KINDS)
def test_schedules_near_a_clock_change_are_what_the_oracle_says(kind: str) -> None:
    near = [(zone, c) for zone, wanted in KINDS[kind] for c in changes(zone) if year(c) == wanted]
    assert {zone for zone, _ in near} == {zone for zone, _ in KINDS[kind]}
    for case in islice(exhaustive.cases(random.Random(kind), near, 10), EACH):
        try:
            assert case.differences() == [], case
        except ScheduleError:
            continue


@pytest.mark.parametrize("fold", exhaustive.FOLDS)
def test_a_day_that_a_zone_repeated_has_its_times_twice(fold: str) -> None:
    change = next(c for c in changes("Pacific/Kwajalein") if year(c) == 1969)
    assert jump("Pacific/Kwajalein", change) == (11 * 3600, -12 * 3600)
    case = Case("30 12 * * *", "Pacific/Kwajalein", change, "run-after", fold, change - 7200)
    assert case.differences() == []
