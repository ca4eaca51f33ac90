"""Runs that wait for an event: where people look for what goes on, they are seen, and what they wait for."""

from __future__ import annotations

import re

import pytest

from jobrunner import connect
from tests.cli.house import House

pytestmark = pytest.mark.usefixtures("store_kind")

ASKS = """config = {"name": "asks", "schedule": None}


def default(ctx):
    ctx.wait_for("approval", timeout="1h")
"""
MOMENT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


@pytest.fixture
def waits(house: House) -> House:
    house.write("jobs/asks.py", ASKS)
    assert house.process("run", "asks").code == 0
    return house


def test_pending_lists_a_waiting_run_with_its_event_and_until_when(waits: House) -> None:
    assert re.search(rf"^1 .* the event approval, until {MOMENT}$", waits.call("pending").out, re.MULTILINE)
    (found,) = waits.call("pending", "--job", "asks", "--json").json
    assert (found["state"], found["waitsFor"].partition(",")[0]) == ("waiting", "the event approval")
    with connect(project=waits.root) as client:
        assert [run.state for run in client.pending()] == ["waiting"]


def test_ls_says_since_when_it_waits_and_that_no_process_runs(waits: House) -> None:
    assert re.search(rf"^asks .* waiting since {MOMENT} ", waits.call("ls").out, re.MULTILINE)
    assert re.search(r"^asks .* waiting \d+ (s|min) ", waits.terminal("ls"), re.MULTILINE)
    assert waits.call("ls", "--json").json[0]["isRunning"] is False
    began = waits.call("show", "1", "--json").json["steps"][0]["startedAt"]
    assert f"waiting since {began}" in waits.call("ls").out


def test_history_and_show_name_the_event(waits: House) -> None:
    for command in (["history"], ["show", "asks"]):
        said = waits.call(*command).out
        assert re.search(rf"^1 .* waits for the event approval, until {MOMENT}$", said, re.MULTILINE)


def test_why_names_the_event_since_when_and_until_when(waits: House) -> None:
    clock = r"[\d-]*(tomorrow )?\d\d:\d\d(:\d\d)?"
    said = waits.call("why", "asks").out
    assert re.search(rf"and waits for approval since {clock}, until {clock}, as run 1;", said)
    found = waits.call("why", "asks", "--json").json
    assert (found["evidence"]["waitsFor"], found["evidence"]["steps"]) == ("event", ["approval"])


def test_a_job_of_which_another_run_runs_is_running(waits: House) -> None:
    waits.ran("asks", "running")
    assert waits.call("ls", "--json").json[0]["isRunning"] is True
    assert "running " in waits.call("ls").out
