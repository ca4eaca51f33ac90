"""A project of ours under measurement: job files whose bodies write a line, and a node."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.measure import System

SLOTS = 4  # what `start` takes by default on two cores
DURABLE = "yes: each start and end is committed with synchronous=FULL; history is kept"
FRESH = System("jobrunner", "ours", DURABLE, "a fresh process a run")
WARM = System(
    "jobrunner, warm", "ours", DURABLE, "processes that serve many runs of a job (`runsPerProcess`)"
)
WARM_RUNS = 1_000_000

JOB = '''"""Say when it began."""

import os
import time
{imports}
config = {config!r}


def default({parameter}):
    now = time.time()
    handle = os.open({out!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(handle, b"%017.6f %017.6f\\n" % (now, {asked}))
    os.close(handle)
'''


class Project:
    """A folder with jobs; nothing in it is done before it is asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.out = folder / "out"
        (folder / "jobs").mkdir(exist_ok=True)
        self.environment = {**os.environ, "TZ": "UTC", "BENCH_OUT": str(self.out)}

    def job(self, name: str = "noop", *, imports: str = "", due: bool = False, **config: Any) -> None:
        """Write a job file; without a schedule it runs on demand, beside itself.

        With `due` it writes when it was due, else what comes along as `asked`.
        """
        parameter, asked = ("ctx", "ctx.scheduled_for.timestamp()") if due else ("asked=0.0", "asked")
        full = {"name": name, "schedule": None, "concurrency": "allow", **config}
        text = JOB.format(
            config=full, out=str(self.out), imports=imports, parameter=parameter, asked=asked
        )  # fmt: skip
        (self.folder / "jobs" / f"{name.replace('-', '_')}.py").write_text(text, "utf-8")

    def jobs(self, count: int, **config: Any) -> None:
        """Write many: job-0, job-1 …"""
        for number in range(count):
            self.job(f"job-{number}", **config)

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "jobrunner", "--project", str(self.folder), *arguments]

    def start(self, *arguments: str) -> list[str]:
        """Return the command of a node."""
        return self.command("start", "--slots", str(SLOTS), "--grace", "1s", *arguments)

    def see(self) -> None:
        """Have a node see the jobs once, as before every start but the first."""
        self.run("start", "--for", "1s")

    def run(self, *arguments: str) -> str:
        """Run a command to its end, and return what it printed."""
        done = subprocess.run(
            self.command(*arguments), cwd=self.folder, env=self.environment, capture_output=True, text=True,
            check=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        return done.stdout
