"""Machines whose wall clocks are really wrong: what is due, and what is dead, goes by the database's."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lifecycle.ledger import SECOND, TICK, each_second_is_accounted_for_once, on_it_goes, ticks
from tests.lifecycle.project import stop, wait_until
from tests.lifecycle.shared import Shared
from tests.postgres.server import Server
from tests.system.faketime import WallClock

OFF = 50  # seconds by which a clock is wrong and its node works on
NEAR = OFF / 2  # what is further away goes by the wrong clock


@pytest.fixture
def project(tmp_path: Path, postgres: Server, postgres_schema: str) -> Iterator[Shared]:
    made = Shared(tmp_path / "p", postgres, postgres_schema)
    yield made
    made.end()


def each_was_due_by_the_databases_clock(project: Shared) -> None:
    """It is this process's, too; a body that has just begun was due just now."""
    seen = len(ticks(project))
    wait_until(lambda: len(ticks(project)) > seen, "another tick")
    assert abs(time.time() - ticks(project)[-1]) < NEAR
    rows = project.ask("SELECT scheduled_for, started_at FROM {schema}.runs WHERE state = 'succeeded'")
    assert [row for row in rows if not 0 <= row[1] - row[0] < NEAR * SECOND] == []


def test_a_machine_that_is_minutes_off_starts_nothing_and_keeps_its_lease_until_its_clock_is_mended(
    project: Shared, wall_clock: WallClock
) -> None:
    project.job("tick", TICK)
    wall_clock.set(7 * 60)
    astray = project.start("--node", "astray", **wall_clock.environment)
    wait_until(
        lambda: "7m ahead of the database's: this node plans and claims" in project.words(), "its word"
    )
    right = project.join("right")
    on_it_goes(project, "right")
    assert ticks(project, "astray") == []
    wall_clock.set(0)
    wait_until(lambda: "agrees with the database's again" in project.words(0), "it to see that it is mended")
    assert stop(right) == 0
    on_it_goes(project, "astray")
    assert stop(astray) == 0
    assert not any("dead" in project.words(node) or "lease" in project.words(node) for node in (0, 1))
    each_second_is_accounted_for_once(project)


@pytest.mark.parametrize("side", [1, -1])
def test_a_machine_that_is_off_by_less_than_a_minute_starts_all_when_the_database_says_that_it_is_due(
    project: Shared, wall_clock: WallClock, side: int
) -> None:
    project.job("tick", TICK)
    wall_clock.set(side * OFF)
    off = project.start("--node", "off", **wall_clock.environment)
    on_it_goes(project, "off")
    each_was_due_by_the_databases_clock(project)
    right = project.join("right")
    on_it_goes(project)
    assert [stop(node) for node in (off, right)] == [0, 0]
    each_second_is_accounted_for_once(project)
    assert project.words(0).count("the database's; what is due goes by the database's") == 1
    assert not any("dead" in project.words(node) or "lease" in project.words(node) for node in (0, 1))


def test_a_clock_that_is_set_while_its_node_works_moves_nothing_and_ends_no_lease(
    project: Shared, wall_clock: WallClock
) -> None:
    project.job("tick", TICK)
    stepped = project.start("--node", "stepped", **wall_clock.environment)
    right = project.join("right")
    on_it_goes(project)
    for offset in (OFF, -OFF, 600, -600, 0):
        wall_clock.set(offset)
        on_it_goes(project)
        each_was_due_by_the_databases_clock(project)
    assert [stop(node) for node in (stepped, right)] == [0, 0]
    each_second_is_accounted_for_once(project)
    for node in (0, 1):
        assert not any(word in project.words(node) for word in ("dead", "lease", "was set", "slept"))
