"""The dispatcher and scheduler, with a real store, and processes and time that the test moves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobrunner.clock import DAY, HOUR, MINUTE, SECOND
from jobrunner.errors import StateError
from jobrunner.events import (
    CursorAhead,
    CursorReset,
    DefinitionsOutdated,
    Finished,
    JobFinished,
    Lost,
    Skipped,
)  # fmt: skip
from jobrunner.model import Job, Outcome
from tests.desk import Desk
from tests.fakes import NOON, FakeClock, a_job
from tests.place import NewPlace, Place


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def desks() -> Iterator[list[Desk]]:
    opened: list[Desk] = []
    yield opened
    for desk in opened:
        desk.store.close()


def test_one_turn_enqueues_claims_and_hands_out(place: Place, clock: FakeClock, desks: list[Desk]) -> None:
    desk = Desk(place, [a_job()], clock)
    desks.append(desk)
    desk.turn(MINUTE)
    (spec,) = desk.executor.started
    assert (spec["job"], spec["scheduledFor"], spec["attempt"]) == ("job", NOON + MINUTE, 1)
    assert [run.state for run in desk.runs()] == ["running"]
    desk.executor.end_all()
    desk.turn()
    assert [run.state for run in desk.runs()] == ["succeeded"]
    assert len(desk.said(Finished)) == 1


def test_two_nodes_that_see_the_same_moment_start_it_once(
    place: Place, clock: FakeClock, desks: list[Desk]
) -> None:
    one, two = Desk(place, [a_job()], clock, "a"), Desk(place, [a_job()], clock, "b")
    desks += [one, two]
    one.turn(MINUTE)
    two.turn()
    assert len(one.executor.started) + len(two.executor.started) == 1
    one.executor.end_all()
    one.turn()
    two.turn(MINUTE)
    one.turn()
    assert len(one.executor.started) + len(two.executor.started) == 2


def test_what_finds_no_slot_waits_and_is_claimed_by_whoever_has_one(
    place: Place, clock: FakeClock, desks: list[Desk]
) -> None:
    jobs = [a_job(f"job-{number}") for number in range(6)]
    one, two = Desk(place, jobs, clock, "a", slots=2), Desk(place, jobs, clock, "b", slots=2)
    desks += [one, two]
    one.turn(MINUTE)
    two.turn()
    assert (len(one.executor.specs), len(two.executor.specs)) == (2, 2)
    assert len(one.runs("pending")) == 2
    one.executor.end_all()
    one.turn()
    assert len(one.executor.specs) == 2
    assert one.runs("pending") == []


def test_the_last_allowed_start_knows_that_it_is_and_no_other_follows(
    place: Place, clock: FakeClock, desks: list[Desk]
) -> None:
    desk = Desk(place, [a_job(number_of_executions=2)], clock)
    desks.append(desk)
    for _ in range(5):
        desk.turn(MINUTE)
        desk.executor.end_all()
        desk.turn()
    assert [spec["isLast"] for spec in desk.executor.started] == [False, True]
    assert desk.scheduler.next_due() is None
    assert len(desk.said(JobFinished)) == 1


def test_a_dead_nodes_run_is_lost_and_what_it_says_afterwards_is_not_recorded(
    place: Place, clock: FakeClock, desks: list[Desk]
) -> None:
    one, two = Desk(place, [a_job()], clock, "a"), Desk(place, [a_job()], clock, "b")
    desks += [one, two]
    one.turn(MINUTE)
    two.turn(dead=(one.me,))
    assert [run.state for run in two.runs()] == ["lost"]
    assert len(two.said(Lost)) == 1
    one.executor.end_all()
    with pytest.raises(StateError, match="given up"):
        one.turn()
    assert [run.state for run in two.runs()] == ["lost"]


def test_when_the_commit_fails_nothing_is_handed_out_and_no_outcome_is_forgotten(
    place: Place, clock: FakeClock, desks: list[Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(place, [a_job()], clock)
    desks.append(desk)
    desk.turn(MINUTE)
    desk.executor.end_all()
    claim = desk.store.claim

    def full(*_: object) -> None:
        raise StateError("the disk is full")

    monkeypatch.setattr(desk.store, "claim", full)
    with pytest.raises(StateError):
        desk.turn(MINUTE)
    assert [run.state for run in desk.runs()] == ["running"]
    monkeypatch.setattr(desk.store, "claim", claim)
    desk.turn()
    assert [run.state for run in desk.runs()] == ["succeeded", "running"]
    assert len(desk.executor.started) == 2


def test_a_clock_that_goes_back_repeats_nothing(place: Place, clock: FakeClock, desks: list[Desk]) -> None:
    desk = Desk(place, [a_job(concurrency="allow")], clock)
    desks.append(desk)
    for _ in range(3):
        desk.turn(MINUTE)
    clock.wall -= 3 * MINUTE
    desk.scheduler.load(clock.now())
    for _ in range(4):
        desk.turn(MINUTE)
    instants = [spec["scheduledFor"] for spec in desk.executor.started]
    assert instants == [NOON + step * MINUTE for step in (1, 2, 3, 4)]


def test_a_cursor_a_little_ahead_waits_with_a_warning(
    place: Place, clock: FakeClock, desks: list[Desk]
) -> None:
    desk = Desk(place, [a_job()], clock)
    desks.append(desk)
    desk.turn(HOUR)
    clock.wall -= 30 * MINUTE
    warnings = desk.scheduler.load(clock.now())
    assert [type(warning) for warning in warnings] == [CursorAhead]
    desk.turn(20 * MINUTE)
    assert len(desk.executor.started) == 1


def test_a_cursor_more_than_a_day_ahead_is_set_back(
    place: Place, clock: FakeClock, desks: list[Desk]
) -> None:
    desk = Desk(place, [a_job()], clock)
    desks.append(desk)
    desk.turn(80 * 365 * DAY)
    desk.executor.end_all()
    desk.turn()
    clock.wall -= 80 * 365 * DAY
    warnings = desk.scheduler.load(clock.now())
    assert [type(warning) for warning in warnings] == [CursorReset]
    desk.turn(MINUTE)
    assert len(desk.executor.started) == 2


def test_pause_and_disabled_record_what_they_skip(place: Place, clock: FakeClock, desks: list[Desk]) -> None:
    jobs = [a_job("off", enabled=False), a_job("elsewhere", environments=("production",))]
    desk = Desk(place, jobs, clock)
    desks.append(desk)
    desk.turn(MINUTE)
    assert {(run.job, run.reason) for run in desk.runs("skipped")} == {
        ("off", "disabled"), ("elsewhere", "environment"),
    }  # fmt: skip
    assert len(desk.said(Skipped)) == 2


def test_a_node_in_another_environment_takes_nothing_from_the_one_where_it_may_run(
    place: Place, clock: FakeClock, desks: list[Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = a_job(environments=("prod",))
    elsewhere = Desk(place, [job], clock, "dev")
    right = Desk(place, [job], clock, "prod", environ={"JOBRUNNER_ENV": "prod"})
    desks += [elsewhere, right]
    for _ in range(3):
        elsewhere.turn(MINUTE)
        right.turn()
        right.executor.end_all()
        right.turn()
    assert len(right.executor.started) == 3
    assert elsewhere.executor.started == []
    assert elsewhere.runs("skipped") == []
    right.store.leave("prod")
    elsewhere.turn(MINUTE)
    assert [run.reason for run in elsewhere.runs("skipped")] == ["environment"], "somebody keeps the record"


def test_a_run_pending_since_an_outage_is_missed_where_misfire_or_grace_say_so(
    place: Place, clock: FakeClock, desks: list[Desk]
) -> None:
    jobs = [
        a_job("skips", misfire="skip"), a_job("graced", misfire_grace=3 * SECOND), a_job("late"),
        a_job("hog"),
    ]  # fmt: skip
    before = Desk(place, jobs, clock, "a", slots=0)
    desks.append(before)
    before.turn(MINUTE)
    assert len(before.runs("pending")) == 4
    before.store.leave("a")
    clock.advance(20 * SECOND)
    after = Desk(place, jobs, clock, "b")
    desks.append(after)
    with after.store.transaction():
        after.events += after.scheduler.give_up(clock.now(), outage=True)
    after.turn()
    assert {spec["job"] for spec in after.executor.started} == {"late", "hog"}
    assert {(run.job, run.reason) for run in after.runs("skipped")} == {
        ("skips", "missed"),
        ("graced", "grace"),
    }


def test_a_run_that_waits_for_a_slot_longer_than_its_grace_is_skipped(
    place: Place, clock: FakeClock, desks: list[Desk]
) -> None:
    desk = Desk(place, [a_job("graced", misfire_grace=3 * SECOND), a_job("patient")], clock, slots=0)
    desks.append(desk)
    desk.turn(MINUTE)
    assert desk.scheduler.give_up(clock.now() + 2 * SECOND, outage=False) == []
    desk.scheduler.give_up(clock.now() + 4 * SECOND, outage=False)
    assert {(run.job, run.reason) for run in desk.runs("skipped")} == {("graced", "grace")}


def test_an_interval_goes_on_after_a_wrong_clock_is_put_right(
    place: Place, clock: FakeClock, desks: list[Desk]
) -> None:
    clock.wall += 3 * DAY
    desk = Desk(place, [a_job(schedule="every 30s")], clock)
    desks.append(desk)
    desk.turn(MINUTE)
    desk.executor.end_all()
    desk.turn()
    clock.wall -= 3 * DAY
    assert [type(event) for event in desk.scheduler.load(clock.now())] == [CursorReset]
    desk.turn(30 * SECOND)
    assert len(desk.executor.started) == 2


def test_a_node_says_once_that_another_has_newer_definitions(
    place: Place, clock: FakeClock, desks: list[Desk]
) -> None:
    one = Desk(place, [a_job(hash="old"), a_job("same")], clock, "a")
    two = Desk(place, [a_job(hash="new"), a_job("same")], clock, "b")
    desks += [one, two]
    assert one.scheduler.load(clock.now()) == [DefinitionsOutdated(("job",))]
    assert one.scheduler.load(clock.now()) == []


def test_what_the_store_refuses_to_keep_spoils_one_run_and_no_turn_after_it(
    place: Place, clock: FakeClock, desks: list[Desk]
) -> None:
    desk = Desk(place, [a_job("odd"), a_job("fine")], clock)
    desks.append(desk)
    desk.turn(MINUTE)
    for run_id, spec in list(desk.executor.specs.items()):
        desk.executor.end(run_id, Outcome(state="succeeded", result={1, 2} if spec["job"] == "odd" else 1))
    with pytest.raises(StateError):
        desk.turn()
    desk.turn()
    assert {run.job: run.state for run in desk.runs()} == {"odd": "succeeded", "fine": "succeeded"}
    odd = next(run for run in desk.runs() if run.job == "odd")
    assert odd.error is not None
    assert odd.error["type"] == "Unstorable"


def test_a_newer_definition_takes_the_job_over_and_the_older_node_stops_planning_it(
    place: Place, clock: FakeClock, desks: list[Desk]
) -> None:
    one = Desk(place, [a_job(hash="old")], clock, "a")
    two = Desk(place, [a_job(hash="new")], clock, "b")
    desks += [one, two]
    one.turn(MINUTE)
    assert one.executor.started == []
    two.turn()
    assert len(two.executor.started) == 1
    two.executor.end_all()
    two.turn()
    two.store.leave("b")
    one.scheduler.load(clock.now())
    one.turn(MINUTE)
    assert len(one.executor.started) == 1, "when its last holder is gone, the older one is current again"


def test_over_random_turns_deaths_and_delays_due_equals_ledger(new_place: NewPlace, store_kind: str) -> None:
    each = st.tuples(st.integers(1, 5), st.integers(1, 400), st.booleans())

    @settings(max_examples=30 if store_kind == "sqlite" else 8, deadline=None)
    @given(st.lists(each, min_size=1, max_size=40))
    def walk(steps: list[tuple[int, int, bool]]) -> None:
        with new_place() as place:
            _walk(place, steps)

    walk()


def _walk(place: Place, steps: list[tuple[int, int, bool]]) -> None:
    clock = FakeClock()
    jobs = [
        a_job("minutely"),
        a_job("often", "*/7 * * * * *"),
        a_job("limited", "*/20 * * * * *", number_of_executions=5),
    ]
    count = iter(range(10_000))
    desks = [Desk(place, jobs, clock, f"o{next(count)}", slots=2) for _ in range(2)]
    try:
        for action, seconds, end in steps:
            clock.advance(seconds * SECOND)
            if action == 1:  # a node dies and another takes its place
                dead = desks.pop(0)
                desks.append(Desk(place, jobs, clock, f"o{next(count)}", slots=2))
                desks[0].turn(dead=(dead.me,))
                dead.store.close()
            for desk in desks[: action % 2 + 1]:
                if end:
                    desk.executor.end_all()
                desk.turn()
        _check_ledger(desks[0], jobs)
    finally:
        for desk in desks:
            with suppress(StateError):
                desk.store.close()


def _check_ledger(desk: Desk, jobs: list[Job]) -> None:
    for standing in desk.store.standings(desk.me.owner, ""):
        job = next(job for job in jobs if job.name == standing.job)
        assert job.schedule is not None
        rows = [run for run in desk.runs() if run.job == job.name]
        due = job.schedule.count(standing.anchor, standing.consumed, standing.anchor)
        assert sum(run.count for run in rows) == due
        instants = [run.scheduled_for for run in rows]
        assert len(instants) == len(set(instants))
        assert standing.executions == len([run for run in rows if run.started_at is not None])
        assert standing.executions <= (job.number_of_executions or 10**9)


def test_an_outcome_is_kept_with_what_the_body_returned(
    place: Place, clock: FakeClock, desks: list[Desk]
) -> None:
    desk = Desk(place, [a_job()], clock)
    desks.append(desk)
    desk.turn(MINUTE)
    (run_id,) = desk.executor.specs
    desk.executor.end(run_id, Outcome(state="succeeded", result={"rows": 42}))
    desk.turn()
    run = desk.store.run(run_id)
    assert run is not None
    assert run.result == {"rows": 42}
    facts = desk.store.job("JOB")
    assert facts is not None
    assert facts.last_result == {"rows": 42}
