from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest

from jobrunner.clock import SECOND, from_iso
from tests.lifecycle.project import Project, alive, stop, wait_until


def runs(project: Project, name: str, *states: str) -> list[dict[str, object]]:
    return [run for run in project.history(name) if not states or run["state"] in states]


def test_a_job_with_a_limit_runs_that_often_over_restarts_and_is_finished(project: Project) -> None:
    project.job("thrice", "note('ran')", numberOfExecutions=3)
    project.job("daily", "note('never')", schedule="0 0 1 1 *", numberOfExecutions=1)
    node = project.start()
    wait_until(lambda: project.notes(), "the first run")
    assert stop(node) == 0
    first = len(project.notes())
    assert 1 <= first < 3
    node = project.start("--only", "thrice", "--until-done")
    assert node.wait(60) == 0
    assert project.notes() == ["ran"] * 3
    job = project.ls("thrice")
    assert (job["state"], job["executions"], job["numberOfExecutions"]) == ("finished", 3, 3)
    assert job["nextExecutionAt"] is None
    node = project.start("--only", "thrice", "--until-done")
    assert node.wait(60) == 0
    assert project.notes() == ["ran"] * 3
    assert project.ls("daily")["executions"] == 0


def test_raising_the_limit_continues(project: Project) -> None:
    project.job("some", "note('ran')", numberOfExecutions=1)
    assert project.start("--until-done").wait(60) == 0
    project.job("some", "note('ran')", numberOfExecutions=2)
    assert project.start("--until-done").wait(60) == 0
    assert project.notes() == ["ran"] * 2
    assert project.ls("some")["state"] == "finished"


def test_until_done_without_a_limited_job_is_a_usage_error(project: Project) -> None:
    project.job("endless")
    assert project.start("--until-done").wait(60) == 2


def test_until_done_names_a_job_that_can_never_finish(project: Project) -> None:
    project.job("quick", "note('ran')", numberOfExecutions=1)
    project.job("off", numberOfExecutions=1, enabled=False)
    assert project.start("--until-done").wait(60) == 1
    assert "off" in project.words()
    assert project.notes() == ["ran"]


def test_until_done_that_stands_says_once_what_it_waits_for_and_again_when_that_changes(
    project: Project,
) -> None:
    project.job("asks", "ctx.wait_for('approval', timeout='1h')", numberOfExecutions=1)
    project.job("later", schedule=None)
    project.run("in", "2h", "later", check=0)
    node = project.start("--until-done")
    waits = "not done yet: asks #2 waits for approval, until "
    wait_until(lambda: waits in project.words(), "a sentence")
    project.run("complete", "2", "approval", check=0)
    wait_until(lambda: "not done yet: later #1 waits until " in project.words(), "another sentence")
    project.run("cancel", "1", check=0)
    assert node.wait(60) == 0
    assert project.words().count("not done yet: ") == 2
    assert "; and 1 more, see jobrunner pending" in project.words()


def test_for_ends_after_that_long_with_exit_code_0(project: Project) -> None:
    project.job("endless", "note('ran')")
    assert project.start("--for", "3s").wait(60) == 0
    assert 1 <= len(project.notes()) <= 4


def test_a_failure_never_stops_the_schedule(project: Project) -> None:
    project.job("bad", "note('tried'); raise RuntimeError('no luck')", numberOfExecutions=3)
    assert project.start("--until-done").wait(60) == 0
    assert project.notes() == ["tried"] * 3
    first = runs(project, "bad", "failed")[0]
    error = first["error"]
    assert isinstance(error, dict)
    assert (error["type"], error["message"], error["phase"]) == ("RuntimeError", "no luck", "body")
    assert "bad.py" in error["traceback"]


def test_term_lets_runs_end_within_the_grace(project: Project) -> None:
    project.job("slow", "import time; note('begun'); time.sleep(2); note('ended')", numberOfExecutions=1)
    node = project.start("--grace", "30s")
    wait_until(lambda: project.notes() == ["begun"], "the body")
    assert stop(node) == 0
    assert project.notes() == ["begun", "ended"]
    assert [run["state"] for run in runs(project, "slow")][:1] == ["succeeded"]


def test_when_the_grace_is_over_runs_are_canceled_and_nothing_survives(project: Project) -> None:
    body = """
        import signal, subprocess, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = subprocess.Popen(["sleep", "600"], start_new_session=True)
        note(f"{os.getpid()} {child.pid}")
        time.sleep(600)
    """
    project.job("stubborn", body, numberOfExecutions=1)
    node = project.start("--grace", "1s")
    pids = [int(pid) for pid in wait_until(project.notes, "the body")[0].split()]
    assert stop(node) == 0
    wait_until(lambda: not any(alive(pid) for pid in pids), "the whole tree to be gone", 10)
    run = runs(project, "stubborn")[0]
    assert (run["state"], run["reason"]) == ("canceled", "shutdown")


def test_a_second_signal_ends_at_once(project: Project) -> None:
    project.job("slow", "import time; note(str(os.getpid())); time.sleep(600)", numberOfExecutions=1)
    node = project.start("--grace", "500s")
    pid = int(wait_until(project.notes, "the body")[0])
    node.send_signal(signal.SIGINT)
    wait_until(lambda: "stopping" in project.words(), "the drain")
    assert stop(node, signal.SIGINT) == 130
    wait_until(lambda: not alive(pid), "the body to be gone", 10)
    run = runs(project, "slow")[0]
    assert (run["state"], run["reason"]) == ("canceled", "shutdown")


def test_a_node_killed_with_9_is_recovered_by_another_within_seconds_and_its_run_is_lost(
    project: Project,
) -> None:
    project.job("slow", "import time; note(str(os.getpid())); time.sleep(600)", numberOfExecutions=1)
    victim = project.start()
    pid = int(wait_until(project.notes, "the body")[0])
    witness = project.start()
    wait_until(lambda: "slow" in project.words(1), "the second node")
    victim.kill()
    killed = time.time()
    wait_until(lambda: runs(project, "slow", "lost"), "the run to be lost", 20)
    assert not alive(pid)
    run = runs(project, "slow")[0]
    error = run["error"]
    assert isinstance(error, dict)
    assert "began" in error["message"]
    assert from_iso(str(run["finishedAt"])) / SECOND - killed < 3 + project.lease
    assert len(project.notes()) == 1, "at-most-once: a lost run is not repeated"
    assert stop(witness) == 0


def test_a_node_killed_with_9_is_recovered_by_its_own_restart(project: Project) -> None:
    project.job("slow", "import time; note(str(os.getpid())); time.sleep(600)", numberOfExecutions=2)
    node = project.start()
    wait_until(project.notes, "the body")
    node.kill()
    node.wait()
    project.job("slow", "note('again')", numberOfExecutions=2)
    assert project.start("--until-done").wait(60) == 0
    states = [run["state"] for run in runs(project, "slow") if run["state"] != "skipped"]
    assert states == ["lost", "succeeded"]


def test_a_killed_run_by_hand_blocks_nobody(project: Project) -> None:
    project.job("slow", "import time; note(str(os.getpid())); time.sleep(600)", schedule=None)
    first = subprocess.Popen(
        project.command("run", "slow"), env=project.env(), cwd=project.root, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    pid = int(wait_until(project.notes, "the body")[0])
    first.kill()
    first.wait()
    wait_until(lambda: not alive(pid), "the body to be gone", 10)
    project.job("slow", "note('again')", schedule=None)
    if project.lease:
        wait_until(lambda: project.run("run", "slow").returncode == 0, "the lease to be over")
    else:
        assert project.run("run", "slow").returncode == 0
    assert [run["state"] for run in runs(project, "slow")] == ["lost", "succeeded"]


@pytest.mark.sqlite
def test_two_spellings_of_one_state_are_one_state(project: Project, tmp_path: Path) -> None:
    project.job("slow", "import time; note('begun'); time.sleep(3)", schedule="* * * * * *")
    first = project.start()
    wait_until(project.notes, "the body")
    link = tmp_path / "link.db"
    link.symlink_to(project.root / ".jobrunner" / "state.db")
    second = project.start("--state", f"sqlite:///{link}")
    wait_until(lambda: "slow" in project.words(1), "the second node")
    wait_until(lambda: len(project.notes()) >= 3, "more runs")
    assert [stop(first), stop(second)] == [0, 0]
    assert "dead" not in project.words(0) + project.words(1)
    assert {run["state"] for run in runs(project, "slow")} <= {"succeeded", "skipped"}


def test_a_hangup_drains_like_term(project: Project) -> None:
    project.job("slow", "import time; note('begun'); time.sleep(2); note('ended')", numberOfExecutions=1)
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # where nohup has us ignore it, a node does, too
    node = project.start()
    signal.signal(signal.SIGHUP, before)
    wait_until(lambda: project.notes() == ["begun"], "the body")
    assert stop(node, signal.SIGHUP) == 0
    assert project.notes() == ["begun", "ended"]


def test_until_done_with_paused_names_what_cannot_finish(project: Project) -> None:
    project.job("some", numberOfExecutions=1)
    assert project.start("--until-done", "--paused").wait(60) == 1
    assert "some" in project.words()


def test_an_overrunning_job_is_not_started_twice_and_every_skip_is_recorded(project: Project) -> None:
    project.job("slow", "import time; note('begun'); time.sleep(2.5); note('ended')", numberOfExecutions=2)
    assert project.start("--until-done").wait(60) == 0
    assert project.notes() == ["begun", "ended"] * 2
    skipped = runs(project, "slow", "skipped")
    assert {run["reason"] for run in skipped} == {"overlap"}
    instants = sorted(from_iso(str(run["scheduledFor"])) // SECOND for run in runs(project, "slow"))
    assert instants == list(range(instants[0], instants[0] + len(instants))), "each due second, once"


def test_forbid_holds_between_a_run_by_hand_and_a_node(project: Project) -> None:
    project.job("slow", "import time; note('begun'); time.sleep(4); note('ended')", schedule="*/2 * * * * *")
    node = project.start()
    wait_until(lambda: project.notes(), "a scheduled run")
    refused = project.run("run", "slow")
    assert refused.returncode == 4
    started = [run["id"] for run in runs(project, "slow") if run["state"] != "skipped"]
    assert any(f"run {number} is running" in refused.stderr for number in started)
    assert stop(node) == 0
    begun = project.notes()
    assert begun == ["begun", "ended"] * (len(begun) // 2)


def test_an_outage_leaves_one_late_run_and_a_record_of_what_was_missed(project: Project) -> None:
    project.job("each-second", "note('ran')")
    node = project.start()
    wait_until(project.notes, "the first run")
    assert stop(node) == 0
    time.sleep(8)  # the outage itself is what is tested
    node = project.start()
    before = len(project.notes())
    wait_until(lambda: len(project.notes()) > before, "a run after the outage")
    assert stop(node) == 0
    missed = runs(project, "each-second", "skipped")
    assert sum(int(str(run.get("count") or 1)) for run in missed if run["reason"] == "missed") >= 6


def test_paused_starts_nothing_and_says_why(project: Project) -> None:
    project.job("quiet", "note('ran')")
    node = project.start("--paused")
    wait_until(lambda: runs(project, "quiet", "skipped"), "a recorded skip")
    assert stop(node) == 0
    assert project.notes() == []
    assert {run["reason"] for run in runs(project, "quiet")} == {"paused"}


def test_only_and_except_choose_the_jobs_of_a_node(project: Project) -> None:
    for name in ("one", "two", "three"):
        project.job(name, f"note({name!r})", numberOfExecutions=1)
    assert project.start("--until-done", "--only", "one", "--only", "two", "--except", "two").wait(60) == 0
    assert project.notes() == ["one"]


def test_an_exclusive_start_refuses_company(project: Project) -> None:
    project.job("any")
    node = project.start("--exclusive")
    wait_until(lambda: "any" in project.words(), "the node")
    wait_until(lambda: project.history("any"), "the node to work")
    assert project.start().wait(60) == 4
    assert project.start("--exclusive").wait(60) == 4
    assert stop(node) == 0
    assert project.start("--exclusive", "--for", "1s").wait(60) == 0


def test_an_edited_schedule_fires_nothing_for_the_past(project: Project) -> None:
    project.job("edited", "note('ran')", schedule="0 0 1 1 *")
    assert project.start("--for", "1s").wait(60) == 0
    project.job("edited", "note('ran')", schedule="* * * * *")
    assert project.start("--for", "1s").wait(60) == 0
    past = [run for run in runs(project, "edited") if run["state"] == "skipped"]
    assert past == []


def test_run_on_start_runs_once_at_first_registration_only(project: Project) -> None:
    project.job("eager", "note('ran')", schedule="0 0 1 1 *", runOnStart=True, numberOfExecutions=5)
    assert project.start("--for", "2s").wait(60) == 0
    assert project.start("--for", "2s").wait(60) == 0
    assert project.notes() == ["ran"]
    assert project.ls("eager")["executions"] == 1


def test_a_broken_file_stops_no_other(project: Project) -> None:
    project.job("good", "note('ran')", numberOfExecutions=1)
    (project.jobs / "broken.py").write_text("def default(:\n")
    assert project.start("--until-done").wait(60) == 1
    assert project.notes() == ["ran"]
    assert "broken.py" in project.words()


@pytest.mark.sqlite
def test_a_clock_set_back_fires_nothing_twice(project: Project, tmp_path: Path) -> None:
    clock = tmp_path / "clock"
    clock.write_text("0 0")
    project.environment |= {"JOBRUNNER_TESTING": "1", "JOBRUNNER_CLOCK_FILE": str(clock)}
    project.job("each-second", "note(ctx.scheduled_for.isoformat())")
    node = project.start()
    wait_until(lambda: len(project.notes()) >= 3, "some runs")
    clock.write_text("-5 0")
    wait_until(lambda: "set back" in project.words(), "the step to be noticed", 5)
    count = len(project.notes())
    wait_until(lambda: len(project.notes()) >= count + 2, "runs after the step")
    assert stop(node) == 0
    notes = project.notes()
    assert len(notes) == len(set(notes))


@pytest.mark.sqlite
def test_a_suspend_is_noticed_within_a_second_and_missed_moments_are_recorded(
    project: Project, tmp_path: Path
) -> None:
    clock = tmp_path / "clock"
    clock.write_text("0 0")
    project.environment |= {"JOBRUNNER_TESTING": "1", "JOBRUNNER_CLOCK_FILE": str(clock)}
    project.job("each-second", "note('ran')")
    node = project.start()
    wait_until(project.notes, "a run")
    clock.write_text("3600 3600")
    wait_until(lambda: "slept" in project.words(), "the sleep to be noticed", 5)
    wait_until(
        lambda: any(int(str(run.get("count") or 1)) > 3000 for run in runs(project, "each-second")), "the gap"
    )
    assert stop(node) == 0


def test_the_node_wakes_at_the_due_moment(project: Project) -> None:
    project.job("punctual", "import time; note(str(time.time()))", numberOfExecutions=5)
    assert project.start("--until-done").wait(60) == 0
    for note in project.notes():
        assert float(note) % 1 < 0.9, "started within its second, not at a later poll"
    for run in runs(project, "punctual", "succeeded"):
        assert from_iso(str(run["startedAt"])) >= from_iso(str(run["scheduledFor"])), "never early"


def test_logs_hold_what_a_run_printed_and_show_its_beginning_and_end_when_cut(project: Project) -> None:
    body = """
        print("the first line")
        for _ in range(300_000):
            print("x" * 40)
        print("the last line")
    """
    project.job("chatty", body, numberOfExecutions=1)
    assert project.start("--until-done").wait(60) == 0
    log = project.run("logs", "chatty", check=0).stdout
    assert log.startswith("the first line\n")
    assert log.rstrip().endswith("the last line")
    assert "cut" in log
    assert len(log) < 2_000_000


def test_many_nodes_share_one_state_file_and_start_each_occurrence_once(project: Project) -> None:
    for number in range(20):
        project.job(f"job-{number}", "note(f'{ctx.job} {ctx.scheduled_for.isoformat()}')")
    nodes = [project.start("--slots", "4") for _ in range(3)]
    wait_until(lambda: len(project.notes()) >= 60, "sixty runs")
    for node in nodes:
        node.send_signal(signal.SIGTERM)
    assert [node.wait(60) for node in nodes] == [0, 0, 0]
    notes = project.notes()
    assert len(notes) == len(set(notes))
    owners = {run["node"] for run in project.history() if run["state"] == "succeeded"}
    assert owners


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="needs /proc")
def test_a_node_holds_no_descriptors_of_ended_runs(project: Project) -> None:
    project.job("busy", "note('ran')")
    node = project.start()
    wait_until(lambda: len(project.notes()) >= 2, "runs")
    before = len(os.listdir(f"/proc/{node.pid}/fd"))
    wait_until(lambda: len(project.notes()) >= 6, "more runs")
    assert len(os.listdir(f"/proc/{node.pid}/fd")) <= before + 3
    assert stop(node) == 0


def test_json_logs_are_one_object_a_line(project: Project) -> None:
    project.job("quick", "note('ran')", numberOfExecutions=1)
    assert project.start("--until-done", "--log-format", "json").wait(60) == 0
    lines = [line for line in project.words().splitlines() if line.startswith("{")]
    events = [json.loads(line) for line in lines]
    assert {"Started", "Finished"} <= {event.get("event") for event in events}


@pytest.mark.sqlite
@pytest.mark.parametrize("harm", ["delete", "replace"])
def test_a_node_whose_state_file_is_gone_ends_its_runs_and_says_so(project: Project, harm: str) -> None:
    project.job("slow", "import time; note(str(os.getpid())); time.sleep(600)")
    node = project.start()
    pid = int(wait_until(project.notes, "the body")[0])
    state = project.root / ".jobrunner" / "state.db"
    if harm == "replace":
        (project.root / "other.db").write_bytes(b"")
        os.replace(project.root / "other.db", state)
    else:
        state.unlink()
    assert node.wait(30) == 7
    wait_until(lambda: not alive(pid), "the body to be gone", 10)
    assert "state.db" in project.words()
    assert "Traceback" not in project.words()


@pytest.mark.sqlite
def test_a_state_locked_for_seconds_is_waited_for_and_nothing_is_lost(project: Project) -> None:
    project.job("each-second", "note(ctx.scheduled_for.isoformat())")
    node = project.start()
    wait_until(project.notes, "a run")
    lock = sqlite3.connect(project.root / ".jobrunner" / "state.db", isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    wait_until(lambda: "trying again" in project.words(), "the node to notice", 20)
    lock.execute("ROLLBACK")
    lock.close()
    wait_until(lambda: "can be written again" in project.words(), "the node to go on", 20)
    count = len(project.notes())
    wait_until(lambda: len(project.notes()) > count, "another run")
    assert stop(node) == 0
    rows = runs(project, "each-second")
    assert sum(int(str(run.get("count") or 1)) for run in rows) == _due(rows)


def _due(rows: list[dict[str, object]]) -> int:
    instants = [
        from_iso(str(row[key])) for row in rows for key in ("scheduledFor", "lastFor") if row.get(key)
    ]
    return (max(instants) - min(instants)) // SECOND + 1


@pytest.mark.sqlite
def test_removing_the_lock_files_makes_no_living_node_dead(project: Project) -> None:
    project.job("slow", "import time; note('begun'); time.sleep(2)")
    nodes = [project.start(), project.start()]
    wait_until(lambda: len(project.notes()) >= 1, "a run")
    shutil.rmtree(project.root / ".jobrunner" / "nodes")
    count = len(project.notes())
    wait_until(lambda: len(project.notes()) >= count + 2, "more runs")
    assert [stop(node) for node in nodes] == [0, 0]
    assert "dead" not in project.words(0) + project.words(1)
    assert {run["state"] for run in runs(project, "slow")} <= {"succeeded", "skipped"}


@pytest.mark.sqlite
def test_a_second_name_of_the_state_file_is_refused(project: Project) -> None:
    project.job("some", "note('ran')", numberOfExecutions=1)
    assert project.start("--until-done").wait(60) == 0
    os.link(project.root / ".jobrunner" / "state.db", project.root / "other.db")
    assert project.start("--state", f"sqlite:///{project.root}/other.db").wait(60) == 7
    assert "second name" in project.words()


@pytest.mark.sqlite
def test_a_clock_that_is_not_set_plans_nothing_and_still_records_ends(
    project: Project, tmp_path: Path
) -> None:
    clock = tmp_path / "clock"
    clock.write_text("0 0")
    project.environment |= {"JOBRUNNER_TESTING": "1", "JOBRUNNER_CLOCK_FILE": str(clock)}
    project.job("slow", "import time; note('begun'); time.sleep(2)")
    node = project.start()
    wait_until(project.notes, "the body")
    clock.write_text(f"{-80 * 365 * 86400} 0")
    wait_until(lambda: "not set" in project.words(), "the word", 10)
    wait_until(lambda: runs(project, "slow", "succeeded"), "the end to be recorded", 10)
    assert stop(node) == 0


def test_settings_that_are_not_json_are_refused_before_anything_starts(project: Project) -> None:
    project.job("some", "note('ran')", numberOfExecutions=1)
    (project.root / "jobrunner.yaml").write_text("settings:\n  day: 2026-01-01\n")
    assert project.start("--until-done").wait(60) == 3
    assert "jobrunner.yaml:1" in project.words()
    assert not (project.root / ".jobrunner" / "state.db").exists()


def test_a_log_that_nobody_reads_stops_nothing(project: Project) -> None:
    for number in range(8):
        project.job(f"job-{number}", "note('ran')")
    reader, writer = os.pipe()
    fcntl.fcntl(writer, 1031, 4096)  # F_SETPIPE_SZ: soon full
    node = subprocess.Popen(
        project.command("start"), env=project.env(), cwd=project.root, stdout=writer, stderr=writer,
        stdin=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    os.close(writer)
    project.nodes.append(node)
    wait_until(lambda: len(project.notes()) >= 60, "runs to go on")
    assert stop(node) == 0
    os.close(reader)
