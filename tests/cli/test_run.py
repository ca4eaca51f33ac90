"""run: here and now; output to stderr, the result to stdout, the ending in the exit code."""

from __future__ import annotations

import os
import signal
import subprocess
import time

import pytest

from jobrunner.cli.asking import Asked
from jobrunner.cli.byhand import patient
from jobrunner.clock import SECOND
from tests.cli.house import House, command

pytestmark = pytest.mark.usefixtures("store_kind")


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
    assert "the job was asked to end; a second Ctrl-C kills it\n" in err
    assert "waiting for" not in err
    assert house.call("history", "--json").json[0]["state"] == "canceled"


NO_FORKS = """
import os, pathlib, sys

def refused():
    pathlib.Path(os.environ["REFUSED"]).touch()
    raise BlockingIOError(11, "Resource temporarily unavailable")

if "jobrunner.executor.zygote" in sys.orig_argv:
    os.fork = refused
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_waits_for_a_process_in_vain_may_be_told_to_stop(house: House, number: signal.Signals) -> None:
    house.job("a")
    house.write("lib/sitecustomize.py", NO_FORKS)
    refused = house.root / "refused"
    child = subprocess.Popen(
        command(["run", "a"]), cwd=house.root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(house.root / "lib"), "REFUSED": str(refused)},
    )  # fmt: skip
    try:
        while not refused.exists():
            assert child.poll() is None
            time.sleep(0.01)
        child.send_signal(number)
        out, err = child.communicate(timeout=30)
        assert (out, err.strip()) == ("", "error: interrupted")
    finally:
        child.kill()
    assert child.returncode == 130
    assert house.call("history", "--json").json == []


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


@pytest.mark.stateless
def test_an_unknown_or_broken_job_is_code_3_and_leaves_no_state(house: House) -> None:
    house.job("good")
    house.job("bad", schedule="61 * * * *")
    assert house.call("run", "goo").code == 3
    assert "good" in house.call("run", "goo").err
    assert "jobs/bad.py:" in house.call("run", "bad").err
    assert house.call("run", "bad").code == 3
    assert house.stateless


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


# -- params --------------------------------------------------------------------------------------------------


@pytest.mark.stateless
@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400", "-1e400", "[1, NaN]"])
def test_a_number_that_is_no_json_is_refused_by_name_wherever_it_is_given(house: House, number: str) -> None:
    house.job("a")
    for args in (["-p", f"size={number}"], ["--params", f'{{"size": {number}}}']):
        done = house.call("run", "a", *args)
        assert (done.code, done.out) == (2, "")
        assert 'param "size"' in done.err
    assert house.stateless


def test_text_that_looks_like_such_a_number_is_text_in_quotes(house: House) -> None:
    house.job("a", 'return container.resolve("params")')
    assert house.process("run", "a", "-p", 'size="NaN"').json == {"size": "NaN"}


def taking(house: House, signature: str, *, before: str = "", params: object = None) -> None:
    config = {"name": "a", "schedule": None, "params": params or {}}
    house.write("jobs/a.py", f"config = {config!r}\n{before}\ndef default({signature}): return 1\n")


@pytest.mark.parametrize(
    "args", [["-p", "day=2"], ["-p", "rows=1", "-p", "full=1"], ["--params", '{"day": 2}']]
)
def test_a_param_that_the_function_takes_is_accepted(house: House, args: list[str]) -> None:
    taking(house, "logger, rows=1, *, day=2", params={"full": False})
    assert house.process("run", "a", *args).code == 0


@pytest.mark.stateless
@pytest.mark.parametrize("args", [["-p", "rosw=2"], ["--params", '{"rosw": 2}']])
def test_a_misspelt_param_is_refused_with_near_names(house: House, args: list[str]) -> None:
    taking(house, "logger, rows=1")
    done = house.call("run", "a", *args)
    assert (done.code, done.out) == (2, "")
    assert 'a has no param "rosw"' in done.err
    assert "did you mean rows?" in done.err
    assert house.stateless
    assert "it takes logger, rows" in house.call("run", "a", "-p", "nosuch=3").err


@pytest.mark.parametrize(
    ("signature", "before"),
    [
        ("container", ""),
        ("ctx", ""),
        ("params", ""),
        ("rows=1", "def passing(function): return function\n@passing"),
        ("rows=1", "default = print\nif True:\n  pass\n@staticmethod"),
    ],
)
def test_where_the_body_may_look_at_any_param_all_are_accepted(
    house: House, signature: str, before: str
) -> None:
    taking(house, signature, before=before)
    assert house.process("run", "a", "-p", "nosuch=3").code == 0


def test_services_may_take_params_too(house: House) -> None:
    taking(house, "")
    house.write("services.py", "def register(container): pass\ndef virtualize(container, params): pass\n")
    assert house.process("run", "a", "-p", "tenant=acme").code == 0


# -- how long it may take ------------------------------------------------------------------------------------


def test_a_run_by_hand_has_two_seconds_to_end_unless_somebody_said_otherwise(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def grace(option: str | None = None) -> int:
        return patient(Asked().settings(grace=option), option).grace

    assert grace() == 2 * SECOND
    assert grace("5s") == 5 * SECOND
    house.write("jobrunner.yaml", "grace: 30s\n")
    assert grace() == 30 * SECOND
    monkeypatch.setenv("JOBRUNNER_GRACE", "7")
    assert grace() == 7 * SECOND
    assert grace("5s") == 5 * SECOND


def test_a_job_that_will_not_end_is_killed_after_the_grace(house: House) -> None:
    body = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
    house.job("a", body)
    began = time.monotonic()
    assert house.process("run", "a", "--timeout", "0.5s", "--grace", "0.2s").code == 5
    assert time.monotonic() - began < 8


def test_the_help_lists_every_exit_code(house: House) -> None:
    text = house.call("run", "--help").out.partition("Exit code:")[2].partition("Options:")[0]
    found = [word for word in text.replace(",", " ").split() if word.isdecimal()]
    assert found == ["0", "1", "2", "3", "4", "5", "6", "7", "130"]


def test_the_reason_of_a_skip_is_told(house: House) -> None:
    house.job("a", "from jobrunner import Skip; raise Skip('bank closed')")
    assert "a #1 skipped (body: bank closed) after " in house.process("run", "a").err


def test_a_run_that_waits_for_an_event_has_not_failed_and_says_how_it_goes_on(house: House) -> None:
    house.write(
        "jobs/a.py",
        'config = {"name": "a", "schedule": None}\ndef default(ctx):\n    ctx.wait_for("approval")\n',
    )
    done = house.call("run", "a")
    assert done.code == 0
    assert "a #1 waits for approval" in done.err
    assert "`jobrunner complete 1 STEP`" in done.err
    assert house.call("history", "--json").json[0]["state"] == "waiting"
