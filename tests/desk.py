"""Simulated nodes whose bodies and time the test moves, and what it sees of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count
from typing import Any

from jobrunner.clock import MINUTE, SECOND
from jobrunner.definitions import Definitions
from jobrunner.errors import StateError
from jobrunner.events import Event
from jobrunner.facts import JobFacts, NodeFacts
from jobrunner.model import Job, Outcome, Problem, Run
from jobrunner.settings import load
from jobrunner.simulation.node import SimulatedNode
from jobrunner.store.base import RunFilter
from jobrunner.wire import RunSpec
from tests.fakes import NOON, FakeClock, FakeExecutor
from tests.place import Place

GOOD = Outcome(state="succeeded")
ERROR = {"type": "ValueError", "message": "no", "traceback": "at line 1", "phase": "body"}
BAD = Outcome(state="failed", error=ERROR)
CRASH = Outcome(state="failed", error={**ERROR, "type": "Crashed", "traceback": ""})

Ends = Callable[[RunSpec], Outcome]


class Desk(SimulatedNode):
    """A node, and what a test sees of it; processes and time move by the test's hand."""

    clock: FakeClock

    def __init__(
        self, place: Place, jobs: Sequence[Job], clock: FakeClock, owner: str = "a", slots: int = 4,
        environ: dict[str, str] | None = None, *, machine: str = "m", broken: Sequence[Job] = (),
        dead: Sequence[NodeFacts] = (), role: str = "all",
    ) -> None:  # fmt: skip
        root = str(place.folder)
        said = {"project": root, "jobs": [root], "node": f"node-{owner}", "machine": machine}
        self.settings = load(said, environ or {})
        self.events: list[Event] = []
        self.executor = FakeExecutor(clock, slots)
        super().__init__(
            place.open(), self._definitions(jobs, broken), self.executor, clock, self.events.append,
            owner=owner, slots=slots, dead=dead, role=role,
        )  # fmt: skip

    def _definitions(self, jobs: Sequence[Job], broken: Sequence[Job]) -> Definitions:
        problems = [Problem(job.file, 1, "broken", name=job.name, path=job.path) for job in broken]
        return Definitions(jobs={job.name: job for job in jobs}, problems=problems, settings=self.settings)

    def turn(self, advance: int = 0, dead: tuple[NodeFacts, ...] = ()) -> None:
        """Do one turn, some time later."""
        self.clock.advance(advance)
        self.dispatcher.notice()
        self.dispatcher.turn(dead)

    def adopt(self, *jobs: Job, broken: Sequence[Job] = ()) -> None:
        """Files were edited: these are the jobs now."""
        self.hold(self._definitions(jobs, broken))

    def end_bodies(self, takes: int, ends: Ends) -> bool:
        """Let bodies end that were asked to, and those that began `takes` ago; say whether one did."""
        before = len(self.executor.specs)
        for run_id, state, reason in self.executor.stopped:
            if run_id in self.executor.specs:
                self.executor.end(run_id, GOOD._replace(state=state, reason=reason))  # type: ignore[arg-type]
        for run_id, spec in list(self.executor.specs.items()):
            if self.clock.now() - spec["startedAt"] >= takes:
                self.executor.end(run_id, ends(spec))
        return len(self.executor.specs) < before

    # -- what the test sees --------------------------------------------------------------------------

    def runs(self, *states: str, job: str | None = None) -> list[Run]:
        """Return the rows, oldest first."""
        found = self.store.runs(RunFilter(limit=100_000, job=job))[::-1]
        return [run for run in found if not states or run.state in states]

    def said(self, kind: type[Event]) -> list[Event]:
        """Return what was told of one kind."""
        return [event for event in self.events if isinstance(event, kind)]

    def ledger(self, job: str | None = None) -> list[str]:
        """Return the rows as `minute state/reason #attempt xcount`, by occurrence; manual ones last."""
        rows = self.runs(job=job)
        rows.sort(key=lambda run: (run.scheduled_for is None, run.scheduled_for, run.attempt))
        return [_line(run) for run in rows]

    def hooks(self) -> list[str]:
        """Return which hooks were called, and with which state and reason."""
        calls = [spec["hook"] for spec in self.executor.hooks if spec["hook"] is not None]
        return [f"{call['name']} {call['run']['state']} {call['run']['reason']}" for call in calls]

    def facts(self, job: str = "job") -> JobFacts:
        """Return what the store knows of a job."""
        found = self.store.job(job)
        assert found is not None
        return found

    def bodies(self, job: str | None = None) -> list[float]:
        """Return the occurrences whose bodies ran here, in minutes."""
        specs = [spec for spec in self.executor.started if job in (None, spec["job"])]
        return [_minute(spec["scheduledFor"]) for spec in specs]


class House:
    """A state at which nodes come, die and go."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.clock = FakeClock()
        self.desks: list[Desk] = []
        self._owners = count()

    def open(self, *jobs: Job, **how: Any) -> Desk:
        """Start a node."""
        desk = Desk(self.place, jobs, self.clock, f"o{next(self._owners)}", **how)
        self.desks.append(desk)
        return desk

    def kill(self, desk: Desk) -> NodeFacts:
        """Let a node vanish without a word."""
        self.desks.remove(desk)
        desk.store.close()
        return desk.me

    def close(self) -> None:
        """Close what is open."""
        for desk in self.desks:
            with suppress(StateError):
                desk.store.close()


def live(
    desks: Sequence[Desk] | Desk, span: int, *, takes: int = 0, ends: Ends = lambda _: GOOD,
    step: int = SECOND,
) -> None:  # fmt: skip
    """Let nodes work for a while, with bodies that take this long and end so.

    Where nothing has changed since all have looked around, and nothing is due, they need not look again.
    """
    several = [desks] if isinstance(desks, Desk) else desks
    clock = several[0].clock
    until = clock.now() + span
    look_at: int | None = 0  # when all must look around, whatever is due
    while clock.now() < until:
        clock.advance(min(step, until - clock.now()))
        acts = any(desk.dispatcher.must_turn(clock.now()) for desk in several)
        looks = acts or (look_at is not None and clock.now() >= look_at)
        if looks:
            _tick(several)
        ended = [desk.end_bodies(takes, ends) for desk in several]
        if any(ended):
            _tick(several)
            acts = looks = True
        if looks:
            look_at = 0 if acts else min(filter(None, (desk.next_grace() for desk in several)), default=None)


def _tick(desks: Sequence[Desk]) -> None:
    for desk in desks:
        desk.tick()


def _line(run: Run) -> str:
    when = "-" if run.scheduled_for is None else f"{_minute(run.scheduled_for):g}"
    line = f"{when} {run.state}" + (f"/{run.reason}" if run.reason else "")
    line += f" #{run.attempt}" if run.attempt > 1 else ""
    return line + (f" x{run.count}" if run.count > 1 else "")


def _minute(instant: int | None) -> float:
    return -1 if instant is None else (instant - NOON) / MINUTE
