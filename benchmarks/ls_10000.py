"""How long the second `jobrunner ls` takes over 10,000 job files, against a loop that reads and hashes them.

    python benchmarks/ls_10000.py [--count 10000] [--rounds 15]

Both are whole processes, run in turns; printed are medians and their ratio, which is to stay within 1.5.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

JOB = '''"""Copy the orders of shop {i} into the warehouse."""

config = {{
    "name": "shop-{i:05d}",
    "schedule": "*/{minutes} * * * *",
    "numberOfExecutions": 3,
}}


def default(container):
    logger = container.resolve("logger")
    logger.info("syncing")
    return {{"rows": {i}}}
'''
LOOP = """
import hashlib, os, sys
for base, folders, files in os.walk(sys.argv[1]):
    for name in files:
        with open(os.path.join(base, name), "rb") as file:
            hashlib.sha256(file.read()).digest()
"""
SUMMARIES = """
import os, sys
from jobrunner import settings
from jobrunner.clock import SystemClock
from jobrunner.registry import Registry
registry = Registry.load(settings.load({}, os.environ))
upcoming, now = registry.upcoming(), SystemClock().now()
lines = [f"{job.name}  {job.words}  {upcoming.next_after(job, now)}" for job in registry.summaries]
upcoming.save()
print("\\n".join(lines))
"""


def make(root: Path, count: int) -> None:
    """Write a project of `count` jobs, a hundred to a folder."""
    (root / "jobrunner.yaml").write_text("timezone: UTC\n")
    for i in range(count):
        folder = root / "jobs" / f"team{i // 100:03d}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"job_{i:05d}.py").write_text(JOB.format(i=i, minutes=1 + i % 30))


def timed(command: list[str], root: Path) -> float:
    """Return the milliseconds that a process takes from start to end."""
    began = time.perf_counter()
    subprocess.run(command, cwd=root, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "TZ": "UTC"})
    return (time.perf_counter() - began) * 1000


def measure(root: Path, rounds: int) -> dict[str, float]:
    """Return the medians of each command, run in turns."""
    commands = {
        "read and hash": [sys.executable, "-c", LOOP, str(root / "jobs")],
        "summaries": [sys.executable, "-c", SUMMARIES],
        "jobrunner ls": [sys.executable, "-m", "jobrunner", "ls"],
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            times[name].append(timed(command, root))
    return {name: statistics.median(found) for name, found in times.items()}


def main() -> None:
    """Make the tree, warm the cache, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=15)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make(root, asked.count)
        print(f"first ls: {timed([sys.executable, '-m', 'jobrunner', 'ls'], root):.0f} ms")
        found = measure(root, asked.rounds)
    base = found["read and hash"]
    for name, median in found.items():
        print(f"{name}: {median:.1f} ms, {median / base:.2f} x")


if __name__ == "__main__":
    main()
