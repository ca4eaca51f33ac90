"""python -m tests.simulation [--seeds 10000] [--from N] [--seed N [--trace] [--without 3,5] [--shrink]]"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.simulation.history import Result, live
from tests.simulation.shrink import shrink


def main(words: Sequence[str] | None = None) -> int:
    """Run what was asked for; returns 1 when something of the contract is broken."""
    asked = _asked(words)
    with TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        if asked.seed is None:
            return _many(range(asked.start, asked.start + asked.seeds), Path(folder))
        return _one(asked, Path(folder))


def _asked(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation", description="Histories of whole nodes."
    )
    parser.add_argument("--seeds", type=int, default=10_000, help="how many histories")
    parser.add_argument("--from", type=int, default=0, dest="start", help="the first seed")
    parser.add_argument("--seed", type=int, help="only this one")
    parser.add_argument("--trace", action="store_true", help="tell all that happens in it")
    parser.add_argument("--without", type=_numbers, default=(), help="events, by their place, to be left out")
    parser.add_argument("--shrink", action="store_true", help="find events that can be left out")
    return parser.parse_args(words)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(word) for word in text.split(",") if word)


def _one(asked: argparse.Namespace, folder: Path) -> int:
    without = asked.without
    if asked.shrink:
        without = shrink(asked.seed, folder, without)
        print(f"--seed {asked.seed} --without {','.join(map(str, without))}")
    result = live(asked.seed, folder, print if asked.trace else None, without)
    _tell(result)
    print(f"seed {asked.seed}: {'broken' if result.broken else 'all is well'}")
    return 1 if result.broken else 0


def _many(seeds: Iterable[int], folder: Path) -> int:
    began, tally, ran, bodies, broken = time.monotonic(), Counter[str](), 0, 0, 0
    for seed in seeds:
        result = live(seed, folder)
        ran, bodies, tally = ran + 1, bodies + result.bodies, tally + result.tally
        broken += bool(result.broken)
        _tell(result)
    took = time.monotonic() - began
    print(f"{ran} seeds, {bodies} bodies, {took:.0f} s, {ran / took:.1f} histories a second; {broken} broken")
    print(", ".join(f"{kind} {count}" for kind, count in sorted(tally.items())))
    return 1 if broken else 0


def _tell(result: Result) -> None:
    for said in result.broken:
        print(f"seed {result.seed}: {said}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
