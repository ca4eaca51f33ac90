"""Enqueue: how many calls one process writes a second.

    python -m benchmarks.enqueue [--count 5000] [--bulk 20000] [--json FILE]

One by one, each safe before the next; or in batches of 1,000.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from benchmarks import limits, queues
from benchmarks.measure import Contender, Figures, Metric, parser, run

COUNT, BULK, BATCH = 5000, 20_000, 1000
ONE, MANY = "one by one", f"in batches of {BATCH:,}"
METRICS = [Metric("rate", "calls/s", more=True)]


def one_by_one(queue: queues.Queue, count: int, folder: Path) -> Figures:
    """Measure calls of their own."""
    with queue.opened(folder) as place:
        return {"rate": count / place.ask("send", count)}


def batches(queue: queues.Queue, count: int, folder: Path) -> Figures:
    """Measure batches."""
    count = max(BATCH, count // BATCH * BATCH)
    with queue.opened(folder) as place:
        return {"rate": count / place.ask("bulk", count, BATCH)}


def _commits(batch: int, folder: Path) -> Figures:
    return {"rate": limits.commits(folder, batch)}


def contenders(count: int, bulk: int) -> list[Contender]:
    """Return all, ours first."""
    asked = [
        queues.jobrunner(), queues.huey("thread"), queues.rq(fork=True), queues.celery(fresh=False),
        queues.procrastinate(), queues.dbos(), queues.graphile(tuned=True),
    ]  # fmt: skip
    return [
        *(Contender(ONE, each.system, partial(one_by_one, each, count)) for each in asked),
        Contender(ONE, limits.COMMITS, partial(_commits, 1)),
        *(Contender(MANY, each.system, partial(batches, each, bulk)) for each in asked),
        Contender(MANY, limits.COMMITS, partial(_commits, BATCH)),
    ]


def main() -> int:
    """Measure and print."""
    made = parser(__doc__)
    made.add_argument("--count", type=int, default=COUNT)
    made.add_argument("--bulk", type=int, default=BULK)
    asked = made.parse_args()
    run(asked, "enqueue", "Enqueue", METRICS, contenders(asked.count, asked.bulk))
    return 0


if __name__ == "__main__":
    sys.exit(main())
