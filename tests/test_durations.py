"""Lengths of time as people write them."""

# ruff: noqa: E501  (what a file says reads best on one line)

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobrunner import durations

MILLISECONDS = st.integers(0, durations.LONGEST // 1000)


@given(MILLISECONDS)
def test_the_text_of_a_duration_is_read_back_as_the_same(milliseconds: int) -> None:
    micros = milliseconds * 1000
    assert durations.parse(durations.text(micros)) == micros


@given(st.integers(0, durations.LONGEST))
def test_below_a_millisecond_the_text_is_the_nearest(micros: int) -> None:
    assert abs(durations.parse(durations.text(micros)) - micros) <= 500


@given(MILLISECONDS)
def test_seconds_as_a_number_mean_the_same(milliseconds: int) -> None:
    assert durations.parse(milliseconds / 1000) == milliseconds * 1000
    assert durations.parse(timedelta(milliseconds=milliseconds)) == milliseconds * 1000


@given(st.text(max_size=30))
def test_any_text_is_a_duration_or_an_error_that_quotes_it(text: str) -> None:
    try:
        assert 0 <= durations.parse(text) <= durations.LONGEST
    except ValueError as error:
        assert repr(text) in str(error)


@pytest.mark.parametrize(
    ("value", "micros"),
    [("500ms", 500_000), ("30s", 30_000_000), (" 1 H 30 m ", 5_400_000_000), ("1.5h", 5_400_000_000), (0, 0), (0.25, 250_000),
     ("2d12h", 216_000_000_000)],
)  # fmt: skip
def test_the_usual_ways_to_write_one(value: object, micros: int) -> None:
    assert durations.parse(value) == micros


@pytest.mark.parametrize(
    "value",
    ["", "30", "s", "-3s", "1m1h", "1h1h", "3 weeks", "1e3s", "1" * 13 + "s", "1s" * 60, -1, float("nan"), float("inf"), 1e300, 1e308, -1e308, 10**400,
     True, None, [], {}, b"1s", timedelta(seconds=-1), "40000d"],
)  # fmt: skip
def test_everything_else_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        durations.parse(value)


@pytest.mark.parametrize(
    ("micros", "text"), [(0, "0s"), (1, "0s"), (90_000_000, "1m30s"), (86_400_000_000, "1d"), (1_000, "1ms")]
)
def test_the_text_is_short(micros: int, text: str) -> None:
    assert durations.text(micros) == text
