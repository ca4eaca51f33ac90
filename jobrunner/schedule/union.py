"""A list of schedules is their union: an instant that several of them name is due once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import gcd, lcm

from jobrunner.clock import SECOND, Instant
from jobrunner.schedule import words
from jobrunner.schedule.cron import Cron
from jobrunner.schedule.crons import Crons
from jobrunner.schedule.every import LONGEST, Every

SEPARATOR = "; "


class Union:
    """Two or more schedules as one; cron members share their zone and options. Immutable."""

    after_end = False

    def __init__(self, members: Sequence[Cron | Every], zone: str) -> None:
        self.members = tuple(members)
        self.zone = zone
        self.text = SEPARATOR.join(member.text for member in members)
        self._crons = Crons([member for member in members if isinstance(member, Cron)])
        self._grids = [member for member in members if isinstance(member, Every)]

    def next_after(self, after: Instant, anchor: Instant) -> Instant | None:
        """Return the first due instant strictly after `after`; None when there is none within 50 years."""
        found = [member.next_after(after, anchor) for member in self.members]
        return min((instant for instant in found if instant is not None), default=None)

    def latest(self, after: Instant, until: Instant, anchor: Instant) -> Instant | None:
        """Return the last due instant in (after, until], or None."""
        found = [member.latest(after, until, anchor) for member in self.members]
        return max((instant for instant in found if instant is not None), default=None)

    def dropped(self, after: Instant, until: Instant, anchor: Instant | None = None) -> list[Instant]:
        """Return the instants in (after, until] after a gap in which times were lost, and no member is due.

        Intervals are members that may be due; without `anchor` nobody knows, and they are not asked.
        """
        found = self._crons.dropped(after, until)
        if not found or anchor is None:
            return found
        return [instant for instant in found if not any(grid.has(instant, anchor) for grid in self._grids)]

    def count(self, after: Instant, until: Instant, anchor: Instant) -> int:
        """Return how many different instants are due in (after, until].

        Cheap, except when intervals from an anchor that is a whole second share a list with cron schedules:
        where they meet is found by walking the sparser of the two.
        """
        crons = self._crons.count(after, until)
        grids = self._count_grids(after, until, anchor)
        meeting = [grid for grid in self._grids if anchor % gcd(grid.interval, SECOND) == 0]
        if not meeting or not crons:
            return crons + grids  # cron instants are whole seconds: the grids never meet them
        return crons + grids - self._count_meetings(meeting, after, until, anchor)

    def _count_grids(self, after: Instant, until: Instant, anchor: Instant) -> int:
        # Inclusion and exclusion: two grids with one anchor meet in the grid of their least common multiple.
        terms: dict[int, int] = {}
        for grid in self._grids:
            for interval, sign in [(0, -1), *terms.items()]:
                both = lcm(interval, grid.interval) or grid.interval
                if both <= 2 * LONGEST:
                    terms[both] = terms.get(both, 0) - sign
        return sum(sign * Every(both).count(after, until, anchor) for both, sign in terms.items())

    def _count_meetings(self, grids: list[Every], after: Instant, until: Instant, anchor: Instant) -> int:
        """Count the cron instants that are also on a grid, by walking whichever side is sparser."""
        on_grids = sum(grid.count(after, until, anchor) for grid in grids)
        if self._crons.count(after, until) <= on_grids:
            return sum(
                any(grid.has(instant, anchor) for grid in grids)
                for instant in walk(self._crons, after, until, anchor)
            )
        met = {i for grid in grids for i in walk(grid, after, until, anchor) if self._crons.has(i)}
        return len(met)

    def shortest(self) -> int:
        """Return a lower bound of the microseconds between two due instants; 1 where kinds are mixed."""
        if not self._grids:
            return self._crons.shortest()
        if self._crons.members:
            return 1  # the anchor decides, and it is any microsecond
        return gcd(*(grid.interval for grid in self._grids))

    def words(self) -> str:
        """Return the members' words, one after the other."""
        return words.several(member.words() for member in self.members)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Union) and self.members == other.members

    def __hash__(self) -> int:
        return hash(self.members)

    def __repr__(self) -> str:
        return f"Union({self.text!r}, {self.zone!r})"


def walk(schedule: Crons | Every, after: Instant, until: Instant, anchor: Instant) -> Iterator[Instant]:
    """Yield the due instants in (after, until] one by one."""
    found = schedule.next_after(after, anchor)
    while found is not None and found <= until:
        yield found
        found = schedule.next_after(found, anchor)
