"""at, in, trigger, complete; and what pending and cancel tell of calls."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from jobrunner.cli.calling import moment
from jobrunner.clock import Clock, from_datetime, from_iso, to_iso
from jobrunner.errors import BadArgument
from jobrunner.registry import Registry
from jobrunner.settings import Settings
from jobrunner.store.base import Call
from tests.cli.house import House
from tests.lifecycle.project import Project, wait_until

pytestmark = pytest.mark.usefixtures("store_kind")

TYPED = 'config = {"name": "remind", "schedule": None}\n\n\ndef default(order: int):\n    return order\n'


@pytest.fixture
def remind(house: House) -> House:
    house.write("jobs/remind.py", TYPED)
    return house


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    found = Project(tmp_path)
    yield found
    found.end()


# -- at, in ----------------------------------------------------------------------------------------------


def test_a_call_says_its_number_and_moment_in_utc_and_in_the_zone_of_the_project(
    remind: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOBRUNNER_TIMEZONE", "Europe/Berlin")
    remind.store()
    done = remind.call("at", "2030-05-01T09:00", "remind", "-p", "order=19")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("run 1 of remind: due 2030-05-01T07:00:00.000Z, in ")
    assert done.out.endswith("(2030-05-01 09:00:00 CEST)\n")
    call = remind.call("in", "2h", "REMIND", "--params", '{"order": 3}', "--as", "ana", "--json").json
    assert (call["id"], call["job"], call["trigger"], call["state"]) == (2, "remind", "call", "pending")
    assert (call["params"], call["identity"]) == ({"order": 3}, "ana")
    trail = remind.call("audit", "remind", "--json").json
    assert (trail[0]["actor"], trail[0]["action"]) == ("ana", "called")


@pytest.mark.parametrize(
    ("text", "now", "meant"),
    [
        ("18:00", "2026-05-01T10:00:00Z", "2026-05-01T16:00:00.000Z"),
        ("08:30", "2026-05-01T10:00:00Z", "2026-05-02T06:30:00.000Z"),
        ("12:00:01", "2026-05-01T10:00:00Z", "2026-05-01T10:00:01.000Z"),
        ("02:30", "2026-10-25T00:40:00Z", "2026-10-25T01:30:00.000Z"),  # for the second time
        ("2026-05-01", "2026-04-01T00:00:00Z", "2026-04-30T22:00:00.000Z"),
        ("2026-05-01T09:30+00:00", "2026-04-01T00:00:00Z", "2026-05-01T09:30:00.000Z"),
        ("1777627800", "2026-04-01T00:00:00Z", "2026-05-01T09:30:00.000Z"),
        ("1777627800.5", "2026-04-01T00:00:00Z", "2026-05-01T09:30:00.500Z"),
    ],
)
def test_a_moment_is_in_the_zone_of_the_project_and_a_time_is_the_next_one(
    text: str, now: str, meant: str
) -> None:
    assert to_iso(moment(text, "Europe/Berlin", from_iso(now))) == meant


@pytest.mark.parametrize("text", ["12:99", "soon", "2026-13-01", "-5", "1:2:3:4"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    now = from_datetime(datetime(2026, 5, 1, tzinfo=ZoneInfo("UTC")))
    with pytest.raises(BadArgument, match="that is no moment"):
        moment(text, "UTC", now)


@pytest.mark.stateless
@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("in -1h remind -p order=1", 2, "must be 0 or more"),
        ("in 2x remind -p order=1", 2, "delay is '2x'"),
        ("in 6000d remind -p order=1", 2, "more than five years"),
        ("at 2050-01-01 remind -p order=1", 2, "more than five years"),
        ("at noon remind -p order=1", 2, "that is no moment"),
        ("in 2h nobody", 3, "there is no job 'nobody'"),
        ("trigger remidn", 3, 'did you mean "remind"?'),
        ("in 2h remind -p odrer=1", 2, 'remind has no param "odrer"'),
        ("trigger remind -p order=x", 2, '"x" is no int'),
        ("trigger remind", 2, 'remind needs the param "order"'),
        ("trigger remind -p order=1 --timeout 3s", 2, "--timeout goes with --wait only"),
        ("complete 7 approval", 3, "there is no run 7"),
        ("complete abc go", 2, "'abc' is no number of a run"),
        ("complete \u0663 go", 2, "is no number of a run"),
        ("complete 1e3 go", 2, "is no number of a run"),
        ("complete -- -1 go", 2, "is no number of a run"),
        ("complete 7 approval --result x", 2, "--result is not JSON"),
        ("complete 7 approval --result 1 --fail no", 2, "two ends of one step"),
    ],
)
def test_what_cannot_be_is_a_sentence_a_code_and_no_state(
    remind: House, line: str, code: int, said: str
) -> None:
    done = remind.call(*line.split())
    assert (done.code, done.out) == (code, "")
    assert said in done.err
    assert remind.stateless


def test_pending_tells_when_with_what_and_from_which_run(remind: House) -> None:
    remind.job("parent")
    parent = remind.ran("parent")
    remind.call("in", "2h", "remind", "-p", "order=1")
    child = calls(remind, parent.id)
    rows = [line.split() for line in remind.call("pending").out.splitlines()[1:]]
    assert [(row[0], row[1], row[2], row[4], row[5]) for row in rows] == [
        (str(child), "remind", "call", "1", "-"),
        ("2", "remind", "call", "1", '{"order":1}'),
    ]
    assert remind.call("pending", "--json").json[0]["parentId"] == parent.id


def calls(house: House, parent: int) -> int:
    """Let a run call `remind`, due at once."""
    from jobrunner.registry import Registry
    from jobrunner.settings import load

    job = Registry.load(load({"project": str(house.root)}, {})).find("remind")
    store = house.store()
    try:
        return store.call(Call(at=0, parent_id=parent), job, from_iso("2026-01-01T00:00:00Z"))
    finally:
        store.close()


def test_cancel_names_the_calls_that_went_with_a_run(remind: House) -> None:
    remind.job("parent")
    parent = remind.ran("parent", "running")
    child = calls(remind, parent.id)
    grandchild = calls(remind, child)
    done = remind.call("cancel", str(parent.id), "--as", "ana")
    assert done.out.splitlines()[1:] == [
        f"run {child} of remind: canceled with it, before it started",
        f"run {grandchild} of remind: canceled with it, before it started",
    ]
    assert (
        remind.call("audit", "parent", "--json").json[0]["detail"] == f"run {parent.id}, with 2 pending calls"
    )
    assert remind.call("cancel", str(parent.id), "--json").json[0]["calls"] == []
    assert remind.call("pending", "--json").json == []


# -- trigger ---------------------------------------------------------------------------------------------


def test_a_trigger_without_a_node_waits_for_one_and_says_so(remind: House) -> None:
    remind.store()
    done = remind.call("trigger", "remind", "-p", "order=2")
    assert (done.code, done.out) == (0, "run 1 of remind: triggered\n")
    assert done.err == "note: no `jobrunner start` is at work; run 1 waits for one\n"
    busy = remind.call("trigger", "remind", "-p", "order=2")
    assert (busy.code, busy.out) == (4, "")
    assert "error: remind is busy: run 1 is pending" in busy.err
    assert "hint: --queue lets it wait for the end of that, --force runs it beside it" in busy.err
    assert remind.call("trigger", "remind", "-p", "order=2", "--queue").code == 0
    assert remind.call("trigger", "remind", "-p", "order=2", "--force", "--json").json["id"] == 3


def test_a_trigger_is_refused_with_the_reason(remind: House) -> None:
    remind.call("disable", "remind", "--reason", "the shop is down", "--as", "ana")
    done = remind.call("trigger", "remind", "-p", "order=2")
    assert (done.code, done.err.splitlines()[0]) == (
        4, "error: remind is disabled by ana: the shop is down",
    )  # fmt: skip
    remind.call("enable", "remind")
    remind.call("pause", "--as", "ana")
    done = remind.call("trigger", "remind", "-p", "order=2", "--queue", "--json")
    assert (done.code, done.error["message"]) == (4, "all is paused by ana, remind too")


@pytest.mark.parametrize(
    ("body", "code", "out"),
    [
        ("return {'n': 1}", 0, '{"n":1}\n'),
        ("raise ValueError('no')", 1, ""),
        ("import time; time.sleep(60)", 5, ""),
    ],
)
def test_who_waits_gets_the_result_and_the_exit_code_of_run(
    project: Project, body: str, code: int, out: str
) -> None:
    project.job("job", body, schedule=None, timeout="1s")
    project.start("--grace", "1s")
    done = project.run("trigger", "job", "--wait", check=code)
    assert done.stdout == out
    assert "job #1 " in done.stderr


def test_ctrl_c_ends_the_waiting_and_not_the_run(project: Project) -> None:
    project.job("job", "note('ran')", schedule=None)
    waiting = subprocess.Popen(
        project.command("trigger", "job", "--wait"), env=project.env(), cwd=project.root,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert waiting.stderr is not None
        assert any("waits for one" in line for line in waiting.stderr)
        waiting.send_signal(signal.SIGINT)
        _, said = waiting.communicate(timeout=60)
    finally:
        waiting.kill()
        waiting.communicate()
    assert waiting.returncode == 130
    assert "run 1 of job goes on" in said
    project.start()
    wait_until(lambda: project.notes() == ["ran"], "the run")


def test_waiting_no_longer_than_asked_leaves_the_run(project: Project) -> None:
    project.job("job", schedule=None)
    done = project.run("trigger", "job", "--wait", "--timeout", "0.2", check=5)
    assert "run 1 of job has not ended in 0.2 s" in done.stderr
    assert [run["state"] for run in project.history()] == ["pending"]


# -- complete --------------------------------------------------------------------------------------------


def test_a_step_is_completed_and_one_that_does_not_wait_is_refused(project: Project) -> None:
    project.job("job", "return ctx.wait_for('approval')", schedule=None)
    project.start()
    project.run("trigger", "job", check=0)
    wait_until(lambda: project.history()[0]["state"] == "waiting", "the run to wait")
    done = project.run("complete", "1", "payment", check=4)
    assert "run 1 does not wait for payment: it waits for approval" in done.stderr
    done = project.run("complete", "1", "approval", "--result", '{"by": "ana"}', "--as", "ana", check=0)
    assert done.stdout == "run 1 of job: approval completed; it goes on\n"
    wait_until(lambda: project.history()[0]["state"] == "succeeded", "the run to end")
    assert project.history()[0]["result"] == {"by": "ana"}
    assert "completed" in project.run("audit", "job", check=0).stdout


def test_a_step_that_failed_outside_fails_its_run(project: Project) -> None:
    project.job("job", "return ctx.wait_for('approval')", schedule=None)
    project.start()
    project.run("trigger", "job", check=0)
    wait_until(lambda: project.history()[0]["state"] == "waiting", "the run to wait")
    project.run("complete", "1", "approval", "--fail", "too dear", check=0)
    wait_until(lambda: project.history()[0]["state"] == "failed", "the run to end")
    assert "too dear" in project.history()[0]["error"]["message"]


# -- by a run by hand ------------------------------------------------------------------------------------


def test_a_run_by_hand_that_makes_many_calls_reads_the_files_once_a_second(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.job("far", schedule=None)
    house.job("near", "[container.resolve('scheduler').run_after(3600, 'far') for _ in range(200)]")
    loaded: list[float] = []
    load = Registry.load

    def count(settings: Settings, clock: Clock | None = None) -> Registry:
        loaded.append(time.monotonic())
        return load(settings, clock)

    monkeypatch.setattr(Registry, "load", count)
    done = house.call("run", "near")
    assert done.code == 0, done.err
    assert len(house.call("pending", "--job", "far", "--json").json) == 200
    assert len(loaded) < 5 + (loaded[-1] - loaded[0])


def test_a_run_by_hand_may_call_a_job_that_was_written_a_moment_ago(house: House) -> None:
    text = 'config = {"name": "new", "schedule": None}\n\n\ndef default():\n    pass\n'
    house.job("old", schedule=None)
    house.write(
        "jobs/near.py",
        'config = {"name": "near", "schedule": None}\n\n\n'
        "def default(scheduler):\n"
        "    scheduler.run_after(3600, 'old')\n"
        f"    open('jobs/new.py', 'w').write({text!r})\n"
        "    scheduler.run_after(3600, 'new')\n",
    )
    assert house.call("run", "near").code == 0
    assert [call["job"] for call in house.call("pending", "--json").json] == ["old", "new"]
