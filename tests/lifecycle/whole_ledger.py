"""All policies on two nodes under everything that may happen: is every due occurrence in the ledger, once?

    python -m tests.lifecycle.whole_ledger --seconds 60 --seed 7

What may happen: kill -9, pauses, disabled jobs, clocks set forward and back, sleep, edits of schedules and
code, broken edits. Each body appends a line when it begins and when it ends; afterwards these lines, the
schedules and the ledger are compared.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from tests.lifecycle.desk import Desk
from tests.lifecycle.project import Project, wait_until

SECOND = 1_000_000
LIMIT = 8
EACH, EVEN, GRID = "* * * * * *", "*/2 * * * * *", "every 2s"
STEP = {EACH: SECOND, EVEN: 2 * SECOND, GRID: 2 * SECOND}
EXCLUSIVE = ("forbid", "queue", "replace")
AGAIN = "at-least-once"

BODY = """
import random, time
key = f"{ctx.job} {round(ctx.scheduled_for.timestamp() * 1e6)} {ctx.run_id} {ctx.attempt}"
note(f"B {key}")
"""
QUICK = BODY + 'note(f"E {key}")'
SLOW = BODY + 'time.sleep(random.uniform(0.2, 1.6))\nnote(f"E {key}")'
FAILS = (
    BODY + 'note(f"E {key}")\nif ctx.run_id % 3 == 0:\n    raise RuntimeError\nif ctx.run_id % 7 == 0:\n'
    "    os.kill(os.getpid(), 9)"
)
PATIENT = (
    BODY + "end = time.monotonic() + 3\nwhile not ctx.cancelled and time.monotonic() < end:\n"
    '    time.sleep(0.02)\nnote(f"E {key}")\nctx.raise_if_cancelled()'
)
STUCK = BODY + 'time.sleep(600 if ctx.run_id % 5 == 0 else 0)\nnote(f"E {key}")'


class Kind(NamedTuple):
    """A policy that some of the jobs have."""

    name: str
    body: str
    schedule: str
    config: dict[str, Any]


RETRIES = {"retries": {"max": 2, "delay": "200ms"}}
KINDS = [
    Kind("plain", QUICK, EACH, {}),
    Kind("grid", QUICK, GRID, {}),
    Kind("limited", QUICK, EACH, {"numberOfExecutions": LIMIT}),
    Kind("queue", SLOW, EACH, {"concurrency": "queue"}),
    Kind("replace", PATIENT, EVEN, {"concurrency": "replace"}),
    Kind("all", QUICK, EACH, {"misfire": "all"}),
    Kind("skip", QUICK, EVEN, {"misfire": "skip"}),
    Kind("allow", SLOW, EVEN, {"concurrency": "allow"}),
    Kind("again", FAILS, EACH, {"delivery": AGAIN, **RETRIES}),
    Kind("machine", QUICK, EACH, {"runPerMachine": True}),
    Kind("stuck", STUCK, EACH, {"timeout": "500ms", "delivery": AGAIN, **RETRIES}),
    Kind("moved", QUICK, EACH, {}),  # its schedule is edited
    Kind("edited", QUICK, EACH, {}),  # its code is edited, and broken at times
]


@dataclass
class Verdict:
    """What the comparison found; `wrong` is empty when every promise held."""

    occurrences: int = 0
    rows: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    bodies: int = 0
    events: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        said = (
            ", ".join(f"{count} {name}" for name, count in sorted(each.items()))
            for each in (self.rows, self.reasons, self.events)
        )
        rows, reasons, events = said
        return (
            f"{self.occurrences} occurrences due: {rows} (skipped: {reasons}); {self.bodies} bodies began; "
            f"{events}; {len(self.wrong)} wrong"
        )


class Storm:
    """Two nodes at work, and what happens to them."""

    def __init__(self, root: Path, jobs: int, seed: int) -> None:
        self.project = Project(root)
        self.verdict = Verdict()
        self._dice = random.Random(seed)
        self._desk = Desk(self.project)
        self._clock = root / "clock"
        self._wall = self._boot = 0.0
        self._highest = 0  # what the wall clock has ever said
        self.settled: dict[str, int] = {}  # up to here rows may be of the schedule before
        self._set_clocks(0, 0)
        self.project.environment = {"JOBRUNNER_TESTING": "1", "JOBRUNNER_CLOCK_FILE": str(self._clock)}
        self.kinds = {f"{kind.name}-{n}": kind for n, kind in zip(range(jobs), _endless(KINDS), strict=False)}
        self.schedules = {name: kind.schedule for name, kind in self.kinds.items()}
        for name in self.kinds:
            self._write(name)
        self._living = [self._start(number) for number in (0, 1)]
        self._disabled: set[str] = set()
        self._paused = False

    def now(self) -> int:
        """Return the nodes' wall clock."""
        return round((time.time() + self._wall) * SECOND)

    def rage(self, seconds: float) -> None:
        """Let things happen for so long."""
        wait_until(self.project.notes, "the first body")
        happenings: list[Callable[[], None]] = [
            self._kill, self._pause, self._disable, self._step,
            self._sleep, self._move, self._edit, self._break,
        ]  # fmt: skip
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(self._dice.uniform(0.2, 1.2))
            ends = self._paused and self._dice.random() < 0.6
            happening = self._pause if ends else self._dice.choice(happenings)
            self.verdict.events[happening.__name__.strip("_")] += 1
            happening()

    def calm(self) -> None:
        """Put everything in order, wait until nothing due is unrecorded, and let the nodes go."""
        for name in self.kinds:
            self._write(name)
        if self._paused:
            self._pause()
        while self._disabled:
            self._desk.enable(self._disabled.pop())
        until = self.now()
        wait_until(lambda: not self._behind(until), "all that was due to be recorded", 90)
        for node in self._living:
            node.send_signal(signal.SIGTERM)
        if [node.wait(60) for node in self._living] != [0, 0]:
            self.verdict.wrong.append("a node did not end in good order")

    # -- what happens --------------------------------------------------------------------------------

    def _start(self, number: int) -> Any:
        return self.project.start("--slots", "16", "--grace", "5s", "--watch", "--machine", "ab"[number])

    def _kill(self) -> None:
        number = self._dice.randrange(2)
        self._living[number].kill()
        self._living[number].wait()
        time.sleep(self._dice.choice((0, 0, 2)))
        self._living[number] = self._start(number)

    def _pause(self) -> None:
        self._desk.resume() if self._paused else self._desk.pause()
        self._paused = not self._paused

    def _disable(self) -> None:
        if self._disabled and self._dice.random() < 0.5:
            self._desk.enable(self._disabled.pop())
            return
        name = self._dice.choice(list(self.kinds))
        self._disabled.add(name)
        self._desk.disable(name)

    def _step(self) -> None:
        self._set_clocks(self._dice.choice((-9, -6, -3, 4, 12, 40)), 0)

    def _sleep(self) -> None:
        slept = self._dice.choice((4, 30, 300))
        self._set_clocks(slept, slept)

    def _move(self) -> None:
        """Edit a schedule. Where the clock was set back just before, rows of the old one lie ahead."""
        name = self._one_of("moved")
        self.schedules[name] = EVEN if self.schedules[name] == EACH else EACH
        self.settled[name] = max(self._highest, self.now()) + 5 * SECOND
        self._write(name)

    def _edit(self) -> None:
        self._write(self._one_of("edited"), f"\nx = {self._dice.random()}\n")

    def _break(self) -> None:
        self._write(self._one_of("edited"), "\nbroken(\n")

    def _one_of(self, kind: str) -> str:
        return self._dice.choice([name for name, each in self.kinds.items() if each.name == kind])

    def _write(self, name: str, more: str = "") -> None:
        kind = self.kinds[name]
        path = self.project.job(name, kind.body, schedule=self.schedules[name], **kind.config)
        if more:
            path.write_text(path.read_text() + more)

    def _set_clocks(self, wall: int, boot: int) -> None:
        self._highest = max(self._highest, self.now())
        self._wall += wall
        self._boot += boot
        new = self._clock.with_suffix(".new")
        new.write_text(f"{self._wall} {self._boot}")
        os.replace(new, self._clock)

    def _behind(self, until: int) -> list[str]:
        with self.project.state() as state:
            found = state.execute(
                "SELECT j.name, c.executions FROM cursors c JOIN jobs j ON j.id = c.job_id"
                " WHERE c.consumed < ?", (until,),
            ).fetchall()  # fmt: skip
        return [
            name for name, executions in found
            if name in self.kinds and executions < self.kinds[name].config.get("numberOfExecutions", 1 << 60)
        ]  # fmt: skip


def _endless(kinds: list[Kind]) -> Iterator[Kind]:
    while True:
        yield from kinds


# --- the reckoning ------------------------------------------------------------------------------


class Row(NamedTuple):
    """A row of the ledger."""

    id: int
    first: int
    last: int
    number: int
    state: str
    reason: str | None
    attempt: int
    root: int
    started: bool


class Reckoning:
    """Compares the ledger with the schedules, and with what bodies have written."""

    def __init__(self, storm: Storm) -> None:
        self._storm = storm
        self._verdict = storm.verdict
        self._begun: dict[int, tuple[str, int, int]] = {}
        self._twice_at_once: list[int] = []
        self._read_notes()

    def _wrong(self, text: str) -> None:
        self._verdict.wrong.append(text)

    def _read_notes(self) -> None:
        latest: dict[str, int] = {}
        for line in self._storm.project.notes():
            what, job, at, run, attempt = line.split()
            run_id = int(run)
            if what == "B":
                if run_id in self._begun:
                    self._wrong(f"the body of run {run_id} of {job} began twice")
                self._begun[run_id] = job, int(at), int(attempt)
                latest[job] = run_id
            elif latest[job] != run_id and self._is_exclusive(job):
                self._twice_at_once.append(run_id)
        self._verdict.bodies = len(self._begun)

    def _is_exclusive(self, job: str) -> bool:
        config = self._storm.kinds[job].config
        return config.get("concurrency", "forbid") in EXCLUSIVE and not config.get("runPerMachine")

    def compare(self) -> None:
        """Compare job by job."""
        for run_id in self._twice_at_once:
            self._wrong(f"run {run_id} of {self._begun[run_id][0]} went on while the next one ran")
        with self._storm.project.state() as state:
            for check, good in (("integrity_check", [("ok",)]), ("foreign_key_check", [])):
                if state.execute(f"PRAGMA {check}").fetchall() != good:
                    self._wrong(f"the state file fails its {check}")
            for name in self._storm.kinds:
                self._compare_job(state, name)

    def _compare_job(self, state: sqlite3.Connection, name: str) -> None:
        job_id = state.execute("SELECT id FROM jobs WHERE name = ?", (name,)).fetchone()[0]
        cursors = state.execute(
            "SELECT scope, anchor, consumed, executions FROM cursors WHERE job_id = ?", (job_id,)
        ).fetchall()
        if len(cursors) != (2 if self._storm.kinds[name].config.get("runPerMachine") else 1):
            self._wrong(f"{name}: {len(cursors)} cursors")
        for scope, anchor, consumed, executions in cursors:
            rows = [
                Row(*row) for row in state.execute(
                    "SELECT id, scheduled_for, coalesce(last_for, scheduled_for), count, state, reason,"
                    " attempt, coalesce(root_id, id), started_at IS NOT NULL FROM runs"
                    " WHERE job_id = ? AND scope = ? ORDER BY scheduled_for, attempt", (job_id, scope),
                )
            ]  # fmt: skip
            self._compare_occurrences(name, [row for row in rows if row.attempt == 1], anchor, consumed)
            self._compare_starts(name, rows, executions)
            self._compare_chains(name, rows)

    def _compare_occurrences(self, name: str, rows: list[Row], anchor: int, consumed: int) -> None:
        for before, row in pairwise(rows):
            if row.first <= before.last:
                self._wrong(f"{name}: rows {before.id} and {row.id} speak of the same occurrences")
        after = max(anchor, self._storm.settled.get(name, anchor))
        due = [at for at in _due(self._storm.schedules[name], anchor, consumed) if at > after]
        recorded: Counter[int] = Counter()
        for row in rows:
            self._verdict.rows[row.state] += row.number
            if row.state == "skipped":
                self._verdict.reasons[str(row.reason)] += row.number
            inside = [at for at in due if row.first <= at <= row.last]
            recorded.update(inside)
            if row.first > after and len(inside) != row.number:
                self._wrong(f"{name}: row {row.id} is for {row.number} occurrences, {len(inside)} were due")
        self._verdict.occurrences += len(due)
        for at in due:
            if recorded[at] != 1:
                self._wrong(f"{name}: {at} was due and is recorded {recorded[at]} times")

    def _compare_starts(self, name: str, rows: list[Row], executions: int) -> None:
        started = {row.id: row for row in rows if row.started}
        counted = sum(row.attempt == 1 for row in started.values())
        if counted != executions:
            self._wrong(f"{name}: counted {executions}, started {counted}")
        limit = self._storm.kinds[name].config.get("numberOfExecutions")
        if limit is not None and executions > limit:
            self._wrong(f"{name}: started {executions} times, {limit} were allowed")
        for row in rows:
            if row.state == "running":
                self._wrong(f"{name}: run {row.id} is running, and no node is left")
            if row.state == "succeeded" and row.id not in self._begun:
                self._wrong(f"{name}: run {row.id} succeeded without a body")
            if row.id in self._begun and not row.started:
                self._wrong(f"{name}: the body of run {row.id} began without a start")

    def _compare_chains(self, name: str, rows: list[Row]) -> None:
        chains: dict[int, list[Row]] = {}
        for row in rows:
            chains.setdefault(row.root, []).append(row)
        again = self._storm.kinds[name].config.get("delivery") == AGAIN
        for chain in chains.values():
            if [row.attempt for row in chain] != list(range(1, len(chain) + 1)):
                self._wrong(f"{name}: the attempts of {chain[0].root} have gaps")
            if len(chain) > 1 and not again:
                self._wrong(f"{name}: {chain[0].root} was tried {len(chain)} times")
            if any(row.state not in ("failed", "lost", "timed_out", "canceled") for row in chain[:-1]):
                self._wrong(f"{name}: {chain[0].root} was tried again after it had ended well")
            if again and chain[-1].state == "lost" and len(chain) < 3:
                self._wrong(f"{name}: {chain[0].root} is lost and was tried {len(chain)} times only")


def _due(schedule: str, anchor: int, consumed: int) -> Iterator[int]:
    step = STEP[schedule]
    first = anchor + step if schedule == GRID else (anchor // step + 1) * step
    return iter(range(first, consumed + 1, step))


def storm(root: Path, *, jobs: int, seconds: float, seed: int) -> Verdict:
    """Let it rage, calm down, and compare."""
    weather = Storm(root, jobs, seed)
    try:
        weather.rage(seconds)
        weather.calm()
    finally:
        weather.project.end()
    Reckoning(weather).compare()
    return weather.verdict


def main() -> int:
    """Run the long form and print what it found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--jobs", type=int, default=39)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--keep", type=Path, help="where to leave the project, to look at it")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = args.keep or Path(folder) / "storm"
        verdict = storm(root, jobs=args.jobs, seconds=args.seconds, seed=args.seed)
    print(f"seed {args.seed}: {verdict}")
    for line in verdict.wrong[:40]:
        print("  " + line)
    return 1 if verdict.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
