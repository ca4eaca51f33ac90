"""Growth: how what we cost grows with jobs, runs, nodes and history.

    python -m benchmarks.growth [--most 10000] [--json FILE]
    python -m benchmarks.growth --rounds 1 --most 1000     in about two minutes

The slope is that of the logarithms, fitted over all sizes: 0 does not grow, 1 grows as the number does.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from benchmarks import history, ours, queues, schedulers, start
from benchmarks.measure import Contender, Figures, Metric, System, parser, run

MOST, STEP = 10_000, 10
CALLS, PATIENCE = 500, 300.0
NODES = (1, 2, 4)
METRICS = [
    Metric("least", "at the least, ms", more=False),
    Metric("most", "at the most, ms", more=False),
    Metric("slope", "slope", more=False),
]


def slope(points: dict[int, float]) -> float:
    """Return the slope of the straight line through the logarithms of both."""
    return statistics.linear_regression(
        [math.log(size) for size in points], [math.log(value) for value in points.values()]
    ).slope


def figures(sizes: Iterable[int], measure: Callable[[int, Path], float], folder: Path) -> Figures:
    """Measure each size in a folder of its own, in milliseconds."""
    points = {}
    for size in sizes:
        (folder / str(size)).mkdir()
        points[size] = measure(size, folder / str(size))
    return {"least": points[min(points)], "most": points[max(points)], "slope": slope(points)}


def claimed(queue: queues.Queue, before: int, count: int, folder: Path) -> float:
    """Return the milliseconds a call, of so many that wait, after so many that have ended."""
    with queue.opened(folder) as place:
        if before:
            place.ask("fill", before)
        return queues.seconds_a_call(place, count, PATIENCE) * 1000


def of_pending(size: int, folder: Path) -> float:
    """Measure a call among so many."""
    return claimed(_kept(), 0, size, folder)


def of_history(size: int, folder: Path) -> float:
    """Measure a call after so many runs."""
    return claimed(_kept(), size, CALLS, folder)


def of_nodes(size: int, folder: Path) -> float:
    """Measure a call that so many nodes wait for."""
    queue = _kept()
    many = dataclasses.replace(queue, workers=[*queue.workers] * size)
    return claimed(many, 0, CALLS, folder)


def _kept() -> queues.Queue:
    return queues.jobrunner(ours.WARM, serves=ours.WARM_RUNS, variables=history.KEPT)


def of_listing(size: int, folder: Path) -> float:
    """Measure the second `ls` of so many jobs."""
    project = ours.Project(folder)
    project.jobs(size, schedule="*/5 * * * *")
    project.run("ls")
    began = time.perf_counter()
    project.run("ls")
    return (time.perf_counter() - began) * 1000


def of_start(size: int, folder: Path) -> float:
    """Measure the second start with so many jobs."""
    return start.first(schedulers.jobrunner(), size, folder)["first"] * 1000


def contenders(most: int) -> list[Contender]:
    """Return what grows."""
    jobs = [STEP**power for power in range(1, round(math.log(most, STEP)) + 1)]
    runs = [each for each in jobs if each >= 100]
    past = [each * 10 for each in runs]
    found: dict[str, tuple[list[int], Callable[[int, Path], float]]] = {
        "a call": (runs, of_pending), "a call, by finished runs": (past, of_history),
        "a call, by nodes": (list(NODES), of_nodes), "`ls`": (jobs, of_listing), "start": (jobs, of_start),
    }  # fmt: skip
    units = {"a call": "that wait", "`ls`": "jobs", "start": "jobs"}
    systems = {"`ls`": System("jobrunner", "ours"), "start": ours.FRESH}
    return [
        Contender(
            f"{name}, {sizes[0]:,} to {sizes[-1]:,} {units.get(name, '')}".rstrip(),
            systems.get(name, ours.WARM), partial(figures, sizes, measure),
        )
        for name, (sizes, measure) in found.items()
    ]  # fmt: skip


def main() -> int:
    """Measure and print."""
    made = parser(__doc__)
    made.add_argument(
        "--most", type=int, default=MOST, help="jobs and calls; ten times as many finished runs"
    )
    asked = made.parse_args()
    run(asked, "growth", "How cost grows", METRICS, contenders(asked.most))
    return 0


if __name__ == "__main__":
    sys.exit(main())
