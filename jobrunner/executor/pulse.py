"""Whether a helper is still there: when it was asked for a sign of life, and when it is taken for dead."""

from __future__ import annotations

from collections.abc import Callable

PING_EVERY = 2.0  # seconds between two questions whether a helper that has runs is still there
SILENCE = 5.0  # seconds that it may take to answer; it may have been stopped, by a run of ours too


class Pulse:
    """When a zygote was asked for a sign of life, and when it is taken for dead."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._heard_at = clock()
        self._dead_at: float | None = None

    @property
    def asked(self) -> bool:
        """Whether an answer is due."""
        return self._dead_at is not None

    def ask(self) -> None:
        """It was asked."""
        self._dead_at = self._clock() + SILENCE

    def heard(self) -> None:
        """It answered."""
        self._heard_at, self._dead_at = self._clock(), None

    def deadline(self, busy: bool) -> float | None:
        """Return when to look again."""
        return self._dead_at or (self._heard_at + PING_EVERY if busy else None)

    def due(self, now: float) -> bool:
        """Say whether it is time to ask."""
        return self._dead_at is None and now >= self._heard_at + PING_EVERY

    def silent(self, now: float) -> bool:
        """Say whether it is dead. Who comes late himself was away, and the zygote perhaps as well."""
        if self._dead_at is None or now < self._dead_at:
            return False
        if now < self._dead_at + SILENCE / 2:
            return True
        self._dead_at = now + SILENCE
        return False
