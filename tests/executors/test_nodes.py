"""Through real nodes: a run by another executor has the record, the log and the end of any other."""

from __future__ import annotations

import json
import os
import signal
import sys

import pytest

from tests.executor.household import pid_in, wait_for
from tests.lifecycle.project import Project, alive, stop, wait_until

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs prctl and /proc")
FAMILY = """
import subprocess, time
child = subprocess.Popen(["sleep", "1000"], start_new_session=True)
for name, pid in (("child", child.pid), ("run", os.getpid())):
    with open(name + ".tmp", "w") as file: file.write(str(pid))
    os.rename(name + ".tmp", name)
while True: time.sleep(0.01)
"""


def by(python: str) -> dict[str, str]:
    return {"name": "subprocess", "python": python}


def test_a_scheduled_run_is_recorded_with_its_own_pid_its_log_and_its_result(
    project: Project, other_python: str
) -> None:
    body = "import only_theirs; print('hello'); return [os.getpid(), only_theirs.WHERE]"
    project.job("far", body, numberOfExecutions=1, executor=by(other_python))
    assert project.start("--until-done").wait(60) == 0
    (run,) = project.history("far")
    assert (run["state"], run["result"]) == ("succeeded", [run["pid"], "in the other environment"])
    assert project.run("logs", "far", check=0).stdout == "hello\n"


def test_a_run_by_hand_goes_by_the_same_executor(project: Project, other_python: str) -> None:
    project.job("far", "import only_theirs; return only_theirs.WHERE", executor=by(other_python))
    done = project.run("run", "far", check=0)
    assert json.loads(done.stdout) == "in the other environment"


def test_state_and_steps_are_kept_from_attempt_to_attempt(project: Project, other_python: str) -> None:
    body = """
        seen = ctx.step("first", lambda: note("step") or 20)
        if ctx.attempt == 1: raise RuntimeError("once more")
        return seen + ctx.attempt
    """
    project.job("far", body, numberOfExecutions=1, executor=by(other_python), retries={"max": 1, "delay": 0})
    assert project.start("--until-done").wait(60) == 0
    assert [run["state"] for run in project.history("far")] == ["failed", "succeeded"]
    assert project.history("far")[-1]["result"] == 22
    assert project.notes() == ["step"]


def test_the_variable_is_the_default_of_all_jobs_and_jobrunner_yaml_has_their_options(
    project: Project, other_python: str
) -> None:
    project.job("far", "import sys; return sys.executable", schedule=None)
    project.job("near", "import sys; return sys.executable", schedule=None, executor="process")
    (project.root / "jobrunner.yaml").write_text(f"executors:\n  subprocess:\n    python: {other_python}\n")
    project.environment["JOBRUNNER_EXECUTOR"] = "subprocess"
    found = [json.loads(project.run("run", name, check=0).stdout) for name in ("far", "near")]
    assert found == [other_python, sys.executable]


def test_a_job_whose_executor_is_missing_harms_no_other(project: Project) -> None:
    project.job("far", "note('far')", executor="nobody")
    project.job("near", "note('near')")
    node = project.start()
    wait_until(project.notes, "the other job")
    assert stop(node) == 0
    assert set(project.notes()) == {"near"}
    assert project.ls("far")["state"] == "error"
    refused = project.run("run", "far", check=3)
    assert 'executor is "nobody", which is not installed' in refused.stderr


def test_hooks_are_called_in_a_process_of_ours(project: Project, other_python: str) -> None:
    (project.root / "hooks.py").write_text(
        "import sys\ndef on_success(run):\n    open('hooked', 'w').write(sys.executable)\n"
    )
    project.job("far", "pass", numberOfExecutions=1, executor=by(other_python))
    assert project.start("--until-done").wait(60) == 0
    assert (project.root / "hooked").read_text() == sys.executable


def test_a_canceled_run_ends_and_says_who_did_it(project: Project, other_python: str) -> None:
    project.job("far", FAMILY, executor=by(other_python), schedule="* * * * * *", numberOfExecutions=1)
    node = project.start("--grace", "1s")
    pid = pid_in(project.root / "run")
    project.run("cancel", "--job", "far", check=0)
    wait_until(lambda: project.history("far")[-1]["state"] == "canceled", "the end")
    wait_for(lambda: not alive(pid))
    assert stop(node) == 0


@linux
@pytest.mark.parametrize("victim", ["node", "run"])
def test_kill_minus_nine_leaves_nothing_behind(project: Project, other_python: str, victim: str) -> None:
    project.job("far", FAMILY, executor=by(other_python), numberOfExecutions=1)
    node = project.start()
    family = [pid_in(project.root / name) for name in ("run", "child")]
    if victim == "node":
        node.kill()
        node.wait()
        wait_for(lambda: not any(map(alive, family)))
        again = project.start()
        wait_until(lambda: project.history("far")[-1]["state"] == "lost", "somebody to notice")
        assert stop(again) == 0
        return
    os.kill(family[0], signal.SIGKILL)
    wait_until(lambda: project.history("far")[-1]["state"] == "failed", "the end")
    assert project.history("far")[-1]["error"]["message"] == "ended by signal 9 (SIGKILL)"
    wait_for(lambda: not any(map(alive, family)))
    assert stop(node) == 0


def test_all_runs_of_a_node_together_have_no_more_than_its_slots(project: Project, other_python: str) -> None:
    body = """
        import time
        note("in")
        while not os.path.exists("go"): time.sleep(0.005)
        note("out")
    """
    for number in range(4):
        how = {"executor": by(other_python)} if number % 2 else {}
        project.job(f"job-{number}", body, numberOfExecutions=1, **how)
    node = project.start("--slots", "2", "--until-done")

    def waiting() -> bool:
        runs = project.history()
        return len(project.notes()) >= 2 and [run["state"] for run in runs].count("pending") == 2

    wait_until(waiting, "two that run and two that wait")
    (project.root / "go").touch()
    assert node.wait(60) == 0
    inside, most = 0, 0
    for word in project.notes():
        inside += 1 if word == "in" else -1
        most = max(most, inside)
    assert (most, len(project.notes())) == (2, 8)
