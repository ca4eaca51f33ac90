"""Drain: 20,000 no-op calls that are due before the workers start.

    python -m benchmarks.drain [--count 20000] [--seconds 60] [--json FILE]

Calls a second, from the first body's first line to the last one's. Who has not ended after so many seconds is
stopped, and what it has done by then counts. In "fresh process each" no run shares a process with another.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from benchmarks import limits, queues
from benchmarks.measure import Contender, Figures, Metric, NotMeasured, System, parser, run
from benchmarks.processes import lines, wait_for

COUNT, SECONDS = 20_000, 60.0
START = 30.0  # seconds for the first body to begin
FRESH, WARM = "fresh process each", "processes that serve many"
METRICS = [Metric("rate", "calls/s", more=True)]


def drain(queue: queues.Queue, count: int, seconds: float, folder: Path) -> Figures:
    """Measure one queue."""
    with queue.opened(folder) as place:
        place.ask_for(count)
        with place.working():
            wait_for(place.out, 1, START)
            wait_for(place.out, count, seconds)
        began = sorted(line.began for line in lines(place.out))
    if len(began) < 2:
        raise NotMeasured("nothing ran")
    return {"rate": (len(began) - 1) / (began[-1] - began[0])}


def _commits(batch: int, folder: Path) -> Figures:
    return {"rate": limits.commits(folder, batch)}


def contenders(count: int, seconds: float) -> list[Contender]:
    """Return all, ours first."""

    def one(what: str, queue: queues.Queue) -> Contender:
        # what does tens of calls a second would only wait for its calls to be written
        asked = min(count, int(200 * seconds)) if queue.slow else count
        return Contender(what, queue.system, partial(drain, queue, asked, seconds))

    fresh = [queues.jobrunner(), queues.rq(fork=True), queues.celery(fresh=True)]
    warm = [queues.warm(), *queues.peers()]
    batches = System("limit: SQLite commits of 32 rows", "limit", "synchronous=FULL")
    return [
        *(one(FRESH, queue) for queue in fresh),
        Contender(FRESH, limits.FORKS, lambda folder: {"rate": limits.forks()}),
        Contender(FRESH, limits.COMMITS, partial(_commits, 1)),
        *(one(WARM, queue) for queue in warm),
        Contender(WARM, batches, partial(_commits, 32)),
        Contender(WARM, limits.PIPE, lambda folder: {"rate": limits.pipes()}),
    ]


def main() -> int:
    """Measure and print."""
    made = parser(__doc__)
    made.add_argument("--count", type=int, default=COUNT)
    made.add_argument("--seconds", type=float, default=SECONDS)
    asked = made.parse_args()
    title = f"Drain of {asked.count:,} due no-op calls"
    run(asked, "drain", title, METRICS, contenders(asked.count, asked.seconds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
