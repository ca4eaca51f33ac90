"""What a node asks of a database, in round trips: over a network they are what a turn costs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from jobrunner.clock import MINUTE, SECOND
from tests.desk import Desk, House
from tests.fakes import a_job

pytestmark = pytest.mark.postgres


def trips(desk: Desk, act: Callable[[], object]) -> int:
    """Return how many round trips something takes."""
    before = desk.store._db.round_trips  # type: ignore[attr-defined]
    act()
    return int(desk.store._db.round_trips - before)  # type: ignore[attr-defined]


@pytest.mark.parametrize("jobs", [1, 20])
def test_a_turn_without_anything_to_do_takes_six_however_many_jobs_there_are(house: House, jobs: int) -> None:
    desk = house.open(*[a_job(f"job-{number}") for number in range(jobs)])
    desk.turn(SECOND)
    assert trips(desk, lambda: desk.turn(SECOND)) <= 6


@pytest.mark.parametrize("runs", [1, 20])
def test_a_turn_that_starts_runs_takes_nine_and_eight_more_for_each(house: House, runs: int) -> None:
    desk = house.open(*[a_job(f"job-{number}") for number in range(runs)], slots=runs)
    desk.turn(SECOND)
    assert trips(desk, lambda: desk.turn(MINUTE)) <= 9 + 8 * runs
    assert len(desk.executor.started) == runs


@pytest.mark.parametrize("runs", [1, 20])
def test_a_turn_that_ends_runs_takes_seven_and_three_more_for_each(house: House, runs: int) -> None:
    desk = house.open(*[a_job(f"job-{number}") for number in range(runs)], slots=runs)
    desk.turn(MINUTE)
    desk.executor.end_all()
    assert trips(desk, desk.turn) <= 7 + 3 * runs
    assert len(desk.runs("succeeded")) == runs


def test_a_look_whether_others_have_changed_something_takes_two_and_finds_nothing(house: House) -> None:
    desk = house.open(a_job())
    desk.turn(SECOND)
    desk.tick()
    assert trips(desk, desk.tick) <= 2
