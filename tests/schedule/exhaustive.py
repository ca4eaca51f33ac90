"""Schedules against the oracle at the clock changes of any zone since 1900, for as long as one likes.

    python -m tests.schedule.exhaustive --minutes 20 [--seed 1]

One comparison is one expression with one pair of options at one change: what `next_after` gives from a
start before the change, from another one anywhere near it (inside a second pass, too), and what `count`
and `latest` say of the same span.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple
from zoneinfo import available_timezones

from jobrunner.clock import SECOND
from jobrunner.errors import ScheduleError
from jobrunner.schedule import parse
from tests.schedule import differential, oracle

FIRST = -2_208_988_800 + 2 * 86_400  # 1900
LAST = differential.LAST
NEAR, FAR = 5 * 3600, 30 * 3600  # what is looked at around a change; FAR where it is one of a day
LEAD = 4 * 3600  # what the oracle sees before, so that it knows a second pass for what it is
WEEK = 7 * 86_400
GAPS, FOLDS = ("run-after", "skip"), ("first", "second", "both")
MINUTES = ("0", "30", "*/15", "*", "0,45", "7/20", "10-14", "59", "1", "15-45/15", "*/7", "0-59")
HOURS = ("2", "*", "1-3", "*/2", "0,23", "0-23", "1", "0", "3,4", "2-3", "12", "*/5", "23")
DAYS = ("*", "*", "*", "1", "L", "15,31", "*/2", "1-7", "28-31", "2/3")
MONTHS = ("*", "*", "*", "3,10,11", "1-6", "7-12", "*/2")
WEEKDAYS = ("*", "*", "*", "0", "7", "1-5", "MON#1", "5L", "*/2", "6,0", "SUN#5")
SECONDS = ("0", "*/20", "15,45", "59", "*")


class Case(NamedTuple):
    """One comparison."""

    text: str
    zone: str
    change: int
    gap: str
    fold: str
    start: int

    def differences(self) -> list[str]:
        """Return what is not as the oracle says."""
        before, after = jump(self.zone, self.change)
        by_minute = before % 60 == after % 60 == 0 and len(self.text.split()) == 5
        span = FAR if abs(after - before) >= oracle.LIMIT else NEAR
        low, high = (self.change - span) // 60 * 60, (self.change + span) // 60 * 60
        row = walls(self.zone, low - LEAD, high, 60 if by_minute else 1)
        job = judged(self.text)
        expected = [
            i for i in oracle.due(job, row, row[1][0] - row[0][0], gap=self.gap, fold=self.fold) if i >= low
        ]
        schedule = parse(self.text, self.zone, self.gap, self.fold)
        found = differential.ours(schedule, low, high)
        said = [] if found == expected else [f"next_after {found} is not {expected}"]
        rest = [instant for instant in expected if instant >= self.start]
        if differential.ours(schedule, self.start, high) != rest:
            said.append(f"from {self.start} on it is not {rest}")
        if schedule.count(self.start * SECOND - 1, high * SECOND - 1, 0) != len(rest):
            said.append(f"count from {self.start} on is not {len(rest)}")
        latest = schedule.latest(self.start * SECOND - 1, high * SECOND - 1, 0)
        if latest != (rest[-1] * SECOND if rest else None):
            said.append(f"latest {latest} is not the end of {rest}")
        return said


@cache
def judged(text: str) -> oracle.Job:
    return oracle.Job(text)


_rows: dict[tuple[str, int, int, int], list[tuple[int, int]]] = {}


def walls(zone: str, start: int, end: int, tick: int) -> list[tuple[int, int]]:
    """Return a row, the last few kept."""
    key = zone, start, end, tick
    if key not in _rows:
        if len(_rows) > 8:
            _rows.clear()
        _rows[key] = oracle.walls(zone, start, end, tick)
    return _rows[key]


def jump(zone: str, change: int) -> tuple[int, int]:
    """Return the offsets before and after a change."""
    return differential.offset(zone, change - 1), differential.offset(zone, change)


def changes(zone: str) -> tuple[int, ...]:
    return differential.changes(zone, FIRST, LAST, WEEK)


def zones() -> list[str]:
    """Return one name of each zone that has rules of its own."""
    found: dict[tuple[int, ...], str] = {}
    for zone in sorted(available_timezones()):
        changed = changes(zone)
        found.setdefault((*changed, *(differential.offset(zone, c) for c in changed)), zone)
    return [zone for key, zone in found.items() if key]


def cases(chance: random.Random, near: list[tuple[str, int]], each: int) -> Iterator[Case]:
    """Yield random cases without end, `each` of them at a change before another is drawn."""
    while True:
        zone, change = chance.choice(near)
        for _ in range(each):
            fields = [chance.choice(kind) for kind in (MINUTES, HOURS, DAYS, MONTHS, WEEKDAYS)]
            if chance.random() < 0.1:
                fields.insert(0, chance.choice(SECONDS))
            start = change + chance.randint(-4 * 3600, 4 * 3600)
            yield Case(" ".join(fields), zone, change, chance.choice(GAPS), chance.choice(FOLDS), start)


def main() -> int:
    """Compare for as long as told; print each difference, and how many comparisons there were."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--minutes", type=float, default=20)
    options.add_argument("--seed", type=int, default=1)
    asked = options.parse_args()
    near = [(zone, change) for zone in zones() for change in changes(zone)]
    print(f"{len(near)} changes of {len({zone for zone, _ in near})} zones", flush=True)
    end, compared, wrong = time.monotonic() + 60 * asked.minutes, 0, 0
    for case in cases(random.Random(asked.seed), near, 40):
        if time.monotonic() > end:
            break
        try:
            found = case.differences()
        except ScheduleError:
            continue  # a text that never fires is no case
        compared += 1
        wrong += bool(found)
        if found and wrong <= 50:
            print(case, *found, sep="\n    ", flush=True)
    print(f"{compared} comparisons, {wrong} differences")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
