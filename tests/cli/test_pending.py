"""pending: what will run, and what it waits for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from jobrunner.clock import HOUR, MINUTE, SystemClock
from jobrunner.facts import NodeFacts
from jobrunner.model import Due
from jobrunner.presence import Presence
from jobrunner.registry import Registry
from jobrunner.settings import load
from tests.cli.house import House, a_node

pytestmark = pytest.mark.usefixtures("store_kind")


def planned(house: House, *names: str, in_: int = -1) -> NodeFacts:
    """Let a node that holds all jobs write a pending run of each name, due so far from now."""
    settings = load({"project": str(house.root)}, os.environ)
    registry, now = Registry.load(settings), SystemClock().now()
    me = a_node(started_at=now - 2 * HOUR)
    store = house.store()
    with store.transaction():
        store.join(me)
        store.register(me.owner, list(registry.jobs.values()), "", me.started_at)
        standings = {standing.job: standing for standing in store.standings(me.owner, "")}
        for number, name in enumerate(names):
            due = Due(scheduled_for=now - HOUR + number, effective_at=now + in_ + number)
            assert store.consume(
                standings[name], now, [due], job=registry.find(name), supersede=None, node=me, now=now
            )
    store.close()
    return me


def rewrite(house: House, statement: str, *values: object) -> None:
    """Make of a run what later verbs will."""
    house.rows(statement, values)


@pytest.fixture
def alive(house: House) -> Any:
    """Make nodes look alive: their locks are held by this test."""
    held: list[Presence] = []

    def hold(node: NodeFacts) -> None:
        presence = Presence(Path(house.root, ".jobrunner"), node.owner)
        presence.announce()
        held.append(presence)

    yield hold
    for presence in held:
        presence.leave()


def reasons(house: House, *args: str) -> dict[str, str]:
    """Return what each run waits for, by its number."""
    head, *rows = house.call("pending", *args).out.splitlines()
    at = head.index("WAITS FOR")
    return {row.split()[0]: row[at:] for row in rows}


@pytest.mark.stateless
def test_without_a_state_nothing_is_pending_and_none_is_made(house: House) -> None:
    house.job("a")
    done = house.call("pending")
    assert (done.code, done.out, done.err) == (0, "", "nothing is pending\n")
    assert house.call("pending", "--json").json == []
    assert house.stateless


def test_only_what_has_not_started_is_pending(house: House) -> None:
    house.job("a")
    house.ran("a", "running")
    house.ran("a")
    assert house.call("pending").err == "nothing is pending\n"


def test_runs_come_the_soonest_first_with_when_and_with_what(house: House) -> None:
    house.job("a", params={"rows": 3, "text": "x\x1b[2J"})
    house.job("b")
    planned(house, "a", "b", in_=HOUR)
    rewrite(house, "UPDATE runs SET effective_at = effective_at - 60000000 WHERE id = 2")
    head, first, second = house.call("pending").out.splitlines()
    assert head.split() == ["RUN", "JOB", "TRIGGER", "DUE", "ATTEMPT", "PARAMS", "FROM", "WAITS", "FOR"]
    assert first.split()[:3] == ["2", "b", "schedule"]
    assert second.split()[:3] == ["1", "a", "schedule"]
    runs = house.call("pending", "--json").json
    assert [run["id"] for run in runs] == [2, 1]
    assert runs[1]["effectiveAt"] == second.split()[3]
    assert {run["state"] for run in runs} == {"pending"}


def test_params_are_json_that_cannot_act_on_a_terminal(house: House) -> None:
    house.job("a")
    planned(house, "a")
    rewrite(house, "UPDATE runs SET params = ?", '{"rows":3,"text":"x\\u001b[2J"}')
    assert '{"rows":3,"text":"x\\u001b[2J"}' in house.call("pending").out


def test_one_job_can_be_chosen_ignoring_case(house: House) -> None:
    house.job("a")
    house.job("b")
    planned(house, "a", "b")
    assert [run["job"] for run in house.call("pending", "--job", "B", "--json").json] == ["b"]
    assert house.call("pending", "--job", "nobody").code == 3


def test_what_is_not_due_waits_for_its_time_or_its_next_attempt(house: House) -> None:
    house.job("a")
    house.job("b")
    planned(house, "a", "b", in_=HOUR)
    rewrite(house, "UPDATE runs SET attempt = 2, root_id = 1 WHERE id = 2")
    assert reasons(house) == {"1": "its time", "2": "its next attempt"}
    assert [run["attempt"] for run in house.call("pending", "--json").json] == [1, 2]


def test_what_is_due_while_nobody_works_waits_for_a_node(house: House) -> None:
    house.job("a")
    planned(house, "a")
    assert reasons(house) == {"1": "a node: no `jobrunner start` is at work"}


def test_what_is_due_while_a_node_works_waits_for_a_slot(house: House, alive: Any) -> None:
    house.job("a")
    alive(planned(house, "a", in_=-MINUTE))
    assert reasons(house) == {"1": "a free slot"}


def test_a_run_in_the_way_is_named_unless_both_may_run(house: House, alive: Any) -> None:
    house.job("a")
    house.job("both", concurrency="allow")
    alive(planned(house, "a", "both"))
    house.ran("a", "running")
    house.ran("both", "running")
    assert reasons(house) == {"1": "run 3 to end, which is running", "2": "a free slot"}


def test_a_job_at_rest_is_named_with_its_reason(house: House, alive: Any) -> None:
    house.job("a")
    gone = house.job("gone")
    alive(planned(house, "a", "gone"))
    house.job("a", enabled=False)
    gone.unlink()
    assert reasons(house) == {
        "1": "its job, which is disabled: in its file",
        "2": "its job: no file that can be used defines it here",
    }


def test_as_json_a_run_says_what_it_waits_for_in_the_words_of_the_table(house: House, alive: Any) -> None:
    house.job("a", schedule="* * * * *")
    house.job("b", schedule="* * * * *")
    alive(planned(house, "a"))
    planned(house, "b", in_=HOUR)
    found = {run["job"]: run["waitsFor"] for run in house.call("pending", "--json").json}
    assert found == {"a": "a free slot", "b": "its time"}
