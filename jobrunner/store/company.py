"""What a store does for nodes that do not share a machine: one clock, a bell, and what a commit became."""

from __future__ import annotations

from typing import Protocol

from jobrunner.clock import Clock


class Company(Protocol):
    """A store in a file leaves all of this to the machine: its clock, its locks, its sockets."""

    @property
    def leased(self) -> bool:
        """Whether nodes are alive for as long as they say so, instead of while they hold their locks.

        Then `join` and `seen` set `seen_at` by the store's own clock for nodes that have a `lease`, and
        `nodes` says by that clock which of them are `expired`.
        """
        ...

    def clock(self, local: Clock) -> Clock:
        """Return the clock by which all here is due; `local` measures what passes between two looks."""
        ...

    def ring(self) -> None:
        """Wake the nodes that have hung a bell: what they go by has changed. A hint, which may get lost."""
        ...

    def bell(self) -> int | None:
        """Return a descriptor that becomes readable when somebody rings; None where there is no such thing.

        The same one until `hush` has said that it is broken; raises StateError when none can be hung.
        """
        ...

    def hush(self) -> bool:
        """Forget all rings so far; False when the bell is broken, and nobody need listen to it any more."""
        ...

    def came_through(self) -> bool:
        """Say whether the last transaction of ours was committed that failed with code "in-doubt".

        Raises StateError, again "in-doubt", while nobody can say.
        """
        ...
