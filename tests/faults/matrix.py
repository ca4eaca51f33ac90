"""The crash table: at which points something can happen to a node, what can, and what is promised then."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from jobrunner.clock import SECOND
from tests.faults.stage import Shot


class Stage(Enum):
    """How far the run is at a point."""

    DUE = "nothing has started"
    CLAIMED = "the start is committed, and no child was told"
    TOLD = "the body is at work, or about to be"
    ENDED = "the body has ended, and that is not recorded"
    RECORDED = "its end is committed"


class Point(NamedTuple):
    """`row` is that of the table in docs/reliability.md; `behind` another point that is passed before."""

    row: int
    name: str
    how_far: Stage
    behind: str = ""
    spares_at: int = 0

    def shot(self, action: str) -> Shot:
        """Return what happens there."""
        return Shot(self.name, action, self.behind, self.spares_at)

    def __str__(self) -> str:
        where = f"{self.name} behind {self.behind}" if self.behind else self.name
        return f"{self.row} {where}" + (" of what was due" if self.spares_at else "")


POINTS = (
    Point(1, "before-plan", Stage.DUE),
    Point(1, "after-enqueue", Stage.DUE),
    Point(1, "before-claim", Stage.DUE),
    Point(2, "before-claim", Stage.DUE, "commit-heard", spares_at=2 * SECOND),
    Point(3, "commit-unsent", Stage.DUE, "after-claim"),
    Point(3, "commit-heard", Stage.CLAIMED, "after-claim"),
    Point(4, "after-claim", Stage.DUE),
    Point(5, "after-claim-commit", Stage.CLAIMED),
    Point(5, "before-go", Stage.CLAIMED),
    Point(6, "after-go", Stage.TOLD),
    Point(6, "body", Stage.TOLD),
    Point(6, "working", Stage.TOLD),
    Point(8, "after-reply", Stage.ENDED),
    Point(8, "before-commit", Stage.ENDED),
    Point(9, "commit-unsent", Stage.ENDED, "before-commit"),
    Point(9, "commit-heard", Stage.RECORDED, "before-commit"),
    Point(10, "after-commit", Stage.RECORDED),
    Point(11, "reaped", Stage.RECORDED),
)
DELIVERIES = ("at-most-once", "at-least-once", "exactly-once")
ACTIONS = ("kill", "freeze", "raise", "dbgone")  # and "away": for longer than a lease, which a file has not

Row = tuple[int, str, str | None]  # attempt, state, reason
ONCE: list[Row] = [(1, "succeeded", None)]
LOST: Row = (1, "lost", None)
CUT_SHORT: Row = (1, "canceled", "shutdown")

# How the first attempt ends, if not well. A node that is stopped is dead only where it lives by a lease.
UNDONE: dict[str, dict[Stage, Row]] = {
    "kill": {Stage.CLAIMED: LOST, Stage.TOLD: LOST, Stage.ENDED: LOST},
    "freeze": {Stage.CLAIMED: LOST, Stage.TOLD: LOST, Stage.ENDED: LOST},
    "raise": {Stage.CLAIMED: LOST, Stage.TOLD: CUT_SHORT},
    "dbgone": {},
    "away": {Stage.CLAIMED: LOST, Stage.TOLD: LOST},
}


def promised(point: Point, action: str, delivery: str, store: str) -> list[Row]:
    """Return the ledger when all is over."""
    first = None if (action, store) == ("freeze", "sqlite") else UNDONE[action].get(point.how_far)
    if first is None:
        return ONCE
    return [first] if delivery == "at-most-once" else [first, (2, "succeeded", None)]


def may_begin(point: Point, action: str, ledger: list[Row]) -> set[int]:
    """Return how often the body of the first attempt may have begun."""
    if ledger == ONCE or point.how_far is Stage.ENDED:
        return {1}
    return {0} if point.how_far is Stage.CLAIMED and action in ("kill", "raise") else {0, 1}
