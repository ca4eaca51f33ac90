"""start: what it says first, what it refuses, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time

import pytest

from jobrunner.cli.nodes import refuse_company
from jobrunner.clock import DAY, SystemClock
from jobrunner.errors import Refused
from jobrunner.presence import boot_id
from jobrunner.settings import load
from tests.cli.house import Done, House, command

pytestmark = pytest.mark.usefixtures("store_kind")


def started(house: House, *args: str, **env: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command(["start", *args]), cwd=house.root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, **env},
    )  # fmt: skip


def ended(node: subprocess.Popen[str]) -> Done:
    out, err = node.communicate(timeout=60)
    return Done(node.returncode, out, err)


def test_the_banner_says_what_will_happen(house: House) -> None:
    house.job("a", schedule="*/5 * * * *")
    house.job("b", schedule=None)
    house.job("off", enabled=False)
    house.job("elsewhere", environments=["prod"])
    house.job("tokyo", timezone="Asia/Tokyo")
    done = house.process("start", "--for", "0.1s", "--slots", "2", "--node", "me")
    lines = [" ".join(line.split()) for line in done.err.splitlines()]
    assert (done.code, done.out) == (0, "")
    assert lines[0].startswith("jobrunner 0.")
    assert lines[0].endswith(": 5 jobs, 2 slots")
    assert lines[1] == f"state {house.state}, time zone UTC, grace 30s"
    assert any(line.startswith("a every 5 minutes next in ") for line in lines)
    assert "b on demand" in lines
    assert "off every day at 09:00 disabled: in its file" in lines
    assert "elsewhere every day at 09:00 excluded: JOBRUNNER_ENV is not set" in lines
    assert any(line.startswith("tokyo every day at 09:00 (Asia/Tokyo) next") for line in lines)


@pytest.mark.sqlite
def test_the_issues_demo_line_works_with_options_behind_the_command(house: House) -> None:
    house.write(
        "elsewhere/jobs/a.py", 'config = {"name": "a", "schedule": "* * * * *"}\ndef default(): pass\n'
    )
    done = house.process("start", "--jobs", "elsewhere/jobs", "--for", "0.1s")
    assert done.code == 0
    assert f"state sqlite:///{house.root}/elsewhere/.jobrunner/state.db" in done.err


def test_it_runs_jobs_until_they_have_had_their_runs(house: House) -> None:
    house.job("a", "return 1", schedule="* * * * * *", numberOfExecutions=2)
    done = house.process("start", "--until-done")
    assert done.code == 0
    assert done.err.count("succeeded after") == 2
    assert house.call("ls", "--json").json[0]["state"] == "finished"


def test_jobs_that_will_never_be_done_are_named_and_it_is_code_1(house: House) -> None:
    house.job("a", schedule="* * * * * *", numberOfExecutions=1)
    house.job("off", numberOfExecutions=1, enabled=False)
    house.job("broken", schedule="61 * * * *", numberOfExecutions=1)
    done = house.process("start", "--until-done")
    assert done.code == 1
    assert "off has not had all its runs, and never will: disabled" in done.err
    assert "broken could not run: its file has a problem" in done.err


def test_a_broken_file_alone_keeps_it_from_being_done(house: House) -> None:
    house.job("a", schedule="* * * * * *", numberOfExecutions=1)
    house.job("broken", schedule="61 * * * *")
    assert house.process("start", "--until-done").code == 1


@pytest.mark.stateless
def test_until_done_without_a_limit_would_wait_for_ever(house: House) -> None:
    house.job("a")
    done = house.call("start", "--until-done")
    assert done.code == 2
    assert "numberOfExecutions" in done.err
    assert house.stateless


def test_term_ends_it_in_good_order(house: House) -> None:
    house.job("a")
    node = started(house)
    assert node.stderr is not None
    while "a is new" not in node.stderr.readline():
        assert node.poll() is None
    node.send_signal(signal.SIGTERM)
    done = ended(node)
    assert (done.code, done.out) == (0, "")
    assert "stopping" in done.err
    assert "Traceback" not in done.err


def test_only_except_and_tag_choose(house: House) -> None:
    for name in ("a", "b", "c"):
        house.job(name, tags=["night"] if name != "c" else [])
    assert ": 1 job," in house.process("start", "--for", "0.1s", "--only", "A").err
    assert ": 2 jobs," in house.process("start", "--for", "0.1s", "--except", "a").err
    assert ": 1 job," in house.process("start", "--for", "0.1s", "--tag", "night", "--except", "b").err


def test_a_misspelt_only_is_refused_with_near_names(house: House) -> None:
    house.job("sync-orders")
    done = house.call("start", "--only", "sync-ordres")
    assert done.code == 3
    assert "sync-orders" in done.err


@pytest.mark.stateless
def test_nothing_to_run_is_code_3_with_the_next_step(house: House) -> None:
    assert "jobrunner new" in house.call("start").err
    house.job("a", schedule="61 * * * *")
    done = house.call("start")
    assert done.code == 3
    assert "jobs/a.py:3" in done.err
    (house.root / "jobs" / "a.py").unlink()
    (house.root / "jobs").rmdir()
    done = house.call("start")
    assert done.code == 3
    assert "jobrunner init" in done.err
    assert house.stateless


def test_a_broken_file_is_named_and_stops_no_other_unless_strict(house: House) -> None:
    house.job("a")
    house.job("bad", schedule="61 * * * *")
    done = house.process("start", "--for", "0.1s")
    assert done.code == 0
    assert "error: jobs/bad.py:3: " in done.err
    strict = house.call("start", "--strict")
    assert strict.code == 3
    assert "jobs/bad.py:3" in strict.err


def test_an_interpreter_that_is_not_here_is_named_and_stops_no_other_unless_strict(house: House) -> None:
    house.job("a")
    house.job("b", executor={"name": "subprocess", "python": "/none/python"})
    said = 'error: jobs/b.py:3: executor.python is "/none/python", and this machine has no such interpreter'
    done = house.process("start", "--for", "0.1s")
    assert (done.code, done.err.count(said)) == (0, 1)
    strict = house.call("start", "--strict")
    assert (strict.code, said.removeprefix("error: ") in strict.err) == (3, True)


def test_it_warns_when_nothing_can_run(house: House) -> None:
    house.job("off", enabled=False)
    house.job("by-hand", schedule=None)
    assert "warning: nothing can run" in house.process("start", "--for", "0.1s").err
    house.job("a")
    assert "nothing can run" not in house.process("start", "--for", "0.1s").err
    assert "warning: started with --paused" in house.process("start", "--for", "0.1s", "--paused").err


def test_orphans_are_told_once(house: House) -> None:
    house.job("a")
    path = house.job("gone")
    house.register()
    path.unlink()
    err = house.process("start", "--for", "0.1s").err
    assert err.count("gone is an orphan") == 1


@pytest.mark.stateless
def test_services_are_tried_before_anything_starts(house: House) -> None:
    house.job("a")
    house.write("services.py", "def register(container):\n    raise RuntimeError('no database')\n")
    done = house.call("start", "--for", "0.1s")
    assert done.code == 3
    assert "services.py:2: " in done.err
    assert "no database" in done.err
    assert house.stateless


def test_services_that_hang_are_given_up(house: House) -> None:
    house.job("a")
    house.write("services.py", "import time\ntime.sleep(600)\n")
    house.write("jobrunner.yaml", "import_limit: 1s\n")
    began = time.monotonic()
    assert house.call("start").code == 3
    assert time.monotonic() - began < 20


def test_json_log_lines_are_all_json(house: House) -> None:
    house.job("a", "return 1", schedule="* * * * * *", numberOfExecutions=1)
    house.job("bad", schedule="61 * * * *")
    err = house.process("start", "--until-done", "--log-format", "json").err
    lines = [json.loads(line) for line in err.splitlines()]
    assert all({"time", "level", "message"} <= line.keys() for line in lines)
    said = {line["event"]: line.get("data") for line in lines}
    assert said["FileBroken"]["problem"]["file"] == "jobs/bad.py"
    assert said["Started"]["runId"] == said["Finished"]["runId"] == 1
    assert (said["Finished"]["outcome"]["state"], said["Finished"]["outcome"]["result"]) == ("succeeded", 1)
    assert said["Finished"]["outcome"]["fileHash"]


def test_an_exclusive_start_refuses_company(house: House) -> None:
    house.job("a")
    node = started(house, "--exclusive")
    assert node.stderr is not None
    while "a is new" not in node.stderr.readline():
        assert node.poll() is None
    try:
        done = house.process("start", "--for", "0.1s")
        assert done.code == 4
        assert f"(pid {node.pid})" in done.err
    finally:
        node.terminate()
        ended(node)


def test_the_first_run_of_a_missed_job_is_announced_from_now_on(house: House) -> None:
    """The banner's moments are to come, also where a node was away for a day."""
    house.job("a", schedule="0 * * * *")
    house.register(started_at=SystemClock().now() - DAY)
    err = house.process("start", "--for", "0.1s").err
    assert "next in " in err


@pytest.mark.parametrize("option", ["--ui", "--ui=:80"])
def test_what_a_later_version_does_is_refused_not_ignored(house: House, option: str) -> None:
    house.job("a")
    done = house.call("start", option)
    assert done.code == 2
    assert "is not yet supported" in done.err
    assert house.process("start", "--no-watch", "--role", "all", "--for", "0.1s").code == 0


def test_a_password_in_the_address_of_the_state_is_not_shown() -> None:
    from jobrunner.masking import without_passwords

    assert without_passwords("postgresql://me:secret@host/db") == "postgresql://me:***@host/db"
    assert without_passwords("sqlite:////tmp/a:b@c/state.db") == "sqlite:////tmp/a:b@c/state.db"


def test_the_banner_says_that_a_new_job_with_run_on_start_starts_now(house: House) -> None:
    house.job("eager", schedule=None, runOnStart=True)
    err = house.process("start", "--for", "0.1s").err
    assert any(line.split() == ["eager", "on", "demand", "next", "now"] for line in err.splitlines())
    assert "nothing can run" not in err
    assert "next now" not in house.process("start", "--for", "0.1s").err


def test_an_exclusive_start_says_nothing_before_it_refuses(house: House) -> None:
    house.job("a")
    node = started(house)
    assert node.stderr is not None
    while "a is new" not in node.stderr.readline():
        assert node.poll() is None
    try:
        done = house.process("start", "--exclusive", "--for", "0.1s")
        assert done.code == 4
        assert done.err.startswith("error: another start")
        assert len(done.err.splitlines()) == 2
    finally:
        node.terminate()
        ended(node)


@pytest.mark.parametrize("theirs", [False, True])
@pytest.mark.parametrize("ours", [False, True])
@pytest.mark.parametrize("role", ["all", "run"])
def test_company_is_refused_if_it_is_a_start_and_one_of_the_two_is_exclusive(
    house: House, role: str, ours: bool, theirs: bool
) -> None:
    house.job("a")
    house.register(exclusive=theirs, role=role, stays=True, pid=os.getpid(), boot_id=boot_id())
    settings = load({"project": str(house.root), "exclusive": ours}, {})
    refused, store = False, house.store()
    try:
        refuse_company(store, settings)
    except Refused:
        refused = True
    store.close()
    assert refused == (role == "all" and (ours or theirs))


def test_a_dead_exclusive_node_is_no_company(house: House) -> None:
    house.job("a")
    house.register(exclusive=True, stays=True, **house.dead)
    assert house.process("start", "--for", "0.1s").code == 0


def test_every_json_log_line_has_an_event(house: House) -> None:
    house.job("a", "return 1", schedule="* * * * * *", numberOfExecutions=1)
    house.job("off", numberOfExecutions=1, enabled=False)
    err = house.process("start", "--until-done", "--log-format", "json").err
    events = [json.loads(line).get("event") for line in err.splitlines()]
    assert None not in events
    assert events[:2] == ["Banner", "Banner"]
    assert "Verdict" in events


def test_how_long_it_runs_may_be_said_in_the_environment(house: House) -> None:
    house.job("a")
    assert house.process("start", env={"JOBRUNNER_FOR": "0.1s"}).code == 0


def test_until_done_may_be_said_in_the_settings_file(house: House) -> None:
    house.job("a", "return 1", schedule="* * * * * *", numberOfExecutions=1)
    house.write("jobrunner.yaml", "until_done: true\n")
    assert house.process("start").code == 0
    assert house.call("ls", "--json").json[0]["state"] == "finished"
