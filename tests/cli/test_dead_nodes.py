"""A dead node's runs stand in the state as running until the next start: every view says what is so."""

from __future__ import annotations

import pytest

from tests.cli.house import House

pytestmark = pytest.mark.usefixtures("store_kind")

DEAD = "its node here is dead; the next start records it as lost"


def test_ls_and_show_say_that_a_runs_node_is_dead(house: House) -> None:
    house.job("a")
    assert "dead" not in house.call("ls").err
    run = house.ran("a", "running", dead=True)
    done = house.call("ls", "--json")
    assert (done.code, done.err) == (0, f"warning: run {run.id} of a: {DEAD}\n")
    for name in ("a", str(run.id)):
        assert f"run {run.id}: {DEAD}" in house.call("show", name).out


def test_of_a_living_nodes_run_nothing_is_said(house: House) -> None:
    house.job("a")
    run = house.ran("a", "running")
    assert "dead" not in house.call("ls").err
    assert not any("dead" in house.call("show", name).out for name in ("a", str(run.id)))


def test_health_and_prometheus_count_runs_of_living_nodes_only(house: House) -> None:
    house.job("a")
    house.ran("a", "running", dead=True)
    house.ran("a", "running")
    assert house.call("health", "--json").json["running"] == 1
    assert "jobrunner_running 1\n" in house.call("stats", "--prometheus").out
    assert "(1 node, 1 running, " in house.call("health").out
