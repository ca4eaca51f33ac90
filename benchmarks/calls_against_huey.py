"""Calls: how fast they are written and drained, against Huey on SQLite in the same run.

    python -m benchmarks.calls_against_huey [COUNT]

- enqueue: COUNT no-op calls, one by one, from one process; each is on disk before the next (Huey: fsync=True)
- drain: from the start of the workers, one a core, until the last call has run
- trigger: from `client.trigger` in another process to the first line of the body, the node idle or busy

Huey keeps no history and runs in threads, or in processes that serve many tasks; jobrunner keeps a row for
each run and gives each a process of its own (`runsPerProcess: 1`), or as many as its config allows.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

COUNT = 2000
TRIGGERS = 30
WORKERS = os.cpu_count() or 2

TASKS = """
import os
from huey import SqliteHuey

huey = SqliteHuey(filename={database!r}, fsync=True, results=False)


@huey.task()
def noop(number):
    handle = os.open({out!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(handle, b".")
    os.close(handle)
"""

JOB = """
import os, time

config = {{"name": "noop", "schedule": None, "concurrency": "allow", "runsPerProcess": {serves}}}


def default(number=0):
    handle = os.open({out!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(handle, {word})
    os.close(handle)
"""

ENQUEUE = """
import time
{imports}
begin = time.perf_counter()
for number in range({count}):
    {call}
print(time.perf_counter() - begin)
"""


@contextmanager
def working(command: list[str], folder: Path) -> Iterator[None]:
    """Have workers for the length of the block."""
    with (folder / "output.log").open("ab") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(60)


def wait_for(path: Path, size: int, patience: float = 600.0) -> float:
    """Return how many seconds it takes until a file has so many bytes."""
    begin = time.perf_counter()
    while not path.exists() or path.stat().st_size < size:
        if time.perf_counter() - begin > patience:
            return float("nan")
        time.sleep(0.002)
    return time.perf_counter() - begin


def rates(count: int, written: float, drained: float) -> str:
    """Return both as calls a second."""
    return f"enqueue {count / written:7,.0f}/s   drain {count / drained:7,.0f}/s"


def huey(folder: Path, count: int, kind: str) -> str:
    """Measure Huey with its workers as threads or processes."""
    out = folder / "out"
    (folder / "tasks.py").write_text(TASKS.format(database=str(folder / "huey.db"), out=str(out)))
    enqueue = ENQUEUE.format(imports="from tasks import noop", count=count, call="noop(number)")
    done = subprocess.run(
        [sys.executable, "-c", enqueue], cwd=folder, capture_output=True, text=True, check=True
    )
    consumer = [
        sys.executable,
        "-m",
        "huey.bin.huey_consumer",
        "tasks.huey",
        "-k",
        kind,
        "-w",
        str(WORKERS),
        "-q",
    ]
    with working(consumer, folder):
        drained = wait_for(out, count)
    return rates(count, float(done.stdout), drained)


def ours(folder: Path, count: int, serves: int) -> str:
    """Measure jobrunner; one process serves so many runs."""
    out = folder / "out"
    start = _project(folder, out, serves, 'b"."')
    enqueue = ENQUEUE.format(
        imports="from jobrunner import connect\nclient = connect()",
        count=count, call='client.run_after(0, "noop", number=number)',
    )  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", enqueue], cwd=folder, capture_output=True, text=True, check=True
    )
    with working(start, folder):
        drained = wait_for(out, count)
    return rates(count, float(done.stdout), drained)


def _project(folder: Path, out: Path, serves: int, word: str) -> list[str]:
    """Write a project that a node has seen once; returns the command that starts it."""
    (folder / "jobs").mkdir()
    (folder / "jobs" / "noop.py").write_text(JOB.format(out=str(out), serves=serves, word=word))
    start = [sys.executable, "-m", "jobrunner", "--project", str(folder), "start", "--slots", str(WORKERS)]
    subprocess.run([*start, "--for", "1s"], cwd=folder, capture_output=True, check=True)
    return start


def triggers(folder: Path, *, busy: bool) -> str:
    """Measure from `client.trigger` here to the body's first line there."""
    from jobrunner import connect

    out = folder / "out"
    start = _project(folder, out, 1, 'f"{time.time():.6f}\\n".encode()')
    late = []
    with working(start, folder), connect(project=str(folder)) as client:
        time.sleep(3)
        for _ in range(TRIGGERS):
            if not busy:
                time.sleep(0.3)
            before = out.stat().st_size if out.exists() else 0
            asked = time.time()
            client.trigger("noop")
            wait_for(out, before + 10, 10)
            late.append(float(out.read_text().split()[-1]) - asked)
    return f"median {statistics.median(late) * 1000:.1f} ms, worst {max(late) * 1000:.1f} ms"


def main() -> None:
    """Measure each in turn, one line a figure."""
    count = int(sys.argv[1]) if sys.argv[1:] else COUNT
    measures: dict[str, Callable[[Path], str]] = {
        f"Huey, {WORKERS} threads": lambda folder: huey(folder, count, "thread"),
        f"Huey, {WORKERS} processes": lambda folder: huey(folder, count, "process"),
        "jobrunner, a process a run": lambda folder: ours(folder, count, 1),
        "jobrunner, runsPerProcess 1000": lambda folder: ours(folder, count, 1000),
        "trigger, one after another": lambda folder: triggers(folder, busy=True),
        "trigger, the node idle before": lambda folder: triggers(folder, busy=False),
    }
    print(f"{count} no-op calls, all committed with fsync:")
    for name, measure in measures.items():
        with tempfile.TemporaryDirectory() as folder:
            print(f"  {name:34} {measure(Path(folder))}", flush=True)


if __name__ == "__main__":
    main()
