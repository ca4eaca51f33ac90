"""Estimate how many days the project will take: a Monte-Carlo simulation over its tasks."""

import csv
import random

config = {
    "name": "forecast",
    "schedule": "every 5s",
    "numberOfExecutions": 1,
    "params": {"rounds": 40_000, "seed": 1},  # the same seed gives the same answer
    "timeout": "1m",
}

PARTS = 20


def default(ctx, data, output, rounds, seed):
    """Draw each task's length from its best, likely and worst case; sort the sums."""
    with (data / "tasks.csv").open(newline="", encoding="utf-8") as lines:
        tasks = [(int(row["best"]), int(row["worst"]), int(row["likely"])) for row in csv.DictReader(lines)]
    draw = random.Random(seed).triangular
    totals = []
    for part in range(PARTS):
        ctx.raise_if_cancelled()
        totals += [sum(draw(*task) for task in tasks) for _ in range(rounds // PARTS)]
        ctx.progress(part + 1, PARTS)
    totals.sort()
    days = {f"{percent} %": round(totals[len(totals) * percent // 100], 1) for percent in (50, 80, 95)}
    lines = (f"{chance} certain: {count} days" for chance, count in days.items())
    (output / "forecast.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return days
