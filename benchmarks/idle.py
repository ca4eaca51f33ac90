"""Idle: what a scheduler costs in which nothing is due.

    python -m benchmarks.idle [--seconds 60] [--jobs 10 10000] [--json FILE]

CPU seconds a minute and megabytes (PSS) of the process and all its descendants; a database beside is not
counted.
"""

from __future__ import annotations

import sys
import time
from functools import partial
from pathlib import Path

from benchmarks import schedulers
from benchmarks.measure import Contender, Figures, Metric, parser, run
from benchmarks.processes import tree_cpu, tree_pss, wait

SECONDS, JOBS = 60.0, (10, 10_000)
SETTLED = 0.02  # CPU seconds in two seconds: then it has started
START = 90.0
METRICS = [Metric("cpu", "CPU s a minute", more=False), Metric("pss", "MB", more=False)]


def cost(scheduler: schedulers.Scheduler, count: int, seconds: float, folder: Path) -> Figures:
    """Measure one scheduler of so many jobs."""
    with scheduler.opened(folder, "idle", count) as made, made.working() as processes:
        pid = processes[0].pid
        time.sleep(3)
        wait(lambda: _used(pid, 2.0) < SETTLED, START)
        used = _used(pid, seconds)
        return {"cpu": used * 60 / seconds, "pss": tree_pss(pid)}


def _used(pid: int, seconds: float) -> float:
    before = tree_cpu(pid)
    time.sleep(seconds)
    return tree_cpu(pid) - before


def contenders(jobs: list[int], seconds: float) -> list[Contender]:
    """Return all, ours first."""
    able = [schedulers.jobrunner(), *(each for each in schedulers.peers() if "idle" in each.can)]
    return [
        Contender(f"{count:,} schedules", each.system, partial(cost, each, count, seconds))
        for count in jobs
        for each in able
    ]


def main() -> int:
    """Measure and print."""
    made = parser(__doc__)
    made.add_argument("--seconds", type=float, default=SECONDS)
    made.add_argument("--jobs", type=int, nargs="+", default=list(JOBS))
    asked = made.parse_args()
    run(asked, "idle", "An idle scheduler", METRICS, contenders(asked.jobs, asked.seconds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
