"""The server's clock, as far as one can know it from here: what it said last, and what has passed since."""

from __future__ import annotations

from jobrunner.clock import SECOND, Clock, Instant

WORTH = 0.001  # seconds by which a reading must be off before the clock is set by it


class ServerClock:
    """A `Clock` whose wall is the server's; the local wall clock may be wrong, and set, as it likes."""

    def __init__(self, local: Clock) -> None:
        self._local = local
        self._said: Instant | None = None
        self._heard_at = 0.0  # boot time, seconds
        self._quickest = float("inf")

    def hear(self, said: Instant, took: float) -> None:
        """Take in what the server's clock said in an answer that came `took` seconds after the asking.

        It may have waited for a lock before it looked, but not after: so half of the quickest round trip is
        how old the answer is.
        """
        self._quickest = min(self._quickest, took)
        at = self._local.boottime() - self._quickest / 2
        if self._said is None or abs(said - self._now(at)) > WORTH * SECOND:
            self._said, self._heard_at = said, at

    def now(self) -> Instant:
        """Return the server's wall clock, microseconds UTC; before it has said anything, the local one."""
        return self._local.now() if self._said is None else self._now(self._local.boottime())

    def _now(self, boottime: float) -> Instant:
        return (self._said or 0) + round((boottime - self._heard_at) * SECOND)

    def monotonic(self) -> float:
        """Return local seconds that never go back."""
        return self._local.monotonic()

    def boottime(self) -> float:
        """Return local seconds that also count sleep."""
        return self._local.boottime()
