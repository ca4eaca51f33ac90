"""The short form, for CI: a handful of ratios to peers measured beside us, in at most three minutes.

    python -m benchmarks.short            compares with benchmarks/ratios.json; exit code 1: one has fallen
    python -m benchmarks.short --keep     writes that file

A ratio says how many times better ours is. Machines differ, and so does their load, but that falls on both.
It has fallen when more than a third of it is gone, and still is after a second look.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from benchmarks import cli, cron, drain, enqueue, occurrences, queues, schedulers
from benchmarks.measure import Contender, Metric, Row, System, as_installed, load, turns
from benchmarks.report import factor, ratio

KEPT = Path(__file__).parent / "ratios.json"
ROUNDS = 3
MAY_FALL = 1 / 3
OURS = System("jobrunner", "ours")
SECONDS = 20.0  # for a drain


class Pair(NamedTuple):
    """Ours and a peer at one task."""

    name: str
    metric: Metric
    contenders: tuple[Contender, Contender]


def pairs() -> list[Pair]:
    """Return what is compared."""
    huey = queues.huey("process")
    return [
        _drained("drain, fresh process each", queues.jobrunner(), huey, 300, 600),
        _drained("drain, warm", queues.warm(), huey, 600, 600),
        _latency("cron each second"),
        _enqueued("enqueue one by one", huey, 400),
        _help("CLI --help"),
        _computed("next occurrence, easy", occurrences.EASY),
        _computed("next occurrence, 29 February", (occurrences.HARD,)),
    ]


def _drained(name: str, ours: queues.Queue, peer: queues.Queue, count: int, theirs: int) -> Pair:
    mine = Contender(name, ours.system, partial(drain.drain, ours, count, SECONDS))
    other = Contender(name, peer.system, partial(drain.drain, peer, theirs, SECONDS))
    return Pair(name, drain.METRICS[0], (mine, other))


def _latency(name: str) -> Pair:
    both = schedulers.jobrunner(), schedulers.apscheduler("threads")
    mine, other = (Contender(name, each.system, partial(cron.latency, each, 5)) for each in both)
    return Pair(name, cron.METRICS[0], (mine, other))


def _enqueued(name: str, peer: queues.Queue, count: int) -> Pair:
    both = queues.jobrunner(), peer
    mine, other = (Contender(name, each.system, partial(enqueue.one_by_one, each, count)) for each in both)
    return Pair(name, enqueue.METRICS[0], (mine, other))


def _help(name: str) -> Pair:
    mine = Contender(name, OURS, partial(cli.command, sys.executable, [cli.OURS, "--help"], 7))
    other = Contender(name, System("Huey"), partial(cli.peer, "huey", "huey_consumer", 7))
    return Pair(name, cli.METRICS[1], (mine, other))  # CPU: whole processes are short, and others have turns


def _computed(name: str, expressions: tuple[str, ...]) -> Pair:
    mine = Contender(name, OURS, partial(occurrences.ours, expressions, 1.0))
    other = Contender(name, System("croniter"), partial(occurrences.peer, "croniter", expressions, 1.0))
    return Pair(name, occurrences.METRICS[0], (mine, other))


# -- to compare ------------------------------------------------------------------------------------------


def measured(pair: Pair, rounds: int, before: Sequence[Row] = ()) -> list[Row]:
    """Measure a pair in turns; values of an earlier look are added."""
    rows = turns(pair.contenders, rounds, lambda line: print(line, file=sys.stderr, flush=True))
    for row, old in zip(rows, before, strict=False):
        for key, values in old.figures.items():
            row.figures[key] = [*values, *row.figures.get(key, [])]
    return rows


def ratio_of(pair: Pair, rows: Sequence[Row]) -> float | None:
    """Return how many times better ours is; None where one of both was not measured."""
    return ratio(pair.metric, rows[0], rows[1])


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


def look(chosen: Iterable[Pair], kept: Mapping[str, float], rounds: int) -> dict[str, float | None]:
    """Measure all pairs; those whose ratio has fallen a second time."""
    found: dict[str, float | None] = {}
    for pair in chosen:
        rows = measured(pair, rounds)
        if fallen(kept.get(pair.name), ratio_of(pair, rows)):
            rows = measured(pair, rounds, rows)
        found[pair.name] = ratio_of(pair, rows)
        print(line(pair, rows, kept.get(pair.name)), flush=True)
    return found


def line(pair: Pair, rows: Sequence[Row], kept: float | None) -> str:
    """Return what was found, beside what was kept."""
    found = ratio_of(pair, rows)
    now = next((row.note for row in rows if row.note), "nothing") if found is None else f"{factor(found)}×"
    return f"{pair.name}: {now} of {rows[1].system.name}, kept {'–' if kept is None else factor(kept)}×"


def main() -> int:
    """Measure, then keep or compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--keep", action="store_true", help="write the ratios, in place of comparing")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--only", default="", help="those whose names begin so")
    asked = parser.parse_args()
    as_installed()
    kept: dict[str, float] = json.loads(KEPT.read_text("utf-8")) if KEPT.exists() else {}
    chosen = [pair for pair in pairs() if pair.name.startswith(asked.only)]
    names = {pair.name for pair in chosen}
    mine = {name: value for name, value in kept.items() if name in names or not asked.only}
    began = time.monotonic()
    found = look(chosen, {} if asked.keep else mine, asked.rounds)
    print(f"{time.monotonic() - began:.0f} s, load average {load()}")
    return keep(kept, found) if asked.keep else judge(mine, found)


def keep(kept: Mapping[str, float], found: Mapping[str, float | None]) -> int:
    """Write the ratios down; 1, and nothing is written, where one is missing."""
    missing = [name for name, value in found.items() if value is None]
    if missing:
        print(f"not kept, for these could not be measured: {', '.join(missing)}")
        return 1
    both = {**kept, **{name: round(value or 0.0, 4) for name, value in found.items()}}
    KEPT.write_text(json.dumps(both, indent=1) + "\n", "utf-8")
    return 0


def judge(kept: Mapping[str, float], found: Mapping[str, float | None]) -> int:
    """Print what has fallen; returns the exit code."""
    said = complaints(kept, found)
    for sentence in said:
        print(sentence)
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main())
