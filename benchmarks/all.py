"""All benchmarks, one after another; those of the table leave their figures, and the page is made of these.

python -m benchmarks.all [--rounds 3]
"""

from __future__ import annotations

import argparse
import subprocess
import sys

from benchmarks.measure import ROUNDS
from benchmarks.report import ORDER, RESULTS

OTHERS = ("hung_job", "ls_10000", "many_nodes", "simulation")


def commands(rounds: int) -> list[list[str]]:
    """Return what is run."""
    python = [sys.executable, "-m"]
    table = [
        [*python, f"benchmarks.{name}", "--rounds", str(rounds), "--json", str(RESULTS / f"{name}.json")]
        for name in ORDER
    ]
    return [*table, [*python, "benchmarks.report"], *([*python, f"benchmarks.{name}"] for name in OTHERS)]


def main() -> int:
    """Run all; returns 1 when one failed, after the others."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    asked = parser.parse_args()
    failed = [each for each in commands(asked.rounds) if subprocess.run(each, check=False).returncode]
    for command in failed:
        print(f"failed: {' '.join(command[1:])}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
