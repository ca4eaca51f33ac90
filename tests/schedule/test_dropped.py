"""What a clock change made fall out for good: named once a change, and never beside an occurrence."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobrunner.clock import DAY, HOUR, MINUTE, SECOND, from_iso
from jobrunner.schedule import parse
from jobrunner.schedule.zones import zone_of
from tests.schedule import differential, oracle
from tests.schedule.test_clock_changes import JOBS

BERLIN, APIA, CASEY = "Europe/Berlin", "Pacific/Apia", "Antarctica/Casey"
NIGHT = from_iso("2026-03-29T01:00:00Z")  # Berlin goes from 02:00 to 03:00
LEFT_OUT = from_iso("2011-12-30T10:00:00Z")  # Apia goes from 30 December 00:00 to the 31st
ZONES = (BERLIN, "America/New_York", "Australia/Lord_Howe", APIA, CASEY, "Antarctica/Troll")
WINDOW = 30 * 3600

minutes = st.sampled_from(["0", "30", "*/15", "0,45", "7/20", "10-14", "59", "1"])
hours = st.sampled_from(["2", "*", "0", "1-3", "*/2", "0,23", "3,4", "5-21", "12"])
days = st.sampled_from(["*", "L", "1-7", "8-31", "*/2", "30", "31"])
weekdays = st.sampled_from(["*", "0", "1-5", "5L", "6"])
months = st.sampled_from(["*", "*", "3,10,11,12"])
crons = st.builds(lambda *parts: " ".join(parts), minutes, hours, days, months, weekdays)
lists = st.lists(crons, min_size=1, max_size=3, unique=True)
gaps = st.sampled_from(["run-after", "skip"])


def dropped(text: object, zone: str, around: int, gap: str = "run-after") -> list[int]:
    return parse(text, zone, gap).dropped(around - 12 * HOUR, around + 12 * HOUR)


@cache
def forward(zone: str) -> tuple[int, ...]:
    """Return the changes of a zone that set its clock ahead."""
    changes = differential.changes(zone)
    return tuple(c for c in changes if differential.offset(zone, c) > differential.offset(zone, c - 1))


@cache
def walls(zone: str, change: int) -> list[tuple[int, int]]:
    return oracle.walls(zone, (change - WINDOW) // 60 * 60, change + WINDOW, 60)


def expected(texts: Sequence[str], zone: str, change: int, gap: str) -> list[int]:
    """Return what the oracle says of a list: the drops of each, less the starts of any."""
    row, skip = walls(zone, change), gap == "skip"
    jobs = [oracle.Job(text) for text in texts]
    found = {instant for job in jobs for instant in oracle.dropped(job, row, 60, skip=skip)}
    if not found:
        return []
    started = {instant for job in jobs for instant in oracle.matching(job, row)}
    if not skip:
        started.update(instant for job in jobs for instant in oracle.due(job, row, 60))
    return [instant * SECOND for instant in sorted(found - started)]


def test_a_day_that_a_zone_left_out_is_one_instant_however_many_times_it_had() -> None:
    assert dropped("0 12 * * *", APIA, LEFT_OUT) == [LEFT_OUT]
    assert dropped("*/10 9-17 * * *", APIA, LEFT_OUT) == []
    assert dropped("0,10,20 9-17 * * *", APIA, LEFT_OUT) == [LEFT_OUT]


def test_a_time_at_which_it_is_due_anyhow_is_not_reported() -> None:
    assert dropped("0 0 * * *", APIA, LEFT_OUT) == []
    assert dropped("0 0,12 * * *", APIA, LEFT_OUT) == []
    assert dropped("0 2,3 * * *", BERLIN, NIGHT, "skip") == []


def test_a_small_gap_is_made_up_for_unless_it_shall_be_skipped() -> None:
    assert dropped("30 2 * * *", BERLIN, NIGHT) == []
    assert dropped("30 2 * * *", BERLIN, NIGHT, "skip") == [NIGHT]
    assert dropped("30 3 * * *", BERLIN, NIGHT, "skip") == []


def test_a_jump_of_exactly_three_hours_is_reported() -> None:
    assert dropped("30 3 * * *", CASEY, from_iso("2009-10-17T18:00:00Z")) == [
        from_iso("2009-10-17T18:00:00Z")
    ]


def test_a_wildcard_job_and_an_interval_lose_nothing() -> None:
    for text in ("*/30 2 * * *", "30 * * * *", "*/10 30 2 * * *", "every 5m", "every 5m after end"):
        assert dropped(text, BERLIN, NIGHT, "skip") == []
        assert dropped(text, APIA, LEFT_OUT) == []


def test_a_day_on_which_it_is_not_due_has_nothing_to_lose() -> None:
    assert dropped("30 2 * * 1-5", BERLIN, NIGHT, "skip") == []  # that night is a Sunday
    assert dropped("0 12 29,31 * *", APIA, LEFT_OUT) == []


def test_the_span_leaves_out_its_start_and_includes_its_end() -> None:
    schedule = parse("30 2 * * *", BERLIN, "skip")
    assert schedule.dropped(NIGHT - 1, NIGHT) == [NIGHT]
    assert schedule.dropped(NIGHT, NIGHT + DAY) == []
    assert schedule.dropped(NIGHT - DAY, NIGHT - 1) == []
    assert schedule.dropped(NIGHT, NIGHT) == schedule.dropped(NIGHT + HOUR, NIGHT - HOUR) == []


def test_years_have_one_instant_for_each_gap() -> None:
    schedule = parse("30 2 * * *", BERLIN, "skip")
    found = schedule.dropped(from_iso("2000-01-01T00:00:00Z"), from_iso("2041-01-01T00:00:00Z"))
    assert found == [change * SECOND for change in forward(BERLIN)]


@pytest.mark.parametrize("other", ["0 3 * * *", "*/15 * * * *", "0 1-5 * * *"])
def test_a_list_that_is_due_at_the_instant_loses_nothing_there(other: str) -> None:
    assert dropped(["30 2 * * *", "45 2 * * *"], BERLIN, NIGHT, "skip") == [NIGHT]
    assert dropped(["30 2 * * *", other], BERLIN, NIGHT, "skip") == []


def test_an_interval_in_a_list_counts_as_due_where_its_anchor_is_known() -> None:
    schedule = parse(["30 2 * * *", "every 7m"], BERLIN, "skip")
    span = NIGHT - HOUR, NIGHT + HOUR
    assert schedule.dropped(*span) == [NIGHT]
    assert schedule.dropped(*span, NIGHT - 70 * MINUTE) == []
    assert schedule.dropped(*span, NIGHT - 71 * MINUTE) == [NIGHT]
    assert parse(["every 5m", "every 7m"], BERLIN).dropped(*span, NIGHT - DAY) == []


def test_far_instants_have_an_answer() -> None:
    for text in ("30 2 * * *", ["30 2 * * *", "0 1 * * *"]):
        schedule = parse(text, BERLIN, "skip")
        for after in (-(10**18), -(10**15), 25 * 10**16, 10**18):
            assert len(schedule.dropped(after, after + DAY)) <= 1


def test_the_usual_question_is_answered_without_looking_at_days_or_times(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    schedules = [parse("30 2 * * *", BERLIN, "skip"), parse(["30 2 * * *", "0 3 * * *"], BERLIN, "skip")]
    zone_of(BERLIN).at(NIGHT // SECOND)
    monkeypatch.setattr("jobrunner.schedule.cron.Cron.drops", lambda *_: pytest.fail("looked at a stretch"))
    monkeypatch.setattr("jobrunner.schedule.zones.Zone.parts", lambda *_: pytest.fail("walked stretches"))
    monkeypatch.setattr("jobrunner.schedule.zones.Zone._cut", lambda *_: pytest.fail("forgot a block"))
    for schedule in schedules:
        assert schedule.dropped(NIGHT, NIGHT + MINUTE) == schedule.dropped(NIGHT - MINUTE, NIGHT - 1) == []


@pytest.mark.parametrize("gap", ["run-after", "skip"])
@pytest.mark.parametrize("zone", ZONES)
def test_every_gap_since_2000_agrees_with_the_oracle(zone: str, gap: str) -> None:
    for change in forward(zone):
        for text, job in JOBS.items():
            if not job.by_second:
                found = dropped(text, zone, change * SECOND, gap)
                assert found == expected([text], zone, change, gap), (text, change)


@settings(deadline=None, max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(lists, st.sampled_from(ZONES), gaps, st.data())
def test_any_list_loses_what_the_oracle_says(
    texts: list[str], zone: str, gap: str, data: st.DataObject
) -> None:
    change = data.draw(st.sampled_from(forward(zone)))
    assert dropped(texts, zone, change * SECOND, gap) == expected(texts, zone, change, gap)


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(lists, st.sampled_from(ZONES), gaps, st.lists(st.integers(0, 60 * 365), min_size=1, max_size=5))
def test_where_a_span_is_cut_makes_no_difference(
    texts: list[str], zone: str, gap: str, cuts: list[int]
) -> None:
    schedule, start = parse(texts, zone, gap), from_iso("1990-01-01T00:00:00Z")
    edges = [start + cut * DAY for cut in sorted(cuts)]
    parts = [schedule.dropped(a, b) for a, b in pairwise(edges)]
    assert [instant for part in parts for instant in part] == schedule.dropped(edges[0], edges[-1])
