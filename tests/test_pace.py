"""What is usual for a job, and what is not."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobrunner.clock import DAY, HOUR, MILLISECOND, MINUTE, SECOND
from jobrunner.pace import LAST, Pace, length, overdue, percentile, too_fast, too_long, usual

micros = st.integers(0, 10 * DAY)


@given(st.lists(micros, min_size=1, max_size=60).map(sorted), st.integers(0, 100))
def test_a_percentile_is_the_smallest_value_that_enough_are_not_above(
    values: list[int], percent: int
) -> None:
    found = percentile(values, percent)
    reach = [
        v for v in values if Fraction(sum(w <= v for w in values), len(values)) >= Fraction(percent, 100)
    ]
    assert found == min(reach)


@pytest.mark.parametrize(
    ("number", "percent", "expected"),
    [(100, 7, 7), (100, 95, 95), (30, 95, 29), (20, 95, 19), (5, 50, 3), (4, 50, 2), (1, 0, 1), (1, 100, 1)],
)
def test_the_rank_is_exact(number: int, percent: int, expected: int) -> None:
    assert percentile(range(1, number + 1), percent) == expected


@pytest.mark.parametrize(("values", "percent"), [([], 50), ([1], -1), ([1], 101)])
def test_a_percentile_of_nothing_is_refused(values: list[int], percent: int) -> None:
    with pytest.raises(ValueError, match="no percentile"):
        percentile(values, percent)


def test_the_usual_is_the_median_the_95th_percentile_and_the_longest() -> None:
    assert usual(Pace([])) is None
    assert usual(Pace([7])) == (7, 7, 7)
    assert usual(Pace(list(range(30, 0, -1)))) == (15, 29, 30)


def test_only_the_last_thirty_runs_count() -> None:
    old = Pace([HOUR] * 10 + [SECOND] * LAST)
    assert usual(old) == (SECOND, SECOND, SECOND)
    assert "of the last 30" in (too_long(old, HOUR) or "")


def test_a_run_that_takes_more_than_twice_the_longest_and_a_second_is_too_long() -> None:
    pace = Pace([5 * MINUTE, MINUTE, MINUTE, 2 * MINUTE, 3 * MINUTE])
    assert too_long(pace, 10 * MINUTE + SECOND) is None
    assert too_long(pace, 10 * MINUTE + SECOND + 1) is not None
    said = "12 min, more than twice its longest of the last 5 (5 min)"
    assert too_long(pace, 12 * MINUTE) == f"runs for {said}"
    assert too_long(pace, 12 * MINUTE, ended=True) == f"took {said}"


def test_short_runs_may_vary_by_a_second() -> None:
    assert too_long(Pace([MILLISECOND] * 5), SECOND) is None
    assert too_long(Pace([MILLISECOND] * 5), 2 * SECOND) is not None


def test_a_run_below_a_quarter_of_the_shortest_is_too_fast() -> None:
    pace = Pace([8 * SECOND, 9 * SECOND, 10 * SECOND, 8 * SECOND, MINUTE])
    assert too_fast(pace, 2 * SECOND) is None
    assert too_fast(pace, 2 * SECOND - 1) is not None
    assert (
        too_fast(pace, 40 * MILLISECOND)
        == "took 40 ms, less than a quarter of its shortest of the last 5 (8 s)"
    )


def test_a_job_that_is_done_within_a_second_now_and_then_is_never_too_fast() -> None:
    assert too_fast(Pace([SECOND] * 5), 0) is not None
    assert too_fast(Pace([SECOND - 1, *[HOUR] * 9]), 0) is None


def test_four_runs_tell_nothing() -> None:
    assert too_long(Pace([MINUTE] * 4), DAY) is None
    assert too_fast(Pace([MINUTE] * 4), 0) is None
    assert too_long(Pace([MINUTE] * 5), DAY) is not None
    assert too_fast(Pace([MINUTE] * 5), 0) is not None


def test_an_occurrence_that_nobody_took_for_a_minute_is_overdue() -> None:
    assert overdue(HOUR, HOUR + MINUTE) is None
    assert overdue(HOUR, HOUR + MINUTE + 1) == "due 1 min ago, and no node has taken it"
    assert overdue(HOUR, HOUR + 3 * MINUTE) == "due 3 min ago, and no node has taken it"
    assert overdue(HOUR, 0) is None


@pytest.mark.parametrize(
    ("micros", "text"),
    [
        (-5, "0 ms"),
        (0, "0 ms"),
        (999_999, "999 ms"),
        (SECOND, "1 s"),
        (3_990_000, "3.9 s"),
        (10 * SECOND, "10 s"),
        (59_999_999, "59 s"),
        (MINUTE, "1 min"),
        (125 * SECOND, "2 min 5 s"),
        (HOUR + 59 * SECOND, "1 h"),
        (25 * HOUR + 30 * MINUTE, "1 d 1 h"),
        (400 * DAY, "400 d"),
    ],
)
def test_a_length_is_said_in_two_units_at_most(micros: int, text: str) -> None:
    assert length(micros) == text


@given(st.lists(micros, max_size=40), micros)
def test_no_run_is_both_too_long_and_too_fast(durations: list[int], took: int) -> None:
    pace = Pace(durations)
    assert too_long(pace, took) is None or too_fast(pace, took) is None
