"""nodes: who works, what they hold, what they differ in; and what other commands say of that."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from jobrunner.clock import HOUR, SystemClock
from jobrunner.presence import boot_id
from jobrunner.settings import load
from tests.cli.house import Done, House

pytestmark = pytest.mark.usefixtures("store_kind")


def join(house: House, name: str, **facts: Any) -> None:
    """Let a node live, as far as anybody can tell: its process is this one."""
    lives = {"node": name, "stays": True, "pid": os.getpid(), "boot_id": boot_id(), "owner": name * 8}
    house.register(**{**lives, **facts})


def control(house: House) -> None:
    store = house.store()
    store._db.rows("UPDATE nodes SET role = 'control', slots = 0")  # type: ignore[attr-defined]
    store._db.rows("DELETE FROM holdings")  # type: ignore[attr-defined]
    store.close()


def named(done: Done) -> dict[str, dict[str, Any]]:
    return {each["node"]: each for each in done.json}


def findings(house: House, *args: str) -> list[tuple[str, str, str]]:
    return [
        (each["level"], each["what"], each["message"]) for each in house.call("doctor", *args, "--json").json
    ]


def test_without_a_state_or_a_node_there_is_nothing_to_list(house: House) -> None:
    done = house.call("nodes")
    assert (done.code, done.out) == (0, "")
    assert "no node is running" in done.err
    assert house.call("nodes", "--json").json == []
    house.job("a")
    house.register()
    assert house.call("nodes", "--json").json == []


def test_a_node_is_shown_with_all_that_it_says_of_itself(house: House) -> None:
    house.job("a")
    join(house, "here", slots=3, labels=("gpu", "eu"), timezone="Asia/Tokyo", tzdata="2031c", version="7")
    (node,) = house.call("nodes", "--json").json
    fingerprint = node.pop("fingerprint")
    assert len(fingerprint) == 12
    assert node.pop("startedAt") == node.pop("lastSeenAt")
    assert node == {
        "node": "here", "machine": "m", "pid": os.getpid(), "version": "7", "role": "all",
        "labels": ["gpu", "eu"], "slots": 3, "running": 0, "timezone": "Asia/Tokyo", "tzdata": "2031c",
        "definitions": 1, "current": True, "outdated": [], "state": "alive",
    }  # fmt: skip
    row = house.call("nodes").out.splitlines()[1].split()
    assert {"here", "gpu,eu", "Asia/Tokyo", "2031c", fingerprint, "alive"} <= set(row)


def test_who_says_nothing_of_zone_and_rules_is_an_older_program(house: House) -> None:
    house.job("a")
    join(house, "here")
    (node,) = house.call("nodes", "--json").json
    assert (node["timezone"], node["tzdata"], node["labels"]) == (None, None, [])


def test_the_runs_of_each_node_are_counted(house: House) -> None:
    house.job("a")
    join(house, "idle")
    house.ran("a", "running")
    found = named(house.call("nodes", "--json"))
    assert {name: each["running"] for name, each in found.items()} == {"idle": 0, "here": 1}


def test_a_node_that_was_not_heard_of_is_silent_and_one_that_is_gone_is_dead_until_recovered(
    house: House,
) -> None:
    house.job("a")
    join(house, "silent", seen_at=SystemClock().now() - HOUR)
    join(house, "dead", boot_id="another boot")
    found = named(house.call("nodes", "--json"))
    assert {name: each["state"] for name, each in found.items()} == {"silent": "silent", "dead": "dead"}
    store = house.store()
    store.recover("dead" * 8, SystemClock().now())
    store.close()
    assert list(named(house.call("nodes", "--json"))) == ["silent"]


def test_equal_definitions_have_equal_fingerprints_and_others_are_named(house: House) -> None:
    house.job("a")
    house.job("b")
    join(house, "blue")
    join(house, "twin")
    house.job("a", "return 1")
    join(house, "green")
    found = named(house.call("nodes", "--json"))
    assert found["blue"]["fingerprint"] == found["twin"]["fingerprint"] != found["green"]["fingerprint"]
    assert {name: each["outdated"] for name, each in found.items()} == {
        "blue": ["a"], "twin": ["a"], "green": [],
    }  # fmt: skip
    assert [found[name]["current"] for name in ("blue", "green")] == [False, True]
    done = house.call("nodes")
    assert "1 job not current" in done.out
    assert "node blue" in done.err and "current one of a, " in done.err


def test_ls_and_doctor_name_the_node_that_holds_something_else_while_it_lives(house: House) -> None:
    house.job("a")
    join(house, "blue")
    assert "holds another definition" not in house.call("ls").err
    house.job("a", "return 1")
    join(house, "green")
    said = f"node blue (pid {os.getpid()}) holds another definition than the current one of a"
    assert f"warning: {said}" in house.call("ls").err
    assert [each[:2] for each in findings(house) if said in each[2]] == [("warning", "definitions")]
    store = house.store()
    store.leave("blue" * 8)
    store.close()
    assert "blue" not in house.call("ls").err + str(findings(house))


def test_a_dead_node_drifts_no_more(house: House) -> None:
    house.job("a")
    join(house, "blue", boot_id="another boot")
    house.job("a", "return 1")
    join(house, "green")
    assert "another definition" not in house.call("ls").err + house.call("nodes").err + str(findings(house))


@pytest.mark.parametrize(("fact", "words"), [("tzdata", "rules of time zones"), ("timezone", "time zones")])
def test_nodes_that_would_plan_differently_are_named(house: House, fact: str, words: str) -> None:
    house.job("a")
    join(house, "one", **{fact: "X1"})
    join(house, "old")
    assert house.call("nodes").err == ""
    join(house, "two", **{fact: "X2"})
    said = f"nodes have different {words}: node one (pid"
    done = house.call("nodes")
    assert said.replace("node one", "one") in done.err
    assert "X1" in done.err and "X2" in done.err and "old" not in done.err
    assert any(level == "warning" and words in text for level, _, text in findings(house))


def test_two_nodes_of_one_name_are_named_by_nodes_doctor_and_whoever_becomes_the_second(house: House) -> None:
    house.job("a")
    join(house, "twin", owner="first")
    join(house, "gone", owner="old", boot_id="another boot", **house.dead)
    join(house, "gone", owner="new")
    assert "called" not in house.call("nodes").err + str(findings(house))
    err = house.process("start", "--node", "twin", "--for", "0.1s").err
    said = f"node twin (pid {os.getpid()}) has the name of this one: `--node NAME` tells them apart"
    assert [line.partition("warning: ")[2] for line in err.splitlines() if "the name of" in line] == [
        f"{said}, in history and logs"
    ]
    assert "the name of this one" not in house.process("start", "--node", "other", "--for", "0.1s").err
    join(house, "twin", owner="second")
    said = f"2 nodes are called twin: pid {os.getpid()}, {os.getpid()}"
    assert f"warning: {said}; `start --node NAME` tells them apart\n" in house.call("nodes").err
    assert ("warning", "node", said) in findings(house)


def test_a_node_that_is_started_again_at_once_is_not_taken_for_two(house: House, tmp_path: Path) -> None:
    house.job("a")
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        child.wait()
    machine = load({"project": str(tmp_path)}, os.environ).machine
    join(house, "here", pid=child.pid, machine=machine, lease=60_000_000)
    assert "the name of this one" not in house.process("start", "--node", "here", "--for", "0.1s").err


def test_with_only_control_nodes_everybody_is_told_that_nobody_works(house: House) -> None:
    house.job("a")
    join(house, "desk")
    control(house)
    who = f"node desk (pid {os.getpid()}) only controls"
    assert f"warning: nobody works: {who}" in house.call("ls").err
    assert f"nobody works: {who}" in house.call("nodes").err
    health = house.call("health", "--json")
    assert (health.code, health.json["problem"]) == (1, f"nobody works: {who}")
    assert ("error", "role", f"nobody works: {who}") in findings(house)
    assert ("error", "role", f"a: no running node works: {who}") in findings(house, "a")
    assert [what for _, what, _ in findings(house, "a")] == ["role"]
    assert f"no running node works: {who}" in house.call("why", "a").out
    assert house.call("trigger", "a").err == f"note: nobody works: {who}; run 1 waits for one\n"
    assert house.call("pending", "--json").json[0]["waitsFor"] == f"nobody works: {who}"
    join(house, "worker")
    assert "nobody works" not in house.call("ls").err + house.call("why", "a").out
    assert house.call("health").code == 0


def test_where_no_living_node_has_the_labels_each_command_says_which_are_missing(house: House) -> None:
    house.job("a", runsOn=["gpu", "eu"])
    assert house.call("ls", "--json").json[0]["state"] == "active", "nobody runs: it is not the labels"
    join(house, "here", labels=("eu",))
    (job,) = house.call("ls", "--json").json
    assert (job["state"], job["stateReason"]) == ("excluded", "no running node has the label gpu")
    assert job["nextExecutionAt"] is None
    asks = "its runsOn asks for gpu, eu, and no running node has the label gpu"
    assert asks in house.call("why", "a").out
    assert findings(house, "a") == [("error", "labels", f"a: {asks}")]
    assert ("error", "labels", "a cannot run: no running node has the label gpu") in findings(house)
    evidence = house.call("why", "a", "--json").json["evidence"]
    assert (evidence["missing"], evidence["nodes"][0]["labels"]) == (["gpu"], ["eu"])
    assert "no running node has the label gpu" in house.call("next", "a").err
    house.call("in", "0s", "a")
    assert "no running node has the label gpu" in house.call("pending").out
    join(house, "able", labels=("gpu", "eu"))
    assert house.call("ls", "--json").json[0]["state"] == "active"
    assert [what for _, what, _ in findings(house, "a")] == ["job"]


def test_a_triggered_run_says_that_it_waits_for_the_labels_too(house: House) -> None:
    house.job("a", runsOn="gpu")
    join(house, "here")
    assert house.call("trigger", "a").code == 0
    assert house.call("pending", "--json").json[0]["waitsFor"] == "a node: no running node has the label gpu"


def test_a_run_by_hand_starts_without_the_labels_and_says_so(house: House) -> None:
    house.job("a", "return 1", runsOn=["gpu"])
    done = house.process("run", "a")
    assert (done.code, done.out) == (0, "1\n")
    assert "it would not run here, without the label gpu" in done.err
    assert "without" not in house.process("run", "a", "--label", "gpu").err
    assert "without" not in house.process("run", "a", env={"JOBRUNNER_LABELS": "eu,gpu"}).err
    house.write("jobrunner.yaml", "labels: [gpu]\n")
    assert "without" not in house.process("run", "a").err


def test_the_banner_says_what_a_node_has_and_which_job_is_not_for_it(house: House) -> None:
    house.job("a", runsOn="gpu")
    house.job("b")
    err = house.process("start", "--label", "eu", "--label", "big", "--for", "0.1s").err
    assert "labels eu, big" in err
    assert "not here, without the label gpu" in err
    assert "not here" not in house.process("start", "--label", "gpu", "--for", "0.1s").err


def test_simulate_takes_it_that_some_node_has_the_labels(house: House) -> None:
    house.job("a", runsOn="gpu")
    for more in ([], ["--plan"]):
        found = house.call("simulate", "--from", "2026-03-02", "--to", "2026-03-03", *more, "--json").json
        assert {entry["state"] for entry in found["entries"]} <= {"succeeded", "pending"}


def test_control_needs_no_job_files(house: House) -> None:
    (house.root / "jobs").rmdir()
    done = house.process("start", "--role", "control", "--for", "0.1s")
    assert done.code == 0
    assert "role control, it runs no jobs" in done.err


@pytest.mark.stateless
@pytest.mark.parametrize("said", [["--until-done"], []])
def test_until_done_with_control_is_a_usage_error(house: House, said: list[str]) -> None:
    house.job("a", numberOfExecutions=1)
    env = {} if said else {"JOBRUNNER_UNTIL_DONE": "yes"}
    done = house.process("start", "--role", "control", *said, env=env)
    assert done.code == 2
    assert "--until-done is for a node that works" in done.err
    assert house.stateless
