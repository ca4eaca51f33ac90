"""Where nodes stand: machines, and what lies between them and the database."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Protocol

from tests.postgres.cut import Cut
from tests.postgres.server import Server


class Ground(Protocol):
    """Machines by their numbers. A cut one is not told so: what it sends is lost, or comes later."""

    @property
    def machines(self) -> int:
        """How many there are."""
        ...

    def url(self, machine: int, schema: str) -> str:
        """Return by which URL the machine reaches the database."""
        ...

    def within(self, machine: int) -> list[str]:
        """Return what stands before a command that is to run on the machine."""
        ...

    def cut(self, machine: int) -> None:
        """Take the network from a machine."""
        ...

    def heal(self, machine: int) -> None:
        """Give it back."""
        ...


class Loopback:
    """Machines that are one, each behind a proxy of its own.

    Every second cut is a silence: what was sent meanwhile arrives when it is over, late as it is. The others
    close all connections and refuse new ones.
    """

    def __init__(self, server: Server, machines: int) -> None:
        self.machines = machines
        self._stack = ExitStack()
        self._cuts = [self._stack.enter_context(Cut(server)) for _ in range(machines)]
        self._count = 0

    def url(self, machine: int, schema: str) -> str:
        return self._cuts[machine].url(schema)

    def within(self, machine: int) -> list[str]:
        return []

    def cut(self, machine: int) -> None:
        self._count += 1
        cut = self._cuts[machine]
        cut.silence() if self._count % 2 else cut.cut()

    def heal(self, machine: int) -> None:
        self._cuts[machine].heal()

    def __enter__(self) -> Loopback:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
