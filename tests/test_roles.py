"""A node that only controls plans, runs and defines nothing, and does not let the dead lie."""

from __future__ import annotations

from jobrunner.clock import HOUR, MINUTE, SECOND
from jobrunner.store.base import Call
from tests.desk import House, live
from tests.fakes import a_job


def test_a_control_node_plans_and_claims_nothing_and_forgets_no_moment(house: House) -> None:
    job = a_job(misfire="all")
    worker = house.open(job)
    live(worker, MINUTE)
    control = house.open(role="control")
    worker.leave()
    house.desks.remove(worker)
    live(control, 3 * MINUTE)
    assert control.ledger() == ["1 succeeded"]
    again = house.open(job)
    live([control, again], MINUTE)
    assert again.ledger() == [f"{minute} succeeded" for minute in (1, 2, 3, 4, 5)]
    assert control.executor.started == []


def test_a_control_node_makes_no_definition_current_and_holds_none(house: House) -> None:
    worker = house.open(a_job(hash="one"))
    control = house.open(a_job(hash="two"), role="control")
    assert worker.facts().definition_hash == "one"
    assert control.me.owner not in control.store.holdings()


def test_a_control_node_ends_no_run_that_waits_for_a_worker(house: House) -> None:
    job = a_job()
    worker = house.open(job, slots=0)
    live(worker, MINUTE)
    house.clock.advance(HOUR)
    control = house.open(role="control", dead=[house.kill(worker)])
    live(control, 10 * SECOND)
    assert control.ledger() == ["1 pending"]


def test_a_dead_workers_run_is_recorded_by_a_control_node_and_tried_again_by_a_worker(house: House) -> None:
    job = a_job(
        schedule="0 13 * * *", delivery="at-least-once",
        config={"name": "job", "schedule": "0 13 * * *", "delivery": "at-least-once"},
    )  # fmt: skip
    worker = house.open(job)
    live(worker, HOUR, takes=HOUR, step=MINUTE)
    control = house.open(role="control", dead=[house.kill(worker)])
    live(control, 3 * SECOND)
    assert control.ledger() == ["60 lost", "60 pending #2"]
    again = house.open(job)
    live([control, again], 3 * SECOND)
    assert control.ledger() == ["60 lost", "60 succeeded #2"]
    assert control.executor.started == []


def test_the_hooks_of_a_run_that_a_control_node_records_are_called_by_it(house: House) -> None:
    hooks = {"on_failure": "alerts:page"}
    config = {"name": "job", "schedule": "0 13 * * *", "hooks": hooks}
    worker = house.open(a_job(schedule="0 13 * * *", hooks=hooks, config=config))
    live(worker, HOUR, takes=HOUR, step=MINUTE)
    control = house.open(role="control", dead=[house.kill(worker)])
    live(control, 3 * SECOND)
    assert control.hooks() == ["on_failure lost None"]


def test_a_call_whose_file_is_gone_fails_by_a_control_node_and_one_whose_file_is_there_waits(
    house: House,
) -> None:
    there, gone = a_job("there", schedule=None), a_job("gone", schedule=None)
    worker, control = house.open(there, gone), house.open(role="control")
    for job in (there, gone):
        worker.store.call(Call(at=house.clock.now()), job, house.clock.now())
    worker.leave()
    house.desks.remove(worker)
    (house.place.folder / "jobs").mkdir()
    (house.place.folder / "jobs/there.py").touch()
    control.joining.look(control._definitions((), ()), (), house.clock.now() + MINUTE, changed=False)
    found = {run.job: (run.state, run.reason) for run in control.runs()}
    assert found == {"there": ("pending", None), "gone": ("failed", "orphan")}


def test_a_control_node_without_job_files_lets_calls_wait(house: House) -> None:
    job = a_job(schedule=None)
    worker, control = house.open(job), house.open(role="control")
    worker.store.call(Call(at=house.clock.now()), job, house.clock.now())
    worker.leave()
    house.desks.remove(worker)
    definitions = control._definitions((), ())
    control.scheduler.settings = definitions.settings._replace(folders=(f"{house.place.folder}/nowhere",))
    control.joining.look(definitions, (), house.clock.now() + MINUTE, changed=False)
    assert [run.state for run in control.runs()] == ["pending"]


def test_a_worker_beside_a_control_node_alone_takes_care_of_what_was_left(house: House) -> None:
    """As it does where it is alone: a control node gives up nothing."""
    gone, kept = a_job("gone"), a_job("kept")
    worker = house.open(gone, kept, slots=0)
    live(worker, MINUTE)
    control = house.open(role="control")
    worker.leave()
    house.desks.remove(worker)
    after = house.open(kept)
    live([control, after], 2 * SECOND)
    assert after.ledger("gone") == ["1 skipped/orphan"]
    assert after.ledger("kept") == ["1 succeeded"]
