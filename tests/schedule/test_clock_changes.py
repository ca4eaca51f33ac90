"""What a clock change does: rows of CRON.md, Debian's loop, and cronsim over every change since 2000."""

from __future__ import annotations

import pytest

from jobrunner.clock import HOUR, SECOND, from_iso, to_iso
from jobrunner.schedule import parse
from tests.schedule import differential, oracle

NEW_YORK = "America/New_York"  # 2026: forward on 8 March 07:00Z, back on 1 November 06:00Z
APIA = "Pacific/Apia"  # 2011-12-30 was left out
WINDOW = 26 * 3600

EXPRESSIONS = (
    "30 2 * * *",
    "0 0 * * *",
    "0,30 1-3 * * *",
    "15 3 * * *",
    "45 * * * *",
    "*/15 * * * *",
    "*/30 2 * * *",
    "30 */2 * * *",
    "* 2 * * *",
    "* 12 * * *",
    "0 1 * * SUN",
    "5 2 1-7 * 0",
    "0-59/20 0-4 * * *",
    "10 0,23 L * *",
    "0 12 31,1 * 5L",
    "0 0-23 * * *",
    "30 1,2 */2 * 6,0",
)
WITH_SECONDS = (
    "*/20 30 2 * * *",
    "15 0,30 1-3 * * *",
    "7 59 * * * *",
    "10 */10 1-2 * * *",
    "59 59 1,2,3 * * 0",
)


def due(text: str, zone: str, start: str, end: str, **options: str) -> list[str]:
    schedule = parse(text, zone, **options)
    found = differential.ours(schedule, from_iso(start) // SECOND, from_iso(end) // SECOND)
    return [to_iso(instant * SECOND)[5:16] for instant in found]


def forward(text: str, **options: str) -> list[str]:
    return due(text, NEW_YORK, "2026-03-08T05:00:00Z", "2026-03-08T09:00:00Z", **options)


def back(text: str, **options: str) -> list[str]:
    return due(text, NEW_YORK, "2026-11-01T04:00:00Z", "2026-11-01T08:00:00Z", **options)


def test_a_fixed_time_job_runs_once_over_a_fold_in_its_first_pass() -> None:
    assert back("30 1 * * *") == ["11-01T05:30"]


def test_a_fixed_time_job_in_a_gap_runs_at_the_first_instant_after_it() -> None:
    assert forward("30 2 * * *") == ["03-08T07:00"]


def test_several_fixed_times_in_one_gap_run_once() -> None:
    assert forward("0,15,30,45 2 * * *") == ["03-08T07:00"]


def test_a_made_up_run_and_a_regular_one_at_the_same_instant_are_one() -> None:
    assert forward("0,30 2,3 * * *") == ["03-08T07:00", "03-08T07:30"]
    schedule = parse("0,30 2,3 * * *", NEW_YORK)
    assert schedule.count(from_iso("2026-03-08T05:00:00Z"), from_iso("2026-03-08T09:00:00Z"), 0) == 2


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("30 2 * * *; 0 3 * * *", 1),
        ("30 2 * * *; 15 2 * * *", 1),
        ("30 2 * * *; */30 * * * *", 8),
        ("30 2 * * *; 5 3 * * *", 2),
    ],
)
def test_a_list_counts_a_made_up_run_once_too(text: str, number: int) -> None:
    start, end = from_iso("2026-03-08T05:00:00Z"), from_iso("2026-03-08T09:00:00Z")
    assert parse(text, NEW_YORK).count(start - 1, end - 1, 0) == number == len(forward(text))


def test_a_list_over_a_fold_keeps_each_member_to_its_own_rule() -> None:
    assert back("30 1 * * *; 45 * * * *") == [
        "11-01T04:45",
        "11-01T05:30",
        "11-01T05:45",
        "11-01T06:45",
        "11-01T07:45",
    ]
    start, end = from_iso("2026-11-01T04:00:00Z"), from_iso("2026-11-01T08:00:00Z")
    assert parse("30 1 * * *; 45 * * * *", NEW_YORK).count(start, end, 0) == 5


@pytest.mark.parametrize("text", ["*/30 2 * * *", "* 2 * * *", "*/10 30 2 * * *"])
def test_a_wildcard_job_has_no_run_in_a_gap_nor_after_it(text: str) -> None:
    assert forward(text) == []


def test_a_wildcard_hour_follows_elapsed_time() -> None:
    assert forward("30 */2 * * *") == ["03-08T05:30", "03-08T08:30"]
    assert back("30 * * * *") == ["11-01T04:30", "11-01T05:30", "11-01T06:30", "11-01T07:30"]


def test_a_wildcard_job_runs_in_both_passes_of_a_fold() -> None:
    assert back("*/30 1 * * *") == ["11-01T05:00", "11-01T05:30", "11-01T06:00", "11-01T06:30"]


@pytest.mark.parametrize("text", ["0 12 * * *", "0 0 * * *", "0 9,17 * * *"])
def test_a_day_that_a_zone_left_out_is_not_made_up_for(text: str) -> None:
    found = due(text, APIA, "2011-12-29T10:00:00Z", "2011-12-31T10:00:00Z")
    walls = due(text, "UTC", "2011-12-29T00:00:00Z", "2011-12-30T00:00:00Z")
    walls += due(text, "UTC", "2011-12-31T00:00:00Z", "2012-01-01T00:00:00Z")
    assert len(found) == len(walls)


def test_a_jump_of_exactly_three_hours_drops_its_times() -> None:
    change = from_iso("2009-10-17T18:00:00Z")  # Casey went from 02:00 to 05:00
    schedule = parse("30 3 * * *", "Antarctica/Casey")
    assert schedule.count(change - 12 * HOUR, change + 12 * HOUR, 0) == 0


def test_a_restart_in_the_second_pass_gives_neither_the_past_nor_the_same_time_again() -> None:
    schedule = parse("30 1 * * *", NEW_YORK)
    found = schedule.next_after(from_iso("2026-11-01T06:10:00Z"), 0)
    assert found == from_iso("2026-11-02T06:30:00Z")


def test_dst_gap_skip_leaves_a_gap_out() -> None:
    assert forward("30 2,3 * * *", dst_gap="skip") == ["03-08T07:30"]


def test_dst_fold_chooses_the_pass() -> None:
    assert back("30 1 * * *", dst_fold="second") == ["11-01T06:30"]
    assert back("30 1 * * *", dst_fold="both") == ["11-01T05:30", "11-01T06:30"]
    assert back("0,30 1,2 * * *", dst_fold="second") == [
        "11-01T06:00",
        "11-01T06:30",
        "11-01T07:00",
        "11-01T07:30",
    ]


def test_the_options_change_nothing_for_a_wildcard_job() -> None:
    for options in ({"dst_fold": "second"}, {"dst_fold": "both"}, {"dst_gap": "skip"}):
        assert back("*/30 * * * *", **options) == back("*/30 * * * *")
        assert forward("*/30 * * * *", **options) == forward("*/30 * * * *")


def test_the_shortest_distance_knows_about_clock_changes() -> None:
    assert parse("30 2 * * *").shortest() == 24 * HOUR
    assert parse("30 2 * * *", "Europe/Berlin").shortest() == 23 * HOUR + HOUR // 2
    assert parse("45 * * * *", "Australia/Lord_Howe").shortest() == HOUR // 2


@pytest.mark.parametrize("zone", differential.ZONES)
def test_every_zone_change_since_2000_agrees_with_debian_and_with_cronsim(zone: str) -> None:
    for change in differential.changes(zone):
        start = (change - WINDOW) // 60 * 60
        row = oracle.walls(zone, start, change + WINDOW, 60)
        for text in EXPRESSIONS:
            found = differential.ours(parse(text, zone), start, change + WINDOW)
            assert found == oracle.due(JOBS[text], row, 60), (text, change)
            if not cronsim_errs(zone, change):
                assert found == differential.cronsim(text, zone, start, change + WINDOW), (text, change)


def cronsim_errs(zone: str, change: int) -> bool:
    """Whether cronsim is known to be wrong at a change, or to hang; there Debian's loop alone decides.

    That is: offsets that are no whole hours, jumps of 3 h or more, and changes within an hour (00:01).
    """
    before, after = differential.offset(zone, change - 1), differential.offset(zone, change)
    broken = after % 3600 or (after - before) % 3600 or (change + before) % 3600
    return bool(broken) or abs(after - before) >= 3 * 3600


@pytest.mark.parametrize(
    "zone", ["America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Antarctica/Casey"]
)
def test_six_fields_get_the_same_care_as_five(zone: str) -> None:
    for change in differential.changes(zone)[-6:]:
        start, end = change - 3 * 3600, change + 3 * 3600
        row = oracle.walls(zone, start, end, 1)
        for text in WITH_SECONDS:
            found = differential.ours(parse(text, zone), start, end)
            assert found == oracle.due(JOBS[text], row, 1), (text, change)


JOBS = {text: oracle.Job(text) for text in EXPRESSIONS + WITH_SECONDS}
