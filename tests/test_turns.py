"""The dispatcher and scheduler, with a real store, and processes and time that the test moves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobrunner.clock import DAY, HOUR, MINUTE, SECOND
from jobrunner.dispatcher import Dispatcher
from jobrunner.errors import StateError
from jobrunner.events import ClaimLost, CursorAhead, CursorReset, Event, Finished, JobFinished, Lost, Skipped
from jobrunner.model import Job, NodeFacts, Outcome, Run
from jobrunner.scheduler import Scheduler
from jobrunner.settings import load
from jobrunner.store import open_store
from jobrunner.store.base import RunFilter, Store
from tests.fakes import NOON, FakeClock, FakeExecutor, a_job


class Desk:
    """A node without processes: one store connection, one dispatcher, one hand on the clock."""

    def __init__(
        self, root: Path, jobs: list[Job], clock: FakeClock, owner: str = "a", slots: int = 4
    ) -> None:
        self.settings = load({"project": str(root), "jobs": [str(root)]}, {})
        self.store: Store = open_store(f"sqlite:///{root}/state.db", create=True)
        self.clock = clock
        self.events: list[Event] = []
        self.me = NodeFacts(
            owner=owner, node=f"node-{owner}", machine="m", boot_id="b", pid=1, version="0", slots=slots,
            exclusive=False, started_at=clock.now(), seen_at=clock.now(),
        )  # fmt: skip
        self.executor = FakeExecutor(slots)
        by_name = {job.name: job for job in jobs}
        self.scheduler = Scheduler(self.store, self.me, by_name, self.settings)
        self.dispatcher = Dispatcher(
            self.store, self.executor, self.scheduler, self.me, self.settings, clock, self.events.append
        )
        with self.store.transaction():
            self.store.join(self.me)
            found = self.store.register(owner, jobs, "", clock.now())
            self.scheduler.start_at_once(found.added, clock.now())
            self.events += self.scheduler.load(clock.now())

    def turn(self, advance: int = 0, dead: tuple[NodeFacts, ...] = ()) -> None:
        self.clock.advance(advance)
        self.dispatcher.notice()
        self.dispatcher.turn(self.clock.now(), dead)

    def runs(self, *states: str) -> list[Run]:
        found = self.store.runs(RunFilter(limit=100_000))[::-1]
        return [run for run in found if not states or run.state in states]

    def said(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def desks(tmp_path: Path) -> Iterator[list[Desk]]:
    opened: list[Desk] = []
    yield opened
    for desk in opened:
        desk.store.close()


def test_one_turn_enqueues_claims_and_hands_out(tmp_path: Path, clock: FakeClock, desks: list[Desk]) -> None:
    desk = Desk(tmp_path, [a_job()], clock)
    desks.append(desk)
    desk.turn(MINUTE)
    (spec,) = desk.executor.started
    assert (spec["job"], spec["scheduledFor"], spec["attempt"]) == ("job", NOON + MINUTE, 1)
    assert [run.state for run in desk.runs()] == ["running"]
    desk.executor.end_all()
    desk.turn()
    assert [run.state for run in desk.runs()] == ["succeeded"]
    assert isinstance(desk.events[-1], Finished)


def test_two_nodes_that_see_the_same_moment_start_it_once(
    tmp_path: Path, clock: FakeClock, desks: list[Desk]
) -> None:
    one, two = Desk(tmp_path, [a_job()], clock, "a"), Desk(tmp_path, [a_job()], clock, "b")
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
    tmp_path: Path, clock: FakeClock, desks: list[Desk]
) -> None:
    jobs = [a_job(f"job-{number}") for number in range(6)]
    one, two = Desk(tmp_path, jobs, clock, "a", slots=2), Desk(tmp_path, jobs, clock, "b", slots=2)
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
    tmp_path: Path, clock: FakeClock, desks: list[Desk]
) -> None:
    desk = Desk(tmp_path, [a_job(number_of_executions=2)], clock)
    desks.append(desk)
    for _ in range(5):
        desk.turn(MINUTE)
        desk.executor.end_all()
        desk.turn()
    assert [spec["isLast"] for spec in desk.executor.started] == [False, True]
    assert desk.scheduler.next_due() is None
    assert len(desk.said(JobFinished)) == 1


def test_a_dead_nodes_run_is_lost_and_what_it_says_afterwards_is_not_recorded(
    tmp_path: Path, clock: FakeClock, desks: list[Desk]
) -> None:
    one, two = Desk(tmp_path, [a_job()], clock, "a"), Desk(tmp_path, [a_job()], clock, "b")
    desks += [one, two]
    one.turn(MINUTE)
    two.turn(dead=(one.me,))
    assert [run.state for run in two.runs()] == ["lost"]
    assert len(two.said(Lost)) == 1
    one.executor.end_all()
    one.turn()
    assert [run.state for run in two.runs()] == ["lost"]
    assert len(one.said(ClaimLost)) == 1


def test_when_the_commit_fails_nothing_is_handed_out_and_no_outcome_is_forgotten(
    tmp_path: Path, clock: FakeClock, desks: list[Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(tmp_path, [a_job()], clock)
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


def test_a_clock_that_goes_back_repeats_nothing(tmp_path: Path, clock: FakeClock, desks: list[Desk]) -> None:
    desk = Desk(tmp_path, [a_job(concurrency="allow")], clock)
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
    tmp_path: Path, clock: FakeClock, desks: list[Desk]
) -> None:
    desk = Desk(tmp_path, [a_job()], clock)
    desks.append(desk)
    desk.turn(HOUR)
    clock.wall -= 30 * MINUTE
    warnings = desk.scheduler.load(clock.now())
    assert [type(warning) for warning in warnings] == [CursorAhead]
    desk.turn(20 * MINUTE)
    assert len(desk.executor.started) == 1


def test_a_cursor_more_than_a_day_ahead_is_set_back(
    tmp_path: Path, clock: FakeClock, desks: list[Desk]
) -> None:
    desk = Desk(tmp_path, [a_job()], clock)
    desks.append(desk)
    desk.turn(80 * 365 * DAY)
    desk.executor.end_all()
    desk.turn()
    clock.wall -= 80 * 365 * DAY
    warnings = desk.scheduler.load(clock.now())
    assert [type(warning) for warning in warnings] == [CursorReset]
    desk.turn(MINUTE)
    assert len(desk.executor.started) == 2


def test_pause_and_disabled_record_what_they_skip(
    tmp_path: Path, clock: FakeClock, desks: list[Desk]
) -> None:
    jobs = [a_job("off", enabled=False), a_job("elsewhere", environments=("production",))]
    desk = Desk(tmp_path, jobs, clock)
    desks.append(desk)
    desk.turn(MINUTE)
    assert {(run.job, run.reason) for run in desk.runs("skipped")} == {
        ("off", "disabled"), ("elsewhere", "environment"),
    }  # fmt: skip
    assert len(desk.said(Skipped)) == 2


def test_a_newer_definition_takes_the_job_over_and_the_older_node_stops_planning_it(
    tmp_path: Path, clock: FakeClock, desks: list[Desk]
) -> None:
    one = Desk(tmp_path, [a_job(hash="old")], clock, "a")
    two = Desk(tmp_path, [a_job(hash="new")], clock, "b")
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


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 400), st.booleans()), min_size=1, max_size=40))
def test_over_random_turns_deaths_and_delays_due_equals_ledger(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, int, bool]]
) -> None:
    root = tmp_path_factory.mktemp("walk")
    clock = FakeClock()
    jobs = [
        a_job("minutely"),
        a_job("often", "*/7 * * * * *"),
        a_job("limited", "*/20 * * * * *", number_of_executions=5),
    ]
    count = iter(range(10_000))
    desks = [Desk(root, jobs, clock, f"o{next(count)}", slots=2) for _ in range(2)]
    try:
        for action, seconds, end in steps:
            clock.advance(seconds * SECOND)
            if action == 1:  # a node dies and another takes its place
                dead = desks.pop(0)
                desks.append(Desk(root, jobs, clock, f"o{next(count)}", slots=2))
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
    tmp_path: Path, clock: FakeClock, desks: list[Desk]
) -> None:
    desk = Desk(tmp_path, [a_job()], clock)
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
