"""Whatever happens to nodes, clocks and files: each occurrence that was due is in the ledger once.

What was due is reckoned here anew: by the schedule alone, from the moment a node first saw it on, and
again from each edit on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from jobrunner.clock import HOUR, MINUTE, SECOND, Instant
from jobrunner.model import ENDED, OPEN, Job, Outcome, Retries, Run, Standing
from jobrunner.store.moving import Movable
from tests.desk import BAD, CRASH, GOOD, Desk, House, live
from tests.fakes import a_job
from tests.place import NewPlace

EXAMPLES = {"sqlite": 25, "postgres": 6}
STEP = 5 * SECOND
SCHEDULES = ["* * * * *", "*/20 * * * * *", "*/3 * * * *", "every 45s", "every 2m", "*/2 * * * * *"]
OUTCOMES = [GOOD, BAD, CRASH, BAD._replace(state="timed_out"), Outcome(state="skipped", reason="body")]
MOST_BACK = 20 * HOUR  # a cursor that is a day ahead is set back, which is another story

jobs = st.fixed_dictionaries({
    "schedule": st.sampled_from(SCHEDULES),
    "concurrency": st.sampled_from(["forbid", "queue", "replace", "allow"]),
    "misfire": st.sampled_from(["once", "skip", "all"]),
    "misfire_grace": st.sampled_from([None, 3 * SECOND, MINUTE]),
    "number_of_executions": st.sampled_from([None, None, 1, 4]),
    "delivery": st.sampled_from(["at-most-once", "at-least-once"]),
    "retries": st.sampled_from([Retries(), Retries(max=2), Retries(max=1, delay=MINUTE)]),
    "run_per_machine": st.booleans(),
    "stop_on_error": st.sampled_from([0, 0, 2]),
    "offset": st.sampled_from([0, 0, SECOND // 2]),
})  # fmt: skip
step = st.one_of(
    st.tuples(st.just("live"), st.integers(1, 150), st.integers(0, 100), st.sampled_from(OUTCOMES)),
    st.tuples(st.just("live"), st.integers(1, 150), st.integers(0, 100), st.sampled_from(OUTCOMES)),
    st.tuples(st.just("hang"), st.integers(1, 600)),
    st.tuples(st.just("sleep"), st.integers(1, 9000)),
    st.tuples(st.just("die"), st.integers(0, 1), st.integers(0, 300)),
    st.tuples(st.just("restart"), st.integers(0, 1), st.integers(0, 300)),
    st.tuples(st.just("all_die"), st.integers(0, 3000)),
    st.tuples(st.just("pause")),
    st.tuples(st.just("resume")),
    st.tuples(st.just("say"), st.sampled_from([True, False, None])),
    st.tuples(st.just("edit"), st.sampled_from(SCHEDULES)),
    st.tuples(st.just("step"), st.integers(-3 * 3600, 3 * 3600)),
)


@dataclass
class Stretch:
    """A time in which one schedule held in one scope: since when, and up to when somebody looked."""

    job: Job
    since: Instant
    until: Instant

    def due(self, until: Instant) -> Iterator[Instant]:
        assert self.job.schedule is not None
        found = self.job.schedule.next_after(self.since, self.since)
        while found is not None and found <= until:
            yield found
            found = self.job.schedule.next_after(found, self.since)


@dataclass
class World:
    """Two nodes of one state, and what should have become due."""

    house: House
    job: Job
    stretches: dict[str, list[Stretch]] = field(default_factory=dict)
    started: list[int] = field(default_factory=list)  # by nodes that are gone
    edits: int = 0
    back: int = 0

    @property
    def now(self) -> Instant:
        return self.house.clock.now()

    def open(self, machine: str, *dead: Desk) -> None:
        self._see(machine)
        desk = self.house.open(self.job, machine=machine, dead=[each.me for each in dead])
        desk.tick()
        self._looked(desk)

    def _see(self, machine: str) -> None:
        known = self.stretches.setdefault(self.job.scope(machine), [])
        if not known or known[-1].job.schedule_key != self.job.schedule_key:
            known.append(Stretch(self.job, self.now, self.now))

    def _looked(self, *desks: Desk) -> None:
        for desk in desks:
            last = self.stretches[self.job.scope(desk.me.machine)][-1]
            last.until = max(last.until, self.now - self.job.offset)

    # -- what may happen -----------------------------------------------------------------------------

    def live(self, seconds: int, takes: int, outcome: Outcome, *desks: Desk) -> None:
        several = list(desks) or self.house.desks
        if several and seconds:
            live(several, seconds * SECOND, takes=takes * SECOND, ends=lambda _: outcome, step=STEP)
            self._looked(*several)

    def hang(self, seconds: int) -> None:
        self.house.clock.advance(seconds * SECOND)

    def sleep(self, seconds: int) -> None:
        since = self.now
        self.house.clock.advance(seconds * SECOND)
        for desk in self.house.desks:
            desk.scheduler.slept = since, self.now

    def die(self, which: int, seconds: int) -> None:
        gone = self.house.desks[which]
        self._forget(gone)
        self.house.kill(gone)
        self.live(seconds, 20, GOOD, *self.house.desks)
        self.open(gone.me.machine, gone)

    def restart(self, which: int, seconds: int) -> None:
        gone = self.house.desks[which]
        for run_id in list(gone.executor.specs):
            gone.executor.end(run_id, Outcome(state="canceled", reason="shutdown"))
        gone.dispatcher.claiming = False
        gone.turn()
        self._looked()
        self._forget(gone)
        gone.leave()
        self.house.desks.remove(gone)
        self.live(seconds, 20, GOOD, *self.house.desks)
        self.open(gone.me.machine)

    def all_die(self, seconds: int) -> None:
        gone = list(self.house.desks)
        for desk in gone:
            self._forget(desk)
            self.house.kill(desk)
        self.hang(seconds)
        for number, desk in enumerate(gone):
            self.open(desk.me.machine, *(gone if number == 0 else ()))

    def _forget(self, desk: Desk) -> None:
        self.started += [spec["runId"] for spec in desk.executor.started]

    def pause(self) -> None:
        self.house.desks[0].store.pause("ana", None, self.now)

    def resume(self) -> None:
        self.house.desks[1].store.resume(self.now)

    def say(self, enabled: bool | None) -> None:
        store = self.house.desks[1].store
        store.set_enabled(self.house.desks[0].facts().id, enabled, None, self.now)

    def edit(self, schedule: str) -> None:
        self.edits += 1
        new = a_job(schedule=schedule)
        self.job = self.job._replace(schedule=new.schedule, config=new.config, hash=f"edit {self.edits}")
        for desk in self.house.desks:
            self._see(desk.me.machine)
            desk.adopt(self.job)

    def step(self, seconds: int) -> None:
        if self.back - seconds * SECOND < MOST_BACK:
            self.back -= min(0, seconds * SECOND)
            self.house.clock.wall += seconds * SECOND
            for desk in self.house.desks:
                desk.scheduler.stale = True

    # -- what must be true ---------------------------------------------------------------------------

    def check(self) -> None:
        rows = [run for run in self.house.desks[0].runs() if run.trigger == "schedule"]
        for desk in self.house.desks:
            scope = self.job.scope(desk.me.machine)
            (standing,) = desk.store.standings(desk.me.owner, desk.me.machine)
            ours = [run for run in rows if run.scope == scope]
            self._check_occurrences(standing, [run for run in ours if run.attempt == 1])
            self._check_chains(ours)
        claimed = sorted(run.id for run in rows if run.started_at is not None)
        handed = [spec["runId"] for desk in self.house.desks for spec in desk.executor.started]
        assert sorted(handed + self.started) == claimed, "each claim is one body, each body one claim"

    def _check_occurrences(self, standing: Standing, firsts: list[Run]) -> None:
        spans = sorted((run.scheduled_for or 0, run.last_for or run.scheduled_for or 0) for run in firsts)
        for (_, end), (begin, _) in pairwise(spans):
            assert end < begin, "two rows stand for one occurrence"
        stretches = self.stretches[standing.scope]
        expected: set[Instant] = set()
        for each in stretches:
            last = each is stretches[-1]
            limited = self.job.number_of_executions is not None
            until = min(each.until, standing.consumed) if limited and last else each.until
            if standing.executions == self.job.number_of_executions:  # a finished job is due no more
                until = min(until, spans[-1][1])
            expected |= set(each.due(until)) if last or not limited else set()
        singles = {run.scheduled_for for run in firsts if run.count == 1}
        many = [run for run in firsts if run.count > 1]
        for run in many:
            assert run.count in {_number(each, run) for each in stretches}, "a row counts what it spans"
        covered = {instant for instant in expected if any(_within(instant, run) for run in many)}
        assert expected <= singles | covered, "an occurrence is absent"
        if self.job.number_of_executions is None:
            assert singles <= expected, "something is there that was never due"
        started = [run for run in firsts if run.started_at is not None]
        assert standing.executions == len(started)
        assert standing.executions <= (self.job.number_of_executions or 10**9)

    def _check_chains(self, rows: list[Run]) -> None:
        chains: dict[int, list[Run]] = {}
        for run in rows:
            assert run.state in ENDED | OPEN
            chains.setdefault(run.root_id, []).append(run)
        for chain in chains.values():
            assert [run.attempt for run in sorted(chain, key=lambda run: run.attempt)] == list(
                range(1, len(chain) + 1)
            )
            *before, _ = sorted(chain, key=lambda run: run.attempt)
            assert all(run.state in ENDED for run in before), "one attempt after the other"
        if self.job.concurrency != "allow":
            assert sum(run.state == "running" for run in rows) <= 1

    def settle(self) -> None:
        """Let all be well for a while in which nothing new is due: then nothing may be left waiting."""
        self.resume()
        self.say(True)
        self.edit("0 0 1 1 *")
        self.live(600, 0, GOOD)
        open_runs = self.house.desks[0].runs("pending", "running")
        assert [run for run in open_runs if run.effective_at <= self.now] == []
        store = self.house.desks[0].store
        assert isinstance(store, Movable)
        with store.reading() as reading:
            assert list(reading.problems()) == [], "`state check` finds nothing wrong either"


def _number(stretch: Stretch, run: Run) -> int:
    schedule = stretch.job.schedule
    assert schedule is not None
    assert run.scheduled_for is not None
    assert run.last_for is not None
    return schedule.count(run.scheduled_for - 1, run.last_for, stretch.since)


def _within(instant: Instant, run: Run) -> bool:
    return (run.scheduled_for or 0) <= instant <= (run.last_for or 0)


def test_what_was_due_is_in_the_ledger_once_whatever_happened(new_place: NewPlace, store_kind: str) -> None:
    @settings(max_examples=EXAMPLES[store_kind], deadline=None)
    @given(jobs, st.lists(step, min_size=1, max_size=12))
    def live_through(fields: dict[str, Any], steps: list[tuple[Any, ...]]) -> None:
        with new_place() as place:
            _live_through(House(place), a_job(**fields), steps)

    live_through()


def _live_through(house: House, job: Job, steps: list[tuple[Any, ...]]) -> None:
    try:
        world = World(house, job)
        world.open("m1")
        world.open("m2")
        for verb, *what in steps:
            act: Callable[..., None] = getattr(world, verb)
            act(*what)
            world.check()
        world.settle()
        world.check()
    finally:
        house.close()
