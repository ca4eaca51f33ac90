"""What every queue is asked to do, in the same words; prints what it took as one line of JSON.

Seconds, and those of them on a CPU.

PROGRAM setup               makes what there must be before workers start
PROGRAM send COUNT          one call after another, each safe before the next
PROGRAM bulk COUNT SIZE     so many, in batches of SIZE
PROGRAM later COUNT WHEN    so many, all due at one moment
PROGRAM trigger COUNT GAP   each after a pause, or as soon as the one before has begun
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable

LAST = 50
PATIENCE = 60.0  # seconds for a call to begin


class Queue:
    """What a program brings of this; the rest it has no way to do."""

    def setup(self) -> None:
        """Make what must be there."""

    def send(self, asked: float) -> None:
        """Ask for one; `asked` goes along."""
        raise NotImplementedError

    def send_many(self, count: int) -> None:
        """Ask for many at once."""
        raise NotImplementedError

    def send_at(self, count: int, when: float) -> None:
        """Ask for many that are due at a moment."""
        raise NotImplementedError

    def fill(self, count: int) -> None:
        """Have a history."""
        raise NotImplementedError

    def last(self) -> int:
        """Read the last 50 of the job; returns how many there were."""
        raise NotImplementedError


def main(queue: Queue) -> None:
    """Do what the command line says."""
    command, *numbers = sys.argv[1:]
    given = [float(each) for each in numbers]
    commands: dict[str, Callable[[], dict[str, float] | None]] = {
        "setup": queue.setup,
        "send": lambda: send(queue, int(given[0])),
        "bulk": lambda: bulk(queue, int(given[0]), int(given[1])),
        "later": lambda: queue.send_at(int(given[0]), given[1]),
        "trigger": lambda: trigger(queue, int(given[0]), given[1]),
        "fill": lambda: queue.fill(int(given[0])),
        "last": lambda: last(queue, int(given[0])),
    }
    began, used = time.perf_counter(), time.process_time()
    found = commands[command]() or {}
    took = {"seconds": time.perf_counter() - began, "cpu": time.process_time() - used}
    print(json.dumps({**took, **found}))


def send(queue: Queue, count: int) -> None:
    """Ask one by one."""
    for _ in range(count):
        queue.send(0.0)


def _seconds(do: Callable[[], object]) -> float:
    began = time.perf_counter()
    do()
    return time.perf_counter() - began


def bulk(queue: Queue, count: int, size: int) -> None:
    """Ask for many at once."""
    for _ in range(count // size):
        queue.send_many(size)


def last(queue: Queue, times: int) -> dict[str, float]:
    """Look so often; returns the median of the seconds."""
    return {"seconds": statistics.median(_seconds(lambda: _look(queue)) for _ in range(times))}


def _look(queue: Queue) -> None:
    if queue.last() != LAST:
        raise SystemExit(f"it does not have the last {LAST}")


def trigger(queue: Queue, count: int, gap: float) -> None:
    """Ask, and wait for the body's line; asked and begun stand in it."""
    for _ in range(count):
        time.sleep(gap)
        before = _size()
        queue.send(time.time())
        _wait_beyond(before)


def _size() -> int:
    try:
        return os.stat(os.environ["BENCH_OUT"]).st_size
    except FileNotFoundError:
        return 0


def _wait_beyond(size: int) -> None:
    end = time.monotonic() + PATIENCE
    while _size() <= size:
        if time.monotonic() > end:
            raise SystemExit("the call did not begin")
        time.sleep(0.001)
