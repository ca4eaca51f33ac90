"""Intervals and lists."""

from __future__ import annotations

import pytest

from jobrunner.clock import DAY, HOUR, MILLISECOND, MINUTE, SECOND, from_iso
from jobrunner.schedule import parse

ANCHOR = from_iso("2026-03-01T10:00:00Z") + 123_456


@pytest.mark.parametrize(
    ("text", "canonical", "interval"),
    [
        ("every 30s", "every 30s", 30 * SECOND),
        ("every 1h30m", "every 1h30m", 90 * MINUTE),
        ("every 90m", "every 1h30m", 90 * MINUTE),
        ("Every 5 Minutes", "every 5m", 5 * MINUTE),
        ("every minute", "every 1m", MINUTE),
        ("every second", "every 1s", SECOND),
        ("every hour", "every 1h", HOUR),
        ("every day", "every 1d", DAY),
        ("every 2 hours and 15 minutes", "every 2h15m", 135 * MINUTE),
        ("every 2 hours 15 mins", "every 2h15m", 135 * MINUTE),
        ("every 500ms", "every 500ms", 500 * MILLISECOND),
        ("every 0.5s", "every 500ms", 500 * MILLISECOND),
        ("every 100ms", "every 100ms", 100 * MILLISECOND),
        ("every 10m after end", "every 10m after end", 10 * MINUTE),
        ("every 10 minutes  after  end", "every 10m after end", 10 * MINUTE),
    ],
)
def test_an_interval_has_one_canonical_text(text: str, canonical: str, interval: int) -> None:
    schedule = parse(text, "Europe/Berlin")
    assert schedule.text == canonical
    assert schedule.shortest() == interval
    assert schedule.after_end == canonical.endswith("after end")
    assert parse(canonical) == schedule


def test_the_first_run_is_one_interval_after_the_anchor() -> None:
    schedule = parse("every 30s")
    assert schedule.next_after(ANCHOR - DAY, ANCHOR) == ANCHOR + 30 * SECOND
    assert schedule.next_after(ANCHOR, ANCHOR) == ANCHOR + 30 * SECOND


def test_the_grid_stays_where_it_is_whenever_one_looks() -> None:
    schedule = parse("every 30s")
    assert schedule.next_after(ANCHOR + 10 * DAY + 1, ANCHOR) == ANCHOR + 10 * DAY + 30 * SECOND
    assert schedule.count(ANCHOR, ANCHOR + DAY, ANCHOR) == 2880
    assert schedule.count(ANCHOR - DAY, ANCHOR, ANCHOR) == 0
    assert schedule.latest(ANCHOR, ANCHOR + DAY + 1, ANCHOR) == ANCHOR + DAY
    assert schedule.latest(ANCHOR, ANCHOR + 29 * SECOND, ANCHOR) is None


def test_a_list_is_due_once_where_its_members_meet() -> None:
    schedule = parse(["*/10 * * * *", "*/15 * * * *", "0 9 * * *"])
    start = from_iso("2026-03-01T09:00:00Z")
    assert schedule.count(start - 1, start, 0) == 1
    assert schedule.count(start - 1, start + HOUR - 1, 0) == 8  # 00 10 15 20 30 40 45 50
    assert schedule.text == "*/10 * * * *; */15 * * * *; 0 9 * * *"
    assert parse(schedule.text) == schedule


def test_a_list_may_be_nested_and_repeat_itself() -> None:
    assert parse(["0 9 * * *", ("0 9 * * *", ["0  9 * * *"])]) == parse("0 9 * * *")
    assert parse(["every 60s", "every 1m"]) == parse("every minute")


def test_grids_of_one_list_are_counted_once_where_they_meet() -> None:
    schedule = parse("every 2m; every 3m; every 4m")
    assert schedule.count(ANCHOR, ANCHOR + HOUR, ANCHOR) == len(
        {n for step in (2, 3, 4) for n in range(step, 61, step)}
    )


@pytest.mark.parametrize("interval", ["1m", "7m", "30s", "1h", "500ms"])
def test_a_grid_that_meets_a_cron_schedule_is_counted_once_there(interval: str) -> None:
    schedule, anchor = parse(["*/5 * * * *", f"every {interval}"]), from_iso("2026-03-01T10:00:00Z")
    found, following = 0, schedule.next_after(anchor, anchor)
    while following is not None and following <= anchor + 3 * HOUR:
        found, following = found + 1, schedule.next_after(following, anchor)
    assert schedule.count(anchor, anchor + 3 * HOUR, anchor) == found


def test_a_year_of_a_list_is_counted_exactly() -> None:
    year = from_iso("2025-12-31T23:59:59Z"), from_iso("2026-12-31T23:59:59Z")
    assert parse("0 9 * * 1; 0 9 * * 4; */30 * * * * *").count(*year, 0) == 365 * 2880
    assert parse("0 9 * * *; 0 9 * * 1; 30 9 1 * *").count(*year, 0) == 365 + 12
