"""What goes wrong, and when: a plan is decided by its seed alone."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Kind = Literal["kill", "stop", "cut", "fast", "immediate", "freeze"]
OF_NODES: tuple[Kind, ...] = ("kill", "stop")
OF_MACHINES: tuple[Kind, ...] = ("cut",)


@dataclass(frozen=True, slots=True)
class Fault:
    """`target` is a node or a machine by its number, or 0, the database; seconds since the beginning."""

    at: float
    kind: Kind
    target: int
    lasts: float

    def __str__(self) -> str:
        return f"{self.at:6.1f}s {self.kind} {self.target} for {self.lasts:.1f}s"


# How often each is chosen, and for how many leases it lasts.
CHANCES: dict[Kind, tuple[int, float, float]] = {
    "kill": (6, 0.0, 1.5),  # until another is started in its place
    "stop": (4, 0.5, 2.5),  # a process that does not run, and goes on
    "cut": (5, 0.2, 2.5),  # a machine without a network
    "fast": (1, 0.0, 0.4),  # a database that is shut down in order
    "immediate": (1, 0.0, 0.4),  # a database that crashes
    "freeze": (1, 0.1, 0.8),  # a database that says nothing
}


def plan(
    seed: int, seconds: float, *, nodes: int, machines: int, lease: float, every: float
) -> list[Fault]:  # fmt: skip
    """Return the faults of so many seconds, about one `every` so many; those of one target never overlap."""
    found: list[Fault] = []
    busy: dict[tuple[bool, int], float] = {}
    for fault in _drawn(random.Random(seed), seconds, nodes, machines, lease, every):
        place = fault.kind in OF_NODES, _place(fault)
        if busy.get(place, 0.0) <= fault.at:
            busy[place] = fault.at + fault.lasts + 0.5
            found.append(fault)
    return found


def _drawn(
    dice: random.Random, seconds: float, nodes: int, machines: int, lease: float, every: float
) -> Iterator[Fault]:  # fmt: skip
    at = 0.0
    kinds, chances = list(CHANCES), [chance for chance, _, _ in CHANCES.values()]
    while (at := at + dice.uniform(0.5, 1.5) * every) < seconds:
        kind = dice.choices(kinds, chances)[0]
        of = nodes if kind in OF_NODES else machines if kind in OF_MACHINES else 1
        _, least, most = CHANCES[kind]
        yield Fault(at, kind, dice.randrange(of), dice.uniform(least, most) * lease)


def _place(fault: Fault) -> int:
    return fault.target if fault.kind in OF_NODES + OF_MACHINES else -1
