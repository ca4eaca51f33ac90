"""show -f: a run or a job as it goes on; at a terminal a picture, else a line for each change."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from jobrunner.cli import out
from jobrunner.cli.asking import Asked
from jobrunner.cli.byhand import EXIT
from jobrunner.cli.past import (
    HEAD,
    about_job,
    about_run,
    find_job,
    find_run,
    recent_runs,
    rows,
    took,
    why,
)
from jobrunner.cli.render import facts, facts_text, plain, progress_words
from jobrunner.client.board import Line
from jobrunner.clock import Instant, SystemClock, to_iso
from jobrunner.model import ENDED, Run
from jobrunner.settings import Settings
from jobrunner.store.base import Store

if TYPE_CHECKING:
    from jobrunner.cli.canvas import Canvas

LOOK_EVERY = 1.0  # seconds


class Watcher(Protocol):
    """Whoever is shown how things stand."""

    def show(self, text: str, said: str, run: Run | None, now: Instant) -> bool:
        """Show everything as `text`, or in short what was `said`; False when nobody reads any more."""
        ...

    def end(self) -> bool:
        """Make room for the whole; False where what was said is enough."""
        ...


class Changes:
    """A line for each change."""

    def __init__(self) -> None:
        self._said = ""

    def show(self, text: str, said: str, run: Run | None, now: Instant) -> bool:
        """Print what was said, unless it was said before."""
        if said == self._said:
            return True
        self._said = said
        return out.line(f"{to_iso(now)} {said}")

    def end(self) -> bool:
        """Add nothing."""
        return False


class Picture:
    """Everything, drawn again in place, with a bar for the run that goes on."""

    def __init__(self, canvas: Canvas) -> None:
        self._canvas = canvas

    def show(self, text: str, said: str, run: Run | None, now: Instant) -> bool:
        """Draw it; what does not fit is left out at the end."""
        from rich.text import Text

        from jobrunner.cli.live import bar

        lines = [Text(line.expandtabs()) for line in text.splitlines()]
        if run is not None and run.state == "running" and run.progress:
            lines = [Text("  ").join(bar(run.progress, ascii_only=self._canvas.ascii)), *lines]
        self._canvas.draw(lines)
        return True

    def end(self) -> bool:
        """Take the picture away, for the whole to be printed in its place."""
        return self._canvas.draw([])


@contextmanager
def _watcher() -> Iterator[Watcher]:
    if not out.on_terminal() or os.environ.get("TERM", "dumb") in ("", "dumb", "unknown"):
        yield Changes()
        return
    from jobrunner.cli.canvas import Canvas

    canvas = Canvas(sys.stdout)
    try:
        yield Picture(canvas)
    finally:
        canvas.close()


def follow_run(store: Store, run: Run) -> int:
    """Show a run until it has ended; returns the exit code that `run` would have. Raises UnknownRun."""
    with _watcher() as watcher:
        while True:
            run, now = find_run(store, str(run.id)), SystemClock().now()
            reads = watcher.show(facts_text(about_run(run, now)), _of_run(run, now), run, now)
            if run.state in ENDED or not reads:
                break
            time.sleep(LOOK_EVERY)
        whole = watcher.end()
    if whole:
        facts(about_run(run, now))
    return EXIT.get(run.state, 1) if run.state in ENDED else 0


def follow_job(asked: Asked, settings: Settings, store: Store | None, name: str) -> None:
    """Show a job until somebody interrupts, or nobody reads. Raises UnknownJob."""
    with _watcher() as watcher:
        while True:
            now = SystemClock().now()
            store = store or asked.state(settings)
            line = find_job(settings, store, name, now)
            recent = recent_runs(store, line)
            text = facts_text(about_job(line, settings))
            if recent:
                text += "\n" + plain(HEAD, rows(settings, store, recent, now))
            newest = recent[0] if recent else None
            if not watcher.show(text, _of_job(line, newest, now), newest, now):
                return
            time.sleep(LOOK_EVERY)


def _of_run(run: Run, now: Instant) -> str:
    """Return how a run stands, in a line that changes only when something happened."""
    words = run.state.replace("_", " ")
    if run.state not in ENDED:
        return f"{run.job} #{run.id} {words} {progress_words(run.progress)}".rstrip()
    reason = why(run)
    return f"{run.job} #{run.id} {words} after {took(run, now)}" + (f": {reason}" if reason else "")


def _of_job(line: Line, newest: Run | None, now: Instant) -> str:
    parts = [f"{line.name or line.file} {line.state}"]
    if newest is not None:
        parts.append(_of_run(newest, now).removeprefix(f"{newest.job} "))
    if line.next_at is not None:
        parts.append(f"next {to_iso(line.next_at)}")
    return "; ".join(parts)
