"""What this machine can do at best, measured beside those who are compared."""

from __future__ import annotations

import sqlite3
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.measure import Figures, System, percentile

SECONDS = 1.5  # for each
COMMITS = System("limit: SQLite commits", "limit", "synchronous=FULL", "–")
FORKS = System("limit: fork and wait", "limit", "–", "a fork of a process of 10 MB")
PIPE = System("limit: pipe there and back", "limit", "–", "another process")
TIMER = System("limit: sleep until the second", "limit", "–", "–")


def repeated(do: Callable[[], object], seconds: float = SECONDS) -> float:
    """Return how often something can be done a second."""
    count, began = 0, time.perf_counter()
    while (took := time.perf_counter() - began) < seconds:
        do()
        count += 1
    return count / took


def commits(folder: Path, batch: int) -> float:
    """Return rows a second that are committed durably, so many in a transaction."""
    connection = sqlite3.connect(folder / "limit.db", isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, text TEXT)")
        return batch * repeated(lambda: _commit(connection, batch))
    finally:
        connection.close()


def _commit(connection: sqlite3.Connection, batch: int) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany("INSERT INTO rows (text) VALUES (?)", [("row",)] * batch)
    connection.execute("COMMIT")


def forks() -> float:
    """Return forks a second, each awaited, by a process that has next to nothing in it."""
    return _in_a_lean_process(
        "import os\n"
        "def do():\n"
        "    pid = os.fork()\n"
        "    if pid == 0: os._exit(0)\n"
        "    os.waitpid(pid, 0)\n"
    )  # fmt: skip


def pipes() -> float:
    """Return how often a second a byte goes to another process and comes back."""
    return _in_a_lean_process(
        "import os\n"
        "(a, b), (c, d) = os.pipe(), os.pipe()\n"
        "if os.fork() == 0:\n"
        "    os.close(b)\n"
        "    while os.read(a, 1): os.write(d, b'.')\n"
        "    os._exit(0)\n"
        "os.close(a)\n"
        "def do():\n"
        "    os.write(b, b'.')\n"
        "    os.read(c, 1)\n"
    )  # fmt: skip


def _in_a_lean_process(code: str) -> float:
    """Return how often a second an isolated interpreter can call the `do` that the code defines."""
    import subprocess
    import sys

    loop = (
        "import time\ncount, began = 0, time.perf_counter()\n"
        f"while (took := time.perf_counter() - began) < {SECONDS}:\n"
        "    do()\n    count += 1\nprint(count / took)\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code + loop], check=True, capture_output=True, text=True
    )
    return float(done.stdout)


def timer(count: int) -> list[float]:
    """Return by how many milliseconds a sleep until the next second was late, so often."""
    late = []
    for _ in range(count):
        time.sleep(1 - time.time() % 1)
        late.append(time.time() % 1 * 1000)
    return late


def timer_figures(count: int) -> Figures:
    """Return the median and the 99th percentile."""
    late = timer(count)
    return {"p50": statistics.median(late), "p99": percentile(late, 0.99)}
