"""The tables in docs/benchmarks.md, made of the JSON files in benchmarks/results/.

python -m benchmarks.report            writes them into the page
python -m benchmarks.report --check    says whether they are what the files say, exit code 1 if not
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.measure import ROOT, Metric, Result, Row, median, read

RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "benchmarks.md"
BEGIN = "<!-- begin: python -m benchmarks.report writes this -->"
END = "<!-- end -->"
ORDER = (
    "drain", "cron", "trigger", "burst", "idle", "start", "cli", "enqueue", "history", "occurrences",
    "growth",
)  # fmt: skip


def table(result: Result) -> str:
    """Return a result as Markdown: a row each, and by what factor ours is ahead."""
    titles = [metric.title for metric in result.metrics]
    head = ["what", "system", *titles, "ours is ahead by", "survives a power cut", "isolation"]
    rows = [head, ["---"] * len(head), *(_row(result, row) for row in result.rows)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in rows)


def _row(result: Result, row: Row) -> list[str]:
    system = row.system
    name = f"*{system.name}*" if system.kind == "limit" else system.name
    name = f"**{name}**" if system.kind == "ours" else name
    if row.note:
        figures = [row.note, *([""] * (len(result.metrics) - 1))]
    else:
        figures = [shown(median(row, metric.key)) for metric in result.metrics]
    return [row.what, name, *figures, _ahead(result, row), system.durability, system.isolation]


def _ahead(result: Result, row: Row) -> str:
    ours = counterpart(result.rows, row)
    if row.note or row.system.kind == "ours" or ours is None:
        return ""
    found = [ratio(metric, ours, row) for metric in result.metrics]
    return " / ".join("–" if each is None else f"{factor(each)}×" for each in found)


def counterpart(rows: Sequence[Row], row: Row) -> Row | None:
    """Return our first row for the same task."""
    same = (each for each in rows if each.what == row.what and each.system.kind == "ours" and not each.note)
    return next(same, None)


def ratio(metric: Metric, ours: Row, other: Row) -> float | None:
    """Return how many times better ours is; below 1: worse. None where there is nothing to compare."""
    mine, theirs = median(ours, metric.key), median(other, metric.key)
    if mine is None or theirs is None or min(mine, theirs) <= 0:
        return None
    return mine / theirs if metric.more else theirs / mine


def shown(value: float | None) -> str:
    """Return a figure with three digits that count."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def factor(value: float) -> str:
    """Return a ratio with two digits that count."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def section(result: Result) -> str:
    """Return a heading, the conditions, the table."""
    of = result.conditions
    low, high = of["load"]
    said = (
        f"{of['when']} UTC, {of['cores']} cores, load average {low} to {high}, Python {of['python']}, "
        f"{of['system']}; medians of {of['rounds']} rounds in turns. `python -m benchmarks.{result.name}`"
    )
    return f"### {result.title}\n\n{said}\n\n{table(result)}\n"


def page(text: str, results: Iterable[Result]) -> str:
    """Return a page with what stands between the marks made anew. Raises ValueError without marks."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page lacks its marks: {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n" + "\n".join(map(section, results)) + f"\n{END}{after}"


def results(folder: Path) -> list[Result]:
    """Return what the files say, in the order of the table."""
    return [read(folder / f"{name}.json") for name in ORDER if (folder / f"{name}.json").exists()]


def main() -> int:
    """Write, or check."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true")
    asked = parser.parse_args()
    old = PAGE.read_text("utf-8")
    new = page(old, results(RESULTS))
    if not asked.check:
        PAGE.write_text(new, "utf-8")
    elif new != old:
        print("docs/benchmarks.md is not what benchmarks/results says: python -m benchmarks.report")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
