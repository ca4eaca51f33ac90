"""Who lives: what a kernel knows on one machine, what a lease says over a database.

`Presence` holds locks beside the state's file; `Leases` are rows that their nodes renew. Either way an owner
that is dead once never comes back: whoever was only silent starts again as another.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from jobrunner.clock import SECOND, Clock
from jobrunner.errors import StateError
from jobrunner.facts import NodeFacts
from jobrunner.presence import Presence, Ringer, bells_in
from jobrunner.settings import Settings
from jobrunner.store.base import Store


class Bells(Protocol):
    """How to wake nodes."""

    def ring_all(self) -> None:
        """Wake every node that listens."""
        ...


class Liveness(Bells, Protocol):
    """An owner's sign of life, and its view of the others."""

    @property
    def zygote_lock(self) -> str:
        """The lock file that this owner's zygote must hold; "" where there is none."""
        ...

    def announce(self) -> None:
        """Show that we live. Raises StateError."""
        ...

    def leave(self) -> None:
        """Take everything down. Idempotent."""
        ...

    def is_dead(self, node: NodeFacts) -> bool:
        """Say whether another owner is proven dead."""
        ...

    def forget(self, owner: str) -> None:
        """Remove what an owner has left whose end is recorded."""
        ...

    def bell(self) -> int | None:
        """Return a descriptor that is readable when somebody rang, or None."""
        ...

    def hush(self) -> bool:
        """Forget all rings received so far; False when the bell is broken."""
        ...


class Leases:
    """The rows of the nodes, by the store's clock."""

    zygote_lock = ""

    def __init__(self, store: Store) -> None:
        self._store = store

    def announce(self) -> None:
        """Nothing: `join` and `seen` do."""

    def leave(self) -> None:
        """Nothing: the store's `leave` does."""

    def is_dead(self, node: NodeFacts) -> bool:
        """Say whether its lease has ended."""
        return node.expired

    def forget(self, owner: str) -> None:
        """Nothing is left of it but its row, which went with its recovery."""

    def ring_all(self) -> None:
        """Wake all nodes; without a database they look by themselves."""
        with suppress(StateError):
            self._store.ring()

    def bell(self) -> int | None:
        """Return what to listen to; None while there is nothing, or nobody knows."""
        with suppress(StateError):  # whoever needs the store itself is told
            return self._store.bell()
        return None

    def hush(self) -> bool:
        """Forget all rings."""
        return self._store.hush()


def liveness_of(store: Store, settings: Settings, owner: str = "") -> Liveness:
    """Return how an owner shows that it lives; without one, how to look at the others."""
    return Leases(store) if store.leased else Presence(Path(settings.state_folder), owner)


def bells_of(store: Store, settings: Settings) -> Bells:
    """Return how to wake all nodes, often."""
    return Leases(store) if store.leased else Ringer(bells_in(Path(settings.state_folder)))


class Tenure:
    """Until when a node may act by its lease. Measured from before it asked, so no clock is compared.

    It stops by itself at two thirds of its lease; where it cannot, for it is stopped itself, its zygote kills
    what runs at three quarters; others take over at the whole. Without a lease (0) there is no end.
    """

    def __init__(self, lease: int, clock: Clock, tell: Callable[[float], None] = lambda _: None) -> None:
        """`lease` in microseconds; the clock's boot time counts sleep, too. `tell` hears of deadlines."""
        self._length = lease / SECOND
        self._tell = tell
        self._clock = clock
        self._asked_at = clock.boottime()
        self._confirmed_at = self._asked_at  # seconds of boot time

    def ask(self) -> None:
        """Note that we are about to renew it."""
        self._asked_at = self._clock.boottime()

    def renewed(self) -> None:
        """Note that the store has heard us."""
        self._confirmed_at = self._asked_at
        if self.deadline is not None:
            self._tell(self.deadline)

    @property
    def lapsed(self) -> bool:
        """Whether we may act no more."""
        return bool(self._length) and self._clock.boottime() >= self._confirmed_at + self._length * 2 / 3

    @property
    def deadline(self) -> float | None:
        """By when all that runs is to be dead, whatever becomes of us: seconds of boot time."""
        return self._confirmed_at + self._length * 3 / 4 if self._length else None


def renew(store: Store, me: NodeFacts, tenure: Tenure) -> None:
    """Renew a lease alone, which changes a row in its place: all else may find no room on the disk."""
    if me.lease:
        tenure.ask()
        with suppress(StateError):
            if store.seen(me.owner, me.seen_at):
                tenure.renewed()
