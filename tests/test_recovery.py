"""What becomes of runs whose node died, where nobody wants them again."""

from __future__ import annotations

import pytest

from jobrunner.clock import HOUR, MINUTE, SECOND
from jobrunner.errors import StateError
from jobrunner.model import Job
from tests.desk import Desk, House, live
from tests.fakes import a_job


@pytest.fixture
def job() -> Job:
    return a_job(schedule="0 13 * * *", delivery="at-least-once")


def running(house: House, job: Job) -> Desk:
    """Return a node whose run of 13:00 goes on."""
    desk = house.open(job)
    live(desk, HOUR, takes=HOUR, step=MINUTE)
    assert desk.ledger() == ["60 running"]
    return desk


def test_a_lost_run_that_may_start_twice_is_repeated(house: House, job: Job) -> None:
    dead = house.kill(running(house, job))
    desk = house.open(job, dead=[dead])
    live(desk, 3 * SECOND)
    assert desk.ledger() == ["60 lost", "60 succeeded #2"]


def test_a_lost_run_that_somebody_had_asked_to_end_is_not_repeated(house: House, job: Job) -> None:
    desk = running(house, job)
    (run,) = desk.runs("running")
    desk.store.cancel(run.id, house.clock.now())
    desk = house.open(job, dead=[house.kill(desk)])
    live(desk, 10 * SECOND)
    assert desk.ledger() == ["60 lost"]
    assert desk.facts().last_state == "lost"


def test_a_run_by_hand_whose_process_died_is_not_repeated(house: House, job: Job) -> None:
    dead = house.kill(running(house, job))._replace(role="run")
    desk = house.open(job, dead=[dead])
    live(desk, 10 * SECOND)
    assert desk.ledger() == ["60 lost"]
    assert desk.facts().last_state == "lost"


def test_a_node_that_is_given_a_run_which_it_has_starts_no_second_body_and_is_given_up(
    house: House, job: Job
) -> None:
    """So the state is where a standby has taken over that had not heard of the claim."""
    desk = running(house, job)
    with desk.store.transaction():
        desk.store._db.rows("UPDATE runs SET state = 'pending', owner = NULL, pid = NULL")  # type: ignore[attr-defined]
    with pytest.raises(StateError) as found:
        desk.turn(SECOND)
    assert found.value.code == "given-up"
    assert len(desk.executor.started) == 1
    assert desk.ledger() == ["60 pending"]
