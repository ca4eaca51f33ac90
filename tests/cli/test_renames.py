"""formerNames: a renamed job keeps its history in every view, also before a node has seen its new name."""

from __future__ import annotations

import pytest

from jobrunner.clock import SystemClock
from tests.cli.house import House

pytestmark = pytest.mark.usefixtures("store_kind")

HINT = 'it is called "new" now'


@pytest.fixture(params=["unseen", "seen"])
def renamed(house: House, request: pytest.FixtureRequest) -> House:
    """A job that ran as `old` and is called `new`; a node has seen that, or none has."""
    path = house.job("old", numberOfExecutions=3)
    house.register()
    house.ran("old")
    path.unlink()
    house.job("new", numberOfExecutions=3, formerNames=["ancient", "Old"])
    if request.param == "seen":
        house.register()
    return house


def test_ls_and_show_have_the_history_under_the_new_name_and_no_orphan(renamed: House) -> None:
    (found,) = renamed.call("ls", "--json").json
    assert (found["id"], found["state"], found["lastStatus"]) == ("new", "active", "succeeded")
    assert renamed.call("ls").out.count("\n") == 2
    assert renamed.call("show", "NEW", "--json").json["lastStatus"] == "succeeded"
    assert "succeeded" in renamed.call("show", "new").out.splitlines()[-1]


def test_what_was_stored_of_it_counts_for_the_new_name(renamed: House) -> None:
    store = renamed.store()
    fact = store.job("old") or store.job("new")
    assert fact is not None
    store.set_enabled(fact.id, False, "by ana", SystemClock().now())
    store.close()
    assert renamed.call("ls", "--json").json[0]["state"] == "disabled"
    assert "disabled" in renamed.call("why", "new").out
    (stats,) = renamed.call("stats", "--json").json
    assert (stats["job"], stats["numberOfExecutions"], stats["enabled"]) == ("new", 3, False)
    assert renamed.call("stats", "new", "--json").json == [stats]


def test_history_goes_by_the_new_name(renamed: House) -> None:
    assert [run["state"] for run in renamed.call("history", "new", "--json").json] == ["succeeded"]
    assert renamed.call("why", "new", "--json").json["code"] == "succeeded"


@pytest.mark.parametrize("command", ["history", "why", "show", "ls", "stats", "run", "doctor"])
def test_the_old_name_is_refused_with_the_new_one(renamed: House, command: str) -> None:
    done = renamed.call(command, "OLD", *(["--json"] if command != "run" else []))
    assert (done.code, done.out) == (3, "")
    if command != "run":
        assert (done.error["code"], done.error["hint"]) == ("unknown-job", HINT)
    assert "new" in done.err


def test_the_banner_of_start_knows_the_history_and_names_no_orphan(house: House) -> None:
    path = house.job("old", schedule="every 1s", numberOfExecutions=1)
    assert house.process("start", "--until-done").code == 0
    path.unlink()
    house.job("new", schedule="every 1s", numberOfExecutions=1, formerNames=["old"])
    done = house.process("start", "--until-done")
    assert done.code == 0
    (line,) = [line for line in done.err.splitlines() if line.startswith("  new ")]
    assert line.endswith("no more runs")
    assert "old" not in done.err.replace("jobs/old", "")


def test_a_job_that_took_over_a_former_name_before_the_renaming_is_still_an_orphan(house: House) -> None:
    old = house.job("old")
    house.job("new")
    house.register()
    house.ran("old")
    old.unlink()
    house.job("new", formerNames=["old"])
    found = {job["id"]: job["state"] for job in house.call("ls", "--json").json}
    assert found == {"new": "active", "old": "orphan"}
    assert len(house.call("history", "old", "--json").json) == 1
    assert house.call("history", "new", "--json").json == []
