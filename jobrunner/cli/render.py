"""Tables, times and sentences for people. A program gets the same cells: plain, whole, one row a line."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jobrunner.cli import out
from jobrunner.clock import SECOND, Instant, to_datetime, to_iso

if TYPE_CHECKING:
    from rich.text import Text

UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
STYLES = {
    "active": "green", "succeeded": "green", "running": "cyan", "pending": "cyan",
    "disabled": "yellow", "paused": "yellow", "excluded": "yellow", "orphan": "yellow", "skipped": "yellow",
    "finished": "dim", "on-demand": "dim", "canceled": "yellow",
    "error": "red", "failed": "red", "timed": "red", "lost": "red",
}  # fmt: skip

LONGEST = 200  # characters of what a run says about its progress

Row = Sequence[str]


def table(head: Row, rows: Sequence[Row]) -> None:
    """Write rows under their headings, aligned."""
    if out.on_terminal():
        _draw(head, rows)
    else:
        out.write(plain(head, rows))


def plain(head: Row, rows: Sequence[Row]) -> str:
    """Return the table as text: columns two blanks apart, nothing cut, nothing wrapped."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    layout = "  ".join(f"%-{width}s" for width in widths[:-1]) + "  %s\n"
    if not any(row[-1] == "" for row in rows):
        return "".join([layout % tuple(row) for row in (head, *rows)])
    return "".join([(layout % tuple(row)).rstrip() + "\n" for row in (head, *rows)])


def _draw(head: Row, rows: Sequence[Row]) -> None:
    from rich.console import Console
    from rich.table import Table

    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for name in head:
        drawn.add_column(name, overflow="fold")
    for row in rows:
        drawn.add_row(*map(_cell, row))
    with_console = Console(markup=False, emoji=False, highlight=False)
    with with_console.capture() as captured:
        with_console.print(drawn)
    out.write(captured.get())


def _cell(text: str) -> Text:
    """Return a cell that is never read as markup, coloured when it is a state."""
    from rich.text import Text

    return Text(text, style=STYLES.get(text.partition(" ")[0], ""))


def when(instant: Instant | None, now: Instant) -> str:
    """Return a moment: relative for people, ISO for programs."""
    if instant is None:
        return "-"
    return relative(instant - now) if out.on_terminal() else to_iso(instant)


def relative(micros: int) -> str:
    """Return a distance in time in its largest unit: `in 4 min`, `2 h ago`, `now`."""
    if abs(micros) < SECOND:
        return "now"
    return f"in {lasting(micros)}" if micros > 0 else f"{lasting(-micros)} ago"


def lasting(micros: int) -> str:
    """Return a length of time in its largest unit: `4 min`, `0 s`."""
    seconds = max(0, micros) // SECOND
    for size, unit in UNITS:
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return "0 s"


def fraction(progress: Mapping[str, Any] | None) -> float | None:
    """Return how much of a run is done, 0 to 1, where it has said so in numbers.

    A run's progress is whatever it sent: nothing here may raise for it.
    """
    value, whole = (progress or {}).get("value"), (progress or {}).get("max")
    if not isinstance(value, int | float) or not isinstance(whole, int | float) or not whole > 0:
        return None
    try:
        done = value / whole
    except OverflowError:
        return None
    return None if math.isnan(done) else min(1.0, max(0.0, done))


def progress_words(progress: Mapping[str, Any] | None) -> str:
    """Return a run's progress in a few words: `45 % copying`, `17 copying`, `copying`; "" without any."""
    from jobrunner.wording import one_line

    said = progress or {}
    done = fraction(said)
    number = said.get("value") if done is None else f"{int(done * 100)} %"
    if said.get("max") == 0:  # nothing to measure by: the message alone
        number = None
    parts = [str(part)[:LONGEST] for part in (number, said.get("message")) if part is not None]
    return " ".join(one_line(" ".join(parts)).split())


def local(instant: Instant, zone: str, layout: str = "%Y-%m-%d %H:%M:%S %Z") -> str:
    """Return a moment as the clock on the wall of a zone shows it."""
    from zoneinfo import ZoneInfo

    return to_datetime(instant).astimezone(ZoneInfo(zone)).strftime(layout)


def many(number: int, noun: str) -> str:
    """Return `1 job`, `2 jobs`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def facts(pairs: Sequence[tuple[str, str]]) -> None:
    """Write names and values, one a line, and continuation lines under their value."""
    out.write(facts_text(pairs))


def facts_text(pairs: Sequence[tuple[str, str]]) -> str:
    """Return names and values as `facts` writes them."""
    width = max(len(name) for name, _ in pairs) + 2
    lines = [f"{name + ':':<{width}}{value}".rstrip() for name, value in pairs]
    return "".join(line.replace("\n", "\n" + " " * width) + "\n" for line in lines)
