"""A new version is rolled out node by node, beside the old one, and rolled back: nobody notices."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from jobrunner.store.postgres.migrate import ours
from tests.lifecycle.ledger import TICK, each_second_is_accounted_for_once, on_it_goes, ticks
from tests.lifecycle.project import Project, stop, wait_until
from tests.lifecycle.shared import Shared
from tests.lifecycle.versions import Versions
from tests.postgres.server import Server

# the first one of schema 5; and the first whose nodes over a database live by leases
OLD = {"sqlite": "123b038", "postgres": "e1c88e2"}
KNOWS = {"sqlite": 5, "postgres": 4}  # the schemas of these
LIMIT = 15
LIMITED = "note(f'limited {ctx.scheduled_for.timestamp():.0f}')"
HELD = """
note(f"held {ctx.attempt} {ctx.node}")
import time
while not os.path.exists(GO):
    time.sleep(0.02)
"""


class Rollout(NamedTuple):
    """A project, and what is to be in the environment of its old nodes, and of its new ones."""

    project: Project
    old: dict[str, str]
    new: dict[str, str]
    go: Path  # the run `held` ends when it is there

    def begun(self, attempt: int, node: str) -> None:
        """Wait until the run has begun there."""
        wait_until(lambda: f"held {attempt} {node}" in self.project.notes(), f"attempt {attempt} on {node}")


@pytest.fixture(scope="session")
def versions(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Versions:
    shelf = tmp_path_factory.getbasetemp()
    return Versions(shelf if worker_id == "master" else shelf.parent)


@pytest.fixture
def rollout(
    tmp_path: Path, versions: Versions, store_kind: str, request: pytest.FixtureRequest
) -> Iterator[Rollout]:
    """Old nodes beside new ones; the schema of the new ones is larger, and the old ones can use it."""
    old = {"PYTHONPATH": versions.earlier(OLD[store_kind])}
    project: Project
    if store_kind == "sqlite":
        project = Project(tmp_path / "project")
    else:
        server: Server = request.getfixturevalue("postgres")
        project = Shared(tmp_path / "project", server, request.getfixturevalue("postgres_schema"))
        project.environment["JOBRUNNER_LEASE"] = "5s"
    new = {"PYTHONPATH": versions.later(KNOWS[store_kind])}
    project.environment["JOBRUNNER_GRACE"] = "200ms"
    go = project.root / "go"
    project.job("tick", TICK)
    project.job("limited", LIMITED, numberOfExecutions=LIMIT, concurrency="allow")
    project.job(
        "held", HELD.replace("GO", repr(str(go))), numberOfExecutions=1, delivery="at-least-once",
        retries={"max": 1, "delay": "100ms"},
    )  # fmt: skip
    yield Rollout(project, old, new, go)
    project.end()


def schema(project: Project) -> tuple[int, int]:
    """Return which version the state has, and which a program must know."""
    ((version, min_reader),) = project.ask("SELECT version, min_reader FROM {schema}.meta")
    return version, min_reader


def starts(project: Project) -> int:
    """Return how often the job with a limit was started by its schedule."""
    ((number,),) = project.ask(
        "SELECT count(*) FROM {schema}.runs r JOIN {schema}.jobs j ON j.id = r.job_id"
        " WHERE j.name = 'limited' AND r.started_at IS NOT NULL"
    )
    return int(number)


def the_limit_was_kept(project: Project) -> None:
    assert starts(project) == LIMIT
    bodies = [line for line in project.notes() if line.startswith("limited")]
    assert len(bodies) == len(set(bodies)) <= LIMIT


@pytest.mark.parametrize("end", ["stopped", "killed"])
def test_old_and_new_nodes_work_side_by_side_and_a_rollback_is_to_stop_the_new_ones(
    rollout: Rollout, end: str
) -> None:
    project = rollout.project
    first = project.start("--node", "first", **rollout.old)
    on_it_goes(project, "first")
    rollout.begun(1, "first")
    before = schema(project)

    project.job("tick", TICK + "\n# the new release of it")
    second = project.start("--node", "second", **rollout.new)
    on_it_goes(project, "second")
    assert schema(project) > before
    left_over = ticks(project, "first")
    on_it_goes(project, "second")
    assert ticks(project, "first") == left_over  # the definition of the second is current
    assert first.poll() is None

    if end == "killed":
        first.kill()
    else:
        assert stop(first) == 0
    rollout.begun(2, "second")
    on_it_goes(project, "second")

    project.job("tick", TICK)
    third = project.start("--node", "third", **rollout.old)
    on_it_goes(project, "third")
    rollout.go.touch()
    assert stop(second) == 0
    on_it_goes(project, "third")
    wait_until(lambda: starts(project) == LIMIT, "the last allowed start")
    on_it_goes(project, "third")
    assert stop(third) == 0
    each_second_is_accounted_for_once(project)
    the_limit_was_kept(project)


def test_a_node_that_cannot_use_the_schema_of_a_newer_one_ends_by_itself_and_nothing_is_lost(
    rollout: Rollout, versions: Versions
) -> None:
    project, too_new = rollout.project, f"for a jobrunner that knows {ours() + 1}"
    first = project.start("--node", "first")
    on_it_goes(project, "first")
    rollout.begun(1, "first")
    second = project.start("--node", "second", PYTHONPATH=versions.later(ours() + 1))
    assert first.wait(60) == 7
    rollout.begun(2, "second")
    on_it_goes(project, "second")

    again = project.start("--node", "again")
    assert again.wait(60) == 7
    for node in (0, 2):
        assert project.words(node).count(too_new) == 1
        assert "Traceback" not in project.words(node)
    rollout.go.touch()
    wait_until(lambda: starts(project) == LIMIT, "the last allowed start")
    on_it_goes(project, "second")
    assert stop(second) == 0
    each_second_is_accounted_for_once(project)
    the_limit_was_kept(project)
