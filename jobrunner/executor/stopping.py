"""How a run is brought to its end: message, half of the grace, TERM, the rest, KILL. Pure."""

from __future__ import annotations

from typing import Literal

from jobrunner.clock import SECOND

Means = Literal["message", "term", "kill"]
_INSIST_EVERY = 1.0  # seconds after which KILL is repeated: its zygote may have been replaced


class Escalation:
    """What to do next to a run that shall end, and when. Times are monotonic seconds, `grace` is µs."""

    def __init__(self, now: float, grace: int) -> None:
        half = grace / SECOND / 2
        self._steps: list[tuple[float, Means]] = [
            (now, "message"),
            (now + half, "term"),
            (now + 2 * half, "kill"),
        ]

    def at_once(self, now: float) -> None:
        """Leave out what has not been tried yet but the last."""
        self._steps = [(now, "kill")]

    @property
    def due(self) -> float:
        """When the next means is due."""
        return self._steps[0][0]

    def next(self, now: float) -> Means | None:
        """Return the strongest means that is due by `now`, once; KILL comes again while it has no effect."""
        means: Means | None = None
        while self._steps and self._steps[0][0] <= now:
            means = self._steps.pop(0)[1]
        if not self._steps:
            self._steps = [(now + _INSIST_EVERY, "kill")]
        return means
