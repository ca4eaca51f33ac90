"""The state's disk is full: nothing new starts and what runs goes on; all does when there is room again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.lifecycle.ledger import SECOND, TICK, each_second_is_accounted_for_once, on_it_goes, ticks
from tests.lifecycle.project import Project, stop, wait_until
from tests.lifecycle.shared import Shared
from tests.postgres.server import Server
from tests.system.disk import disk, full

# What each machine has to say in the end, and there is no room for it.
BIG = "print(os.urandom(60_000).hex())"
HELD = """
note("begin")
import time
while not os.path.exists(GO):
    note("beat")
    time.sleep(0.1)
note("end")
"""
LEASE = 15  # seconds: a node tries again each 5 s at the latest, and acts for two thirds of its lease
SETTINGS = {"autovacuum": "off"}  # it would find room now and then


class House(NamedTuple):
    """A project whose state is on a small disk."""

    project: Project
    folder: Path  # of the disk


@contextmanager
def on_a_file(root: Path) -> Iterator[House]:
    with disk(4) as folder:
        project = Project(root)
        project.file = folder / "state.db"
        project.environment |= {
            "JOBRUNNER_STATE": f"sqlite:///{project.file}", "JOBRUNNER_GRACE": "200ms",
        }  # fmt: skip
        yield House(project, folder)
        project.end()


@contextmanager
def in_a_database(root: Path) -> Iterator[House]:
    with (
        disk(200) as folder,
        Server(folder=folder / "server", fsync=False, settings=SETTINGS) as server,
    ):
        project = Shared(root, server, "jobs")
        project.environment["JOBRUNNER_LEASE"] = f"{LEASE}s"
        server.execute("select pg_switch_wal()")  # a fresh log: it is the tables that shall find no room
        yield House(project, folder)
        project.end()


@pytest.fixture
def house(tmp_path: Path, store_kind: str) -> Iterator[House]:
    with (on_a_file if store_kind == "sqlite" else in_a_database)(tmp_path / "project") as made:
        yield made


def beats(project: Project) -> int:
    return project.notes().count("beat")


def it_beats_on(project: Project) -> None:
    before = beats(project)
    wait_until(lambda: beats(project) > before + 20, "the run to go on")


def states(project: Project, job: str) -> list[str]:
    rows = project.ask(
        "SELECT r.state FROM {schema}.runs r JOIN {schema}.jobs j ON j.id = r.job_id"
        f" WHERE j.name = '{job}' ORDER BY r.id"
    )
    return [row[0] for row in rows]


def seen(project: Project) -> dict[str, int]:
    """Return when each node was last heard of; one that was given up is another afterwards."""
    return dict(project.ask("SELECT owner, seen_at FROM {schema}.nodes"))


def start(project: Project) -> None:
    """Start a node on each of two machines, and wait for the run that is held."""
    project.job("tick", TICK)
    project.job("big", BIG, runPerMachine=True)
    project.job("held", HELD.replace("GO", repr(str(project.root / "go"))), numberOfExecutions=1)
    for name in ("one", "two"):
        project.start("--node", name, "--machine", name)
    on_it_goes(project)
    wait_until(lambda: beats(project), "the run")


def both_say_so(project: Project) -> None:
    wait_until(
        lambda: all("no space is left" in project.words(node) for node in (0, 1)), "both nodes to say so"
    )


def outlast_a_lease(project: Project) -> None:
    """Wait until the nodes of a database were heard of for as long as a lease lasts, and longer."""
    if isinstance(project, Shared):
        before = seen(project)
        wait_until(
            lambda: min(seen(project).values()) > max(before.values()) + LEASE * SECOND,
            "leases to be renewed",
        )
        assert seen(project).keys() == before.keys()


def test_nothing_new_starts_while_the_disk_is_full_what_runs_goes_on_and_its_end_is_recorded_afterwards(
    house: House,
) -> None:
    project = house.project
    start(project)
    with full(house.folder):
        both_say_so(project)
        it_beats_on(project)
        before = ticks(project)
        it_beats_on(project)
        outlast_a_lease(project)
        (project.root / "go").touch()
        wait_until(lambda: "end" in project.notes(), "the run to end, which nobody can record")
        assert ticks(project) == before
        assert [node.poll() for node in project.nodes] == [None, None]
    wait_until(lambda: states(project, "held") == ["succeeded"], "the end to be recorded")
    on_it_goes(project)
    assert [stop(node) for node in project.nodes] == [0, 0]
    each_second_is_accounted_for_once(project)
    assert project.notes().count("begin") == 1
    for node in (0, 1):
        assert project.words(node).count("no space is left") == 1
        assert project.words(node).count("can be written again") == 1
        assert not any(word in project.words(node) for word in ("lease", "dead"))
    if not isinstance(project, Shared):
        assert project.ask("PRAGMA integrity_check") == [("ok",)]
