"""Machines whose clocks are wrong: the database's says what is due, and who is far off does nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lifecycle.ledger import SECOND, TICK, each_second_is_accounted_for_once, on_it_goes, ticks
from tests.lifecycle.project import stop, wait_until
from tests.lifecycle.shared import Shared
from tests.postgres.server import Server


@pytest.fixture
def clock(tmp_path: Path) -> Path:
    made = tmp_path / "clock"
    made.write_text("0 0")
    return made


@pytest.fixture
def project(tmp_path: Path, postgres: Server, postgres_schema: str, clock: Path) -> Iterator[Shared]:
    made = Shared(tmp_path / "p", postgres, postgres_schema)
    made.environment |= {"JOBRUNNER_TESTING": "1", "JOBRUNNER_CLOCK_FILE": str(clock)}
    yield made
    made.end()


def clock_findings(project: Shared) -> list[str]:
    found = json.loads(project.run("doctor", "--json").stdout)
    return [f"{one['level']}: {one['message']}" for one in found if one["what"] == "clock"]


def test_a_node_whose_clock_is_minutes_off_leaves_the_work_to_others_until_it_is_mended(
    project: Shared, clock: Path
) -> None:
    project.job("tick", TICK)
    clock.write_text("300 0")
    astray = project.join("astray")
    wait_until(lambda: "plans and claims nothing until it is mended" in project.words(0), "it to say so")
    assert project.notes() == []
    right = project.start("--node", "right", JOBRUNNER_CLOCK_FILE="")
    on_it_goes(project, "right")
    assert ticks(project, "astray") == []
    assert "error: this machine's clock is 5 min ahead of" in "\n".join(clock_findings(project))
    assert stop(right) == 0
    clock.write_text("0 0")
    on_it_goes(project, "astray")
    assert stop(astray) == 0
    assert project.words(0).count("the database's") == 2  # once that it is off, once that it agrees
    each_second_is_accounted_for_once(project)


def test_a_clock_that_is_a_little_off_is_said_and_changes_nothing(project: Shared, clock: Path) -> None:
    project.job("tick", TICK)
    clock.write_text("-20 0")
    node = project.join("one")
    on_it_goes(project)
    assert stop(node) == 0
    assert project.words().count("behind the database's; what is due goes by the database's") == 1
    assert "warning: this machine's clock is 20 s behind" in "\n".join(clock_findings(project))
    each_second_is_accounted_for_once(project)
    ((late,),) = project.ask(
        "SELECT max(started_at - scheduled_for) FROM {schema}.runs WHERE state <> 'skipped'"
    )
    assert 0 <= late < 20 * SECOND


def test_a_machines_clock_that_is_set_while_its_node_works_moves_nothing(
    project: Shared, clock: Path
) -> None:
    project.job("tick", TICK)
    node = project.join("one")
    for offset in ("40 0", "-40 0", "0 0"):
        clock.write_text(offset)
        on_it_goes(project)
    assert stop(node) == 0
    assert "was set" not in project.words()  # the clock that counts was not
    each_second_is_accounted_for_once(project)
