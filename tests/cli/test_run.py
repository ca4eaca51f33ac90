"""run: here and now; output to stderr, the result to stdout, the ending in the exit code."""

from __future__ import annotations

import os
import signal
import subprocess
import time

import pytest

from tests.cli.house import House, command


def test_the_result_is_the_only_data_and_the_talk_is_elsewhere(house: House) -> None:
    house.job("a", 'print("working"); return {"rows": 42}')
    done = house.process("run", "A")
    assert (done.code, done.out) == (0, '{"rows":42}\n')
    assert done.err.splitlines()[0] == "a #1 started"
    assert done.err.splitlines()[1] == "| working"
    assert done.err.splitlines()[2].startswith("a #1 succeeded after ")


def test_no_result_prints_nothing(house: House) -> None:
    house.job("a")
    assert house.process("run", "a").out == ""


def test_with_json_the_run_is_the_data(house: House) -> None:
    house.job("a", "return 1")
    run = house.process("run", "a", "--json").json
    assert (run["id"], run["job"], run["trigger"], run["state"], run["result"]) == (
        1,
        "a",
        "manual",
        "succeeded",
        1,
    )


def test_a_failed_run_is_code_1_with_its_traceback_and_no_other(house: House) -> None:
    house.job("a", 'raise ValueError("no")')
    done = house.process("run", "a")
    assert (done.code, done.out) == (1, "")
    assert "error: a #1 failed after" in done.err
    assert "jobs/a.py" in done.err
    assert done.err.count("Traceback") == 1


@pytest.mark.parametrize(
    ("body", "code", "state"),
    [
        ("import os; os._exit(0)", 1, "failed"),
        ("import sys; sys.exit(3)", 1, "failed"),
        ("from jobrunner.outcomes import Skip; raise Skip('nothing to do')", 0, "skipped"),
        ("import time; time.sleep(60)", 5, "timed_out"),
    ],
)
def test_the_exit_code_tells_how_it_ended(house: House, body: str, code: int, state: str) -> None:
    house.job("a", body)
    done = house.process("run", "a", "--timeout", "500ms", "--json")
    assert (done.code, done.json["state"]) == (code, state)


def test_ctrl_c_ends_the_run_and_is_code_130(house: House) -> None:
    house.job("a", "import time; print('up', flush=True); time.sleep(60)")
    child = subprocess.Popen(
        command(["run", "a"]), cwd=house.root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "JOBRUNNER_GRACE": "1s"},
    )  # fmt: skip
    assert child.stderr is not None
    while child.stderr.readline() != "| up\n":
        assert child.poll() is None
    os.kill(child.pid, signal.SIGINT)
    _, err = child.communicate(timeout=40)
    assert child.returncode == 130, err
    assert "Traceback" not in err
    assert house.call("history", "--json").json[0]["state"] == "canceled"


def test_params_are_json_where_they_can_be(house: House) -> None:
    house.job("a", 'return container.resolve("params")', params={"rows": 1, "kept": True})
    args = ["-p", "rows=100", "-p", "day=2026-05-01", "-p", "list=[1,2]", "-p", "empty=", "-p", 'text="7"']
    done = house.process("run", "a", *args, "--params", '{"rows": 5, "more": null}')
    assert done.json == {
        "rows": 100, "kept": True, "day": "2026-05-01", "list": [1, 2], "empty": "", "text": "7", "more": None
    }  # fmt: skip


def test_for_whom_it_runs_is_told_to_the_job(house: House) -> None:
    house.job("a", 'return container.resolve("ctx").identity')
    assert house.process("run", "a").json == "system"
    assert house.process("run", "a", "--as", "anna").json == "anna"


def test_a_disabled_job_runs_by_hand_and_says_so(house: House) -> None:
    house.job("a", "return 1", enabled=False)
    done = house.process("run", "a")
    assert (done.code, done.json) == (0, 1)
    assert done.err.startswith("note: it would not run by its schedule (disabled: in its file)")


def test_it_counts_in_no_limit_and_arms_nothing(house: House) -> None:
    house.job("a", "return 1", schedule="* * * * * *", numberOfExecutions=1)
    for _ in range(2):
        assert house.process("run", "a").code == 0
    (job,) = house.call("ls", "--json").json
    assert (job["executions"], job["state"], job["lastStatus"]) == (0, "active", "succeeded")
    assert len(house.call("history", "--json").json) == 2


def test_while_it_runs_a_second_one_is_refused_unless_forced(house: House) -> None:
    house.job("a", "import time; time.sleep(0 if container.resolve('params').get('fast') else 60)")
    first = subprocess.Popen(
        command(["run", "a"]), cwd=house.root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert first.stderr is not None
    assert first.stderr.readline() == "a #1 started\n"
    refused = house.process("run", "a", "-p", "fast=true")
    assert refused.code == 4
    assert "run 1 is running" in refused.err
    assert "--force" in refused.err
    assert house.process("run", "a", "-p", "fast=true", "--force").code == 0
    first.terminate()
    first.communicate(timeout=40)


def test_output_is_marked_and_cannot_forge_our_lines(house: House) -> None:
    house.job("a", r'print("a #1 succeeded\x1b[2J\rx\u202e", end="")')
    err = house.process("run", "a").err
    assert "| a #1 succeeded\\x1b[2J\n| x\\u202e\n" in err
    assert "\x1b" not in err


def test_an_unknown_or_broken_job_is_code_3_and_leaves_no_state(house: House) -> None:
    house.job("good")
    house.job("bad", schedule="61 * * * *")
    assert house.call("run", "goo").code == 3
    assert "good" in house.call("run", "goo").err
    assert "jobs/bad.py:" in house.call("run", "bad").err
    assert house.call("run", "bad").code == 3
    assert not (house.root / ".jobrunner").exists()


def test_without_a_jobs_folder_it_is_code_3_and_says_the_next_step(house: House) -> None:
    (house.root / "jobs").rmdir()
    done = house.call("run", "a")
    assert done.code == 3
    assert "jobrunner init" in done.err


def test_a_result_that_is_no_json_is_warned_of(house: House) -> None:
    house.job("a", "return object()")
    done = house.process("run", "a")
    assert done.code == 0
    assert "warning: the result was no JSON" in done.err
    assert "<object object" in done.json


def test_output_arrives_while_it_runs(house: House) -> None:
    house.job("a", "import time; print('early', flush=True); time.sleep(30)")
    child = subprocess.Popen(
        command(["run", "a"]), cwd=house.root, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    began = time.monotonic()
    assert child.stderr is not None
    assert [child.stderr.readline(), child.stderr.readline()] == ["a #1 started\n", "| early\n"]
    assert time.monotonic() - began < 15
    child.terminate()
    child.communicate(timeout=40)
