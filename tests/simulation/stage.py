"""What a real node finds instead of its machine: processes, locks, files and clocks that the world moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from jobrunner import workplace
from jobrunner.clock import SECOND, Clock
from jobrunner.definitions import Definitions
from jobrunner.errors import StateError
from jobrunner.events import Event
from jobrunner.facts import NodeFacts
from jobrunner.liveness import Leases, Liveness, Tenure
from jobrunner.patience import GONE
from jobrunner.settings import Settings
from jobrunner.store.base import Store
from jobrunner.store.values import AddedJob

if TYPE_CHECKING:
    from tests.simulation.player import Player
    from tests.simulation.world import World

NOW: dict[str, World] = {}  # the world in which things happen


def player() -> Player:
    """Return the node that is on the stage."""
    current = NOW["world"].current
    assert current is not None
    return current


class Role:
    """What all who play a node on the stage have in common; `owners` counts their starts."""

    world: Any
    name: str
    owner: str
    owners: int

    def settings(self) -> Settings:
        """Return what this node goes by."""
        raise NotImplementedError

    def definitions(self) -> Definitions:
        """Return what the files say."""
        jobs = {job.name: job for job in self.world.files.jobs()}
        return Definitions(jobs=jobs, problems=(), settings=self.settings())

    def new_owner(self) -> str:
        """Return another owner's id: each start, and each new start after it was given up, has its own."""
        self.owners += 1
        self.owner = f"{self.name}.{self.owners}"
        return self.owner


class Presence:
    """The locks, as the kernel keeps them: held until their process is gone, however it goes."""

    zygote_lock = ""

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._player = player()

    def announce(self) -> None:
        """Take our lock."""
        self._player.world.alive.add(self._owner)

    def leave(self) -> None:
        """Drop it."""
        self._player.world.alive.discard(self._owner)

    def is_dead(self, node: NodeFacts) -> bool:
        """Say whether a lock can be taken."""
        return node.owner not in self._player.world.alive

    def forget(self, owner: str) -> None:
        """Remove files that nobody looks at here."""

    def ring_all(self) -> None:
        """Wake all, unless that gets lost."""
        self._player.world.ring()

    def bell(self) -> int | None:
        """The world rings."""
        return None

    def hush(self) -> bool:
        """Nothing is left to hear."""
        return True


class Bells(Leases):
    """Leases as they are, with a bell that the world rings."""

    def ring_all(self) -> None:
        """Wake all, unless that gets lost."""
        player().world.ring()


class Place(workplace.Workplace):
    """A workplace without sockets and signals; what it decides about leases is the real thing."""

    def __init__(
        self, settings: Settings, presence: Liveness, me: NodeFacts, clock: Clock, *, slots: int,
        preload: Sequence[str],
    ) -> None:  # fmt: skip
        self._player = player()
        self._clock = clock
        self.presence = presence
        self.pool: Any = self._player.take_place(self, me)
        self.tenure = Tenure(me.lease, clock, self.pool.live_until)
        self.signals = 0
        self.rung = False

    def open(self) -> None:
        """Take the lock."""
        self.presence.announce()

    def close(self) -> None:
        """Give it back."""
        self.presence.leave()

    def attend(self, descriptor: int) -> None:
        """There are no descriptors."""

    def leave_alone(self, descriptor: int) -> None:
        """There are no descriptors."""

    def mind_the_bell(self) -> None:
        """The world rings."""

    def wait(self, timeout: float, *, more: bool = False) -> None:
        """Let the world go on."""
        self._player.sleep(timeout)


class Edits:
    """In place of `Reloading`: what was edited is read a little later, as a whole."""

    def __init__(
        self, definitions: Definitions, place: Place, again: Callable[[], Settings],
        emit: Callable[[Event], None], *, watch: bool, unread: bool,
    ) -> None:  # fmt: skip
        self._player = player()
        self._held = -1 if unread else self._player.version

    def close(self) -> None:
        """Read no more."""

    def ask(self, stored: Mapping[str, Mapping[str, Any]], added: Sequence[AddedJob], now: float) -> None:
        """Nobody overrides keys here."""

    def look(self, now: float) -> None:
        """Edits are told."""

    def due(self, now: float) -> float | None:
        """Return after how many seconds `turn` has something to do."""
        return None if self._held == self._player.version else 0.0

    def turn(self, now: float) -> Definitions | None:
        """Return what holds now, if it may be something else."""
        self._player.joined = True  # only who has joined asks
        if self._held == self._player.version:
            return None
        self._held = self._player.version
        return self._player.definitions()


def who_am_i(settings: Settings, clock: Clock, **how: Any) -> NodeFacts:
    """Return the facts of the node on the stage: the real ones, without chance and without this machine."""
    real = workplace.who_am_i(settings, clock, **how)
    return real._replace(owner=player().new_owner(), boot_id="b", pid=1, tzdata="")


def liveness_of(store: Store, settings: Settings, owner: str = "") -> Liveness:
    """Return how an owner shows that it lives."""
    return Bells(store) if store.leased else Presence(owner)


def local_clock() -> Clock:
    """Return the clock of the machine on the stage."""
    return player().machine.clock


@contextmanager
def set_up(world: World, look_every: float) -> Iterator[None]:
    """Let nodes that are made from here on find this world."""
    NOW["world"] = world
    stands_in: dict[str, Any] = {
        "Workplace": Place, "who_am_i": who_am_i, "liveness_of": liveness_of, "SystemClock": local_clock,
        "Reloading": Edits, "LOOK_EVERY": look_every, "hooks_of": lambda *_: frozenset(),
    }  # fmt: skip
    with patch.multiple("jobrunner.node", **stands_in), patch("jobrunner.rejoining.SystemClock", local_clock):
        yield


def expected_end(error: BaseException | None, *, shared: bool, joined: bool) -> bool:
    """Say whether a node may end so: others took it for dead by its lease, or it could not read the state
    when it started."""
    if error is None:
        return True
    code = error.code if isinstance(error, StateError) else ""
    return (shared and code in GONE) or (not joined and code == "io")


def micros(seconds: float) -> int:
    """Return microseconds."""
    return max(0, round(seconds * SECOND))
