"""How long a simulation takes, in the same run of this script: the plan alone, then dispatcher and store too.

    python -m benchmarks.simulation [--days 365] [--rounds 3]

40 daily and 10 hourly jobs, spread over the day, in Europe/Berlin: a year has 102,200 occurrences. The plan
of a year is to stay below 2 s. With dispatcher and store each occurrence is planned, claimed, started, ended
and recorded as by `jobrunner start`, in a store on disk for which nothing is ever waited (`durable=False`);
bodies do nothing, and take no time or seven minutes. Printed are the best of the rounds.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from jobrunner.testing import Timeline, simulate

START = datetime(2026, 1, 1, tzinfo=UTC)
LIMIT = 2.0  # seconds for the plan of a year


def jobs() -> list[dict[str, Any]]:
    """Return the configs."""
    daily = [{"name": f"daily-{n}", "schedule": f"{n} {n % 24} * * *"} for n in range(40)]
    hourly = [{"name": f"hourly-{n}", "schedule": f"{5 * n} * * * *"} for n in range(10)]
    return daily + hourly


def measure(rounds: int, what: Callable[[], Timeline]) -> tuple[float, int]:
    """Return (the seconds of the best round, how many entries there were)."""
    best, number = float("inf"), 0
    for _ in range(rounds):
        began = time.perf_counter()
        number = len(what())
        best = min(best, time.perf_counter() - began)
    return best, number


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--rounds", type=int, default=3, help="of the plan; of all else there is one")
    asked = parser.parse_args()
    took = report("plan alone", asked.days, asked.rounds, plan_only=True)
    report("dispatcher and store", asked.days, 1)
    report("the same, 7 minutes each", min(asked.days, 30), 1, takes="7m")
    if asked.days == 365 and took > LIMIT:
        raise SystemExit(f"the plan of a year took more than {LIMIT} s")


def report(name: str, days: int, rounds: int, **how: Any) -> float:
    """Measure one way to simulate so many days, print it, and return the seconds."""
    end = START + timedelta(days=days)
    took, number = measure(
        rounds, lambda: simulate(jobs(), start=START, end=end, timezone="Europe/Berlin", **how)
    )
    each = 1e6 * took / number
    print(f"{name}, {days} days: {number:,} occurrences in {took:.2f} s, {each:.0f} µs each", flush=True)
    return took


if __name__ == "__main__":
    main()
