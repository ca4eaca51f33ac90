"""How long a job's runs take, and which of them is out of the ordinary: pure arithmetic over durations.

Every verdict is the part of a sentence that follows the job's name, or None when all is as usual.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from jobrunner.clock import DAY, HOUR, MILLISECOND, MINUTE, SECOND, Instant

LAST = 30  # runs that tell what is usual
ENOUGH = 5  # fewer than this tell nothing
OVERDUE = 60 * SECOND  # a living node takes what is due within seconds

UNITS = ((DAY, "d"), (HOUR, "h"), (MINUTE, "min"), (SECOND, "s"))


class Pace(NamedTuple):
    """How long the last succeeded runs of a job took, in microseconds, oldest first.

    Only the last `LAST` of them count.
    """

    durations: Sequence[int]

    @property
    def recent(self) -> list[int]:
        """The durations that count, the shortest first."""
        return sorted(self.durations[-LAST:])


def percentile(values: Sequence[int], percent: int) -> int:
    """Return the percentile of sorted values by nearest rank: always one of them, never a value between two.

    It is the smallest value such that at least `percent` per cent of all values are not above it, that is
    number ceil(percent / 100 * n) of n, counted from 1; 0 per cent is the smallest. So the median of an even
    number of values is the lower of the two in the middle.
    Raises ValueError without values, or when `percent` is not from 0 to 100.
    """
    if not values or not 0 <= percent <= 100:
        raise ValueError(f"no percentile {percent} of {len(values)} values")
    rank = -(-percent * len(values) // 100)  # whole numbers: a float would round 7% of 100 up to 8
    return values[max(rank, 1) - 1]


def usual(pace: Pace) -> tuple[int, int, int] | None:
    """Return (p50, p95, longest) in microseconds; None when no run is known."""
    recent = pace.recent
    return (percentile(recent, 50), percentile(recent, 95), recent[-1]) if recent else None


def too_long(pace: Pace, elapsed: int, *, ended: bool = False) -> str | None:
    """Return what to say of a run that takes more than twice as long as the longest, and a second more.

    `elapsed` is in microseconds; `ended` tells a run that is over from one that is still running.
    """
    recent = pace.recent
    if len(recent) < ENOUGH or elapsed <= 2 * recent[-1] + SECOND:
        return None
    bound = f"its longest of the last {len(recent)} ({length(recent[-1])})"
    return f"{'took' if ended else 'runs for'} {length(elapsed)}, more than twice {bound}"


def too_fast(pace: Pace, took: int) -> str | None:
    """Return what to say of a run that took less than a quarter of the shortest, if that is a second or more.

    Such a run may well have found nothing to do, where there always was something.
    """
    recent = pace.recent
    if len(recent) < ENOUGH or recent[0] < SECOND or 4 * took >= recent[0]:
        return None
    bound = f"its shortest of the last {len(recent)} ({length(recent[0])})"
    return f"took {length(took)}, less than a quarter of {bound}"


def overdue(due_at: Instant, now: Instant) -> str | None:
    """Return what to say of an occurrence that is due for more than a minute and that no node has taken."""
    late = now - due_at
    return f"due {length(late)} ago, and no node has taken it" if late > OVERDUE else None


def length(micros: int) -> str:
    """Return a length of time for people, cut to its two largest units: `230 ms`, `3.9 s`, `1 h 5 min`."""
    if micros < SECOND:
        return f"{max(micros, 0) // MILLISECOND} ms"
    if micros < 10 * SECOND:
        tenths = micros // (100 * MILLISECOND)
        return f"{tenths // 10}.{tenths % 10} s".replace(".0", "")
    first = next(place for place, (size, _) in enumerate(UNITS) if micros >= size)
    parts = []
    for size, unit in UNITS[first : first + 2]:
        number, micros = divmod(micros, size)
        if number:
            parts.append(f"{number} {unit}")
    return " ".join(parts)
