"""Tells when clocks part: the machine slept, or somebody set the time."""

from __future__ import annotations

from jobrunner.clock import SECOND, Clock, to_iso
from jobrunner.events import ClockJumped, Slept

JUMP = 2.0  # seconds by which clocks may disagree before it is called a step


class ClockWatch:
    """Compares the clocks of one look with those of the last.

    Waits are short and instants absolute, so a step needs no repair of the node's, only a word.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last = self._read()

    def look(self) -> list[Slept | ClockJumped]:
        """Return what happened to the clocks since the last look."""
        before, self._last = self._last, self._read()
        wall, monotonic, boot = (new - old for new, old in zip(self._last, before, strict=True))
        events: list[Slept | ClockJumped] = []
        if boot - monotonic > JUMP:
            since, until = (round(clocks[0] * SECOND) for clocks in (before, self._last))
            events.append(Slept(round((boot - monotonic) * SECOND), since, until))
        if abs(wall - boot) > JUMP:
            events.append(ClockJumped(round((wall - boot) * SECOND)))
        return events

    def _read(self) -> tuple[float, float, float]:
        return self._clock.now() / SECOND, self._clock.monotonic(), self._clock.boottime()


def told(event: Slept | ClockJumped) -> tuple[str, None, str]:
    """Return what the audit trail keeps of it: action, no job, detail."""
    if isinstance(event, Slept):
        return "slept", None, f"{to_iso(event.since)}/{to_iso(event.until)}"
    return "clock-set", None, f"{event.micros / SECOND:+.0f} s"
