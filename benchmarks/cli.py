"""The command line: how long a command takes, on a CPU too, and how many modules it imports.

    python -m benchmarks.cli [--times 15] [--json FILE]

Whole processes; a round's figure is the median of so many.
"""

from __future__ import annotations

import os
import re
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks import ours
from benchmarks.measure import Contender, Figures, Metric, System, parser, run
from benchmarks.peers import environment

TIMES, JOBS = 15, 10
OURS = str(Path(sys.executable).parent / "jobrunner")
HELP, LS = "--help", f"ls of {JOBS} jobs"
METRICS = [
    Metric("ms", "ms", more=False),
    Metric("cpu", "CPU ms", more=False),
    Metric("modules", "modules", more=False),
]
_IMPORTED = re.compile(r"^import time:\s+\d+ \|", re.MULTILINE)
PEERS = {  # environment -> (name, its command)
    "huey": ("Huey", "huey_consumer"),
    "procrastinate": ("Procrastinate", "procrastinate"),
    "rq": ("RQ", "rq"),
    "celery": ("Celery", "celery"),
    "dbos": ("DBOS", "dbos"),
}
LIMITS = {
    "limit: python": "pass",
    "limit: argparse": "import argparse; argparse.ArgumentParser().parse_args(['--help'])",
    "limit: click": "import click; click.Group('bench')(['--help'])",
}


def command(python: str, arguments: list[str], times: int, folder: Path) -> Figures:
    """Measure one command: milliseconds, and what `-X importtime` lists."""
    said = call(folder, [python, "-X", "importtime", *arguments]).stderr
    took, cpu = zip(*(timed(partial(call, folder, [python, *arguments])) for _ in range(times)), strict=True)
    modules = len(_IMPORTED.findall(said))
    return {"ms": statistics.median(took), "cpu": statistics.median(cpu), "modules": modules}


def call(folder: Path, arguments: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        arguments, cwd=folder, env={**os.environ, "TZ": "UTC"}, check=True, capture_output=True, text=True,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


def timed(call: Callable[[], object]) -> tuple[float, float]:
    """Return the milliseconds that a process takes, and those of them on a CPU."""
    before, began = _children(), time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1000, (_children() - before) * 1000


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def listing(times: int, folder: Path) -> Figures:
    """Measure `ls` of a project that a node has seen."""
    return command(sys.executable, listed(folder), times, folder)


def listed(folder: Path) -> list[str]:
    """Return the arguments of an `ls` in a project that a node has seen."""
    project = ours.Project(folder)
    project.jobs(JOBS, schedule="*/5 * * * *")
    project.see()
    project.run("ls")
    return [OURS, "--project", str(folder), "ls"]


def peer(name: str, program: str, times: int, folder: Path) -> Figures:
    """Measure the help of a peer's command."""
    place = environment.folder(name)
    return command(str(place / "python"), [str(place / program), "--help"], times, folder)


def contenders(times: int) -> list[Contender]:
    """Return all, ours first."""
    us = System("jobrunner", "ours")
    mine = partial(command, sys.executable, [OURS, "--help"], times)
    return [
        Contender(HELP, us, mine),
        *(Contender(HELP, System(label), partial(peer, name, program, times))
          for name, (label, program) in PEERS.items()),
        *(Contender(HELP, System(label, "limit"), partial(command, sys.executable, ["-c", code], times))
          for label, code in LIMITS.items()),
        Contender(LS, us, partial(listing, times)),
    ]  # fmt: skip


def main() -> int:
    """Measure and print."""
    made = parser(__doc__)
    made.add_argument("--times", type=int, default=TIMES)
    asked = made.parse_args()
    run(asked, "cli", "The command line", METRICS, contenders(asked.times))
    return 0


if __name__ == "__main__":
    sys.exit(main())
