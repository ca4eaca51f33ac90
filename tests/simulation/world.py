"""The world of one history: machines and their clocks, nodes and their bodies, and what is done to them.

Time is the world's, in microseconds since its beginning; each machine's clock goes with it, and is wrong in
its own way. The world goes from moment to moment; at each, whoever is due goes on, in an order that is drawn.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from jobrunner.clock import MINUTE, SECOND, Clock, to_iso
from jobrunner.clockwatch import EARLIEST
from jobrunner.errors import JobrunnerError, StateError
from jobrunner.events import Event as Told
from jobrunner.model import Job
from jobrunner.settings import load
from jobrunner.simulation.clock import FakeClock
from tests.simulation.bodies import NEVER, Bodies, Witness
from tests.simulation.database import Private, new, open_store
from tests.simulation.files import Files
from tests.simulation.machine import Machine
from tests.simulation.player import Player
from tests.simulation.script import Script
from tests.simulation.stage import expected_end

LATENCIES = (0, 0, 40, 300, 2_000)  # microseconds from being due to going on
PATIENCE = 20 * MINUTE  # the longest that it may take until all is at rest


@dataclass(slots=True)
class Death:
    """How a node went: killed, or given up by others, or in good order."""

    at: int
    how: str


class World:
    """One history, under way."""

    def __init__(
        self, script: Script, chance: Random, folder: Path, trace: Callable[[str], None] | None
    ) -> None:
        self.script = script
        self.chance = chance
        self.now = 0
        self.tally: Counter[str] = Counter()
        self.witnesses: list[Witness] = []
        self.forgotten: set[tuple[int, int, str]] = set()  # claims that a standby has not heard of
        self.alive: set[str] = set()
        self.deaths: dict[str, Death] = {}
        self.faults: list[str] = []
        self.players: list[Player] = []
        self.current: Player | None = None
        self.path = new(folder, "state.db")
        self._folder = f"{folder}/"
        self.full_until = 0
        self._room = 0
        self._trace = trace
        self._counted = 0
        self.server: Clock | None = None
        self.settings = load({"project": str(folder), "jobs": [str(folder)]}, {})
        self.machines = self._make_machines()
        self.files = Files(script.jobs)
        self.people = open_store(self.path, self.server)
        self.people.database.tell(People(self))

    def _make_machines(self) -> list[Machine]:
        script = self.script
        if not script.shared:  # one computer, whatever its nodes call it
            clock = FakeClock(script.start)
            return [Machine(name, clock) for name in script.machines]
        self.server = FakeClock(script.start)
        return [
            Machine(name, FakeClock(script.start + skew))
            for name, skew in zip(script.machines, script.skews, strict=True)
        ]

    @property
    def wall(self) -> int:
        """The time that people and the store go by."""
        return (self.server or self.machines[0].clock).now()

    # -- what is noted -------------------------------------------------------------------------------

    def note(self, line: str) -> None:
        """Say what happens, where somebody listens."""
        if self._trace is not None:
            said = line.replace(self._folder, "")
            self._trace(f"{self.now / SECOND:12.6f} {to_iso(self.wall)} {said}")

    def hear(self, player: Player, event: Told) -> None:
        """A node has said something."""
        if self._trace is not None:
            self.note(f"{player.name}: {event}")

    # -- nodes ---------------------------------------------------------------------------------------

    def start(self, which: int) -> Player:
        """Start a node."""
        self._counted += 1
        player = Player(self, f"n{self._counted}", self.machines[which % len(self.machines)])
        self.players.append(player)
        self.note(f"start {player.name} on {player.machine.name}")
        return player

    def kill(self, player: Player) -> None:
        """A node is gone, and all that ran in it."""
        player.actor.killed = True
        if player.bodies is not None:
            player.bodies.now = self.now
            player.bodies.vanish(min(self.now, self._lapses_at(player)))
        if player.store is not None:
            player.store.database.die()
        self.alive.discard(player.owner)
        self.deaths[player.owner] = Death(self.now, "killed")

    def bury(self, player: Player) -> None:
        """Let a killed node's thread come to its end."""
        while not player.actor.over:
            self._on_stage(player)

    def lively(self) -> list[Player]:
        """Return the nodes that are there."""
        return [player for player in self.players if not player.actor.over]

    def ring(self) -> None:
        """Ring all bells."""
        for player in self.lively():
            if player.place is not None and self.chance.randrange(100) >= self.script.deaf:
                player.place.rung = True
                player.actor.poke(self.now)

    # -- the stage -----------------------------------------------------------------------------------

    def leave_stage(self, player: Player, time: int) -> None:
        """Called by a node: go on in so many microseconds, by the machine's clock; then some."""
        player.actor.wait(self.now + time + self.chance.choice(LATENCIES))

    def _on_stage(self, player: Player) -> None:
        self.current = player
        player.actor.go_on()
        self.current = None
        if player.actor.over:
            self._off(player)

    def _off(self, player: Player) -> None:
        self.players.remove(player)
        if player.actor.killed:
            return
        self.note(f"{player.name} has ended: {player.actor.error!r}")
        if player.bodies is not None and player.bodies.under_way:
            self.faults.append(f"{player.name} has ended, and its bodies go on")
        self.alive.discard(player.owner)
        self.deaths.setdefault(player.owner, Death(self.now, "left"))
        if not expected_end(player.actor.error, shared=self.script.shared, joined=player.joined):
            self.faults.append(f"{player.name} fell over: {player.actor.error!r}")
        if player.store is not None:
            player.store.close()

    # -- time ----------------------------------------------------------------------------------------

    def run_until(self, end: int) -> None:
        """Let all happen up to that moment."""
        while True:
            moment = min(max(self._next(), self.now), end)
            self._advance(moment)
            ready = self._move()
            if ready:
                self._on_stage(self.chance.choice(ready))
            elif moment >= end:
                return

    def _next(self) -> int:
        return min((self._next_of(player) for player in self.players), default=NEVER)

    def _next_of(self, player: Player) -> int:
        moment, bodies = player.actor.ready_at(), player.bodies
        if bodies is not None and bodies.under_way:
            moment = min(moment, bodies.next(), self._lapses_at(player))
        return max(moment, player.machine.asleep_until)

    def _lapses_at(self, player: Player) -> int:
        bodies = player.bodies
        if bodies is None or bodies.until is None or not bodies.under_way:
            return NEVER
        return self.now + round((bodies.until - player.machine.clock.boottime()) * SECOND)

    def _advance(self, moment: int) -> None:
        passed, self.now = moment - self.now, moment
        if not passed:
            return
        for machine in {id(machine.clock): machine for machine in self.machines}.values():
            if machine.asleep_until >= moment:
                machine.clock.suspend(passed / SECOND)
            else:
                machine.clock.pass_by(passed)
        if isinstance(self.server, FakeClock):
            self.server.pass_by(passed)
        if self._room and self.now >= self.full_until:
            self._lift_limit()

    def _move(self) -> list[Player]:
        """Let bodies do what is due; return the nodes that may go on."""
        ready: list[Player] = []
        for player in self.players:
            if player.machine.asleep_until > self.now:
                continue
            bodies, actor = player.bodies, player.actor
            if bodies is not None:
                bodies.now = self.now
                if bodies.under_way:
                    self._move_bodies(player, bodies)
                if bodies.pending:
                    actor.poke(self.now)
            if actor.ready_at() <= self.now:
                ready.append(player)
        return ready

    def _move_bodies(self, player: Player, bodies: Bodies) -> None:
        if (lapsed_at := self._lapses_at(player)) <= self.now:
            bodies.lapse(lapsed_at)
        bodies.move(self.now)

    def suspend(self, which: int, time: int) -> None:
        """Shut a machine; where there are several the others go on. No monotonic clock counts that."""
        machine = self.machines[which % len(self.machines)]
        if self.script.shared:
            machine.asleep_until = max(machine.asleep_until, self.now + time)
        else:
            machine.clock.suspend(time / SECOND)

    # -- the disk ------------------------------------------------------------------------------------

    def fill_disk(self, time: int) -> None:
        """Let there be no room for another page."""
        self._room = self.people.database.pages()
        self.full_until = self.now + time
        for store in self._stores():
            store.database.limit(self._room)

    def limit(self, store: Private) -> None:
        """A new connection finds the disk as it is."""
        if self._room:
            store.database.limit(self._room)

    def _lift_limit(self) -> None:
        self._room = 0
        for store in self._stores():
            store.database.limit(1 << 30)

    def _stores(self) -> list[Private]:
        theirs = [player.store for player in self.lively() if player.store is not None]
        return [self.people, *(store for store in theirs if not store.database.dead)]

    # -- the end -------------------------------------------------------------------------------------

    def settle(self, calm: Callable[[], bool]) -> None:
        """Heal all, let bodies end, and wait until nothing is left to do; then let all nodes go."""
        self._heal()
        deadline = self.now + PATIENCE
        self.run_until(self.now + 2 * SECOND)  # whoever was stopped with the lock in its hands lets go
        self.order(lambda store, now: store.resume(now))
        while not calm() and self.now < deadline:
            self._man()
            self.run_until(self.now + 2 * SECOND)
        if not calm():
            self.faults.append("what is due does not start, though all is well")
        self._stop_all()

    def _heal(self) -> None:
        self.script.habits.calm = True
        if self._room:
            self._lift_limit()
        for player in self.lively():
            player.actor.trap, player.away_until = None, 0
            player.actor.stalled_until = min(player.actor.stalled_until, self.now)
        for machine in self.machines:
            machine.asleep_until = min(machine.asleep_until, self.now)
            if self.script.shared or machine.clock.wall < EARLIEST:  # there nothing would ever start again
                machine.clock.wall = self.wall if self.script.shared else self.script.start
        self._man()

    def _man(self) -> None:
        """Let there be a node on each machine that is not about to go, and bodies that end."""
        for which, machine in enumerate(self.machines):
            there = [player for player in self.lively() if player.machine is machine]
            if all(player.place is not None and player.place.signals for player in there):
                self.start(which)
        self._calm_bodies()

    def _calm_bodies(self) -> None:
        for player in self.lively():
            if player.bodies is not None:
                player.bodies.now = self.now
                player.bodies.calm()

    def _stop_all(self) -> None:
        for player in self.lively():
            if player.place is not None:
                player.place.signals = 1
                player.actor.poke(self.now)
        deadline = self.now + 2 * MINUTE
        while self.lively() and self.now < deadline:
            self.run_until(self.now + SECOND)
        self.faults += [f"{player.name} does not come to its end" for player in self.lively()]

    def close(self) -> None:
        """End all threads."""
        for player in list(self.players):
            if not player.actor.killed:
                self.kill(player)
            self.bury(player)
        self.people.close()

    # -- the state -----------------------------------------------------------------------------------

    def ask(self, verb: Callable[[], Any]) -> Any:
        """Have people do something with the state; None when it is refused or does not work now."""
        try:
            return verb()
        except JobrunnerError as error:
            self.note(f"people: {error.code if isinstance(error, StateError) else error}")
            return None

    def order(self, verb: Callable[[Private, int], Any]) -> None:
        """Have people give an order, and ring."""
        self.ask(lambda: verb(self.people, self.wall))
        self.ring()

    def read_files(self) -> None:
        """Have each node read the files, a little later."""
        for player in self.lively():
            player.version = self.files.version
            player.actor.poke(self.now)

    def job(self, name: str) -> Job | None:
        """Return a job of the files."""
        return self.files.job(name)


class People:
    """Whoever stands outside and gives orders."""

    def __init__(self, world: World) -> None:
        self._world = world

    def border(self, kind: str) -> None:
        """Nothing happens to people."""

    def stamp(self) -> str:
        """Return the moment, for the journal."""
        return f"{self._world.now} {self._world.wall} people"
