"""History: what 1,000,000 finished runs of one job cost.

    python -m benchmarks.history [--runs 1000000] [--count 2000] [--json FILE]
    python -m benchmarks.history --rounds 1     in about three minutes, most of them DBOS's

Calls a second from warm processes, and the milliseconds for the last 50 runs of that job, with and without.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from benchmarks import ours, queues
from benchmarks.measure import Contender, Figures, Metric, parser, run

RUNS, COUNT, LOOKS = 1_000_000, 2000, 50
PATIENCE = 60.0
METRICS = [Metric("rate", "calls/s", more=True), Metric("last", "last 50, ms", more=False)]
KEPT = {
    "JOBRUNNER_RETENTION": "0",
    "JOBRUNNER_RETENTION_ROWS": "0",
    "JOBRUNNER_RETENTION_CALLS": "0",
}  # a million rows stay only where nobody prunes


def measured(queue: queues.Queue, history: int, count: int, folder: Path) -> Figures:
    """Measure one queue with a history."""
    with queue.opened(folder) as place:
        if history:
            place.ask("fill", history)
        each = queues.seconds_a_call(place, count, PATIENCE)
        last = place.ask("last", LOOKS) * 1000
    return {"rate": 1 / each, "last": last}


def contenders(runs: int, count: int) -> list[Contender]:
    """Return all, ours first."""
    mine = queues.jobrunner(queues.warm().system, serves=ours.WARM_RUNS, variables=KEPT)
    asked = [mine, queues.rq(fork=False), queues.dbos()]
    return [
        Contender(f"{history:,} before", each.system, partial(measured, each, history, count))
        for history in (0, runs)
        for each in asked
    ]


def main() -> int:
    """Measure and print."""
    made = parser(__doc__)
    made.add_argument("--runs", type=int, default=RUNS)
    made.add_argument("--count", type=int, default=COUNT)
    asked = made.parse_args()
    run(asked, "history", "History", METRICS, contenders(asked.runs, asked.count))
    return 0


if __name__ == "__main__":
    sys.exit(main())
