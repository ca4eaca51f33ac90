"""The short form, for CI: a handful of ratios to peers measured beside us, in at most three minutes.

    python -m benchmarks.short            compares with benchmarks/ratios.json; exit code 1: one has fallen
    python -m benchmarks.short --keep     writes that file

A ratio says how many times less ours costs than the peer's: `benchmarks.cost` has what makes it hold on any
machine. It has fallen when more than a third of it is gone, and still is after a second look.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks import cli, cost, occurrences, queues, schedulers
from benchmarks.measure import NotMeasured, as_installed, load, reason
from benchmarks.peers import environment
from benchmarks.report import factor

KEPT = Path(__file__).parent / "ratios.json"
MAY_FALL = 1 / 3
CROWDED = 0.3  # of the time somebody waits for a processor: then the wall clock says nothing of us
SENT = "CPU of a call asked for"
WARM, FRESH = "CPU of a call, warm", "CPU of a call, fresh process each"
DUE = "due moment to first line"
HELP, LS = "CPU of --help", f"CPU of ls of {cli.JOBS} jobs"
EASY, HARD = "CPU of an occurrence, easy", "CPU of an occurrence, 29 February"
SECONDS = 0.25  # of CPU for a computation

Costs = dict[str, list[float]]
Found = dict[str, float | None]


class Both(NamedTuple):
    """What each turn has cost, ours and the peer's."""

    ours: Costs
    peer: Costs


class Task(NamedTuple):
    """What is measured together; each name becomes a ratio."""

    peer: str
    names: tuple[str, ...]
    measure: Callable[[int, Path], Both]
    turns: int
    wall: bool = False  # latency: nobody can judge it on a crowded machine


def tasks() -> list[Task]:
    """Return what is compared."""
    return [
        Task("Huey", (SENT, WARM, FRESH), _calls, 6),
        Task("APScheduler 3, processes", (DUE,), _due, 12, wall=True),
        Task("Huey's --help", (HELP, LS), _commands, 15),
        Task("APScheduler 3", (EASY, HARD), _computed, 5),
    ]


def _calls(turns: int, folder: Path) -> Both:
    """Measure ours and Huey; it has no process for each call, so one figure stands beside both of ours."""
    asked = {
        "warm": (queues.warm(), 500), "peer": (queues.huey("process", 1), 500),
        "fresh": (queues.jobrunner(), 100),
    }  # fmt: skip
    found = cost.calls(asked, turns, folder)

    def of(name: str, key: str) -> list[float]:
        return [each[key] for each in found[name]]

    sent = {SENT: "sent", WARM: "drained"}
    ours = {name: of("warm", key) for name, key in sent.items()}
    peer = {name: of("peer", key) for name, key in sent.items()}
    return Both({**ours, FRESH: of("fresh", "drained")}, {**peer, FRESH: of("peer", "drained")})


def _due(turns: int, folder: Path) -> Both:
    mine, theirs = cost.late(schedulers.jobrunner(), schedulers.apscheduler("processes"), turns, folder)
    return Both({DUE: mine}, {DUE: theirs})


def _commands(turns: int, folder: Path) -> Both:
    """Measure ours, and of Huey the one command that it has."""
    peer = environment.folder("huey")
    called = {
        HELP: [sys.executable, cli.OURS, "--help"],
        "peer": [str(peer / "python"), str(peer / "huey_consumer"), "--help"],
        LS: [sys.executable, *cli.listed(folder)],
    }
    found = cost.commands(called, turns, folder)
    theirs = found.pop("peer")
    return Both(found, dict.fromkeys(found, theirs))


def _computed(turns: int, folder: Path) -> Both:
    both = Both({EASY: [], HARD: []}, {EASY: [], HARD: []})
    for name, texts in {EASY: occurrences.EASY, HARD: (occurrences.HARD,)}.items():
        for _ in range(turns):
            theirs = occurrences.peer("apscheduler", texts, SECONDS, folder, place="apscheduler")
            both.ours[name].append(1000 / occurrences.ours(texts, SECONDS, folder)["rate"])
            both.peer[name].append(1000 / theirs["rate"])
    return both


# -- to compare ------------------------------------------------------------------------------------------


def measured(task: Task) -> Both | None:
    """Measure a task; None where it cannot be measured."""
    stalled, began = cost.stalled(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as folder:
        try:
            found = task.measure(task.turns, Path(folder))
        except (NotMeasured, OSError, ValueError, subprocess.SubprocessError) as error:
            print(f"{', '.join(task.names)}: not measured: {reason(error)}", flush=True)
            return None
    if task.wall and cost.stalled() - stalled > CROWDED * (time.monotonic() - began):
        found = Both(*({name: [math.nan] for name in task.names} for _ in found))
    for name in task.names:
        print(f"  {name}: {_listed(found.ours[name])}", file=sys.stderr)
        print(f"    {task.peer}: {_listed(found.peer[name])}", file=sys.stderr, flush=True)
    return found


def ratios(looks: Sequence[Both | None], names: Iterable[str]) -> Found:
    """Return how many times less ours costs than the peer's, over all looks; None without one.

    Where a look says that nobody can judge it is not a number.
    """
    there = [look for look in looks if look]

    def ratio(name: str) -> float:
        ours, peer = ([value for each in of for value in each[name]] for of in zip(*there, strict=True))
        return cost.least(peer) / cost.least(ours)

    return {name: ratio(name) if there else None for name in names}


def _listed(costs: Iterable[float]) -> str:
    return " ".join(f"{each:.3g}" for each in sorted(costs))


def fallen(kept: float | None, found: float | None) -> bool:
    """Say whether a ratio is no longer what it was; one that is missing is not."""
    return kept is not None and (found is None or found < kept * (1 - MAY_FALL))


def complaints(kept: Mapping[str, float], found: Mapping[str, float | None]) -> list[str]:
    """Return a sentence for each ratio that has fallen, or that only one of both has."""
    said = []
    for name in [*kept, *(name for name in found if name not in kept)]:
        if name not in kept:
            said.append(f"{name} has no kept ratio: python -m benchmarks.short --keep")
        elif found.get(name) is None:
            said.append(f"{name} could not be measured; it was {factor(kept[name])}×")
        elif fallen(kept[name], found[name]):
            now = factor(found[name] or 0.0)
            said.append(f"{name} has fallen by more than a third: from {factor(kept[name])}× to {now}×")
    return said


def look(chosen: Iterable[Task], kept: Mapping[str, float]) -> Found:
    """Measure all tasks; one of whose ratios one has fallen, or is not known yet, a second time.

    All turns of both count.
    """
    all_found: Found = {}
    for task in chosen:
        looks = [measured(task)]
        if any(fallen(kept.get(name, math.inf), found) for name, found in ratios(looks, task.names).items()):
            looks.append(measured(task))
        found = ratios(looks, task.names)
        for name in task.names:
            print(line(task, name, found[name], kept.get(name)), flush=True)
        all_found |= found
    return all_found


def line(task: Task, name: str, found: float | None, kept: float | None) -> str:
    """Return what was found, beside what was kept."""
    if found is not None and math.isnan(found):
        return f"{name}: not judged, for others use all processors"
    now, before = ("–" if each is None else f"{factor(each)}×" for each in (found, kept))
    return f"{name}: {now} of {task.peer}, kept {before}"


def main() -> int:
    """Measure, then keep or compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--keep", action="store_true", help="write the ratios, in place of comparing")
    parser.add_argument("--only", default="", help="tasks of whose ratios the first one's name begins so")
    asked = parser.parse_args()
    as_installed()
    kept: dict[str, float] = json.loads(KEPT.read_text("utf-8")) if KEPT.exists() else {}
    chosen = [task for task in tasks() if task.names[0].startswith(asked.only)]
    names = {name for task in chosen for name in task.names}
    mine = {name: value for name, value in kept.items() if name in names or not asked.only}
    began = time.monotonic()
    found = look(chosen, {} if asked.keep else mine)
    print(f"{time.monotonic() - began:.0f} s, load average {load()}")
    return keep(kept if asked.only else {}, found) if asked.keep else judge(mine, found)


def keep(kept: Mapping[str, float], found: Found) -> int:
    """Write the ratios down; 1, and nothing is written, where one is missing."""
    missing = [name for name, value in found.items() if value is None or math.isnan(value)]
    if missing:
        print(f"not kept, for these could not be measured: {', '.join(missing)}")
        return 1
    both = {**kept, **{name: round(value or 0.0, 4) for name, value in found.items()}}
    KEPT.write_text(json.dumps(both, indent=1) + "\n", "utf-8")
    return 0


def judge(kept: Mapping[str, float], found: Found) -> int:
    """Print what has fallen; returns the exit code."""
    said = complaints(kept, found)
    for sentence in said:
        print(sentence)
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main())
