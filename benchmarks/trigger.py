"""Trigger: from the wish in another process to the first line of the body.

    python -m benchmarks.trigger [--count 50] [--idle 45] [--json FILE]

"Busy": asked for again as soon as the one before has begun. "Idle": nothing was asked for 45 seconds, twice.
"""

from __future__ import annotations

import statistics
import sys
from functools import partial
from pathlib import Path

from benchmarks import limits, queues
from benchmarks.measure import Contender, Figures, Metric, NotMeasured, parser, run
from benchmarks.processes import lines, wait_for

COUNT, IDLE, IDLE_COUNT = 50, 45.0, 2
WARM_UP = 3  # calls in which things are loaded
METRICS = [Metric("p50", "p50, ms", more=False), Metric("worst", "worst, ms", more=False)]


def latency(queue: queues.Queue, count: int, gap: float, folder: Path) -> Figures:
    """Measure one queue."""
    with queue.opened(folder) as place:
        place.ask("send", WARM_UP)
        with place.working():
            if not wait_for(place.out, WARM_UP, 30):
                raise NotMeasured("nothing ran")
            place.ask("trigger", count, gap)
    late = [(line.began - line.asked) * 1000 for line in lines(place.out) if line.asked]
    return {"p50": statistics.median(late), "worst": max(late)}


def contenders(count: int, idle: float) -> list[Contender]:
    """Return all, ours first."""
    asked = [queues.jobrunner(), *queues.peers()[:-1], queues.graphile(tuned=False), queues.rq(fork=True)]
    busy, rested = "node busy", f"node idle for {idle:g} s"
    return [
        *(Contender(busy, each.system, partial(latency, each, count, 0.0)) for each in asked),
        Contender(busy, limits.PIPE, _pipe),
        *(Contender(rested, each.system, partial(latency, each, IDLE_COUNT, idle)) for each in asked),
    ]


def _pipe(folder: Path) -> Figures:
    took = 1000 / limits.pipes()
    return {"p50": took}


def main() -> int:
    """Measure and print."""
    made = parser(__doc__)
    made.add_argument("--count", type=int, default=COUNT)
    made.add_argument("--idle", type=float, default=IDLE, help="seconds")
    asked = made.parse_args()
    title = "Trigger from another process, to the first line"
    run(asked, "trigger", title, METRICS, contenders(asked.count, asked.idle))
    return 0


if __name__ == "__main__":
    sys.exit(main())
