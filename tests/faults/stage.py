"""One job, due once, on whole nodes to whom something happens at a fail point: real loop and store.

The nodes are those of `tests.simulation`, on the same stage, but the state may be in PostgreSQL, too, and
what happens is not drawn but said. Who is stopped stands still in the midst of a call while others work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any, NamedTuple, cast
from unittest.mock import patch

from jobrunner import rejoining
from jobrunner.clock import MILLISECOND, SECOND
from jobrunner.events import Event
from jobrunner.facts import NodeFacts
from jobrunner.model import BY_PROCESS, Chosen, Run
from jobrunner.node import Options
from jobrunner.settings import Settings, load
from jobrunner.simulation.clock import FakeClock
from jobrunner.store.base import RunFilter, Store
from jobrunner.wire import RunSpec
from tests.simulation.actors import Killed
from tests.simulation.bodies import NEVER, Bodies, Habits, Witness, key
from tests.simulation.files import Files
from tests.simulation.machine import Machine
from tests.simulation.stage import Place, Role, micros, set_up
from tests.simulation.world import World

LEASE = 12 * SECOND
STOPPED = 60 * SECOND  # how long a stopped node stands still: five leases
PATIENCE = 3600 * SECOND  # until which every history is over
TAKES = 20 * SECOND  # what a body needs: longer than a node may act without its lease


class Shot(NamedTuple):
    """What happens at a point: its first pass behind another point, or behind nothing."""

    point: str
    action: str
    behind: str = ""
    spares_at: int = 0  # from when on the node has children for what is due


class Ground(NamedTuple):
    """Where the state is, and what only a database or a file can have happen to it."""

    open: Callable[[Stage], Store]  # for a node
    look: Callable[[], Store]  # for whoever stands outside
    cut: Callable[[Life], None]  # nobody reaches the state any more
    heal: Callable[[], None]
    give_up: Callable[[Life], None]  # a node was silent for longer than its lease


class Told(NamedTuple):
    """What became of it."""

    ledger: list[tuple[int, str, str | None]]  # attempt, state, reason
    begun: list[int]  # the attempt of each body that has begun, in their order
    overlaps: bool  # whether two bodies were at work at once
    written: int  # what exactly-once bodies have written: one for each that counts
    executions: int
    ends: list[str]  # how the nodes ended
    problems: Sequence[str]  # of the ledger
    nodes: int  # that are still in the state
    turns: int  # how often nodes have waited
    said: list[str]  # by the nodes


class Spares(Bodies):
    """Bodies of one length; `stage` may have them crash, and has spares from some moment on."""

    def __init__(self, stage: Stage, owner: str, slots: int) -> None:
        super().__init__(stage.chance, stage.habits, stage.witnesses, owner, slots)
        self._stage = stage

    @property
    def unheard(self) -> Sequence[object]:
        """What happened, and its node has not heard of."""
        return self._happened

    @property
    def ready(self) -> Sequence[int]:
        """See `Bodies.ready`."""
        return super().ready if self._stage.now >= self._stage.spares_at else ()

    def run(
        self, spec: RunSpec, pid: int, timeout: int | None, runs_per_process: int = 1,
        executor: Chosen = BY_PROCESS,
    ) -> int:  # fmt: skip
        """See `Bodies.run`."""
        self._stage.habits.crash = self._stage.crashes
        self._stage.crashes = 0
        return super().run(spec, pid, timeout, runs_per_process, executor)


class Life(Role):
    """A node's process, from its start to its end: what the simulation's stage calls a player."""

    def __init__(self, stage: Stage, name: str) -> None:
        self.world = self.stage = stage
        self.name = name
        self.machine = Machine(name, stage.clock)
        self.version, self.joined = 0, False
        self.owner, self.owners = "", 0
        self.dead, self.woken = False, False
        self.place: Place | None = None
        self.bodies: Spares | None = None
        self.store: Store | None = None
        self.over_at = NEVER

    def work(self, until: int = NEVER) -> str:
        """Live; returns how it ended. Asked to end then, by the stage's time, unless all is done before."""
        self.over_at = until
        with self.stage.playing(self):
            try:
                self.store = self.stage.ground.open(self.stage)
                code, _ = rejoining.work(
                    self.definitions(), self.store, self._tell, Options(until_done=True), again=self.settings
                )
                return str(code)
            except Killed:
                return "killed"
            except Exception as error:
                return "killed" if self.dead else f"{type(error).__name__}: {error}"
            finally:
                self._gone()

    def _gone(self) -> None:
        self.stage.alive.discard(self.owner)
        if self.bodies is not None:
            self.bodies.vanish(self.stage.now)
        if self.store is not None:
            self.store.close()

    def die(self) -> None:
        """Go without another word."""
        self.dead = True
        self._gone()
        raise Killed

    # -- what the simulation's stage asks for ---------------------------------------------------------

    def settings(self) -> Settings:
        """Return what this node goes by."""
        return self.stage.settings._replace(node=self.name, machine=self.name, slots=2, lease=LEASE)

    def take_place(self, place: Place, me: NodeFacts) -> Bodies:
        """Work there from now on; returns what runs its bodies."""
        self.place, self.bodies = place, Spares(self.stage, me.owner, me.slots)
        self.bodies.now = self.stage.now
        return self.bodies

    def sleep(self, seconds: float) -> None:
        """Wait until the time is over, or there is something to hear."""
        if self.dead:
            raise Killed
        stage, bodies, place = self.stage, self.bodies, self.place
        stage.turns += 1
        assert bodies is not None
        assert place is not None
        until = stage.now + max(1, micros(seconds))
        heard = len(bodies.unheard)
        stage.move()
        while stage.now < until and len(bodies.unheard) == heard and not self.woken:
            stage.advance(until)
        self.woken = False
        if stage.now >= self.over_at:
            place.signals = max(place.signals, 1)
        if any(body.witness.began_at is not None for body in bodies.under_way.values()):
            stage.reach("working")

    def _tell(self, event: Event) -> None:
        self.stage.said.append(f"{self.name}: {event}")


class Stage:
    """The world that the simulation's stage finds: one clock, some lives, one shot."""

    def __init__(self, folder: Path, ground: Ground, config: dict[str, Any]) -> None:
        self.ground = ground
        self.clock = FakeClock()
        self.chance = Random(1)
        self.habits = Habits((TAKES,), bad=0, crash=0, hang=0, skip=0)
        self.script = SimpleNamespace(deaf=0)
        self.settings = load({"project": str(folder), "jobs": [str(folder)]}, {})
        self.files = Files([config])
        self.alive: set[str] = set()
        self.witnesses: list[Witness] = []
        self.lives: list[Life] = []
        self.said: list[str] = []
        self.ends: list[str] = []
        self.current: Life | None = None
        self.crashes = 0
        self.spares_at = 0
        self.away_until = 0
        self.now, self.turns = 0, 0
        self.shot: Shot | None = None
        self.fired = False

    # -- time -----------------------------------------------------------------------------------------

    def advance(self, until: int) -> None:
        """Let time pass up to the next thing that happens, or until then."""
        moments = [until, *(self._next(life) for life in self.lives)]
        passed = max(0, min(moments) - self.now)
        self.now += passed
        self.clock.pass_by(passed)
        assert self.now < PATIENCE, "\n".join(self.said)
        if self.away_until and self.now >= self.away_until:
            self.away_until = 0
            self.ground.heal()
        self.move()

    def move(self) -> None:
        """Let bodies do what is due, those of a stopped node, too, unless its zygote ends them."""
        for life in self.lives:
            if life.bodies is not None:
                if (lapsed_at := self._lapses_at(life)) <= self.now:
                    life.bodies.now = self.now
                    life.bodies.lapse(lapsed_at)
                life.bodies.move(self.now)

    def _next(self, life: Life) -> int:
        bodies = life.bodies
        return NEVER if bodies is None else min(bodies.next(), self._lapses_at(life))

    def _lapses_at(self, life: Life) -> int:
        bodies = life.bodies
        if bodies is None or bodies.until is None or not bodies.under_way:
            return NEVER
        return self.now + round((bodies.until - self.clock.boottime()) * SECOND)

    def ring(self) -> None:
        """Ring all bells."""
        for life in self.lives:
            if life.place is not None:
                life.place.rung = life.woken = True

    @contextmanager
    def playing(self, life: Life) -> Iterator[None]:
        """Have a node act; who acted before stands still meanwhile."""
        before, self.current = self.current, life
        self.lives.append(life)
        try:
            yield
        finally:
            self.lives.remove(life)
            self.current = before

    # -- what happens ---------------------------------------------------------------------------------

    def reach(self, point: str) -> None:
        """Pass a point; die, stand still, fail there, or find the state gone."""
        shot, life = self.shot, self.current
        if shot is None or life is None or life.name != "one":
            return
        if shot.behind == point:
            self.shot = shot._replace(behind="")
        elif shot.point == point and not shot.behind:
            self.shot, self.fired = None, True
            self._act(life, point, shot.action)

    def _act(self, life: Life, point: str, action: str) -> None:
        if action == "kill":
            life.die()
        elif action == "freeze":
            self._stand_still(life)
        elif action == "raise":
            raise RuntimeError(f"the fail point {point} was reached")
        else:
            self.away_until = self.now + (3 if action == "dbgone" else 30) * SECOND
            self.ground.cut(life)
            if point.startswith("commit-"):
                raise ConnectionError(f"lost at the fail point {point}")

    def _stand_still(self, life: Life) -> None:
        """Let others work meanwhile; a lease ends, and bodies go on."""
        self.advance_to(self.now + LEASE)
        self.ground.give_up(life)
        self.ends.append(Life(self, "two").work(self.now + STOPPED))
        self.advance_to(self.now + STOPPED)

    def advance_to(self, moment: int) -> None:
        """Let time pass."""
        while self.now < moment:
            self.advance(moment)

    # -- the whole ------------------------------------------------------------------------------------

    def play(self, shot: Shot | None, *, crashes: bool = False) -> Told:
        """Have a node work to whom that happens, then another one; returns what is left."""
        self.shot, self.crashes = shot, 100 * crashes
        self.spares_at = shot.spares_at if shot else 0
        with set_up(cast(World, self), 1.0), patch("jobrunner.failpoints.reach", self.reach):
            self.ends.append(Life(self, "one").work())
            self.advance_to(self.now + LEASE + 100 * MILLISECOND)
            self._bury()
            self.ends.append(Life(self, "three").work(self.now + STOPPED))
        return self._told()

    def _bury(self) -> None:
        """Leases of the dead are over by now."""
        self.ground.give_up(Life(self, ""))

    def _told(self) -> Told:
        store = self.ground.look()
        try:
            runs: list[Run] = sorted(store.runs(RunFilter(limit=100)), key=lambda run: run.id)
            documents = {each.key: each.value for each in store.documents("count/")}
            (fact,) = [fact for fact in store.jobs() if fact.name == "sole"]
            with store.reading() as reading:  # type: ignore[attr-defined]  # both of ours can
                problems = list(reading.problems())
            return Told(
                [(run.attempt, run.state, run.reason) for run in runs],
                [each.attempt for each in self.witnesses if each.began_at is not None],
                _overlap([each for each in self.witnesses if each.began_at is not None]),
                documents.get(key("sole"), 0), fact.executions, self.ends, problems, len(store.nodes()),
                self.turns, self.said,
            )  # fmt: skip
        finally:
            store.close()


def _overlap(begun: list[Witness]) -> bool:
    spans = sorted((each.began_at or 0, each.over_at) for each in begun)
    return any(after[0] < before[1] for before, after in pairwise(spans))
