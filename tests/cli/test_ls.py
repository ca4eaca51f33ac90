"""ls and show <job>: how the jobs stand, with and without a state, in a table or as JSON."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from jobrunner.clock import DAY, HOUR, MINUTE, SECOND, SystemClock, from_iso
from tests.cli.house import House, a_node

pytestmark = pytest.mark.usefixtures("store_kind")

JOB = {
    "id", "description", "file", "schedule", "scheduleDescription", "timezone", "tags", "hidden", "enabled",
    "target", "enabledReason", "state", "stateReason", "isRunning", "nextExecutionAt", "lastExecutedAt",
    "lastFinishedAt", "lastSuccessAt", "lastFailureAt", "lastStatus", "lastResult", "lastError", "executions",
    "numberOfExecutions", "consecutiveFailures", "problems", "paused", "overrides", "executionsByMachine",
}  # fmt: skip


def states(house: House, *args: str) -> dict[str, str]:
    return {job["id"] or job["file"]: job["state"] for job in house.call("ls", "--json", *args).json}


@pytest.mark.stateless
def test_without_a_node_or_a_state_it_works_and_makes_none(house: House) -> None:
    house.job("sync-orders", schedule="*/5 * * * *", numberOfExecutions=3)
    done = house.call("ls")
    head, row = done.out.splitlines()
    assert done.code == 0
    assert head.split() == ["NAME", "SCHEDULE", "NEXT", "LAST", "RUNS", "STATE", "NOTE"]
    assert row.split("  ")[0:2] == ["sync-orders", "every 5 minutes"]
    assert "0/3" in row
    assert row.endswith("active")
    assert house.stateless


def test_a_job_as_json_has_the_fields_of_the_contract(house: House) -> None:
    house.job("a", schedule="0 9 * * *", tags=["x"], timezone="Europe/Berlin")
    (job,) = house.call("ls", "--json").json
    assert job.keys() == JOB
    assert (job["id"], job["file"], job["schedule"]) == ("a", "jobs/a.py", "0 9 * * *")
    assert (job["scheduleDescription"], job["timezone"]) == ("every day at 09:00", "Europe/Berlin")
    assert (job["description"], job["tags"], job["hidden"]) == ("About a.", ["x"], False)
    assert (job["enabled"], job["enabledReason"], job["state"]) == (True, None, "active")
    assert (job["executions"], job["numberOfExecutions"], job["problems"]) == (0, None, [])
    assert job["nextExecutionAt"].endswith(":00:00.000Z")
    assert from_iso(job["nextExecutionAt"]) > SystemClock().now()


def test_what_the_state_knows_is_in_it(house: House) -> None:
    house.job("a")
    house.ran("a", "failed", error={"type": "ValueError", "message": "no", "traceback": "", "phase": "body"})
    house.ran("a", result={"rows": 3})
    (job,) = house.call("ls", "--json").json
    assert (job["lastStatus"], job["lastResult"], job["isRunning"]) == ("succeeded", {"rows": 3}, False)
    assert job["lastSuccessAt"] > job["lastFailureAt"]
    assert job["lastExecutedAt"] < job["lastFinishedAt"]
    assert (job["executions"], job["consecutiveFailures"]) == (0, 0)
    assert f"succeeded {job['lastFinishedAt']}" in house.call("ls").out


def test_a_running_job_says_so(house: House) -> None:
    house.job("a")
    house.ran("a", "running")
    assert house.call("ls", "--json").json[0]["isRunning"] is True
    assert "running " in house.call("ls").out


def test_each_state_is_the_first_that_holds(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.job("active")
    house.job("on-demand", schedule=None)
    house.job("disabled", enabled=False, environments=["nowhere"])
    house.job("by-variable")
    house.job("excluded", environments=["prod"], schedule=None)
    house.job("broken", schedule="61 * * * *")
    monkeypatch.setenv("JOBRUNNER_DISABLED", "by-variable")
    assert states(house) == {
        "active": "active", "by-variable": "disabled", "disabled": "disabled", "excluded": "excluded",
        "on-demand": "on-demand", "broken": "error",
    }  # fmt: skip
    monkeypatch.setenv("JOBRUNNER_ENV", "prod")
    house.call("pause")
    assert states(house)["excluded"] == "paused"
    assert states(house)["active"] == "paused"
    assert states(house)["disabled"] == "disabled"


def test_why_a_job_is_disabled_or_excluded_is_told(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.job("a", enabled=False)
    house.job("b", environments=["prod"])
    house.job("c")
    monkeypatch.setenv("JOBRUNNER_DISABLED", "c")
    jobs = {job["id"]: job for job in house.call("ls", "--json").json}
    assert jobs["a"]["enabledReason"] == "in its file"
    assert jobs["c"]["enabledReason"] == "JOBRUNNER_DISABLED"
    assert jobs["b"]["stateReason"] == "JOBRUNNER_ENV is not set"
    assert {jobs[name]["nextExecutionAt"] for name in "abc"} == {None}
    assert "JOBRUNNER_ENV is not set" in house.call("ls").out


def test_a_finished_job_has_no_next_run(house: House) -> None:
    house.job("a", numberOfExecutions=1)
    house.register()
    house.ran("a")
    house.rows("UPDATE cursors SET executions = 1")
    (job,) = house.call("ls", "--json").json
    assert (job["state"], job["nextExecutionAt"], job["executions"]) == ("finished", None, 1)
    assert "1/1" in house.call("ls").out


def test_a_broken_file_is_a_row_with_its_reason_and_stops_no_other(house: House) -> None:
    house.job("good")
    house.job("late", schedule="61 * * * *")
    house.write("jobs/nameless.py", "config = {")
    jobs = {job["file"]: job for job in house.call("ls", "--json").json}
    assert [jobs[f"jobs/{name}.py"]["state"] for name in ("good", "late", "nameless")] == [
        "active",
        "error",
        "error",
    ]
    assert jobs["jobs/late.py"]["id"] == "late"
    assert jobs["jobs/nameless.py"]["id"] is None
    assert jobs["jobs/nameless.py"]["problems"][0]["line"] == 1
    table = house.call("ls").out
    assert '"61"' in table
    assert "jobs/nameless.py:1" in table


def test_a_job_whose_file_is_gone_is_an_orphan(house: House) -> None:
    house.job("keep")
    path = house.job("gone")
    house.register()
    path.unlink()
    assert states(house) == {"keep": "active", "gone": "orphan"}


def test_a_job_whose_file_broke_is_no_orphan(house: House) -> None:
    path = house.job("a")
    house.job("b")
    house.register()
    path.write_text("config = {")
    assert states(house) == {"b": "active", "a": "error"}


@pytest.mark.parametrize("text", ["config = {}", "config = {", ""])
def test_a_known_job_whose_name_cannot_be_read_any_more_is_an_error_under_its_name(
    house: House, text: str
) -> None:
    path = house.job("a")
    house.register()
    house.ran("a")
    path.write_text(text)
    (found,) = house.call("ls", "A", "--json").json
    assert (found["id"], found["file"], found["state"], found["lastStatus"]) == (
        "a", "jobs/a.py", "error", "succeeded",
    )  # fmt: skip
    assert list(states(house)) == ["a"]
    assert house.call("ls", "jobs/a.py", "--json").json == [found]
    assert house.call("show", "a").code == 0


def test_of_a_file_with_two_jobs_that_broke_both_are_errors(house: House) -> None:
    both = (
        "configs = [{'name': 'a', 'schedule': None}, {'name': 'b', 'schedule': None}]\ndef default(): pass\n"
    )
    path = house.write("jobs/both.py", both)
    house.register()
    path.write_text("config = {}")
    assert states(house) == {"a": "error", "b": "error"}


def test_names_choose_ignoring_case_and_show_hidden_ones(house: House) -> None:
    house.job("a", hidden=True)
    house.job("b")
    house.job("c-Big")
    assert list(states(house)) == ["b", "c-Big"]
    assert list(states(house, "--all")) == ["a", "b", "c-Big", "jobrunner.prune"]
    assert list(states(house, "C-BIG", "a")) == ["c-Big", "a"]


def test_tags_choose(house: House) -> None:
    house.job("a", tags=["night", "slow"])
    house.job("b", tags=["day"])
    house.job("c")
    assert list(states(house, "--tag", "night")) == ["a"]
    assert list(states(house, "--tag", "night", "--tag", "day")) == ["a", "b"]


def test_an_unknown_name_is_code_3_with_near_names(house: House) -> None:
    house.job("sync-orders")
    done = house.call("ls", "sync-ordres")
    assert (done.code, done.out) == (3, "")
    assert "sync-orders" in done.err


def test_without_a_jobs_folder_it_says_the_next_step_and_is_fine(house: House) -> None:
    (house.root / "jobs").rmdir()
    done = house.call("ls")
    assert (done.code, done.out) == (0, "")
    assert "jobrunner init" in done.err
    as_json = house.call("ls", "--json")
    assert (as_json.code, as_json.json) == (0, [])


def test_an_empty_folder_is_fine_too(house: House) -> None:
    done = house.call("ls")
    assert (done.code, done.out) == (0, "")
    assert "jobrunner new" in done.err


def test_a_zone_that_is_not_the_projects_is_told(house: House) -> None:
    house.job("a", timezone="Asia/Tokyo")
    house.job("b", timezone="UTC")
    table = house.call("ls").out
    assert "every day at 09:00 (Asia/Tokyo)" in table
    assert "(UTC)" not in table


def test_start_and_end_of_a_schedule_are_respected(house: House) -> None:
    soon = (datetime.now(UTC) + timedelta(days=400)).strftime("%Y-%m-%dT00:00:00Z")
    house.job("later", startAt=soon)
    house.job("over", endAt="2020-01-01T00:00:00Z")
    jobs = {job["id"]: job for job in house.call("ls", "--json").json}
    assert jobs["later"]["nextExecutionAt"] > soon
    assert jobs["over"]["nextExecutionAt"] is None


def test_a_schedule_planned_into_the_future_is_warned_of(house: House) -> None:
    house.job("a", schedule="* * * * *")
    house.register(started_at=SystemClock().now() + 2 * HOUR)
    done = house.call("ls", "--json")
    assert "warning: a is planned up to" in done.err
    assert from_iso(done.json[0]["nextExecutionAt"]) > SystemClock().now() + HOUR


def test_a_cursor_of_a_minute_ago_is_no_news(house: House) -> None:
    house.job("a")
    house.register(started_at=SystemClock().now() - DAY)
    assert house.call("ls").err == ""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")
def test_a_stopped_node_is_named(house: House) -> None:
    house.job("a")
    code = "import time; print('jobrunner', flush=True); time.sleep(60)"
    sleeper = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    try:
        assert sleeper.stdout is not None
        sleeper.stdout.readline()
        house.register(pid=sleeper.pid, stays=True)
        assert house.call("ls").err == ""
        os.kill(sleeper.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, sleeper.pid, os.WSTOPPED | os.WNOWAIT)
        assert f"(pid {sleeper.pid}) is stopped" in house.call("ls").err
    finally:
        sleeper.kill()
        sleeper.communicate()


def test_a_node_that_is_long_silent_is_named(house: House) -> None:
    house.job("a")
    code = "import time; print('jobrunner', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as sleeper:
        assert sleeper.stdout is not None
        sleeper.stdout.readline()
        store = house.store()
        store.join(a_node(pid=sleeper.pid, seen_at=SystemClock().now() - 500 * SECOND))
        store.close()
        assert "has not been heard of for 50" in house.call("ls").err
        sleeper.kill()


def test_at_a_terminal_it_is_a_table_in_relative_times(house: House) -> None:
    house.job("a", schedule="*/5 * * * *")
    house.write("jobs/[red]z:smile:.py", "config = {")
    seen = house.terminal("ls")
    assert "every 5 minutes" in seen
    assert " in " in seen
    assert "\x1b[" in seen  # states have colours
    assert "[red]z:smile:" in seen
    assert "Z" not in seen


def test_at_a_terminal_a_file_name_cannot_act(house: House) -> None:
    house.write("jobs/bad\x1b[2J\u202e.py", "config = {")
    seen = house.terminal("ls")
    assert "\x1b[2J" not in seen
    assert "\u202e" not in seen
    assert "\\x1b[2J" in seen


def test_at_a_pipe_nothing_is_wrapped_cut_or_coloured(house: House) -> None:
    house.job("a" * 120, schedule="0,7,13,29,41,53 1,3,5,9,11 * * mon,wed,fri")
    done = house.process("ls", env={"COLUMNS": "40", "FORCE_COLOR": "1"})
    assert len(done.out.splitlines()) == 2
    assert "a" * 120 in done.out
    assert "\x1b" not in done.out


def test_show_tells_all_about_a_job(house: House) -> None:
    house.job("a", schedule="*/5 * * * *")
    house.ran("a", "failed", error={"type": "ValueError", "message": "no", "traceback": "", "phase": "body"})
    done = house.call("show", "A")
    assert done.code == 0
    assert "scheduleDescription: every 5 minutes" in done.out
    assert "ValueError: no" in done.out
    assert house.call("show", "a", "--json").json.keys() == JOB
    assert house.call("show", "nobody").code == 3


def test_show_tells_about_orphans_and_broken_files(house: House) -> None:
    path = house.job("gone")
    house.register()
    path.unlink()
    house.job("broken", schedule="61 * * * *")
    assert house.call("show", "gone", "--json").json["state"] == "orphan"
    assert house.call("show", "broken", "--json").json["state"] == "error"
    assert "61" in house.call("show", "broken").out


def test_a_job_asked_for_twice_is_one_row(house: House) -> None:
    house.job("p")
    house.job("a")
    assert [job["id"] for job in house.call("ls", "p", "a", "P", "p", "--json").json] == ["p", "a"]


@pytest.mark.parametrize("schedule", ["0 0 1 1 *", None])
def test_a_new_job_with_run_on_start_is_due_now(house: House, schedule: str | None) -> None:
    house.job("eager", schedule=schedule, runOnStart=True)
    house.job("off", runOnStart=True, enabled=False)
    (eager, off) = house.call("ls", "--json").json
    assert abs(from_iso(eager["nextExecutionAt"]) - SystemClock().now()) < 60 * SECOND
    assert off["nextExecutionAt"] is None
    assert "  now " in house.call("ls", "eager").out
    house.process("run", "eager")  # by hand: no node has seen it yet
    assert "  now " in house.call("ls", "eager").out
    house.register()
    assert "  now " not in house.call("ls", "eager").out


@pytest.mark.parametrize(
    ("progress", "words"),
    [
        ({"value": 45, "max": 100, "message": "copying"}, "running 45 % copying"),
        ({"value": 17, "max": None, "message": None}, "running 17"),
        ({"value": 1, "max": 3, "message": "a\x1b[2J\nb"}, "running 33 % a\\x1b[2J\\nb"),
    ],
)
def test_a_running_job_says_how_far_it_is(house: House, progress: dict[str, object], words: str) -> None:
    house.job("a")
    run = house.ran("a", "running")
    store = house.store()
    assert store.progress(run.id, run.owner or "", run.attempt, progress, SystemClock().now())
    store.close()
    assert f"  {words}  " in house.call("ls").out
    shown = [
        line.split(":", 1)[1].strip()
        for line in house.call("show", "a").out.splitlines()
        if "progress:" in line
    ]
    assert shown == [words.removeprefix("running ")]


def test_at_a_terminal_a_running_job_says_for_how_long(house: House) -> None:
    house.job("a")
    house.ran("a", "running", at=SystemClock().now() - 2 * HOUR - MINUTE)
    seen = house.terminal("ls")
    assert "running 2 h\x1b" in seen
    assert "ago" not in seen
