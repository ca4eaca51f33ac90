"""How many next occurrences our schedules compute a second: `... EXPRESSION SECONDS`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import datetime

from benchmarks.peers.programs.occurrences_program import rate
from jobrunner.clock import from_datetime
from jobrunner.schedule import parse


def of_jobrunner(expression: str, start: datetime) -> Iterator[object]:
    schedule, instant = parse(expression, "UTC"), from_datetime(start)
    while (found := schedule.next_after(instant, 0)) is not None:
        instant = found
        yield found


if __name__ == "__main__":
    print(rate(of_jobrunner, sys.argv[1], float(sys.argv[2])))
