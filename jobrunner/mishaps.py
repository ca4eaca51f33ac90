"""What befell nodes, their clocks and their state, as data; the part of `events` that no run is in."""

from __future__ import annotations

from dataclasses import dataclass

from jobrunner.clock import Instant

__all__ = [
    "ClockApart",
    "ClockJumped",
    "ClockNotSet",
    "Event",
    "LeaseLapsed",
    "NodeDied",
    "Rejoining",
    "Slept",
    "StoreRecovered",
    "StoreTroubled",
]


@dataclass(slots=True)
class Event:
    """Base of all."""


@dataclass(slots=True)
class NodeDied(Event):
    """Another node's locks could be taken: it is gone."""

    node: str
    pid: int


@dataclass(slots=True)
class ClockJumped(Event):
    """The wall clock moved by `micros` against the elapsed time; positive is forward."""

    micros: int


@dataclass(slots=True)
class ClockNotSet(Event):
    """The wall clock stands before this version was written: nothing is planned until it is set."""

    now: Instant


@dataclass(slots=True)
class ClockApart(Event):
    """This machine's wall clock is that far ahead of the database's; 0: they agree again.

    `astray`: so far that this node plans and claims nothing until it is mended.
    """

    micros: int
    astray: bool


@dataclass(slots=True)
class Slept(Event):
    """The machine was suspended for about `micros`, somewhere between `since` and `until`."""

    micros: int
    since: Instant
    until: Instant


@dataclass(slots=True)
class LeaseLapsed(Event):
    """This node could not renew its lease: others may soon take it for dead, so it killed its runs."""

    runs: int


@dataclass(slots=True)
class Rejoining(Event):
    """This node was taken for dead while it was not heard of; it starts again as another."""


@dataclass(slots=True)
class StoreTroubled(Event):
    """The state could not be written; the node goes on and tries again."""

    message: str


@dataclass(slots=True)
class StoreRecovered(Event):
    """The state can be written again."""
