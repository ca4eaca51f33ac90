"""Burst: 1,000 jobs (of a queue: calls) due in the same second.

    python -m benchmarks.burst [--count 1000] [--json FILE]

From that moment to the last first line, and how many of them began at all within a minute.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks import ballast, limits, ours, queues, schedulers
from benchmarks.measure import Contender, Figures, Metric, NotMeasured, System, parser, run
from benchmarks.processes import lines, wait_for

COUNT, PATIENCE = 1000, 60.0
AHEAD = 20  # seconds in which all is prepared
FRESH, WARM = "fresh process each", "processes or threads that serve many"
METRICS = [Metric("last", "last one, s", more=False), Metric("began", "began", more=True)]


def scheduled(scheduler: schedulers.Scheduler, count: int, folder: Path) -> Figures:
    """Measure a scheduler of so many jobs."""
    due = int(time.time()) + AHEAD
    with scheduler.opened(folder, "burst", count, due) as made:
        _in_time(due)
        with made.working():
            time.sleep(max(0.0, due - time.time()))
            wait_for(made.out, count, PATIENCE)
    return _figures(made.out, due)


def called(queue: queues.Queue, count: int, folder: Path) -> Figures:
    """Measure a queue of so many calls."""
    with queue.opened(folder) as place:
        due = int(time.time()) + AHEAD
        place.ask("later", count, due)
        _in_time(due)
        with place.working():
            time.sleep(max(0.0, due - time.time()))
            wait_for(place.out, count, PATIENCE)
    return _figures(place.out, due)


def _in_time(due: float) -> None:
    if time.time() > due - 5:  # it has to start, too
        raise NotMeasured(f"it was not ready within {AHEAD} s")


def _figures(out: Path, due: float) -> Figures:
    began = sorted(line.began - due for line in lines(out))
    if not began:
        return {"began": 0.0}
    return {"last": began[-1], "began": len(began)}


def contenders(count: int) -> list[Contender]:
    """Return all, ours first."""

    def one(what: str, each: schedulers.Scheduler) -> Contender:
        return Contender(what, each.system, partial(scheduled, each, count))

    def call(what: str, each: queues.Queue) -> Contender:
        return Contender(what, each.system, partial(called, each, count))

    heavy = System(f"jobrunner, zygote of {ballast.SIZE} MB", "ours", ours.DURABLE, "a fresh process a run")
    fresh = [one(FRESH, schedulers.jobrunner()), _with_ballast(heavy, count)]
    warm = [one(WARM, schedulers.warm())]
    scheduling = [each for each in schedulers.peers() if "burst" in each.can]
    return [
        *fresh, call(FRESH, queues.rq(fork=True)), one(FRESH, schedulers.bree()),
        Contender(FRESH, limits.FORKS, _limit(count, limits.forks)),
        *warm, *(one(WARM, each) for each in scheduling if each.system.name != "Bree"),
        *(call(WARM, each) for each in queues.peers()),
        Contender(WARM, limits.PIPE, _limit(count, limits.pipes)),
    ]  # fmt: skip


def _limit(count: int, rate: Callable[[], float]) -> Callable[[Path], Figures]:
    return lambda folder: {"last": count / rate()}


def _with_ballast(system: System, count: int) -> Contender:
    """Return ours with jobs that import a package of that size."""
    scheduler = schedulers.jobrunner(system, imports=f"import {ballast.NAME}", beside=ballast.place())
    return Contender(FRESH, system, partial(scheduled, scheduler, count))


def main() -> int:
    """Measure and print."""
    made = parser(__doc__)
    made.add_argument("--count", type=int, default=COUNT)
    asked = made.parse_args()
    title = f"{asked.count:,} jobs due in one second"
    run(asked, "burst", title, METRICS, contenders(asked.count))
    return 0


if __name__ == "__main__":
    sys.exit(main())
