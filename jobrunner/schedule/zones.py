"""Time zones as stretches of constant offset.

zoneinfo answers "what is the offset now" but not "when does it change", so a zone is sampled once per block
of about a year, and the changes between two samples are found by halving. All numbers are whole seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo, available_timezones

from jobrunner.schedule.fields import fail

BLOCK = 1 << 25  # seconds, 388 days
# A stretch ends with its block, unless a change is this close: that one, which moves the clock by a day at
# most, has a say about wall times inside the block, so the stretch reaches out to it.
MARGIN = 2 * 86_400
SAMPLE = 86_400


class Stretch(NamedTuple):
    """From `start` up to `end` (UTC) wall time is UTC + `offset`; `before` and `after` are the neighbours'.

    Where the stretch was only cut short to keep it small, the neighbour's offset is the same.
    """

    start: int
    end: int
    offset: int
    before: int
    after: int


class Zone:
    """One zone; its stretches are found when first asked for and then kept."""

    __slots__ = ("_blocks", "_info", "name")

    def __init__(self, name: str, info: tzinfo) -> None:
        self.name = name
        self._info = info
        self._blocks: dict[int, tuple[Stretch, ...]] = {}

    def at(self, second: int) -> Stretch:
        """Return the stretch that holds an instant."""
        block = second >> 25
        stretches = self._blocks.get(block)
        if stretches is None:
            stretches = self._blocks[block] = self._cut(block * BLOCK, (block + 1) * BLOCK)
        for stretch in stretches:
            if second < stretch.end:
                break
        return stretch

    def parts(self, first: int, last: int) -> Iterator[tuple[Stretch, int, int]]:
        """Yield the stretches of [first, last], each with the instants [start, end) of it that are inside."""
        while first <= last:
            stretch = self.at(first)
            end = min(stretch.end, last + 1)
            yield stretch, first, end
            first = end

    def changes(self, first: int, last: int) -> list[int]:
        """Return the instants from `first` to `last` at which the offset becomes another one."""
        parts = self.parts(first, last)
        return [start for stretch, start, _ in parts if start == stretch.start and _changed(stretch)]

    def gaps(self, first: int, last: int) -> list[Stretch]:
        """Return the stretches that start from `first` to `last` and before which the clock was set ahead."""
        if first > last or self.at(last).start < first:
            return []  # nearly always: all of it lies in one stretch
        parts = self.parts(first, last)
        return [part for part, start, _ in parts if start == part.start and part.before < part.offset]

    def _cut(self, low: int, high: int) -> tuple[Stretch, ...]:
        # A change just outside the block still decides about wall times inside: see MARGIN.
        changes = self._changes_in(low - MARGIN, high + MARGIN)
        start = max((change for change in changes if change <= low), default=low)
        end = min((change for change in changes if change >= high), default=high)
        edges = [start, *(change for change in changes if low < change < high), end]
        offsets = [self._offset(edge) for edge in edges]
        before = [self._offset(start - 1), *offsets]
        return tuple(map(Stretch, edges, edges[1:], offsets, before, offsets[1:]))

    def _changes_in(self, start: int, end: int) -> list[int]:
        found, known = [], self._offset(start)
        for second in range(start + SAMPLE, end, SAMPLE):
            offset = self._offset(second)
            if offset != known:
                found.append(self._change(second - SAMPLE, second))
            known = offset
        return found

    def _change(self, low: int, high: int) -> int:
        known = self._offset(low)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._offset(middle) == known else (low, middle)
        return high

    def _offset(self, second: int) -> int:
        offset = datetime.fromtimestamp(second, self._info).utcoffset()
        return offset // timedelta(seconds=1) if offset else 0


def _changed(stretch: Stretch) -> bool:
    return stretch.before != stretch.offset


@lru_cache(maxsize=1024)
def zone_of(name: str) -> Zone:
    """Return the zone of an IANA name. Raises ScheduleError, naming near ones, when there is none."""
    if name == "UTC":
        return Zone(name, UTC)  # needs no zone files
    try:
        return Zone(name, ZoneInfo(name))
    except (KeyError, ValueError, OSError, TypeError):  # unknown, "../x", a folder, not text
        raise _unknown(name) from None


def _unknown(name: object) -> Exception:
    error = fail(f'the time zone "{name}" is not known', _hint(str(name)))
    error.key = "timezone"
    return error


def _hint(name: str) -> str:
    from difflib import get_close_matches

    known = {zone.lower(): zone for zone in sorted(available_timezones(), reverse=True)}
    cities = {lower.rpartition("/")[2]: zone for lower, zone in known.items()}
    wanted = name.strip().lower().replace(" ", "_")
    near = [known[match] for match in get_close_matches(wanted, known, 3, 0.7)]
    near += [cities[match] for match in get_close_matches(wanted, cities, 3, 0.8)]
    names = list(dict.fromkeys(near))[:3]
    return "did you mean " + " or ".join(names) if names else "use an IANA name such as Europe/Berlin or UTC"
