"""A job that asks for labels runs where they are, and what nobody can run has its row."""

from __future__ import annotations

import pytest

from jobrunner.clock import MINUTE, SECOND
from jobrunner.goal import progress
from jobrunner.labels import is_label, nowhere, unreached
from jobrunner.settings import zonerules
from jobrunner.store.base import Call
from tests.desk import Desk, House, live
from tests.fakes import a_job


def having(*labels: str) -> dict[str, str]:
    return {"JOBRUNNER_LABELS": ",".join(labels)}


def test_a_job_that_asks_for_a_label_runs_where_it_is_and_only_there(house: House) -> None:
    jobs = a_job(runs_on=("gpu",)), a_job("other")
    plain, able = house.open(*jobs), house.open(*jobs, environ=having("gpu"))
    live([plain, able], 3 * MINUTE)
    assert able.bodies("job") == [1, 2, 3]
    assert plain.bodies("job") == []
    assert plain.ledger("job") == ["1 succeeded", "2 succeeded", "3 succeeded"]
    assert len(plain.ledger("other")) == 3


def test_all_the_labels_must_be_on_one_node(house: House) -> None:
    job = a_job(runs_on=("gpu", "eu"))
    house.open(job, environ=having("gpu"))
    house.open(job, environ=having("eu"))
    live(house.desks, MINUTE)
    assert house.desks[0].ledger() == ["1 skipped/labels"]
    both = house.open(job, environ=having("eu", "gpu", "big"))
    live(house.desks, MINUTE)
    assert both.bodies() == [2]
    assert both.ledger() == ["1 skipped/labels", "2 succeeded"]


def test_what_no_living_node_may_take_is_skipped_for_its_labels_and_none_is_forgotten(house: House) -> None:
    job = a_job(runs_on=("gpu",))
    plain, able = house.open(job), house.open(job, environ=having("gpu"))
    live([plain, able], MINUTE)
    able.leave()
    house.desks.remove(able)
    live(plain, 2 * MINUTE)
    again = house.open(job, environ=having("gpu"))
    live([plain, again], MINUTE)
    assert plain.ledger() == ["1 succeeded", "2 skipped/labels", "3 skipped/labels", "4 succeeded"]


def test_a_pending_run_whose_last_able_node_has_gone_is_skipped_for_its_labels(house: House) -> None:
    job = a_job(runs_on=("gpu",))
    able = house.open(job, environ=having("gpu"), slots=0)
    plain = house.open(job)
    live([able, plain], MINUTE)
    assert plain.ledger() == ["1 pending"]
    able.leave()
    house.desks.remove(able)
    live(plain, 2 * SECOND)
    assert plain.ledger() == ["1 skipped/labels"]


def test_a_call_waits_for_a_node_that_may_take_it(house: House) -> None:
    job = a_job(schedule=None, runs_on=("gpu",))
    plain = house.open(job)
    plain.store.call(Call(at=house.clock.now()), job, house.clock.now())
    live(plain, MINUTE)
    assert [run.state for run in plain.runs()] == ["pending"]
    able = house.open(job, environ=having("gpu"))
    live([plain, able], 2 * SECOND)
    assert [run.state for run in plain.runs()] == ["succeeded"]
    assert len(able.executor.started) == 1


def test_until_done_names_a_job_whose_labels_no_node_has(house: House) -> None:
    job = a_job(runs_on=("gpu",), number_of_executions=1)
    plain = house.open(job)
    assert stuck(plain) == [("job", "no node has the labels in its runsOn")]
    house.open(job, environ=having("gpu"))
    assert stuck(plain) == []


def stuck(desk: Desk) -> list[tuple[str, str]]:
    standings = desk.store.standings(desk.me.owner, desk.me.machine)
    return list(progress([desk.scheduler.held[0]], standings, desk.settings).stuck)


@pytest.mark.parametrize(
    ("wanted", "reach", "missing"),
    [
        ((), [()], ()),
        (("gpu",), None, ()),
        (("gpu",), [], ()),
        (("gpu",), [("gpu", "big")], ()),
        (("gpu",), [("Gpu",), ()], ("gpu",)),
        (("gpu", "eu"), [("gpu",)], ("eu",)),
        (("gpu", "eu"), [("gpu",), ("eu",)], ("gpu", "eu")),
    ],
)
def test_what_is_missing_is_what_no_node_has_or_none_has_together(
    wanted: tuple[str, ...], reach: list[tuple[str, ...]] | None, missing: tuple[str, ...]
) -> None:
    assert nowhere(wanted, reach) == missing
    assert (unreached(wanted, reach) is None) == (not missing)


@pytest.mark.parametrize("text", ["gpu", "zone:eu-1", "a/b=c", "7", "x" * 100])
def test_a_label_is_a_word_of_these_letters(text: str) -> None:
    assert is_label(text)


@pytest.mark.parametrize("text", ["", "-x", "a b", "a,b", "é", "x" * 101, 3, None, "a\n"])
def test_and_nothing_else_is_one(text: object) -> None:
    assert not is_label(text)


def test_the_rules_of_time_zones_have_a_version_where_anybody_states_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    system, silent = tmp_path_factory.mktemp("system"), tmp_path_factory.mktemp("silent")
    for folder in (system, silent):
        (folder / "UTC").write_bytes(b"TZif")
    (system / "tzdata.zi").write_text("# version 2031c\nR x\n")
    monkeypatch.setattr("zoneinfo.TZPATH", (str(system), str(silent)))
    assert zonerules.version("UTC") == "2031c"
    monkeypatch.setattr("zoneinfo.TZPATH", (str(silent), str(system)))
    assert zonerules.version("UTC") == ""
    (silent / "+VERSION").write_text("2030a\n")
    assert zonerules.version("UTC") == "2030a"
