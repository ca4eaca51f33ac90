"""Nodes that share a database, and no machine: who is silent for longer than its lease has lost its runs."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.lifecycle.project import PATIENCE, alive, failing, stop, tagged, thaw, wait_until
from tests.lifecycle.shared import Shared
from tests.postgres.server import Server

SLOW = """
note(f"begin {ctx.run_id} {ctx.attempt} {ctx.fence} {os.getpid()}")
import time
time.sleep(300)
note(f"end {ctx.run_id}")
"""


@pytest.fixture
def project(tmp_path: Path, postgres: Server, postgres_schema: str) -> Iterator[Shared]:
    made = Shared(tmp_path / "p", postgres, postgres_schema)
    yield made
    made.end()


def begun(project: Shared, number: int = 1) -> list[list[str]]:
    """Wait until so many bodies have begun; returns (run, attempt, fence, pid) of each."""

    def lines() -> list[list[str]]:
        return [line.split()[1:] for line in project.notes() if line.startswith("begin")]

    wait_until(lambda: len(lines()) >= number, f"{number} bodies")
    return lines()


def test_a_run_of_a_killed_node_is_lost_after_its_lease_and_repeated_elsewhere_with_a_higher_fence(
    project: Shared,
) -> None:
    project.job("slow", SLOW, numberOfExecutions=1, delivery="at-least-once")
    victim = project.join("one")
    ((run, _, fence, pid),) = begun(project)
    project.join("two")
    victim.kill()
    second = begun(project, 2)[1]
    assert second[1] == "2"
    assert int(second[2]) > int(fence)
    assert not alive(int(pid))
    rows = project.history("slow")
    assert [(row["state"], row["attempt"]) for row in rows] == [("lost", 1), ("running", 2)]
    assert str(rows[0]["id"]) == run


def test_a_node_stopped_past_its_lease_finishes_nothing_and_what_it_ran_is_dead_before_others_take_over(
    project: Shared,
) -> None:
    project.job("slow", SLOW, numberOfExecutions=1, delivery="at-least-once")
    stopped = project.join("one")
    ((_, _, _, pid),) = begun(project)
    project.join("two")
    stopped.send_signal(signal.SIGSTOP)
    begun(project, 2)
    assert not alive(int(pid))  # its zygote has killed it, though its node could not
    stopped.send_signal(signal.SIGCONT)
    wait_until(lambda: "starts again as another" in project.words(0), "the node to come back")
    rows = project.history("slow")
    assert [(row["state"], row["attempt"]) for row in rows] == [("lost", 1), ("running", 2)]
    assert [stop(node) for node in project.nodes] == [0, 0]


def test_a_node_that_was_given_up_works_on_as_another(project: Shared) -> None:
    project.job("tick", "note('tick ' + ctx.node)")
    stopped = project.join("one")
    wait_until(lambda: "tick one" in project.notes(), "a run")
    project.join("two")
    stopped.send_signal(signal.SIGSTOP)
    wait_until(lambda: "is dead" in project.words(1), "the other to give it up")
    stopped.send_signal(signal.SIGCONT)
    wait_until(lambda: "starts again as another" in project.words(0), "it to come back")
    assert stop(project.nodes[1]) == 0
    before = len(project.notes())
    wait_until(lambda: "tick one" in project.notes()[before:], "it to work")
    assert stop(stopped) == 0


def test_a_node_that_renewed_its_lease_since_another_saw_it_dead_is_not_given_up(project: Shared) -> None:
    project.job("slow", SLOW)
    late = project.join("one")
    begun(project)
    mark = project.root / "mark"
    faults = failing("found-dead:freeze:300", mark)
    looking = project.start("--role", "control", JOBRUNNER_LEASE="60s", **faults)
    project.joined(2)
    late.send_signal(signal.SIGSTOP)
    wait_until(mark.exists, "the other to take it for dead")
    late.send_signal(signal.SIGCONT)
    second = begun(project, 2)[1]  # so it has renewed its lease, and works
    thaw(looking)
    assert stop(looking) == 0  # it does what it was about to do before it hears that
    assert "is dead" not in project.words()
    assert alive(int(second[3]))
    assert [state for state in project.states("slow") if state != "skipped"] == ["lost", "running"]
    assert stop(late) == 0
    assert "starts again" not in project.words(0)


@pytest.mark.parametrize("when", ["before it knows", "in between", "while it cannot join"])
def test_a_node_that_was_given_up_ends_well_when_it_is_asked_to_while_it_starts_again(
    project: Shared, when: str
) -> None:
    project.job("slow", SLOW, numberOfExecutions=1)
    mark = project.root / "mark"
    node = project.start(TEST_TAG="again", **failing("rejoining:freeze:300", mark))
    begun(project)
    other = project.join("two")
    node.send_signal(signal.SIGSTOP)
    wait_until(lambda: "is dead" in project.words(1), "the other to give it up")
    assert stop(other) == 0
    if when == "before it knows":
        node.send_signal(signal.SIGTERM)
    node.send_signal(signal.SIGCONT)
    with ExitStack() as stack:
        if when != "before it knows":
            wait_until(mark.exists, "it to begin again")
        if when == "in between":
            node.send_signal(signal.SIGTERM)
            thaw(node)
        if when == "while it cannot join":
            stack.enter_context(project.locked())
            thaw(node)
            wait_until(lambda: "trying again" in project.words(0), "it to wait")
            node.send_signal(signal.SIGTERM)
        assert node.wait(PATIENCE) == 0
    assert "Traceback" not in project.words(0)
    wait_until(lambda: not tagged("again"), "all its processes to be gone")
    assert (project.states("slow"), project.living()) == (["lost"], {})


def test_nothing_of_a_node_is_left_when_it_was_stopped_past_its_lease_and_killed(project: Shared) -> None:
    project.job("slow", SLOW, numberOfExecutions=1)
    node = project.start(TEST_TAG="leases")
    begun(project)
    node.send_signal(signal.SIGSTOP)
    wait_until(lambda: len(tagged("leases")) < 4, "the zygote to kill what runs")
    node.kill()
    wait_until(lambda: not tagged("leases"), "everything to be gone")


def test_a_live_node_renews_its_lease_though_nothing_happens(project: Shared) -> None:
    project.job("yearly", schedule="0 0 1 1 *")
    nodes = [project.join("one"), project.join("two")]
    for _ in range(3):
        before = project.living()

        def renewed(before: dict[str, int] = before) -> bool:
            return all(seen > before[name] for name, seen in project.living().items())

        wait_until(renewed, "both to renew their leases")
    assert "dead" not in project.words(0) + project.words(1)
    assert [stop(node) for node in nodes] == [0, 0]


def test_runs_are_not_told_the_password_of_the_database(project: Shared) -> None:
    plain = project.environment["JOBRUNNER_STATE"]
    project.environment["JOBRUNNER_STATE"] = plain.replace("jobrunner@", "jobrunner:s3cret@")
    project.job("spy", "note(str([text for text in os.environ.values() if 's3cret' in text]))", schedule=None)
    project.run("run", "spy", check=0)
    assert project.notes() == ["[]"]
