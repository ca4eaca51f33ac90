"""Cron schedules: the instants at which a zone's wall clock shows a matching time.

Debian's cron decides what a clock change does, and there are two kinds of job:

1. A *wildcard* job (a seconds, minute or hour field starts with `*`) follows elapsed time: it is due at every
   instant whose wall time matches. Both passes of a repeated hour count, a skipped hour has no instants.
2. Any other job has *fixed times*: each matching wall time is due once. In a repeated hour that is its first
   instant. Times in a skipped stretch under 3 h are made up for once, at the first instant after it; a larger
   jump is taken for a correction of the calendar, and its times are dropped; after one of more than 3 h back
   (a day that a zone repeated) they are due in both passes.

Walking wall times and converting each is not monotone across a repeated hour. So the work is done stretch
by stretch of constant offset (zones.py): inside one, wall time and instants differ by a constant, the rules
above only move the stretch's ends, and order comes by itself.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple, Protocol

from jobrunner.clock import SECOND, Instant
from jobrunner.schedule import fields as text_fields
from jobrunner.schedule import words
from jobrunner.schedule.days import LAST_DAY, calendar_of
from jobrunner.schedule.times import DAY, Times
from jobrunner.schedule.zones import Stretch, Zone, zone_of

FIFTY_YEARS = (50 * 366) * DAY
LARGE_JUMP = 3 * 3600
EARLIEST = -70 * 366 * DAY  # about 1900; nobody asks for earlier, and datetime ends at year 1
LATEST = (LAST_DAY - 400) * DAY
CHANGES = (946_684_800, 2_524_608_000)  # 2000 to 2050, searched for the shortest distance at a clock change


class Options(NamedTuple):
    """What a clock change does to fixed times: see `jobrunner.schedule.parse`."""

    gap: str = "run-after"
    fold: str = "first"


class Cron:
    """A cron text in one zone. Immutable; two with equal text, zone and options are equal.

    Thousands of jobs share one, so it remembers the span that it was asked for last, and its words.
    """

    after_end = False

    def __init__(self, text: str, zone: str, options: Options) -> None:
        self.text = text
        self.zone = zone
        self.options = options
        self.fields = found = text_fields.read(text)
        self.times = Times(found.hours, found.minutes, found.seconds)
        self.calendar = calendar_of(found.days, found.months, text)
        self.clock = zone_of(zone)
        self._span: tuple[Instant, Instant] = 0, 0  # no instant from the first to before the second is due
        self._words = ""

    def next_after(self, after: Instant, anchor: Instant = 0) -> Instant | None:
        """Return the first due instant strictly after `after`; None when there is none within 50 years."""
        begin, end = self._span
        if begin <= after < end:
            return end
        found = self._first_after(after)
        if found is not None:
            self._span = after, found
        return found

    def _first_after(self, after: Instant) -> Instant | None:
        second = max(after // SECOND + 1, EARLIEST)
        limit = min(second + FIFTY_YEARS, LATEST)
        while second < limit:
            stretch = self.clock.at(second)
            if second == stretch.start and self.made_up(stretch):
                return second * SECOND
            low, high = self.bounds(stretch)
            wall = self._wall_from(max(second + stretch.offset, low), limit)
            if wall is None:
                wall = limit + 2 * DAY  # but a fold or gap may still lie between, so go on
            if wall < high:
                return (wall - stretch.offset) * SECOND
            second = _leap(second, stretch, wall)
        return None

    def latest(self, after: Instant, until: Instant, anchor: Instant = 0) -> Instant | None:
        """Return the last due instant in (after, until], or None."""
        first, last = seconds_between(after, until)
        while last >= first:
            stretch = self.clock.at(last)
            low, high = self.bounds(stretch)
            low = max(first + stretch.offset, low)
            wall = self._wall_back(min(last + stretch.offset, high - 1), low)
            if wall is not None:
                return (wall - stretch.offset) * SECOND
            if stretch.start >= first and self.made_up(stretch):
                return stretch.start * SECOND
            last = stretch.start - 1
        return None

    def count(self, after: Instant, until: Instant, anchor: Instant = 0) -> int:
        """Return how many instants are due in (after, until]: a sum over days, no walk over instants."""
        parts = self.clock.parts(*seconds_between(after, until))
        return sum(self._count_in(*part) for part in parts)

    def dropped(self, after: Instant, until: Instant, anchor: Instant | None = None) -> list[Instant]:
        """Return the instants in (after, until] after a gap whose fixed times are lost; not if due anyhow."""
        if self.fields.wildcard:
            return []
        starts = [gap.start * SECOND for gap in gaps_between(self.clock, after, until) if self.drops(gap)]
        return [instant for instant in starts if not self.has(instant)]

    def has(self, instant: Instant) -> bool:
        """Return whether it is due at an instant."""
        return self.next_after(instant - 1) == instant

    def shortest(self) -> int:
        """Return the least microseconds between two due instants, clock changes until 2050 included."""
        shortest = self.times.closest(self.calendar.closest())
        return min([shortest * SECOND, *gaps_at_changes(self, self.clock)])

    def words(self) -> str:
        """Return the schedule in English, without the zone."""
        self._words = self._words or words.cron(self.fields)
        return self._words

    def bounds(self, stretch: Stretch) -> tuple[int, int]:
        """Return the wall times [low, high) of a stretch that count: a fixed time counts in one pass only."""
        low, high = stretch.start + stretch.offset, stretch.end + stretch.offset
        if not self.fields.wildcard:
            if 0 < stretch.before - stretch.offset <= LARGE_JUMP and self.options.fold == "first":
                low = stretch.start + stretch.before
            if 0 < stretch.offset - stretch.after <= LARGE_JUMP and self.options.fold == "second":
                high = stretch.end + stretch.after
        return low, high

    def made_up(self, stretch: Stretch) -> bool:
        """Return whether fixed times were skipped right before this stretch and are due at its start."""
        jump = stretch.offset - stretch.before
        if self.fields.wildcard or not 0 < jump < LARGE_JUMP or self.options.gap != "run-after":
            return False
        return self._skips(stretch)

    def drops(self, stretch: Stretch) -> bool:
        """Return whether fixed times were skipped right before this stretch and nothing makes up for them."""
        jump = stretch.offset - stretch.before
        if self.fields.wildcard or jump <= 0 or (jump < LARGE_JUMP and self.options.gap == "run-after"):
            return False
        return self._skips(stretch)

    def _skips(self, stretch: Stretch) -> bool:
        """Return whether a matching wall time lies in the gap right before this stretch."""
        end = stretch.start + stretch.offset
        wall = self._wall_from(stretch.start + stretch.before, end)
        return wall is not None and wall < end

    def matches(self, wall: int) -> bool:
        """Return whether a wall time, in seconds, is one of the schedule's."""
        day, time = divmod(wall, DAY)
        return self.times.first(time) == time and self.calendar.has(day)

    def _wall_from(self, wall: int, limit: int) -> int | None:
        day, time = divmod(wall, DAY)
        found = self.times.first(time)
        if found >= 0 and self.calendar.has(day):
            return day * DAY + found
        following = self.calendar.first(day + 1, limit // DAY + 1)
        return None if following is None else following * DAY + self.times.opening

    def _wall_back(self, wall: int, low: int) -> int | None:
        if wall < low:
            return None
        day, time = divmod(wall, DAY)
        found = self.times.last(time) if self.calendar.has(day) else -1
        if found < 0:
            previous = self.calendar.last(day - 1, low // DAY)
            if previous is None:
                return None
            day, found = previous, self.times.closing
        return day * DAY + found if day * DAY + found >= low else None

    def _count_in(self, stretch: Stretch, first: int, end: int) -> int:
        low, high = self.bounds(stretch)
        low, high = max(low, first + stretch.offset), min(high, end + stretch.offset)
        extra = first == stretch.start and self.made_up(stretch) and not self.matches(low)
        return extra + (self._walls(low, high) if low < high else 0)

    def _walls(self, low: int, high: int) -> int:
        days = self.calendar.count(low // DAY, high // DAY)
        return days * self.times.total + self._walls_before(high) - self._walls_before(low)

    def _walls_before(self, wall: int) -> int:
        day, time = divmod(wall, DAY)
        return self.times.before(time) if self.calendar.has(day) else 0

    def _key(self) -> tuple[str, str, Options]:
        return self.text, self.zone, self.options

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Cron) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return f"Cron({self.text!r}, {self.zone!r})"


def seconds_between(after: Instant, until: Instant) -> tuple[int, int]:
    """Return the first and the last whole second in (after, until]."""
    return max(after // SECOND + 1, EARLIEST), min(until // SECOND, LATEST)


def gaps_between(clock: Zone, after: Instant, until: Instant) -> list[Stretch]:
    """Return the stretches that begin in (after, until] with a jump ahead."""
    return clock.gaps(*seconds_between(after, until))


def _leap(second: int, stretch: Stretch, wall: int) -> int:
    """Return where to look on, given that no wall time from `second` to `wall` matches.

    Near its end a stretch says nothing about the next one, which may repeat wall times; otherwise `wall` less
    the largest offset is the earliest instant that can match, and a leap day is found in one step.
    """
    if second > stretch.end - 2 * DAY:
        return stretch.end
    return max(stretch.end, wall - DAY)


class Source(Protocol):
    """What `gaps_at_changes` needs of one schedule or several."""

    def next_after(self, after: Instant) -> Instant | None: ...  # noqa: D102
    def latest(self, after: Instant, until: Instant) -> Instant | None: ...  # noqa: D102


def gaps_at_changes(schedule: Source, clock: Zone) -> list[int]:
    """Return the microseconds between the neighbours of each clock change: the only irregular ones."""
    gaps = []
    for change in clock.changes(*CHANGES):
        moment = change * SECOND - 1
        before = schedule.latest(moment - 400 * DAY * SECOND, moment)
        first = schedule.next_after(moment)
        second = None if first is None else schedule.next_after(first)
        row = [instant for instant in (before, first, second) if instant is not None]
        gaps += [b - a for a, b in pairwise(row)]
    return gaps


@lru_cache(maxsize=4096)
def read_cron(text: str, zone: str, gap: str, fold: str) -> Cron:
    """Return the schedule of folded cron text. Raises ScheduleError if it cannot be used."""
    return Cron(text, zone, Options(gap, fold))
