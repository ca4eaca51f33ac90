"""One process start of a node: the real loop in a thread, its connection, and its bodies."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jobrunner import rejoining
from jobrunner.errors import StateError
from jobrunner.events import Event as Told
from jobrunner.facts import NodeFacts
from jobrunner.node import Options
from jobrunner.settings import Settings
from tests.simulation.actors import Actor, Killed, Trap
from tests.simulation.bodies import Bodies
from tests.simulation.database import Private, open_store
from tests.simulation.machine import Machine
from tests.simulation.stage import Place, Role, micros

if TYPE_CHECKING:
    from tests.simulation.world import World


@dataclass
class Player(Role):
    """One process start of a node: its thread, its connection, its bodies."""

    world: World
    name: str
    machine: Machine
    actor: Actor = field(init=False)
    place: Place | None = None
    bodies: Bodies | None = None
    store: Private | None = None
    owner: str = ""
    owners: int = 0
    version: int = 0  # of the files, as this node has read them
    away_until: int = 0
    joined: bool = False
    began_by: int = 0  # the wall clock when the open transaction began

    def __post_init__(self) -> None:
        self.version = self.world.files.version
        self.actor = Actor(self.name, self._work)
        self.actor.wake_at = self.world.now

    # -- in its thread -------------------------------------------------------------------------------

    def _work(self) -> None:
        world = self.world
        settings = self.settings()
        try:
            self.store = open_store(world.path, world.server)
        except StateError as error:  # it is locked: whoever started it tries again
            world.note(f"{self.name} cannot open the state: {error.code}")
            return
        self.store.database.tell(self, self.forget)
        world.limit(self.store)
        rejoining.work(self.definitions(), self.store, self.tell, Options(), again=lambda: settings)
        self.store.close()

    def settings(self) -> Settings:
        """Return what this node goes by."""
        script = self.world.script
        return self.world.settings._replace(
            node=self.name,
            machine=self.machine.name,
            slots=script.slots,
            lease=script.lease,
        )

    def take_place(self, place: Place, me: NodeFacts) -> Bodies:
        """Work there from now on; returns what runs its bodies."""
        world = self.world
        self.place = place
        self.bodies = Bodies(world.chance, world.script.habits, world.witnesses, me.owner, me.slots)
        self.bodies.now = world.now
        return self.bodies

    def sleep(self, seconds: float) -> None:
        """Wait until the time is over, or somebody wakes us."""
        place, bodies = self.place, self.bodies
        assert place is not None
        assert bodies is not None
        awake = place.rung or place.signals or bodies.pending
        self.world.leave_stage(self, 0 if awake and seconds <= 0 else micros(seconds))
        bodies.read()

    def border(self, kind: str) -> str | None:
        """Be at a border: die there, stall, fail, or go on."""
        actor, world = self.actor, self.world
        if actor.killed:
            raise Killed
        if self.away_until > world.now:
            return "away"
        trap = actor.trap
        if trap is not None and trap.springs(kind):
            actor.trap = None
            code = self._spring(trap, kind)
        else:
            code = None
        if kind == "begun":
            self.began_by = self.wall()
        return code

    def _spring(self, trap: Trap, kind: str) -> str | None:
        actor, world = self.actor, self.world
        world.note(f"{self.name} {trap.action} at {kind}")
        world.tally[f"{trap.action} at {kind}"] += 1
        if trap.action == "kill":
            world.kill(self)
            raise Killed
        if trap.action == "stall":
            actor.stalled_until = world.now + trap.time
            world.leave_stage(self, 0)
            return None
        return trap.action

    def stamp(self) -> str:
        """Return the moment, for the journal: the clock may have been set since the transaction began."""
        return f"{self.world.now} {max(self.began_by, self.wall())} {self.owner}"

    def forget(self, claims: Iterable[tuple[int, int, str]]) -> int:
        """A standby has taken over that had not heard of these."""
        self.world.forgotten |= set(claims)
        return self.wall()

    def wall(self) -> int:
        """Return the time that this node goes by."""
        return (self.world.server or self.machine.clock).now()

    def tell(self, event: Told) -> None:
        """Hear what the node says."""
        if not self.actor.killed:
            self.world.hear(self, event)
