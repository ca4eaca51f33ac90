"""Nodes that are not alike: labels, a control node, two deployments on one state; with real deaths."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jobrunner.clock import SECOND, from_iso
from tests.lifecycle.project import Project, stop, wait_until
from tests.place import Place


def nodes(project: Project) -> dict[str, dict[str, Any]]:
    found: list[dict[str, Any]] = project.told("nodes")
    return {each["node"]: each for each in found}


def started_by(project: Project, name: str, node: str) -> list[dict[str, Any]]:
    return [run for run in project.history(name) if run["node"] == node and run["startedAt"]]


def rows(project: Project, name: str, state: str, reason: str | None = None) -> list[dict[str, Any]]:
    return [run for run in project.history(name) if (run["state"], run["reason"]) == (state, reason)]


def assert_every_second_has_its_row(project: Project, name: str) -> None:
    """Each moment from the first due to the last has one outcome, wherever it was met."""
    ledger: Counter[int] = Counter()
    for run in project.history(name):
        if run["attempt"] == 1 and run["scheduledFor"] is not None:
            first = from_iso(run["scheduledFor"])
            ledger.update(first + step * SECOND for step in range(run["count"]))
    assert set(ledger.values()) == {1}
    assert sorted(ledger) == list(range(min(ledger), max(ledger) + 1, SECOND))


def dead(node: subprocess.Popen[bytes]) -> None:
    node.kill()
    node.wait()


def test_a_job_with_a_label_runs_on_the_node_that_has_it_and_every_due_moment_has_its_row(
    project: Project,
) -> None:
    project.job("gpu-job", "note(ctx.node)", runsOn="gpu")
    project.job("any-job")
    plain = project.start("--node", "plain")
    able = project.start("--node", "able", "--label", "gpu", "--label", "big")
    wait_until(lambda: len(started_by(project, "gpu-job", "able")) >= 2, "two runs where the label is")
    assert nodes(project)["able"]["labels"] == ["gpu", "big"]
    assert project.ls("gpu-job")["state"] == "active"
    assert stop(able) == 0
    wait_until(lambda: len(rows(project, "gpu-job", "skipped", "labels")) >= 2, "skips for the labels")
    job = project.ls("gpu-job")
    assert (job["state"], job["stateReason"]) == ("excluded", "no running node has the label gpu")
    again = project.start("--node", "again", "--label", "gpu")
    wait_until(lambda: started_by(project, "gpu-job", "again"), "a run where the label is again")
    assert [stop(node) for node in (again, plain)] == [0, 0]
    assert started_by(project, "gpu-job", "plain") == []
    assert set(project.notes()) == {"able", "again"}
    assert started_by(project, "any-job", "plain")
    assert_every_second_has_its_row(project, "gpu-job")


def test_a_control_node_records_what_became_of_a_killed_worker_and_calls_its_hooks(project: Project) -> None:
    project.job("long", "note('began')\nimport time\ntime.sleep(600)", delivery="at-least-once", retries=1)
    heard = project.root / "heard.txt"
    hook = f"def on_failure(run):\n    open({str(heard)!r}, 'a').write(run['state'])\n"
    (project.root / "hooks.py").write_text(hook)
    project.job("once", "note('once')\nimport time\ntime.sleep(600)", numberOfExecutions=1)
    control = project.start("--node", "desk", "--role", "control")
    worker = project.start("--node", "worker")
    wait_until(lambda: {"began", "once"} <= set(project.notes()), "two bodies")
    assert nodes(project)["worker"]["running"] == 2
    dead(worker)
    wait_until(lambda: rows(project, "once", "lost"), "the loss to be recorded")
    wait_until(heard.exists, "the hook of the lost run")
    assert list(nodes(project)) == ["desk"]
    assert len(rows(project, "long", "lost")) == len(rows(project, "long", "pending")) == 1
    assert project.run("health").returncode == 1
    assert "nobody works: node desk" in project.run("ls").stderr
    assert control.poll() is None
    again = project.start("--node", "again")
    wait_until(lambda: project.notes().count("began") == 2, "the second attempt")
    assert [run for run in project.history() if run["node"] == "desk"] == [], (
        "it has planned or run something"
    )
    dead(again)
    assert stop(control) == 0


def test_a_dead_node_is_shown_as_dead_until_somebody_has_recorded_it(project: Project) -> None:
    project.job("quiet", schedule="0 0 1 1 *")
    node = project.start("--node", "gone")
    wait_until(lambda: "gone" in nodes(project), "the node")
    dead(node)
    wait_until(lambda: nodes(project)["gone"]["state"] == "dead", "its death")
    control = project.start("--node", "desk", "--role", "control")
    wait_until(lambda: list(nodes(project)) == ["desk"], "its recovery")
    assert stop(control) == 0


@pytest.fixture
def deploy(tmp_path: Path, unmade: Place) -> Iterator[Callable[[str], Project]]:
    """Make a folder with files of its own, over one state."""
    made: list[Project] = []

    def make(name: str) -> Project:
        project = Project(tmp_path / name)
        project.environment = {
            "JOBRUNNER_STATE": unmade.url, "JOBRUNNER_NODE": name, "JOBRUNNER_LEASE": "2s",
        }  # fmt: skip
        made.append(project)
        return project

    yield make
    for project in made:
        project.end()


def test_while_two_deployments_differ_the_newer_runs_the_job_and_after_it_the_older_and_no_moment_is_lost(
    deploy: Callable[[str], Project],
) -> None:
    old, new = deploy("old"), deploy("new")
    old.job("report", "note('old')")
    old.job("same", schedule="0 0 1 1 *")
    new.job("report", "note('new')")
    (new.jobs / "same.py").write_text((old.jobs / "same.py").read_text())
    first = old.start()
    wait_until(lambda: len(old.notes()) >= 2, "runs of the older deployment")
    second = new.start()
    wait_until(lambda: len(new.notes()) >= 2, "runs of the newer deployment")
    found = nodes(new)
    assert (found["old"]["outdated"], found["new"]["outdated"]) == (["report"], [])
    said = f"node old (pid {first.pid}) holds another definition than the current one of report"
    wait_until(lambda: said in new.words(), "the newer one to say so")
    assert "another node has a different definition of report" in old.words()
    assert said in new.run("ls").stderr + new.run("doctor").stdout
    count = len(old.notes())
    wait_until(lambda: len(new.notes()) >= 4, "more runs of the newer one")
    assert len(old.notes()) == count
    dead(second)
    wait_until(lambda: len(old.notes()) > count, "the older one to run it again")
    wait_until(lambda: "is the current definition again" in old.words(), "the older one to say so")
    assert nodes(old)["old"]["outdated"] == []
    third = new.start()
    wait_until(lambda: said in new.words(), "the newer one to say so once more")
    assert stop(first) == 0
    over = f"node old (pid {first.pid}) holds no other definitions than the current ones any more"
    wait_until(lambda: over in new.words(), "the newer one to say that it is over")
    assert stop(third) == 0
    assert_every_second_has_its_row(old, "report")
    assert [new.words(number).count(said) for number in (0, 1)] == [1, 1]
    trail = [
        note
        for note in json.loads(new.run("audit", "--json").stdout)
        if note["action"] == "definitions-agree"
    ]
    assert [note["detail"] for note in trail][:1] == [f"old (pid {first.pid})"]


def test_a_control_node_that_is_deployed_first_makes_nothing_of_its_own_current(
    deploy: Callable[[str], Project],
) -> None:
    old, new = deploy("old"), deploy("new")
    old.job("report", "note('old')")
    new.job("report", "note('new')")
    new.job("extra", "note('extra')")
    worker = old.start()
    wait_until(lambda: old.notes(), "a run")
    control = new.start("--role", "control")
    wait_until(lambda: nodes(new).get("new", {}).get("role") == "control", "the control node")
    count = len(old.notes())
    wait_until(lambda: len(old.notes()) > count + 1, "the worker to go on")
    assert (nodes(new)["old"]["current"], nodes(new)["new"]["definitions"]) == (True, 0)
    assert [stop(node) for node in (worker, control)] == [0, 0]
    assert new.notes() == []
    assert [run for run in old.history() if run["job"] == "extra"] == []
