"""Next-occurrence computations: each the one after the last, in UTC; expressions are parsed beforehand.
A second is one of CPU time.

    python -m benchmarks.occurrences [--seconds 2] [--json FILE]

The easy expressions are those that crontabs have most; the figure of "easy" is their harmonic mean. Starting
points move on, so that nobody answers from what it has kept.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from functools import partial
from pathlib import Path

from benchmarks.measure import ROOT, Contender, Figures, Metric, System, parser, run
from benchmarks.peers import environment

SECONDS = 2.0
EASY = ("* * * * *", "*/5 * * * *", "30 2 * * *", "0 9-17 * * 1-5", "0 0 1 * *")
HARD = "0 0 29 2 *"
METRICS = [Metric("rate", "a second", more=True)]
PEERS = {"croniter": "croniter", "cronsim": "cronsim", "apscheduler": "APScheduler 3"}
PROGRAM = "benchmarks.peers.programs.occurrences_program"


def ours(expressions: tuple[str, ...], seconds: float, folder: Path) -> Figures:
    """Measure our schedules."""
    return _mean([sys.executable, "-m", "benchmarks.ours_occurrences"], expressions, seconds)


def peer(
    name: str, expressions: tuple[str, ...], seconds: float, folder: Path, *, place: str = "cron"
) -> Figures:
    """Measure a library, of the environment `place`."""
    python = str(environment.folder(place) / "python")
    return _mean([python, "-m", PROGRAM, name], expressions, seconds)


def _mean(command: list[str], expressions: tuple[str, ...], seconds: float) -> Figures:
    each = str(seconds / len(expressions))
    return {"rate": statistics.harmonic_mean([_rate([*command, text, each]) for text in expressions])}


def _rate(command: list[str]) -> float:
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return float(done.stdout)


def contenders(seconds: float) -> list[Contender]:
    """Return all, ours first."""
    found = []
    for what, expressions in {"easy": EASY, HARD: (HARD,)}.items():
        mine = partial(ours, expressions, seconds)
        found.append(Contender(what, System("jobrunner", "ours"), mine))
        for name, label in PEERS.items():
            found.append(Contender(what, System(label), partial(peer, name, expressions, seconds)))
    return found


def main() -> int:
    """Measure and print."""
    made = parser(__doc__)
    made.add_argument("--seconds", type=float, default=SECONDS)
    asked = made.parse_args()
    run(asked, "occurrences", "Next-occurrence computations", METRICS, contenders(asked.seconds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
