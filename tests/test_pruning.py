"""The job that comes along, among the others: it makes no noise in the history."""

from __future__ import annotations

import pytest

from jobrunner.clock import DAY, HOUR, SECOND
from jobrunner.housekeeping import prune_job
from jobrunner.settings import load
from tests.desk import Desk
from tests.fakes import FakeClock
from tests.place import Place


@pytest.mark.parametrize("away", [2 * DAY, 40 * DAY])
def test_pruning_is_made_up_for_once_after_a_long_sleep_and_nothing_was_missed(
    place: Place, away: int
) -> None:
    desk = Desk(place, [prune_job(load({"project": str(place.folder)}, {}))], FakeClock())
    desk.turn(HOUR + SECOND)
    for later in (away, HOUR + SECOND):
        desk.executor.end_all()
        desk.turn()
        desk.turn(later)
    states = [run.state for run in desk.runs()]
    desk.store.close()
    assert states == ["succeeded", "succeeded", "running"]
