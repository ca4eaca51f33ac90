"""How much memory a run's processes hold together, and when that is more than they may. Linux only.

Counted is RssAnon: what is in memory and in no file. Pages that a fork shares with its parent count for
both, so many forks of a large process weigh more than they are. What is swapped out does not count.
"""

from __future__ import annotations

import os
from _thread import get_native_id

from jobrunner import processes

LOOK_EVERY = 0.5  # seconds
_KIB = 1024


def supported() -> bool:
    """Say whether this system tells how much memory a tree of processes holds."""
    task = f"/proc/self/task/{get_native_id()}/children"
    return processes.LINUX and os.access(task, os.R_OK) and os.access("/proc/self/status", os.R_OK)


def held(pid: int) -> int:
    """Return the bytes that a process and all its descendants hold; those that are gone hold none."""
    total, seen, waiting = 0, {pid}, [pid]
    while waiting:
        one = waiting.pop()
        total += _anonymous(one)
        fresh = [child for child in _children(one) if child not in seen]
        seen.update(fresh)
        waiting += fresh
    return total


class Scale:
    """Weighs the processes of a run each half second. Times are monotonic seconds, `limit` is bytes."""

    def __init__(self, limit: int, now: float) -> None:
        self.limit = limit
        self.due = now + LOOK_EVERY

    def excess(self, pid: int, now: float) -> int | None:
        """Return what the processes below `pid` hold, when it is time to look and more than they may."""
        if now < self.due:
            return None
        self.due = now + LOOK_EVERY
        used = held(pid) if pid else 0
        return used if used > self.limit else None


def _anonymous(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            told = next((line for line in file if line.startswith(b"RssAnon:")), b"RssAnon: 0")
    except OSError:
        return 0
    return int(told.split()[1]) * _KIB


def _children(pid: int) -> list[int]:
    found: list[int] = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", "rb") as file:
                found += map(int, file.read().split())
    except OSError:  # it ended meanwhile: its children come to the run, and are seen at the next look
        return found
    return found
