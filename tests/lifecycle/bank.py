"""Money that moves between accounts while nodes die: is the sum unchanged, and each transfer applied once?

    python -m tests.lifecycle.bank                 the long form: 8 nodes, 60 s, a kill each second
    python -m tests.lifecycle.bank --seconds 15 --nodes 4
    python -m tests.lifecycle.bank --delivery at-least-once     what the check finds without the promise

A teller, due every second, calls transfers; each reads two accounts, takes some time, writes both, and
counts itself. Afterwards the documents are read with another library than ours.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.lifecycle.project import Project, kill_again_and_again, wait_until

ACCOUNTS = 10
OPENING = 1000

TELLER = """
state, scheduler = container.resolve("state"), container.resolve("scheduler")
number = state.get("next", 0)
for each in range(number, number + {each_second}):
    scheduler.run_after(0, "transfer", number=each)
state.set("next", number + {each_second})
"""
TRANSFER = """
import random, time
state, number = container.resolve("state"), ctx.params["number"]
dice = random.Random(number)
source, target = dice.sample(range({accounts}), 2)
amount = dice.randint(1, 100)
balance, other = state.get(f"account/{{source}}"), state.get(f"account/{{target}}")
state.set(f"account/{{source}}", balance - amount)
time.sleep(dice.random() / 50)
state.set(f"account/{{target}}", other + amount)
state.set(f"transfer/{{number}}", state.get(f"transfer/{{number}}", 0) + 1)
"""
OPEN = """
state = container.resolve("state")
for each in range({accounts}):
    state.set(f"account/{{each}}", {opening})
"""


@dataclass
class Verdict:
    """What the comparison found; `wrong` is empty when every promise held."""

    transfers: int = 0
    kills: int = 0
    conflicts: int = 0
    attempts: int = 0
    states: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        states = ", ".join(f"{count} {state}" for state, count in sorted(self.states.items()))
        return (
            f"{self.transfers} transfers ({states}), {self.attempts} attempts, {self.conflicts} conflicts; "
            f"{self.kills} nodes killed; {len(self.wrong)} wrong"
        )


def bank(
    project: Project, *, nodes: int, seconds: float, kill_every: float, seed: int,
    delivery: str = "exactly-once", each_second: int = 20,
) -> Verdict:  # fmt: skip
    """Let nodes move money and die for `seconds`, let what was called finish, then count."""
    size = {"accounts": ACCOUNTS, "opening": OPENING, "each_second": each_second}
    _job(project, "open", OPEN.format(**size), schedule=None)
    _job(project, "teller", TELLER.format(**size), delivery="exactly-once")
    _job(project, "transfer", TRANSFER.format(**size), schedule=None, concurrency="allow", delivery=delivery)
    project.run("disable", "teller", check=0)
    project.run("run", "open", check=0)
    verdict = Verdict()
    try:
        _work(project, verdict, nodes, seconds, kill_every, random.Random(seed))
        project.run("disable", "teller", check=0)
        wait_until(lambda: _quiet(project), "all transfers to have ended", 120)
        project.stop()
    finally:
        project.end()
    _count(project, verdict)
    return verdict


def _job(project: Project, name: str, body: str, **config: object) -> None:
    path = project.job(name, body, **config)
    path.write_text(path.read_text().replace("def default(ctx)", "def default(container, ctx)"))


def _work(
    project: Project, verdict: Verdict, nodes: int, seconds: float, kill_every: float, dice: random.Random
) -> None:
    start = partial(project.start, "--slots", "2", "--grace", "10s")
    living = [start() for _ in range(nodes)]
    project.run("enable", "teller", check=0)
    wait_until(lambda: _ended(project) > 0, "the first transfer")
    verdict.kills = kill_again_and_again(living, start, seconds=seconds, every=kill_every, dice=dice)


def _quiet(project: Project) -> bool:
    waiting = "SELECT count(*) FROM {schema}.runs WHERE state IN ('pending', 'running', 'waiting')"
    return project.ask(waiting) == [(0,)]


def _ended(project: Project) -> int:
    ((count,),) = project.ask("SELECT count(*) FROM {schema}.documents WHERE key LIKE 'transfer/%'")
    return int(count)


def _count(project: Project, verdict: Verdict) -> None:
    rows = project.ask("SELECT key, value FROM {schema}.documents")
    found = {key: json.loads(value) for key, value in rows}
    balances = [found[f"account/{each}"] for each in range(ACCOUNTS)]
    if sum(balances) != ACCOUNTS * OPENING:
        verdict.wrong.append(f"the sum is {sum(balances)} instead of {ACCOUNTS * OPENING}")
    verdict.transfers = found["next"]
    applied = {int(key.partition("/")[2]): n for key, n in found.items() if key.startswith("transfer/")}
    verdict.wrong += [f"transfer {each} was applied {n} times" for each, n in applied.items() if n != 1]
    verdict.wrong += [f"transfer {each} was never called" for each in applied if each >= found["next"]]
    expected = [OPENING] * ACCOUNTS
    for number in applied:
        dice = random.Random(number)
        source, target = dice.sample(range(ACCOUNTS), 2)
        amount = dice.randint(1, 100)
        expected[source] -= amount
        expected[target] += amount
    if balances != expected:
        verdict.wrong.append(f"the balances are {balances} instead of {expected}")
    _count_runs(project, verdict, set(applied))


def _count_runs(project: Project, verdict: Verdict, applied: set[int]) -> None:
    rows = project.ask(
        "SELECT r.params, r.state, r.conflicts FROM {schema}.runs r JOIN {schema}.jobs j"
        " ON j.id = r.job_id WHERE j.name = 'transfer' ORDER BY r.attempt"
    )
    last = {json.loads(params)["number"]: what for params, what, _ in rows}
    verdict.attempts, verdict.conflicts = len(rows), sum(row[2] for row in rows)
    verdict.states = Counter(last.values())
    succeeded = {number for number, what in last.items() if what == "succeeded"}
    verdict.wrong += [f"transfer {each} has no run" for each in set(range(verdict.transfers)) - last.keys()]
    verdict.wrong += [f"transfer {each} succeeded and is not applied" for each in succeeded - applied]
    verdict.wrong += [f"transfer {each} is applied and did not succeed" for each in applied - succeeded]


def main() -> int:
    """Run one, and say what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--nodes", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--kill-every", type=float, default=1)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--each-second", type=int, default=20)
    parser.add_argument("--delivery", default="exactly-once")
    asked = vars(parser.parse_args())
    with tempfile.TemporaryDirectory() as folder:
        verdict = bank(Project(Path(folder) / "bank"), **asked)
    print(verdict)
    for sentence in verdict.wrong[:20]:
        print(" ", sentence)
    return 1 if verdict.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
