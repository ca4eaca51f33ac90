"""Where a node's time goes while it drains: what it waits for, what the database takes, what is our own.

    python -m benchmarks.profiled [--warm] [--count 1000] [--top 25]

Of the node's own process and thread; children have theirs. The profiler itself makes small functions look
larger than they are.
"""

from __future__ import annotations

import argparse
import dataclasses
import pstats
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

from benchmarks import queues
from benchmarks.measure import as_installed, load
from benchmarks.processes import wait_for

PATIENCE = 120.0
Place = tuple[str, int, str]


def profile(queue: queues.Queue, count: int, folder: Path) -> dict[Place, float]:
    """Return the seconds in each function of the node, without those in what it calls."""
    found = folder / "profile"
    python, *rest = queue.workers[0]
    command = [python, "-m", "cProfile", "-o", str(found), *rest]
    with dataclasses.replace(queue, workers=[command]).opened(folder) as place:
        place.ask("send", count)
        with place.working():
            wait_for(place.out, count, PATIENCE)
    stats: Any = pstats.Stats(str(found))
    return {where: own for where, (_, _, own, _, _) in stats.stats.items()}


def kinds(found: dict[Place, float]) -> dict[str, float]:
    """Return the seconds by what kind of thing they were spent on."""
    sums: dict[str, float] = defaultdict(float)
    for where, own in found.items():
        sums[kind(where)] += own
    return dict(sorted(sums.items(), key=lambda each: -each[1]))


def kind(where: Place) -> str:
    """Return what a function is counted as."""
    file, _, name = where
    if "select" in name or "poll" in name:
        return "waiting"
    if "apsw" in name or "apsw" in file:
        return "SQLite"
    if "/jobrunner/" in file:
        return "jobrunner." + file.partition("/jobrunner/")[2].partition("/")[0].removesuffix(".py")
    return "built in" if file == "~" else "libraries"


def main() -> int:
    """Profile, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--warm", action="store_true")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--top", type=int, default=25)
    asked = parser.parse_args()
    as_installed()
    with tempfile.TemporaryDirectory() as folder:
        found = profile(queues.warm() if asked.warm else queues.jobrunner(), asked.count, Path(folder))
    print(f"load average {load()}; milliseconds a call, by kind:")
    for name, seconds in list(kinds(found).items())[: asked.top]:
        print(f"  {seconds * 1000 / asked.count:7.3f}  {name}")
    print("by function:")
    for where, seconds in sorted(found.items(), key=lambda each: -each[1])[: asked.top]:
        print(f"  {seconds * 1000 / asked.count:7.3f}  {Path(where[0]).name}:{where[1]} {where[2]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
