"""stats: a run counts once, however often it was tried."""

from __future__ import annotations

import pytest

from jobrunner.clock import HOUR, SECOND, Instant, SystemClock
from jobrunner.facts import NodeFacts
from jobrunner.model import Due, Outcome, Run
from jobrunner.registry import Registry
from jobrunner.settings import load
from jobrunner.store.base import Store
from tests.cli.house import House, a_node

pytestmark = pytest.mark.usefixtures("store_kind")

ERROR = {"type": "E", "message": "no", "traceback": "", "phase": "body"}


def tried(house: House, *states: str) -> None:
    """Let one occurrence of job a be tried as often as there are states, each a second long."""
    store, now, node = house.store(), SystemClock().now() - HOUR, a_node()
    job = Registry.load(load({"project": str(house.root)}, {})).find("a")
    store.join(node)
    store.register(node.owner, [job], node.machine, now - SECOND)
    standing = store.standings(node.owner, node.machine)[0]
    due = Due(scheduled_for=now, effective_at=now)
    assert store.consume(standing, now, [due], job=job, supersede=None, node=node, now=now)
    for number, state in enumerate(states):
        at = now + number * 10 * SECOND
        if state != "pending":
            run = _end(store, node, state, at)
            if number + 1 < len(states):
                store.again(run, at + 10 * SECOND, at + SECOND)
    store.leave(node.owner)
    store.close()


def _end(store: Store, node: NodeFacts, state: str, at: Instant) -> Run:
    """Start what is due, and let it end so, a second later."""
    (claim,) = store.claim(node, [1], at)
    if state == "lost":
        (run,) = store.recover(node.owner, at + HOUR)
        return run
    outcome = Outcome(state=state, error=ERROR if state == "failed" else None)  # type: ignore[arg-type]
    assert store.finish(claim.run, outcome, 0, at + SECOND)
    return claim.run


@pytest.mark.parametrize(
    ("states", "counted", "retries", "rate"),
    [
        (["failed", "failed", "succeeded"], {"succeeded": 1}, 2, 1.0),
        (["failed", "failed"], {"failed": 1}, 1, 0.0),
        (["failed", "pending"], {"pending": 1}, 0, None),
        (["succeeded"], {"succeeded": 1}, 0, 1.0),
    ],
)
def test_a_run_counts_once_by_how_its_last_attempt_ended(
    house: House, states: list[str], counted: dict[str, int], retries: int, rate: float | None
) -> None:
    house.job("a", schedule="0 0 1 1 *")
    tried(house, *states)
    (found,) = house.call("stats", "--json").json
    assert (found["states"], found["retries"], found["successRate"]) == (counted, retries, rate)
    text = house.call("stats", "--prometheus").out
    samples = [line for line in text.splitlines() if line.startswith("jobrunner_runs{")]
    assert samples == [f'jobrunner_runs{{job="a",state="{state}"}} 1' for state in counted]
    assert f'jobrunner_retries{{job="a"}} {retries}\n' in text


def test_how_long_a_lost_run_stood_there_is_no_duration(house: House) -> None:
    house.job("a", schedule="0 0 1 1 *")
    tried(house, "lost")
    (found,) = house.call("stats", "--json").json
    assert (found["states"], found["durationSeconds"]["count"]) == ({"lost": 1}, 0)


def test_retries_are_a_column(house: House) -> None:
    house.job("a", schedule="0 0 1 1 *")
    tried(house, "failed", "succeeded")
    head, row = house.call("stats").out.splitlines()
    assert head.index("RETRIES") == row.index(" 1 ", head.index("SKIPPED") + 3) + 1


def test_several_names_are_taken_each_once(house: House) -> None:
    for name in ("a", "b", "c"):
        house.job(name)
        house.ran(name)
    found = house.call("stats", "c", "A", "C", "--json").json
    assert [each["job"] for each in found] == ["c", "a"]
    assert [each["states"] for each in found] == [{"succeeded": 1}] * 2
    assert house.call("stats", "a", "nobody").code == 3


def test_our_own_jobs_are_counted_only_when_named_or_with_all(house: House) -> None:
    house.job("a")
    house.ran("a")
    house.process("run", "jobrunner.prune")
    assert [each["job"] for each in house.call("stats", "--json").json] == ["a"]
    assert "jobrunner.prune" not in house.call("stats", "--prometheus").out
    assert "jobrunner.prune" in house.call("stats", "--prometheus", "--all").out
    assert [each["job"] for each in house.call("stats", "--all", "--json").json] == ["a", "jobrunner.prune"]
    assert [each["job"] for each in house.call("stats", "jobrunner.prune", "--json").json] == [
        "jobrunner.prune"
    ]
