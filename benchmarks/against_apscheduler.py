"""Start latency, idle cost and a burst of 1,000 jobs, against APScheduler 3 in the same run.

    python -m benchmarks.against_apscheduler

- latency: 20 due seconds; from the due moment to the first line of the job's code, milliseconds
- idle: CPU seconds that 1,000 daily jobs cost in 20 s in which none is due (the whole process tree)
- burst: 1,000 jobs due in the same second; from that moment to the last first line, and CPU seconds

APScheduler runs its bodies in threads of its own process and keeps its jobs in memory: no isolation, no
record, nothing left after a crash. It is measured a second time with its process pool and its SQLite job
store, which is the nearest that it has to what jobrunner does.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

JOBS = 1000
IDLE_SECONDS = 20
LATENCY_RUNS = 20

BODY = """
import os, time

config = {config!r}


def default():
    now = time.time()
    handle = os.open({out!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(handle, b"%f\\n" % now)
    os.close(handle)
"""

PEER = """
import os, sys, time
from datetime import datetime, timezone
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.executors.pool import ProcessPoolExecutor
from apscheduler.triggers.cron import CronTrigger

OUT = {out!r}

def body():
    now = time.time()
    handle = os.open(OUT, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(handle, b"%f\\n" % now)
    os.close(handle)

if __name__ == "__main__":
    options = {{}}
    if {durable!r}:
        options["executors"] = {{"default": ProcessPoolExecutor(4)}}
        options["jobstores"] = {{"default": {{"type": "sqlalchemy", "url": "sqlite:///" + OUT + ".db"}}}}
    scheduler = BackgroundScheduler(timezone=timezone.utc, **options)
    for number in range({jobs}):
        scheduler.add_job(body, CronTrigger(**{trigger!r}, timezone=timezone.utc), id=str(number),
                          misfire_grace_time=60, replace_existing=True)
    scheduler.start()
    time.sleep({seconds})
    scheduler.shutdown(wait=False)
    os._exit(0)
"""


def tree_cpu(pid: int) -> float:
    """Return the CPU seconds of a process, of all its living descendants and of the reaped dead.

    The living are read in nanoseconds from schedstat: clock ticks of 10 ms would hide an idle node.
    """
    used, todo = 0.0, [pid]
    while todo:
        current = todo.pop()
        try:
            for thread in Path(f"/proc/{current}/task").iterdir():
                used += int((thread / "schedstat").read_text().split()[0]) / 1e9
            fields = Path(f"/proc/{current}/stat").read_text().rpartition(")")[2].split()
            todo += map(int, Path(f"/proc/{current}/task/{current}/children").read_text().split())
        except OSError:
            continue
        used += (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")
    return used


@contextmanager
def running(command: list[str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a scheduler for the length of the block."""
    with (folder / "output.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Ours:
    """jobrunner with its state file, a process a run."""

    name = "jobrunner"

    def command(self, folder: Path, schedule: dict[str, int | str], jobs: int, seconds: float) -> list[str]:
        order = ("second", "minute", "hour", "day", "month")
        cron = " ".join(str(schedule.get(field, "*")) for field in order) + " *"
        (folder / "jobs").mkdir()
        for number in range(jobs):
            config = {"name": f"job-{number}", "schedule": cron, "timezone": "UTC"}
            text = BODY.format(config=config, out=str(folder / "out"))
            (folder / "jobs" / f"job_{number}.py").write_text(textwrap.dedent(text))
        return [sys.executable, "-m", "jobrunner", "--project", str(folder), "start", "--grace", "5s"]


class Peer:
    """APScheduler 3; `durable` with a process pool and an SQLite job store."""

    def __init__(self, durable: bool) -> None:
        self.durable = durable
        self.name = "APScheduler, processes + SQLite" if durable else "APScheduler, threads + memory"

    def command(self, folder: Path, schedule: dict[str, int | str], jobs: int, seconds: float) -> list[str]:
        text = PEER.format(
            out=str(folder / "out"), durable=self.durable, trigger=schedule, jobs=jobs, seconds=seconds
        )
        (folder / "peer.py").write_text(text)
        return [sys.executable, str(folder / "peer.py")]


def first_lines(folder: Path) -> list[float]:
    """Return when bodies began."""
    path = folder / "out"
    return [float(line) for line in path.read_text().split()] if path.exists() else []


def wait_for(folder: Path, count: int, patience: float) -> list[float]:
    """Wait until `count` bodies began."""
    end = time.monotonic() + patience
    while len(first_lines(folder)) < count and time.monotonic() < end:
        time.sleep(0.1)
    return first_lines(folder)


def latency(system: Ours | Peer, folder: Path) -> str:
    """Measure from the due second to the first line."""
    with running(system.command(folder, {"second": "*"}, 1, LATENCY_RUNS + 30), folder):
        begun = wait_for(folder, LATENCY_RUNS + 3, LATENCY_RUNS + 25)[3:]
    late = sorted((moment % 1) * 1000 for moment in begun)
    return f"median {statistics.median(late):.1f} ms, worst {late[-1]:.1f} ms ({len(late)} runs)"


def idle(system: Ours | Peer, folder: Path) -> str:
    """Measure what waiting costs."""
    far = time.gmtime(time.time() - 7200)
    schedule: dict[str, int | str] = {"second": 0, "minute": far.tm_min, "hour": far.tm_hour}
    with running(system.command(folder, schedule, JOBS, IDLE_SECONDS + 60), folder) as process:
        time.sleep(10)
        before = tree_cpu(process.pid)
        time.sleep(IDLE_SECONDS)
        used = tree_cpu(process.pid) - before
    return f"{used * 1000:.1f} ms of CPU in {IDLE_SECONDS} s = {used / IDLE_SECONDS:.3%} of a core"


def burst(system: Ours | Peer, folder: Path) -> str:
    """Measure 1,000 jobs due in one second."""
    moment = int(time.time()) + 15
    due = time.gmtime(moment)
    schedule: dict[str, int | str] = {
        "second": due.tm_sec, "minute": due.tm_min, "hour": due.tm_hour, "day": due.tm_mday,
    }  # fmt: skip
    with running(system.command(folder, schedule, JOBS, 80), folder) as process:
        time.sleep(max(0.0, moment - 1 - time.time()))
        before = tree_cpu(process.pid)
        begun = sorted(wait_for(folder, JOBS, 70))
        time.sleep(1)
        used = tree_cpu(process.pid) - before
    if not begun:
        return "nothing ran"
    half = begun[len(begun) // 2] - moment
    return (
        f"{len(begun)} began; first after {begun[0] - moment:.3f} s, half after {half:.2f} s, "
        f"last after {begun[-1] - moment:.2f} s; {used:.2f} s of CPU"
    )


def main() -> None:
    """Measure each system in turn and print one line a figure; arguments choose the figures."""
    for measure in (latency, idle, burst):
        if sys.argv[1:] and measure.__name__ not in sys.argv[1:]:
            continue
        print(f"{measure.__name__}:")
        for system in (Ours(), Peer(durable=False), Peer(durable=True)):
            with tempfile.TemporaryDirectory() as folder:
                print(f"  {system.name:34} {measure(system, Path(folder))}", flush=True)


if __name__ == "__main__":
    main()
