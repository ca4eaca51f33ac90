"""enable, disable, pause, resume, set, reset, forget, audit: what people say lasts, and is told."""

from __future__ import annotations

import getpass
import os
import select
import socket
import subprocess
from contextlib import closing
from typing import Any

import pytest

from jobrunner.clock import MINUTE, SystemClock, from_iso
from jobrunner.liveness import liveness_of
from jobrunner.settings import load
from jobrunner.store import open_store
from tests.cli import house as cli
from tests.cli.house import House
from tests.lifecycle.project import PATIENCE, wait_until

pytestmark = pytest.mark.usefixtures("store_kind")


def job(house: House, name: str = "a") -> dict[str, Any]:
    found: dict[str, Any] = next(each for each in house.call("ls", "--json").json if each["id"] == name)
    return found


def trail(house: House) -> list[tuple[str, str, str | None, str]]:
    store = house.store()
    rows = store._db.rows("SELECT actor, action, job, detail FROM audit ORDER BY id")  # type: ignore[attr-defined]
    store.close()
    return rows  # type: ignore[no-any-return]


# -- enable and disable --------------------------------------------------------------------------------


def test_a_job_can_be_disabled_before_any_node_saw_it_and_stays_so(house: House) -> None:
    house.job("a")
    done = house.call("disable", "a", "--reason", "too slow", "--as", "ana")
    assert (done.code, done.out) == (0, "a was enabled, is disabled (by ana: too slow)\n")
    assert (job(house)["state"], job(house)["stateReason"]) == ("disabled", "disabled by ana: too slow")
    house.register()
    assert (job(house)["enabled"], job(house)["enabledReason"]) == (False, "by ana: too slow")
    assert "disabled by ana: too slow" in house.call("ls").out


def test_enable_wins_over_the_file_and_unset_gives_it_back(house: House) -> None:
    house.job("a", enabled=False)
    assert (
        house.call("enable", "a", "--as", "ana").out == "a was disabled (in its file), is enabled (by ana)\n"
    )
    assert (job(house)["state"], job(house)["stateReason"]) == ("active", "enabled by ana")
    assert house.call("set", "a", "--unset", "enabled").code == 0
    assert (job(house)["state"], job(house)["stateReason"]) == ("disabled", "disabled in its file")


def test_saying_it_again_changes_neither_who_said_it_nor_why(house: House) -> None:
    house.job("a")
    house.call("disable", "a", "--as", "ana", "--reason", "too slow")
    assert house.call("disable", "a", "--as", "bob").out == "a is disabled (by ana: too slow) already\n"
    assert [each[:2] for each in trail(house)] == [("ana", "disabled")]


def test_several_jobs_are_changed_together_or_not_at_all(house: House) -> None:
    house.job("a")
    house.job("b")
    done = house.call("disable", "a", "b", "nobody")
    assert (done.code, "nobody" in done.err) == (3, True)
    assert job(house)["enabled"] and job(house, "b")["enabled"]
    assert house.call("disable", "a", "B").code == 0
    assert not job(house)["enabled"] and not job(house, "b")["enabled"]


@pytest.mark.stateless
def test_an_unknown_job_is_named_with_near_names_and_makes_no_state(house: House) -> None:
    house.job("sync-orders")
    for command in ("enable", "disable", "reset", "forget"):
        done = house.call(command, "sync-order")
        assert done.code == 3
        assert 'did you mean "sync-orders"?' in done.err
    assert house.call("set", "sync-order", "timeout=3").code == 3
    assert house.stateless


def test_enabling_forgets_the_failures_in_a_row(house: House) -> None:
    house.job("a")
    house.ran("a", "failed")
    assert job(house)["consecutiveFailures"] == 1
    house.call("enable", "a")
    assert job(house)["consecutiveFailures"] == 0


def test_what_changed_is_told_as_json(house: House) -> None:
    house.job("a")
    assert house.call("disable", "a", "--as", "ana", "--json").json == [
        {
            "id": "a",
            "was": {"enabled": True, "enabledReason": None},
            "is": {"enabled": False, "enabledReason": "by ana"},
        }
    ]


def test_a_job_whose_file_is_gone_can_be_disabled_and_reset(house: House) -> None:
    path = house.job("a")
    house.register()
    path.unlink()
    assert house.call("disable", "a").code == 0
    assert house.call("reset", "a").code == 0


# -- who, and who hears --------------------------------------------------------------------------------


def test_without_as_the_trail_names_user_and_host(house: House) -> None:
    house.job("a")
    house.call("disable", "a")
    assert trail(house)[0][0] == f"{getpass.getuser()}@{socket.gethostname()}"


def test_a_user_without_a_name_can_change_things_too(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 4711")

    monkeypatch.setattr(getpass, "getuser", nobody)
    house.job("a")
    assert house.call("disable", "a").code == 0
    assert trail(house)[0][0] == f"unknown@{socket.gethostname()}"


def test_every_change_leaves_a_line_in_the_trail(house: House) -> None:
    path = house.job("a")
    for args in (
        ["disable", "a", "--reason", "slow"], ["enable", "a"], ["pause", "--reason", "move"], ["resume"],
        ["set", "a", "timeout=5m", "params.key=x"], ["set", "a", "--unset", "timeout"], ["reset", "a"],
    ):  # fmt: skip
        assert house.call(*args, "--as", "ana").code == 0, args
    path.unlink()
    assert house.call("forget", "a", "--as", "ana").code == 0
    assert trail(house) == [
        ("ana", "disabled", "a", "slow"),
        ("ana", "enabled", "a", ""),
        ("ana", "paused", None, "move"),
        ("ana", "resumed", None, ""),
        ("ana", "set", "a", 'timeout="5m" params.key'),
        ("ana", "unset", "a", "timeout"),
        ("ana", "reset", "a", ""),
        ("ana", "forgotten", "a", ""),
    ]


@pytest.mark.parametrize(
    "args",
    [["disable", "a"], ["pause"], ["set", "a", "timeout=3"], ["reset", "a"], ["cancel", "--job", "a"]],
    ids=" ".join,
)
def test_nodes_are_woken_once_it_is_committed(house: House, args: list[str]) -> None:
    house.job("a")
    house.ran("a", "running")
    settings = load({"project": str(house.root)}, os.environ)
    node = liveness_of(house.store(), settings, "listener")
    node.announce()
    try:
        bell = node.bell() or -1
        assert house.call(*args).code == 0
        assert select.select([bell], [], [], PATIENCE)[0]
    finally:
        node.leave()


# -- pause ---------------------------------------------------------------------------------------------


def test_a_pause_holds_every_job_and_says_who_and_why_until_it_ends(house: House) -> None:
    house.job("a")
    house.job("off", enabled=False)
    assert house.call("pause", "--as", "ana", "--reason", "migration").out == "paused by ana: migration\n"
    found = job(house)
    assert (found["state"], found["stateReason"], found["paused"]) == (
        "paused",
        "paused by ana: migration",
        True,
    )
    assert found["nextExecutionAt"] is None
    assert job(house, "off")["state"] == "disabled"
    assert "paused by ana: migration" in house.call("next", "a").err
    assert house.call("resume").out.startswith("resumed: it was paused by ana: migration, since ")
    assert (job(house)["state"], job(house)["paused"]) == ("active", False)


def test_a_second_pause_leaves_the_first_and_a_second_resume_says_so(house: House) -> None:
    house.call("pause", "--as", "ana")
    assert house.call("pause", "--as", "bob", "--json").json["by"] == "ana"
    assert house.call("pause", "--as", "bob").out.startswith("paused by ana already, since ")
    house.call("resume")
    assert house.call("resume").out == "it was not paused\n"
    assert [each[:2] for each in trail(house)][:1] == [("ana", "paused")]
    assert len(trail(house)) == 2


@pytest.mark.stateless
@pytest.mark.parametrize(
    "args",
    [["pause"], ["enable", "a"], ["set", "a", "timeout=3"], ["trigger", "a"], ["in", "1h", "a", "--json"]],
    ids=" ".join,
)
def test_a_change_that_makes_the_state_says_where_and_the_next_one_does_not(
    house: House, monkeypatch: pytest.MonkeyPatch, args: list[str]
) -> None:
    house.job("a")
    monkeypatch.setenv("JOBRUNNER_STATE", house.state.replace("jobrunner@", "jobrunner:s3cret@"))
    shown = house.state.replace("jobrunner@", "jobrunner:***@")
    said = f"note: there was no state yet at {shown}; it is made\n"
    assert house.call(*args).err.startswith(said)
    assert "no state yet" not in house.call(*args).err


@pytest.mark.stateless
def test_resume_makes_no_state(house: House) -> None:
    assert house.call("resume").code == 0
    assert house.stateless


# -- set -----------------------------------------------------------------------------------------------


def test_a_schedule_that_was_set_is_what_lists_and_previews_show(house: House) -> None:
    house.job("a", schedule="0 9 * * *")
    house.register()
    done = house.call("set", "a", "schedule=*/5 * * * *")
    assert done.code == 0
    assert 'a: schedule was "0 9 * * *", is "*/5 * * * *"\n' in done.out
    found = job(house)
    assert (found["schedule"], found["overrides"]) == ("*/5 * * * *", {"schedule": "*/5 * * * *"})
    assert found["stateReason"] == "overridden: schedule"
    assert from_iso(found["nextExecutionAt"]) - SystemClock().now() <= 5 * MINUTE
    assert house.call("next", "a", "-n", "1", "--json").json[0]["scheduledFor"] == found["nextExecutionAt"]
    assert house.call("show", "a", "--json").json["schedule"] == "*/5 * * * *"


def test_what_was_and_what_will_be_is_told_with_the_next_due_moment(house: House) -> None:
    house.job("a", schedule="0 9 * * *")
    found = house.call("set", "a", "schedule=*/5 * * * *", "timeout=30", "--json").json
    assert found["changed"] == {
        "schedule": {"was": "0 9 * * *", "is": "*/5 * * * *"},
        "timeout": {"was": None, "is": 30},
    }
    assert found["nextExecutionAt"]["was"].endswith("09:00:00.000Z")
    assert found["nextExecutionAt"]["is"] == job(house)["nextExecutionAt"]


def test_unset_gives_a_key_back_to_the_file(house: House) -> None:
    house.job("a", schedule="0 9 * * *")
    house.call("set", "a", "schedule=@hourly", "timeout=3")
    found = house.call("set", "a", "--unset", "schedule", "--json").json
    assert found["changed"]["schedule"]["is"] == "0 9 * * *"
    assert (job(house)["schedule"], job(house)["overrides"]) == ("0 9 * * *", {"timeout": 3})


@pytest.mark.parametrize(
    ("pair", "key"),
    [
        ("schedule=61 * * * *", "schedule"), ("timezone=Europe/Nowhere", "timezone"),
        ("timeout=soon", "timeout"),
        ("params=[1]", "params"), ("enabled=maybe", "enabled"), ("timeout=0", "timeout"),
    ],
)  # fmt: skip
def test_a_value_that_no_file_could_have_changes_nothing(house: House, pair: str, key: str) -> None:
    house.job("a")
    house.call("set", "a", "timeout=30")
    done = house.call("set", "a", "params.x=1", pair, "--json")
    assert done.code == 3
    assert done.error["message"].startswith(f"set a {key}: {key}") or key in done.error["message"]
    assert done.error["hint"]
    assert job(house)["overrides"] == {"timeout": 30}
    assert len(trail(house)) == 1


@pytest.mark.stateless
@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["concurrency=allow"], "cannot be set from outside"), (["shedule=@daily"], "did you mean schedule?"),
        (["timeout"], "key=value"), ([], "nothing to set"), (["timeout=1", "timeout=2"], "twice"),
        (["timeout=1", "--unset", "timeout"], "both set and unset"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_usage(house: House, args: list[str], said: str) -> None:
    house.job("a")
    done = house.call("set", "a", *args)
    assert (done.code, said in done.err) == (2, True)
    assert house.stateless


def test_params_are_laid_over_the_files_key_by_key(house: House) -> None:
    house.job("a", params={"region": "us", "rows": 5})
    found = house.call("set", "a", "params.region=eu", "--json").json
    assert found["changed"]["params"]["is"] == {"region": "eu", "rows": 5}
    house.call("set", "a", 'params.more={"deep": [1, null]}')
    assert job(house)["overrides"] == {"params": {"region": "eu", "more": {"deep": [1, None]}}}
    house.call("set", "a", "--unset", "params.more", "--unset", "params.region")
    assert job(house)["overrides"] == {}


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("5", 5), ("5.5", 5.5), ("true", True), ("null", None), ('"5"', "5"), ("5m", "5m"), ("a: b", "a: b"),
        ("*/5 * * * *", "*/5 * * * *"), ("2026-01-01", "2026-01-01"), ("12:30", "12:30"), ("[1, 2]", [1, 2]),
        ("", ""), ("0x10", "0x10"), ("no", "no"), ("True", True), ("Null", None),
    ],
)  # fmt: skip
def test_a_value_is_json_or_a_plain_word(house: House, text: str, meant: Any) -> None:
    house.job("a")
    assert house.call("set", "a", f"params.x={text}").code == 0
    assert job(house)["overrides"]["params"]["x"] == meant


def test_enabled_can_be_set_and_is_the_same_as_by_its_own_command(house: House) -> None:
    house.job("a")
    assert house.call("set", "a", "enabled=false", "--as", "ana").code == 0
    assert job(house)["stateReason"] == "disabled by ana"
    assert house.call("enable", "a").code == 0
    assert job(house)["enabled"]


def test_an_override_that_a_later_edit_made_invalid_can_be_taken_back(house: House) -> None:
    house.job("a", schedule="0 9 * * *")
    house.call("set", "a", "timeout=30")
    store = house.store()
    known = store.job("a")
    assert known is not None
    store.override(known.id, {"timeout": "soon"}, 0)
    store.close()
    assert house.call("ls", "--json").json[0]["state"] == "error"
    assert house.call("set", "a", "--unset", "timeout").code == 0
    assert job(house)["state"] == "active"


def test_a_run_by_hand_goes_by_what_was_set(house: House) -> None:
    house.job("a", "return container.resolve('params')", params={"rows": 5, "region": "us"})
    house.call("set", "a", "params.region=eu")
    done = house.call("run", "a")
    assert (done.code, done.json) == (0, {"rows": 5, "region": "eu"})


# -- reset and forget ----------------------------------------------------------------------------------


def test_reset_lets_a_finished_job_run_again(house: House) -> None:
    house.job("a", schedule="* * * * *", numberOfExecutions=1)
    house.register()
    store = house.store()
    store._db.rows("UPDATE cursors SET executions = 1")  # type: ignore[attr-defined]
    store.close()
    assert job(house)["state"] == "finished"
    assert house.call("reset", "a").out == "a starts over: it had 1 execution and 0 failures in a row\n"
    assert (job(house)["state"], job(house)["executions"]) == ("active", 0)


def test_the_trail_tells_which_runs_were_before_a_reset(house: House) -> None:
    house.job("a")
    assert house.call("run", "a").code == 0
    assert house.call("reset", "a", "--schedule", "--as", "ana").code == 0
    assert trail(house)[-1] == ("ana", "reset", "a", "schedule, after run 1")


def test_reset_of_the_schedule_begins_now(house: House) -> None:
    house.job("a", schedule="0 9 * * *")
    house.register(started_at=SystemClock().now() + 600 * MINUTE)  # a clock was wrong
    assert "a clock was wrong" in house.call("ls").err
    done = house.call("reset", "a", "--schedule", "--json")
    assert abs(from_iso(done.json["is"]["scheduleConsumedUntil"]) - SystemClock().now()) < MINUTE
    assert house.call("ls").err == ""


def test_a_job_is_not_forgotten_while_a_file_defines_it(house: House) -> None:
    path = house.job("a")
    house.register()
    for text in (None, "config = {"):
        if text is not None:
            path.write_text(text)
        done = house.call("forget", "a")
        assert (done.code, "jobs/a.py defines it" in done.err) == (4, True)
    path.unlink()
    assert house.call("forget", "a").code == 0
    assert house.call("ls", "--json").json == []
    assert house.call("history", "a").code == 3


def test_a_job_that_runs_or_that_a_node_holds_is_not_forgotten(house: House) -> None:
    path = house.job("a")
    run = house.ran("a", "running")
    path.unlink()
    done = house.call("forget", "a")
    assert (done.code, f"run {run.id} is running" in done.err) == (4, True)
    held = house.job("b")
    house.register(stays=True, node="mill", pid=77)
    held.unlink()
    done = house.call("forget", "b")
    assert (done.code, "node mill (pid 77) holds" in done.err) == (4, True)


# -- what lists show -----------------------------------------------------------------------------------


def test_a_job_that_runs_on_each_machine_shows_the_count_of_each(house: House) -> None:
    house.job("each", runPerMachine=True)
    house.job("once")
    house.register(machine="m1")
    house.register(machine="m2")
    assert job(house, "each")["executionsByMachine"] == {"m1": 0, "m2": 0}
    assert job(house, "once")["executionsByMachine"] is None


def test_a_reason_cannot_act_on_a_terminal(house: House) -> None:
    house.job("a")
    done = house.call("disable", "a", "--reason", "red\x1b[31m\nline")
    shown = done.out + house.call("ls").out + house.call("show", "a").out
    assert "\x1b" not in shown
    assert "red" in shown


# -- audit ---------------------------------------------------------------------------------------------


def test_audit_lists_who_changed_what_newest_first(house: House) -> None:
    house.job("a")
    house.job("b")
    house.call("disable", "a", "--as", "ana", "--reason", "slow")
    house.call("disable", "b", "--as", "bob")
    house.call("pause", "--as", "bob")
    found = house.call("audit", "--json").json
    assert [(each["actor"], each["action"], each["job"]) for each in found] == [
        ("bob", "paused", None), ("bob", "disabled", "b"), ("ana", "disabled", "a"),
    ]  # fmt: skip
    assert found[0].keys() == {"id", "at", "actor", "action", "job", "detail"}
    assert [each["job"] for each in house.call("audit", "A", "--json").json] == [None, "a"]
    assert len(house.call("audit", "--limit", "1", "--json").json) == 1
    assert "slow" in house.call("audit", "a").out


def test_audit_of_a_forgotten_job_still_answers_and_of_an_unknown_one_is_code_3(house: House) -> None:
    path = house.job("a")
    house.register()
    path.unlink()
    house.call("forget", "a", "--as", "ana")
    assert house.call("audit", "a", "--json").json[0]["action"] == "forgotten"
    assert house.call("audit", "nobody").code == 3


@pytest.mark.stateless
def test_audit_without_a_state_makes_none(house: House) -> None:
    assert house.call("audit").code == 0
    assert house.stateless


# -- and the nodes meanwhile -------------------------------------------------------------------------------

SLOW = """
import pathlib, time
here = pathlib.Path({here!r})
(here / "reading").touch()
while not (here / "go-on").exists():
    time.sleep(0.01)
config = dict(name="slow", schedule="@daily")
def default(): pass
"""


@pytest.mark.parametrize(
    "line",
    [["disable", "a"], ["enable", "a"], ["reset", "a"], ["set", "a", "timeout=5m"], ["forget", "a"]],
    ids=lambda line: line[0],
)
def test_others_can_write_while_a_command_reads_a_file_that_takes_its_time(
    house: House, line: list[str]
) -> None:
    house.job("a")
    house.register()
    house.write("jobrunner.yaml", "import_limit: 60s\n")
    house.write("jobs/slow.py", SLOW.format(here=str(house.root)))
    with subprocess.Popen(
        cli.command(line), cwd=house.root, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as asked:
        try:
            wait_until((house.root / "reading").exists, "the file to be read", patience=20)
            with closing(open_store(house.state)) as other:  # which has less patience than it takes to read
                other.note("somebody", "wrote", None, "", SystemClock().now())
        finally:
            (house.root / "go-on").touch()
            asked.communicate(timeout=60)
    assert asked.returncode == (4 if line[0] == "forget" else 0)
    assert trail(house)[0][:2] == ("somebody", "wrote")
