"""Cron each second: from the due moment to the first line of the body.

    python -m benchmarks.cron [--count 60] [--json FILE]

The first three runs of each, in which things are loaded, are left out. Who does not tell a body when it was
due (APScheduler, Bree) is taken to be less than a second late.
"""

from __future__ import annotations

import statistics
import sys
from functools import partial
from pathlib import Path

from benchmarks import limits, schedulers
from benchmarks.measure import Contender, Figures, Metric, NotMeasured, parser, percentile, run
from benchmarks.processes import lines, wait_for

WHAT, COUNT, FIRST = "one job a second", 60, 3
METRICS = [Metric("p50", "p50, ms", more=False), Metric("p99", "p99, ms", more=False)]
START = 40.0  # seconds more than there are runs


def latency(scheduler: schedulers.Scheduler, count: int, folder: Path) -> Figures:
    """Measure one scheduler."""
    with scheduler.opened(folder, "each-second") as made, made.working():
        wait_for(made.out, count + FIRST, count + FIRST + START)
    late = [line.late * 1000 for line in lines(made.out)[FIRST:]]
    if not late:
        raise NotMeasured("nothing ran")
    return {"p50": statistics.median(late), "p99": percentile(late, 0.99)}


def contenders(count: int) -> list[Contender]:
    """Return all, ours first."""
    able = [each for each in schedulers.peers() if "each-second" in each.can]
    return [
        *(Contender(WHAT, each.system, partial(latency, each, count))
          for each in [schedulers.jobrunner(), schedulers.warm(), *able]),
        Contender(WHAT, limits.TIMER, lambda folder: limits.timer_figures(min(count, 20))),
    ]  # fmt: skip


def main() -> int:
    """Measure and print."""
    made = parser(__doc__)
    made.add_argument("--count", type=int, default=COUNT)
    asked = made.parse_args()
    run(asked, "cron", "Cron each second, due moment to first line", METRICS, contenders(asked.count))
    return 0


if __name__ == "__main__":
    sys.exit(main())
