"""When the pool asks for children again, after something kept it from having them. Pure."""

from __future__ import annotations

CALM = 1.0  # seconds between restarts of a zygote that keeps dying; until descriptors are tried again
FIRST, MOST = 0.1, 5.0  # seconds to wait after a child that died before it was ready
NEWS = 4  # failures in a row that people must hear of; one may be bad luck


class BackOff:
    """Holds the pool back: what made one child fail is hardly over at once."""

    def __init__(self) -> None:
        self.until: float | None = None  # while set, no children are asked for
        self._wait = 0.0
        self._failures: list[str] = []  # in a row: why

    @property
    def problem(self) -> str | None:
        """Why no child could be had, when that is no bad luck any more."""
        return self._failures[-1] if len(self._failures) >= NEWS else None

    def failed(self, now: float, why: str) -> None:
        """A child was never ready; several at a time count once."""
        if self.until is None:
            self._wait = min(max(FIRST, 2 * self._wait), MOST)
            self._hold(now + self._wait, why)

    def refused(self, now: float, why: str) -> None:
        """The system has no room for another."""
        self._hold(now + CALM, why)

    def _hold(self, until: float, why: str) -> None:
        self.until = until
        self._failures = [*self._failures[-NEWS:], why]

    def succeeded(self) -> None:
        """A child is ready."""
        self._wait = 0.0
        self._failures.clear()

    def lift(self) -> None:
        """Try again."""
        self.until = None

    def over(self, now: float) -> bool:
        """Say whether it has been long enough."""
        return self.until is not None and now >= self.until
