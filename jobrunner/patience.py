"""What a node does while the state cannot be written: it says why, and tries again, ever less often."""

from __future__ import annotations

from collections.abc import Callable

from jobrunner.errors import StateError
from jobrunner.events import Event, StoreRecovered, StoreTroubled
from jobrunner.masking import without_passwords

FIRST, LONGEST = 0.1, 5.0  # seconds between tries
PASSING = {"busy", "away", "full", "in-doubt"}  # whoever has not joined yet waits for their end
GONE = {"given-up", "unknown-node"}  # others took the node for dead, whichever statement finds that out
HOPELESS = {"replaced", "corrupt", "not-a-database", "too-new", *GONE}  # no later try can mend these


def will_pass(error: StateError, *, follows: bool) -> bool:
    """Say whether a node that cannot join is to wait. One that follows another of its process, which was
    given up, also waits to be let in: a password may be about to be changed."""
    return error.code in PASSING or (follows and error.code == "forbidden")


class Patience:
    """Knows when to try again. Times are monotonic seconds; `hopeless` is what ends the node."""

    def __init__(self, emit: Callable[[Event], None]) -> None:
        self._emit = emit
        self._wait = 0.0
        self._said: set[tuple[str, str | None]] = set()  # what was wrong since all was well: codes and hints
        self.until = 0.0
        self.hopeless: StateError | None = None
        self._well_since = float("-inf")

    def trouble(self, error: StateError, now: float) -> None:
        """The state cannot be used at present."""
        what = error.code, error.hint  # the words may have details that change
        if error.code in HOPELESS:
            self.hopeless = error
        elif what not in self._said:
            self._said.add(what)
            self._emit(StoreTroubled(without_passwords(error.message)))
        self._wait = min(LONGEST, self._wait * 2 or FIRST)
        self.until = now + self._wait

    def relief(self, now: float) -> None:
        """The state could be written."""
        if self._wait:
            self._wait = 0.0
            self._said.clear()
            self._well_since = now
            self._emit(StoreRecovered())

    @property
    def troubled(self) -> bool:
        """Whether the state cannot be used at present."""
        return self._wait > 0

    def is_calm(self, now: float) -> bool:
        """Say whether the state could be used for so long that whoever lives must have written, too.

        Whatever kept us from it may have kept others, and they come back no quicker than we do.
        """
        return not self._wait and now - self._well_since > LONGEST + 1.0
