"""Several nodes on one state file under kill -9: is every occurrence accounted for, and none doubled?

    python -m tests.lifecycle.storm                      the long form: 4 nodes, 200 jobs, 60 s
    python -m tests.lifecycle.storm --seconds 15 --jobs 40

Half of the jobs have numberOfExecutions = 20, all are due every second. Each body appends its job and its
scheduled instant to a file; afterwards the file and the ledger are compared.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.lifecycle.project import Project, kill_again_and_again, wait_until

SECOND = 1_000_000
LIMIT = 20


@dataclass
class Verdict:
    """What the comparison found; `wrong` is empty when every promise held."""

    occurrences: int = 0
    rows: Counter[str] = field(default_factory=Counter)
    bodies: int = 0
    kills: int = 0
    until: float = 0.0  # wall clock; up to here unlimited jobs must have been looked after
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        states = ", ".join(f"{count} {state}" for state, count in sorted(self.rows.items()))
        return (
            f"{self.occurrences} occurrences due; {states}; {self.bodies} bodies began; "
            f"{self.kills} nodes killed; {len(self.wrong)} wrong"
        )


def storm(
    project: Project, *, nodes: int, jobs: int, seconds: float, kill_every: float, seed: int
) -> Verdict:
    """Let nodes work and die for `seconds`, let the limited jobs finish, then compare."""
    for number in range(jobs):
        limit = {"numberOfExecutions": LIMIT} if number % 2 == 0 else {}
        project.job(f"job-{number}", "note(f'{ctx.job} {ctx.scheduled_for.timestamp():.0f}')", **limit)
    verdict = Verdict()
    begin = time.time()
    try:
        _work(project, verdict, nodes, seconds, kill_every, random.Random(seed))
        verdict.until = time.time() - 5
        limited = [f"job-{number}" for number in range(0, jobs, 2)]
        wait_until(lambda: _finished(project, limited), "the limited jobs to finish", 300)
        project.stop()
    finally:
        project.end()
    _compare(project, verdict, begin + 10, verdict.until)
    return verdict


def _work(
    project: Project, verdict: Verdict, nodes: int, seconds: float, kill_every: float, dice: random.Random
) -> None:
    start = partial(project.start, "--slots", "4", "--grace", "10s")
    living = [start() for _ in range(nodes)]
    wait_until(project.notes, "the first body")
    verdict.kills = kill_again_and_again(living, start, seconds=seconds, every=kill_every, dice=dice)


def _finished(project: Project, limited: list[str]) -> bool:
    done = project.ask(
        "SELECT j.name FROM {schema}.cursors c JOIN {schema}.jobs j ON j.id = c.job_id"
        f" WHERE c.executions >= {LIMIT}"
    )
    return set(limited) <= {name for (name,) in done}


def _compare(project: Project, verdict: Verdict, first: float, last: float) -> None:
    begun = Counter(project.notes())
    verdict.bodies = sum(begun.values())
    verdict.wrong += [f"body began {count} times: {what}" for what, count in begun.items() if count > 1]
    for name, job_id in project.ask("SELECT name, id FROM {schema}.jobs WHERE name != 'jobrunner.prune'"):
        _compare_job(project, name, job_id, begun, verdict)
    # the store's own idea of what was due is checked against the clock on the wall
    late = project.ask(
        "SELECT j.name FROM {schema}.cursors c JOIN {schema}.jobs j ON j.id = c.job_id"
        " WHERE j.name != 'jobrunner.prune'"
        f" AND (c.anchor > {round(first * SECOND)}"
        f" OR (c.consumed < {round(last * SECOND)} AND c.executions < {LIMIT}))"
    )
    verdict.wrong += [f"{name}: its schedule began late or stopped early" for (name,) in late]


def _compare_job(project: Project, name: str, job_id: int, begun: Counter[str], verdict: Verdict) -> None:
    ((anchor, consumed, executions),) = project.ask(
        f"SELECT anchor, consumed, executions FROM {{schema}}.cursors WHERE job_id = {job_id}"
    )
    rows = project.ask(
        "SELECT scheduled_for, coalesce(last_for, scheduled_for), count, state FROM {schema}.runs"
        f" WHERE job_id = {job_id} AND trigger = 'schedule' AND attempt = 1"
    )
    due = Counter(range(anchor // SECOND + 1, consumed // SECOND + 1))
    recorded: Counter[int] = Counter()
    for first, last, count, what in rows:
        recorded.update(range(first // SECOND, last // SECOND + 1))
        verdict.rows[what] += count
        if last // SECOND - first // SECOND + 1 != count:
            verdict.wrong.append(f"{name}: a row for {count} occurrences spans another number")
    verdict.occurrences += sum(due.values())
    verdict.wrong += [f"{name}: {at} is recorded {n} times" for at, n in recorded.items() if n != due[at]]
    verdict.wrong += [f"{name}: {at} is due and not recorded" for at in due.keys() - recorded.keys()]
    started = [first for first, _, _, what in rows if what in ("succeeded", "failed", "lost", "canceled")]
    if executions != len(started):
        verdict.wrong.append(f"{name}: counted {executions}, started {len(started)}")
    if int(name.partition("-")[2]) % 2 == 0 and executions != LIMIT:
        verdict.wrong.append(f"{name}: {executions} scheduled starts instead of {LIMIT}")
    instants = {f"{name} {first // SECOND}" for first in started}
    verdict.wrong += [
        f"began without a row: {what}"
        for what in begun
        if what.startswith(f"{name} ") and what not in instants
    ]
    succeeded = {f"{name} {first // SECOND}" for first, _, _, what in rows if what == "succeeded"}
    verdict.wrong += [f"succeeded without a body: {what}" for what in succeeded - begun.keys()]


def main() -> int:
    """Run the long form and print what it found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--nodes", type=int, default=4)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--kill-every", type=float, default=3)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        verdict = storm(
            Project(Path(folder) / "storm"), nodes=args.nodes, jobs=args.jobs, seconds=args.seconds,
            kill_every=args.kill_every, seed=args.seed,
        )  # fmt: skip
    print(f"seed {args.seed}: {verdict}")
    for line in verdict.wrong[:40]:
        print("  " + line)
    return 1 if verdict.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
