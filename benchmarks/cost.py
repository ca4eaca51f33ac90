"""What something costs, in figures that hold on a machine that others use, too: milliseconds.

Each is taken in many short turns, ours and a peer's after one another, and the quickest fifth counts: on a
busy machine some turns are left in peace, as on a quiet one all are. The very quickest may be luck. It is CPU
time wherever nobody waits for the result.
"""

from __future__ import annotations

import math
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from benchmarks import cli, queues, schedulers
from benchmarks.measure import Figures, NotMeasured, percentile
from benchmarks.processes import lines, tree_cpu, wait_for, written

Costs = dict[str, list[float]]
PATIENCE = 60.0  # seconds
SETTLED = 0.3  # seconds after the last call began, in which what ends is written down
FIRST = 2  # occurrences in which things are loaded
QUICKEST = 0.2


def least(costs: Sequence[float]) -> float:
    """Return what the quickest fifth of turns do not exceed; not a number: one of them is not."""
    return math.nan if any(map(math.isnan, costs)) else percentile(costs, QUICKEST)


def calls(
    asked: Mapping[str, tuple[queues.Queue, int]], turns: int, folder: Path
) -> dict[str, list[Figures]]:
    """Measure queues in turns, each with so many calls."""
    found: dict[str, list[Figures]] = {name: [] for name in asked}
    with ExitStack() as stack:
        places = {}
        for name, (queue, _) in asked.items():
            (folder / name).mkdir()
            places[name] = stack.enter_context(queue.opened(folder / name))
        for _ in range(turns):
            for name, (_, count) in asked.items():
                found[name].append(_sent_and_drained(places[name], count))
    return found


def _sent_and_drained(place: queues.Place, count: int) -> Figures:
    """Measure calls asked for one by one, then worked off: milliseconds a call."""
    asked = place.asked("send", count)
    return {"sent": asked["cpu"] / count * 1000, "drained": _worked_off(place, count)}


def _worked_off(place: queues.Place, count: int) -> float:
    """Return the CPU milliseconds of all calls but the first tenth: workers have started by then."""
    start = written(place.out)
    with place.working() as processes:
        wait_for(place.out, start + count // 10, PATIENCE)
        before, used = written(place.out), _used(processes)
        if wait_for(place.out, start + count, PATIENCE) < start + count:
            raise NotMeasured(f"it did not do {count} calls within {PATIENCE:g} s")
        time.sleep(SETTLED)
        return (_used(processes) - used) / (start + count - before) * 1000


def stalled() -> float:
    """Return the seconds since the start in which somebody waited for a processor; 0: not known."""
    try:
        text = Path("/proc/pressure/cpu").read_text("ascii")
    except OSError:
        return 0.0
    return int(text.split("total=")[1].split()[0]) / 1e6


def _used(processes: Iterable[subprocess.Popen[bytes]]) -> float:
    return sum(tree_cpu(each.pid) for each in processes)


def late(
    even: schedulers.Scheduler, odd: schedulers.Scheduler, turns: int, folder: Path
) -> tuple[list[float], list[float]]:
    """Return by how many milliseconds bodies are late.

    Both work side by side, one with a job in each even second, the other in each odd one.
    """
    for name in ("even", "odd"):
        (folder / name).mkdir()
    with (
        even.opened(folder / "even", schedulers.EVEN) as one,
        odd.opened(folder / "odd", schedulers.ODD) as other,
        one.working(),
        other.working(),
    ):
        return _lateness(one, turns), _lateness(other, turns)


def _lateness(made: schedulers.Prepared, turns: int) -> list[float]:
    if wait_for(made.out, FIRST + turns, PATIENCE + 2 * turns) < FIRST + turns:
        raise NotMeasured("its job does not run each two seconds")
    return [line.late * 1000 for line in lines(made.out)[FIRST : FIRST + turns]]


def commands(called: Mapping[str, Sequence[str]], turns: int, folder: Path) -> Costs:
    """Return the milliseconds of CPU that whole commands take."""
    took: Costs = {name: [] for name in called}
    for _ in range(turns):
        for name, command in called.items():
            took[name].append(cli.timed(partial(cli.call, folder, list(command)))[1])
    return took
