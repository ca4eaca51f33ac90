"""Start: from the start of the process to the first line of a call that waits.

    python -m benchmarks.start [--jobs 10 10000] [--json FILE]

It is the second start of a project whose files have not changed since the first.
"""

from __future__ import annotations

import sys
import time
from functools import partial
from pathlib import Path

from benchmarks import ours, schedulers
from benchmarks.measure import Contender, Figures, Metric, NotMeasured, System, parser, run
from benchmarks.processes import lines, wait_for

JOBS, PATIENCE = (10, 10_000), 90.0
METRICS = [Metric("first", "s", more=False)]
READING = System("limit: reading the files", "limit")


def first(scheduler: schedulers.Scheduler, count: int, folder: Path) -> Figures:
    """Measure one scheduler of so many jobs."""
    with scheduler.opened(folder, "start", count) as made:
        began = time.time()
        with made.working():
            wait_for(made.out, 1, PATIENCE)
        found = lines(made.out)
    if not found:
        raise NotMeasured(f"nothing ran within {PATIENCE:g} s")
    return {"first": found[0].began - began}


def reading(count: int, folder: Path) -> Figures:
    """Measure how long it takes to read as many job files."""
    ours.Project(folder).jobs(count)
    began = time.perf_counter()
    for file in (folder / "jobs").iterdir():
        file.read_bytes()
    return {"first": time.perf_counter() - began}


def contenders(jobs: list[int]) -> list[Contender]:
    """Return all, ours first."""
    able = [schedulers.jobrunner(), *(each for each in schedulers.peers() if "start" in each.can)]
    found = []
    for count in jobs:
        what = f"{count:,} jobs"
        found += [Contender(what, each.system, partial(first, each, count)) for each in able]
        found.append(Contender(what, READING, partial(reading, count)))
    return found


def main() -> int:
    """Measure and print."""
    made = parser(__doc__)
    made.add_argument("--jobs", type=int, nargs="+", default=list(JOBS))
    asked = made.parse_args()
    run(asked, "start", "Start to first dispatch", METRICS, contenders(asked.jobs))
    return 0


if __name__ == "__main__":
    sys.exit(main())
