"""In which order a node does what there is to do: what somebody waits for comes first."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from jobrunner.node import LOOK_EVERY, Node


def round_of(*, since_look: float = 0.5, leapt: int | None = None, rung: bool = False) -> list[str]:
    """Return what a node did in one round, whose last look was so many seconds ago."""
    did: list[str] = []
    node: Any = Node.__new__(Node)
    node._clock = SimpleNamespace(monotonic=lambda: 1000.0)
    node._looked_at = 1000.0 - since_look
    node._clocks = SimpleNamespace(look=lambda: leapt)
    node._patience = SimpleNamespace(until=0.0)
    node._dispatcher = SimpleNamespace(in_doubt=False, look_for_pending=lambda: did.append("ask"))
    node.place = SimpleNamespace(rung=rung)
    node._hold = lambda: did.append("hold")
    node._turn = lambda: did.append("turn")
    node._look_around = lambda _: did.append("look")
    node._reload = lambda: did.append("reload")
    node._go_round()
    return did


def test_what_is_due_does_not_wait_until_the_node_has_looked_around() -> None:
    assert round_of() == ["hold", "turn", "look", "reload", "turn"]
    assert round_of(since_look=LOOK_EVERY) == ["hold", "turn", "look", "reload", "turn"]


def test_nor_does_what_somebody_has_just_asked_for() -> None:
    assert round_of(rung=True) == ["hold", "ask", "turn", "look", "reload", "turn"]


def test_who_has_not_looked_for_long_looks_before_it_does_anything() -> None:
    assert round_of(since_look=2 * LOOK_EVERY) == ["hold", "look", "reload", "turn"]


def test_who_finds_that_time_has_leapt_looks_first() -> None:
    assert round_of(leapt=3_000_000) == ["hold", "look", "reload", "turn"]
    assert round_of(leapt=-3_000_000) == ["hold", "look", "reload", "turn"]
