"""What befell nodes, their clocks and their state, as data; the part of `events` that no run is in."""

from __future__ import annotations

from typing import Any, ClassVar, dataclass_transform

from jobrunner.clock import Instant

__all__ = [
    "ClockApart",
    "ClockJumped",
    "ClockNotSet",
    "Event",
    "LeaseLapsed",
    "NoProcess",
    "NodeDied",
    "ProcessesAgain",
    "Rejoining",
    "Slept",
    "StoreRecovered",
    "StoreTroubled",
]


@dataclass_transform()
class Event:
    """Base of all: its fields are what its class declares, in that order; those with a value may be left out.

    As a dataclass has it, which takes 0.15 ms to define; and there are forty, for each command that works.
    """

    __match_args__: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        cls.__match_args__ = tuple(cls.__annotations__)  # type: ignore[misc]

    def __init__(self, *values: Any, **named: Any) -> None:
        said = vars(self)
        said.update(zip(self.__match_args__, values, strict=False), **named)
        if len(said) < len(self.__match_args__):  # what was left out is said, too: in JSON, and when compared
            said.update({name: getattr(type(self), name) for name in self.__match_args__ if name not in said})

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{key}={value!r}' for key, value in vars(self).items())})"


class NodeDied(Event):
    """Another node's locks could be taken: it is gone."""

    node: str
    pid: int


class ClockJumped(Event):
    """The wall clock moved by `micros` against the elapsed time; positive is forward."""

    micros: int


class ClockNotSet(Event):
    """The wall clock stands before this version was written: nothing is planned until it is set."""

    now: Instant


class ClockApart(Event):
    """This machine's wall clock is that far ahead of the database's; 0: they agree again.

    `astray`: so far that this node plans and claims nothing until it is mended.
    """

    micros: int
    astray: bool


class Slept(Event):
    """The machine was suspended for about `micros`, somewhere between `since` and `until`."""

    micros: int
    since: Instant
    until: Instant


class LeaseLapsed(Event):
    """This node could not renew its lease: others may soon take it for dead, so it killed its runs."""

    runs: int


class Rejoining(Event):
    """This node was taken for dead while it was not heard of; it starts again as another."""


class NoProcess(Event):
    """No process for a run can be had; the node goes on and tries again."""

    message: str


class ProcessesAgain(Event):
    """Processes for runs can be had again."""


class StoreTroubled(Event):
    """The state could not be written; the node goes on and tries again."""

    message: str


class StoreRecovered(Event):
    """The state can be written again."""
