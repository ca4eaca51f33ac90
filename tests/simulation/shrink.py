"""Which events a broken history does not need."""

from __future__ import annotations

from pathlib import Path

from tests.simulation.history import live


def shrink(seed: int, folder: Path, without: tuple[int, ...] = ()) -> tuple[int, ...]:
    """Leave out one event after the other, as long as the same rule stays broken; returns those left out.

    What is drawn later changes with what is left out, so the history that is left may be another one.
    """
    whole = live(seed, folder, without=without)
    rules = {said.partition(":")[0] for said in whole.broken}
    for at in reversed(range(whole.events)):
        fewer = live(seed, folder, without=(*without, at))
        if rules & {said.partition(":")[0] for said in fewer.broken}:
            without = (*without, at)
    return tuple(sorted(without))
