"""How much memory a run's processes hold together, and when that is more than they may. Linux only.

Counted is what is in memory and in no file of a disk: a process's own pages, shared memory, files in a
tmpfs that it maps. By `RssAnon` and `RssShmem` a page that several processes share counts for each of them;
that is cheap to ask for, and enough as long as it is within the limit. Above it a page is divided among those
who share it (`Pss`), so that forks of a large process weigh what they are. What is swapped out, or written to
a tmpfs and mapped by nobody, does not count.
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
    """Return the bytes that a process and all its descendants hold, at most: what they share counts for each.

    Those that are gone hold none.
    """
    return sum(map(_resident, _tree(pid)))


def weighed(pid: int) -> int:
    """Return the bytes that a process and all its descendants hold, each page once. Takes longer."""
    return sum(map(_share, _tree(pid)))


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
        if not pid or held(pid) <= self.limit:
            return None
        used = weighed(pid)
        return used if used > self.limit else None


def _resident(pid: int) -> int:
    return _told(pid, "status", (b"RssAnon:", b"RssShmem:")) or 0


def _share(pid: int) -> int:
    """Return what a process holds with its part of what it shares, where the kernel tells that."""
    told = _told(pid, "smaps_rollup", (b"Pss_Anon:", b"Pss_Shmem:"))
    return _resident(pid) if told is None else told


def _told(pid: int, name: str, wanted: tuple[bytes, ...]) -> int | None:
    """Return the bytes that these lines of a file in /proc come to; None when there are none."""
    try:
        with open(f"/proc/{pid}/{name}", "rb") as file:
            found = [int(line.split()[1]) for line in file if line.startswith(wanted)]
    except OSError:
        return None
    return sum(found) * _KIB if found else None


def _tree(pid: int) -> set[int]:
    seen, waiting = {pid}, [pid]
    while waiting:
        fresh = [child for child in _children(waiting.pop()) if child not in seen]
        seen.update(fresh)
        waiting += fresh
    return seen


def _children(pid: int) -> list[int]:
    found: list[int] = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", "rb") as file:
                found += map(int, file.read().split())
    except OSError:  # it ended meanwhile: its children come to the run, and are seen at the next look
        return found
    return found
