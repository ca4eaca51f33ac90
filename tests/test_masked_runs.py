"""What runs say reaches neither the state nor the terminal with a secret in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from jobrunner.clock import MINUTE, SECOND
from jobrunner.events import Finished, Progressed
from jobrunner.executor import Asked
from jobrunner.masking import Masker
from jobrunner.model import Outcome
from tests.desk import ERROR, Desk, House
from tests.fakes import a_job
from tests.place import Place

SECRET = "hunter2-hunter2"


@pytest.fixture
def desk(place: Place) -> Iterator[Desk]:
    house = House(place)
    desk = house.open(a_job())
    desk.dispatcher.adopt(desk.settings, frozenset(), Masker([SECRET]))
    desk.turn(MINUTE)
    yield desk
    house.close()


def test_progress_is_stored_and_shown_without_secrets(desk: Desk) -> None:
    (run_id,) = desk.executor.specs
    said = {"message": f"logging in with {SECRET}", SECRET: 1, "value": 3}
    desk.executor.happen(Asked(run_id, 1, "progress", said))
    desk.turn()
    desk.turn(SECOND)
    hidden = {"message": "logging in with ***", "***": 1, "value": 3}
    assert [run.progress for run in desk.runs()] == [hidden]
    assert [event.progress for event in desk.events if isinstance(event, Progressed)] == [hidden]


def test_an_error_is_stored_and_shown_without_secrets(desk: Desk) -> None:
    (run_id,) = desk.executor.specs
    error = {**ERROR, "message": f"no entry for {SECRET}", "traceback": f"raise E('{SECRET}')"}
    desk.executor.end(run_id, Outcome(state="failed", error=error))
    desk.turn()
    hidden = {**ERROR, "message": "no entry for ***", "traceback": "raise E('***')"}
    assert [run.error for run in desk.runs()] == [hidden]
    assert desk.facts().last_error == hidden
    assert [event.outcome.error for event in desk.events if isinstance(event, Finished)] == [hidden]


def test_the_reason_that_a_body_gives_for_its_skip_is_stored_without_secrets(desk: Desk) -> None:
    (run_id,) = desk.executor.specs
    desk.executor.end(run_id, Outcome(state="skipped", reason="body", result=f"{SECRET} is not there yet"))
    desk.turn()
    assert [run.result for run in desk.runs()] == ["*** is not there yet"]
