"""What every benchmark shares: contenders that take turns, their medians, what the machine was like.

A benchmark hands over `Contender`s. Each is measured once a round, so that what else the machine does falls
on all of them. What cannot be measured here says why, and the others go on.
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

Figures = dict[str, float]
Kind = Literal["ours", "peer", "limit"]
ROOT = Path(__file__).parents[1]
ROUNDS = 3


class NotMeasured(Exception):
    """What cannot be measured on this machine, or by this peer at all; the text says why."""


@dataclass(frozen=True)
class Metric:
    """One figure of a benchmark; `more` says whether more is better."""

    key: str
    title: str
    more: bool


@dataclass(frozen=True)
class System:
    """Who is measured: what survives a power cut, and what one run can do to others."""

    name: str
    kind: Kind = "peer"
    durability: str = "–"
    isolation: str = "–"


@dataclass(frozen=True)
class Contender:
    """One system at one task; `measure` gets an empty folder, and raises NotMeasured."""

    what: str
    system: System
    measure: Callable[[Path], Figures]


@dataclass
class Row:
    """What became of one contender: each metric's values, a round each."""

    what: str
    system: System
    figures: dict[str, list[float]] = field(default_factory=dict)
    note: str = ""

    def add(self, found: Figures) -> None:
        for key, value in found.items():
            self.figures.setdefault(key, []).append(value)


@dataclass
class Result:
    """One run of a benchmark."""

    name: str
    title: str
    metrics: list[Metric]
    rows: list[Row]
    conditions: dict[str, Any]

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n", "utf-8")


def read(path: Path) -> Result:
    """Read what `Result.write` has written."""
    found = json.loads(path.read_text("utf-8"))
    rows = [Row(**{**row, "system": System(**row["system"])}) for row in found["rows"]]
    metrics = [Metric(**metric) for metric in found["metrics"]]
    return Result(found["name"], found["title"], metrics, rows, found["conditions"])


# -- to measure ------------------------------------------------------------------------------------------


def turns(contenders: Iterable[Contender], rounds: int, say: Callable[[str], None]) -> list[Row]:
    """Measure all once, then all again; returns a row each."""
    rows = [(each, Row(each.what, each.system)) for each in contenders]
    for number in range(rounds):
        for contender, row in rows:
            if not row.note:
                _once(contender, row)
                say(f"  {number + 1}  {row.what} · {row.system.name}: {_latest(row)}")
    return [row for _, row in rows]


def _once(contender: Contender, row: Row) -> None:
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as folder:
        try:
            row.add(contender.measure(Path(folder)))
        except NotMeasured as why:
            row.note = f"not measured: {why}"
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            if contender.system.kind == "ours":
                raise
            row.note = f"not measured: it failed: {reason(error)}"


def reason(error: Exception) -> str:
    """Return the last line of what a program said, else of the error."""
    said = getattr(error, "stderr", None) or str(error)
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    return (text.strip().splitlines() or [type(error).__name__])[-1][:200]


def _latest(row: Row) -> str:
    return row.note or ", ".join(f"{key} {values[-1]:,.4g}" for key, values in row.figures.items())


def median(row: Row, key: str) -> float | None:
    """Return the median over the rounds; None where there is none."""
    values = row.figures.get(key)
    return statistics.median(values) if values else None


def percentile(values: Sequence[float], part: float) -> float:
    """Return the smallest value that so great a part of all do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


def load() -> float:
    """Return how many processes wanted to run, on average over the last minute."""
    return round(os.getloadavg()[0], 1)


def conditions(rounds: int, loads: Sequence[float]) -> dict[str, Any]:
    """Return under what a benchmark was run."""
    return {
        "when": time.strftime("%Y-%m-%d %H:%M", time.gmtime()),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "rounds": rounds,
        "load": [min(loads), max(loads)],
    }


def as_installed() -> None:
    """Have our package compiled, as an installer leaves it: peers are, and to compile it takes a second.

    Whoever is told to stop ends what it has started on the way out.
    """
    compileall.compile_dir(ROOT / "jobrunner", quiet=2)
    for name in ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "PYTHONPATH"):
        os.environ.pop(name, None)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


# -- the command line ------------------------------------------------------------------------------------


def parser(doc: str | None) -> argparse.ArgumentParser:
    """Return what all benchmarks understand."""
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--json", type=Path, help="where to write the figures")
    made.add_argument("--rounds", type=int, default=ROUNDS)
    made.add_argument("--systems", nargs="+", default=[], help="only those whose names begin so")
    made.add_argument("--what", nargs="+", default=[], help="only what begins so")
    return made


def chosen(asked: argparse.Namespace, contenders: Iterable[Contender]) -> list[Contender]:
    """Return those that the command line asks for."""

    def begins(text: str, with_any: list[str]) -> bool:
        return not with_any or text.lower().startswith(tuple(each.lower() for each in with_any))

    return [
        each for each in contenders
        if begins(each.system.name, asked.systems) and begins(each.what, asked.what)
    ]  # fmt: skip


def run(
    asked: argparse.Namespace, name: str, title: str, metrics: list[Metric], contenders: Iterable[Contender]
) -> Result:
    """Measure, print the table, and write the figures where they are wanted."""
    from benchmarks.report import table

    as_installed()
    print(title, flush=True)
    loads = [load()]
    rows = turns(chosen(asked, contenders), asked.rounds, _sayer(loads))
    result = Result(name, title, metrics, rows, conditions(asked.rounds, [*loads, load()]))
    print("\n" + table(result))
    if asked.json:
        result.write(asked.json)
    return result


def _sayer(loads: list[float]) -> Callable[[str], None]:
    """Return what prints a line, and notes the load."""

    def say(line: str) -> None:
        loads.append(load())
        print(line, file=sys.stderr, flush=True)

    return say
