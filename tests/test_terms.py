"""What cannot be asked for is an error that names it, however large the number."""

from __future__ import annotations

from typing import Any

import pytest

from jobrunner import terms
from jobrunner.errors import BadArgument

NOW = 1_800_000_000_000_000


@pytest.mark.parametrize("at", [10**14, 10**17, 10**19, 10**24, 10**60, -(10**17), -(10**24)])
def test_an_instant_far_out_of_reach_is_refused_whether_or_not_a_calendar_has_it(at: int) -> None:
    with pytest.raises(BadArgument, match="more than five years from now") as caught:
        terms.within_reach(at, NOW)
    assert caught.value.argument == "when"


@pytest.mark.parametrize("value", [1e308, -1e308, 1e300, 10**400, -(10**400), float("inf"), float("nan")])
def test_seconds_that_name_no_moment_are_refused(value: Any) -> None:
    with pytest.raises(BadArgument, match="seconds since 1970"):
        terms.moment(value, "when")


@pytest.mark.parametrize("value", [1e308, 10**400, float("inf")])
def test_a_delay_beyond_all_numbers_is_refused(value: Any) -> None:
    with pytest.raises(BadArgument, match="delay"):
        terms.delay(value)
