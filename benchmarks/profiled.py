"""Where a node's time goes while it drains: what it waits for, which statements, which of our modules.

    python -m benchmarks.profiled [--warm] [--count 1000] [--top 15]

Of the node's own process and thread; children have theirs. The profiler itself makes small functions look
larger than they are.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks import queues
from benchmarks.measure import NotMeasured, as_installed, load
from benchmarks.processes import lines, wait_for

PATIENCE = 120.0


def profile(queue: queues.Queue, count: int, folder: Path) -> Any:
    """Return what `profiled_node` has written down, and how long the drain took."""
    found = folder / "profile.json"
    python, _, _, *rest = queue.workers[0]
    command = [python, "-m", "benchmarks.profiled_node", str(found), *rest]
    with dataclasses.replace(queue, workers=[command]).opened(folder) as place:
        place.ask_for(count)
        with place.working():
            wait_for(place.out, count, PATIENCE)
        began = sorted(line.began for line in lines(place.out))
    if len(began) < count:
        raise NotMeasured(f"only {len(began)} calls began")
    return {**json.loads(found.read_text("utf-8")), "took": began[-1] - began[0]}


def kinds(functions: Iterable[tuple[str, int, str, float]]) -> dict[str, float]:
    """Return the seconds by what kind of thing they were spent on."""
    sums: dict[str, float] = defaultdict(float)
    for file, _, name, own in functions:
        sums[kind(file, name)] += own
    return dict(sorted(sums.items(), key=lambda each: -each[1]))


def kind(file: str, name: str) -> str:
    """Return what a function is counted as."""
    if "select" in name or "poll" in name:
        return "waiting"
    if "apsw" in name or "apsw" in file:
        return "SQLite"
    if "/jobrunner/" in file:
        return "jobrunner." + file.partition("/jobrunner/")[2].partition("/")[0].removesuffix(".py")
    return "built in" if file == "~" else "libraries"


def tell(found: Any, count: int, top: int) -> None:
    """Print milliseconds a call, by kind, statement and function."""
    print(f"load average {load()}; {count / found['took']:,.0f} calls/s; milliseconds a call")
    for name, seconds in list(kinds(found["functions"]).items())[:top]:
        print(f"  {seconds * 1000 / count:7.3f}  {name}")
    print("by statement, and how many a call")
    for sql, (number, seconds) in sorted(found["statements"].items(), key=lambda each: -each[1][1])[:top]:
        print(f"  {seconds * 1000 / count:7.3f}  {number / count:5.2f}  {sql}")
    print("by function")
    for file, line, name, own in sorted(found["functions"], key=lambda each: -each[3])[:top]:
        print(f"  {own * 1000 / count:7.3f}  {Path(file).name}:{line} {name}")


def main() -> int:
    """Profile, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--warm", action="store_true")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--top", type=int, default=15)
    asked = parser.parse_args()
    as_installed()
    with tempfile.TemporaryDirectory() as folder:
        found = profile(queues.warm() if asked.warm else queues.jobrunner(), asked.count, Path(folder))
    tell(found, asked.count, asked.top)
    return 0


if __name__ == "__main__":
    sys.exit(main())
