"""Processes under measurement: to have them for a while, what they use, what their bodies have written."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from benchmarks.measure import NotMeasured

LINE = 36  # bytes that each body writes: two moments of 17, a blank, an end
_PSS = re.compile(r"^Pss:\s+(\d+) kB", re.MULTILINE)


class Line(NamedTuple):
    """When a body began, and when it had been asked for: seconds since 1970; 0: nobody said."""

    began: float
    asked: float

    @property
    def late(self) -> float:
        """Seconds from the due moment: the second in which it began, where the body is not told."""
        return self.began - (self.asked or self.began // 1)


def lines(out: Path) -> list[Line]:
    """Return what bodies have written so far."""
    found = out.read_text("ascii").splitlines() if out.exists() else []
    return [Line(*map(float, line.split())) for line in found]


def written(out: Path) -> int:
    """Return how many bodies began; cheap."""
    try:
        return out.stat().st_size // LINE
    except FileNotFoundError:
        return 0


def wait_for(out: Path, count: int, patience: float, *, every: float = 0.01) -> int:
    """Wait until so many bodies began, or patience ends; returns how many did."""
    wait(lambda: written(out) >= count, patience, every)
    return written(out)


def wait(condition: Callable[[], object], patience: float, every: float = 0.01) -> object:
    """Wait for a condition; returns its last value."""
    end = time.monotonic() + patience
    while not (value := condition()) and time.monotonic() < end:
        time.sleep(every)
    return value


@contextmanager
def working(
    commands: Sequence[Sequence[str]], folder: Path, environment: Mapping[str, str]
) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Have processes for the length of the block, each leading a group of its own; NotMeasured: one ended."""
    processes = []
    with (folder / "output.log").open("ab") as log:
        for command in commands:
            processes.append(subprocess.Popen(
                command, cwd=folder, env=dict(environment), stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                start_new_session=True,
            ))  # fmt: skip
    try:
        yield processes
        if any(process.poll() not in (None, 0) for process in processes):
            raise NotMeasured(f"its process ended: {last_words(folder / 'output.log')}")
    finally:
        for process in processes:
            end(process)


def last_words(log: Path) -> str:
    """Return the last line of a log."""
    said = log.read_text("utf-8", "replace").strip().splitlines()
    return said[-1][:200] if said else "it said nothing"


def end(process: subprocess.Popen[bytes], patience: float = 15.0) -> None:
    """Ask a process to end, then kill it and what is left of its group."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(patience)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


# -- what they use ---------------------------------------------------------------------------------------


def tree(pid: int) -> list[int]:
    """Return a process and all its living descendants."""
    found, todo = [], [pid]
    while todo:
        current = todo.pop()
        found.append(current)
        with suppress(OSError):
            for thread in Path(f"/proc/{current}/task").iterdir():
                todo += map(int, (thread / "children").read_text().split())
    return found


def tree_cpu(pid: int) -> float:
    """Return the CPU seconds of a process, of all its living descendants and of the reaped dead.

    The living are read in nanoseconds from schedstat: clock ticks of 10 ms would hide an idle node.
    """
    return sum(_cpu(each) for each in tree(pid))


def _cpu(pid: int) -> float:
    used = 0.0
    with suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            used += int((thread / "schedstat").read_text().split()[0]) / 1e9
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        used += (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")
    return used


def tree_pss(pid: int) -> float:
    """Return the megabytes of a process and its descendants, what they share counted once."""
    return sum(_pss(each) for each in tree(pid))


def _pss(pid: int) -> float:
    with suppress(OSError):
        found = _PSS.search(Path(f"/proc/{pid}/smaps_rollup").read_text())
        return int(found[1]) / 1024 if found else 0.0
    return 0.0
