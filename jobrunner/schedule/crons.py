"""Several cron schedules of one zone, counted together: an instant they share counts once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from itertools import pairwise
from operator import or_

from jobrunner.clock import SECOND, Instant
from jobrunner.schedule.cron import Cron, gaps_at_changes, gaps_between, seconds_between
from jobrunner.schedule.days import bits
from jobrunner.schedule.times import DAY
from jobrunner.schedule.zones import Stretch


class Crons:
    """Cron schedules with the same zone and options. Immutable.

    Days differ only in which members match them; a day's instants are the union of those members' times, kept
    as the bits of one number. So a year is 365 look-ups, even of every second.
    """

    def __init__(self, members: Sequence[Cron]) -> None:
        self.members = tuple(members)
        self._masks: dict[tuple[Cron, ...], int] = {}
        self._totals: dict[tuple[Cron, ...], int] = {}

    def next_after(self, after: Instant, anchor: Instant = 0) -> Instant | None:
        """Return the first instant strictly after `after` that any member names."""
        found = [member.next_after(after) for member in self.members]
        return min((instant for instant in found if instant is not None), default=None)

    def latest(self, after: Instant, until: Instant) -> Instant | None:
        """Return the last instant in (after, until] that any member names."""
        found = [member.latest(after, until) for member in self.members]
        return max((instant for instant in found if instant is not None), default=None)

    def has(self, instant: Instant) -> bool:
        """Return whether any member names this instant."""
        return self.next_after(instant - 1) == instant

    def dropped(self, after: Instant, until: Instant) -> list[Instant]:
        """Return the instants in (after, until] after a gap in which times were lost; not if one is due."""
        if not self.members:
            return []
        gaps = gaps_between(self.members[0].clock, after, until)
        starts = [gap.start * SECOND for gap in gaps if any(member.drops(gap) for member in self.members)]
        return [instant for instant in starts if not self.has(instant)]

    def count(self, after: Instant, until: Instant) -> int:
        """Return how many different instants the members name in (after, until]."""
        if len(self.members) < 2:
            return sum(member.count(after, until) for member in self.members)
        first, last = seconds_between(after, until)
        clock = self.members[0].clock
        return sum(self._count_in(*part) for part in clock.parts(first, last))

    def shortest(self) -> int:
        """Return a lower bound of the microseconds between two instants, as if every day had all times."""
        if len(self.members) == 1:
            return self.members[0].shortest()
        times = bits(self._mask(self.members))
        gaps = [(b - a) * SECOND for a, b in zip(times, [*times[1:], times[0] + DAY], strict=True)]
        return min(gaps + gaps_at_changes(self, self.members[0].clock))

    def _count_in(self, stretch: Stretch, first: int, end: int) -> int:
        """Count one stretch, cut where a clock change starts or stops to hold back some of the members."""
        walls = {member: _clipped(member, stretch, first, end) for member in self.members}
        cuts = sorted({wall for pair in walls.values() for wall in pair})
        total = int(self._made_up(stretch, first))
        for low, high in pairwise(cuts):
            active = [member for member, (start, stop) in walls.items() if start <= low and high <= stop]
            total += self._count_walls(active, low, high)
        return total

    def _made_up(self, stretch: Stretch, first: int) -> bool:
        if first != stretch.start or not any(member.made_up(stretch) for member in self.members):
            return False
        return not any(member.matches(first + stretch.offset) for member in self.members)

    def _count_walls(self, active: list[Cron], low: int, high: int) -> int:
        days = sum(self._total(_on(active, day)) for day in range(low // DAY, high // DAY))
        return days + self._before(active, high) - self._before(active, low)

    def _before(self, active: list[Cron], wall: int) -> int:
        day, time = divmod(wall, DAY)
        return (self._mask(_on(active, day)) & ((1 << time) - 1)).bit_count()

    def _total(self, members: tuple[Cron, ...]) -> int:
        if members not in self._totals:
            self._totals[members] = self._mask(members).bit_count()
        return self._totals[members]

    def _mask(self, members: tuple[Cron, ...]) -> int:
        if members not in self._masks:
            self._masks[members] = reduce(or_, (member.times.mask for member in members), 0)
        return self._masks[members]


def _on(members: list[Cron], day: int) -> tuple[Cron, ...]:
    return tuple(member for member in members if member.calendar.has(day))


def _clipped(member: Cron, stretch: Stretch, first: int, end: int) -> tuple[int, int]:
    low, high = member.bounds(stretch)
    return max(low, first + stretch.offset), min(high, end + stretch.offset)
