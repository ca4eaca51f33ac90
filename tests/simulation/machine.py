"""Computers and their clocks."""

from __future__ import annotations

from dataclasses import dataclass

from jobrunner.simulation.clock import FakeClock


@dataclass(slots=True)
class Machine:
    """One computer; asleep it does nothing until then."""

    name: str
    clock: FakeClock
    asleep_until: int = 0
