"""check: every problem has a place and a remedy, before anybody waits for a run."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import pytest

from jobrunner.cli import checking
from jobrunner.cli.checking import crowds
from jobrunner.clock import HOUR, MINUTE, SECOND, SystemClock
from jobrunner.model import Job
from jobrunner.settings import load
from tests.cli.house import House
from tests.fakes import a_job


def test_all_well_is_one_line(house: House) -> None:
    house.job("a")
    house.job("b")
    done = house.call("check")
    assert (done.code, done.out, done.err) == (0, "2 jobs, no problems\n", "")


def test_a_problem_is_file_line_what_and_how(house: House) -> None:
    house.job("a", schedule="61 * * * *")
    house.job("b")
    done = house.call("check")
    assert done.code == 1
    (line,) = done.out.splitlines()
    assert line.startswith("jobs/a.py:3: ")
    assert '"61"' in line
    assert " — " in line
    assert done.err == "1 job, 1 problem\n"


def test_job_files_are_executed_in_processes_of_their_own(house: House) -> None:
    house.job("good")
    house.write(
        "jobs/raises.py", 'config = {"name": "raises", "schedule": None}\nx = 1 / 0\ndef default(): pass\n'
    )
    house.write(
        "jobs/imports.py",
        'import no_such_package_here\nconfig = {"name": "imports", "schedule": None}\ndef default(): pass\n',
    )
    house.write(
        "jobs/exits.py",
        'import os\nconfig = {"name": "exits", "schedule": None}\nos._exit(0)\ndef default(): pass\n',
    )
    done = house.call("check")
    assert done.code == 1
    assert "jobs/raises.py:2: " in done.out
    assert "ZeroDivisionError" in done.out
    assert "jobs/imports.py:1: " in done.out
    assert "install no_such_package_here" in done.out
    assert "jobs/exits.py:" in done.out
    assert "good" not in done.out


def test_an_endless_import_is_given_up(house: House) -> None:
    house.write(
        "jobs/a.py",
        'import time\nconfig = {"name": "a", "schedule": None}\ntime.sleep(600)\ndef default(): pass\n',
    )
    house.write("jobrunner.yaml", "import_limit: 1s\n")
    began = time.monotonic()
    done = house.call("check")
    assert done.code == 1
    assert "longer than 1 s" in done.out
    assert time.monotonic() - began < 20


def test_static_executes_nothing(house: House) -> None:
    house.write(
        "jobs/a.py",
        'config = {"name": "a", "schedule": "@daily"}\nopen("ran", "w")\ndef default(nobody): pass\n',
    )
    house.write("services.py", 'open("ran", "w")\n')
    assert house.call("check", "--static").code == 0
    assert not (house.root / "ran").exists()
    assert house.call("check").code == 1


@pytest.mark.parametrize(
    ("signature", "complaint"),
    [
        ("container, ctx, logger, rows, db, config, settings, params, extra=1, *args, **more", None),
        ("dbb", "did you mean 'db'?"),
        ("rows, nobody", "parameter 'nobody'"),
        ("state, scheduler", None),
    ],
)
def test_each_parameter_is_proved_to_resolve(house: House, signature: str, complaint: str | None) -> None:
    house.write("services.py", "def register(container):\n    container.register('db', lambda: 1)\n")
    house.write(
        "jobs/a.py",
        'config = {"name": "a", "schedule": "@daily", "params": {"rows": 1}}\n\n\n'
        f"def default({signature}):\n    pass\n",
    )
    done = house.call("check")
    assert done.code == (1 if complaint else 0), done.out
    if complaint:
        assert done.out.startswith("jobs/a.py:4: ")
        assert complaint in done.out


@pytest.mark.parametrize(
    ("signature", "complaint"),
    [
        ("order, rows: int, day: 'date'", None),
        ("dbb", "did you mean 'db'?"),
        ("wanted: Store", "nor of type Store"),
    ],
)
def test_what_a_job_on_demand_takes_may_be_given_when_it_is_called(
    house: House, signature: str, complaint: str | None
) -> None:
    house.write("services.py", "def register(container):\n    container.register('db', lambda: 1)\n")
    house.write(
        "jobs/a.py",
        f'config = {{"name": "a", "schedule": None}}\nclass Store: pass\ndef default({signature}): pass\n',
    )
    done = house.call("check")
    assert done.code == (1 if complaint else 0), done.out
    assert (complaint or "no problems") in done.out


def test_a_name_that_is_a_param_and_a_service_is_a_problem(house: House) -> None:
    house.write("services.py", "def register(container):\n    container.register('rows', lambda: 1)\n")
    house.write(
        "jobs/a.py",
        'config = {"name": "a", "schedule": None, "params": {"rows": 1}}\ndef default(rows): pass\n',
    )
    done = house.call("check")
    assert done.code == 1
    assert "both a param and a service" in done.out


def test_what_a_hook_registers_in_each_run_is_not_missed(house: House) -> None:
    house.write("services.py", "def virtualize(container, params):\n    container.register('tenant', 1)\n")
    house.write("jobs/a.py", 'config = {"name": "a", "schedule": None}\ndef default(tenant): pass\n')
    assert house.call("check").code == 0


def test_broken_services_are_one_problem_not_one_a_job(house: House) -> None:
    house.job("a")
    house.job("b")
    house.write("services.py", "\n\nraise RuntimeError('no')\n")
    done = house.call("check")
    assert done.code == 1
    (line,) = done.out.splitlines()
    assert line.startswith("services.py:3: ")


def test_services_of_the_settings_are_tried_too(house: House) -> None:
    house.job("a")
    house.write("jobrunner.yaml", "services:\n  db: {lifetime: scoped}\n")
    done = house.call("check")
    assert done.code == 1
    assert done.out.startswith("jobrunner.yaml: ")
    assert "db" in done.out


def test_one_job_can_be_checked_alone(house: House) -> None:
    house.job("good")
    house.job("bad", schedule="61 * * * *")
    assert house.call("check", "GOOD").code == 0
    assert house.call("check", "bad").code == 1
    assert house.call("check", "nobody").code == 3


def test_a_crowded_second_is_a_warning_and_with_strict_a_problem(house: House) -> None:
    for number in range(11):
        house.job(f"job-{number}", schedule="0 9 * * *")
    done = house.call("check", "--static")
    assert done.code == 0
    assert done.out.splitlines()[0] == (
        "warning: 11 jobs are due in the same second, at 09:00:00 (UTC): job-0, job-1, job-10 and 8 more"
        " — give them jitter, or spread them over other minutes"
    )
    assert house.call("check", "--static", "--strict").code == 1
    (house.root / "jobs" / "job-0.py").unlink()
    assert "warning" not in house.call("check", "--static", "--strict").out


def crowd(*jobs: Job) -> str:
    """Return what is said of a second that many of these share; nothing if none do."""
    return "".join(problem.message for problem in crowds(jobs, load({"timezone": "UTC"}, {})))


def eleven(*schedules: object, **fields: Any) -> list[Job]:
    """Return so many jobs that one less would be no crowd; they take turns with the schedules."""
    return [a_job(f"job-{n}", schedules[n % len(schedules)], **fields) for n in range(11)]


@pytest.mark.parametrize(
    ("schedules", "pattern"),
    [
        (["0 9 * * *"], "at 09:00:00 (UTC)"),
        (["0 9,12,15 * * *"], "at 09:00:00, 12:00:00, 15:00:00 (UTC)"),
        (["*/30 * * * *"], "at 00:00:00, 00:30:00, 01:00:00 and 45 other times (UTC)"),
        (["5 * * * *"], "at :05:00 of every hour"),
        (["* * * * *"], "at :00 of every minute"),
        (["15 * * * * *"], "at :15 of every minute"),
        (["*/30 * * * * *", "* * * * *"], "at :00 of every minute"),
        (["0 9 * * *", "*/5 * * * *"], "at 09:00:00 (UTC)"),
        ([["0 9 * * *", "0 10 * * *"], "0 10 * * *"], "at 10:00:00 (UTC)"),
    ],
)
def test_a_crowd_is_said_with_its_pattern(schedules: list[object], pattern: str) -> None:
    assert f"same second, {pattern}: job-0, job-1, job-10 and 8 more" in crowd(*eleven(*schedules))


def test_the_same_second_is_the_same_in_all_zones() -> None:
    jobs = eleven("0 9 * * *", timezone="Asia/Kolkata")[1:]
    assert "at 03:30:00 (UTC)" in crowd(*jobs, a_job("job-0", "30 3 * * *"))
    assert not crowd(*jobs, a_job("job-0", "0 9 * * *"))


def test_jobs_that_start_some_seconds_later_are_counted_there() -> None:
    jobs = eleven("0 9 * * *")
    assert not crowd(*jobs[1:], a_job("job-3", "0 9 * * *", offset=SECOND))
    assert "at 09:00:07 (UTC)" in crowd(*eleven("0 9 * * *", offset=7 * SECOND + 6))
    assert not crowd(a_job("early", "59 8 * * *"), *jobs[1:])
    assert "11 jobs" in crowd(a_job("early", "59 8 * * *", offset=MINUTE), *jobs[1:])


def test_jobs_that_will_not_be_due_are_no_crowd() -> None:
    now, jobs = SystemClock().now(), eleven("* * * * *")[1:]
    assert crowd(*jobs, a_job("job-0", "* * * * *"))
    assert not crowd(*jobs, a_job("job-0", "* * * * *", enabled=False))
    assert not crowd(*jobs, a_job("job-0", "* * * * *", end_at=now - HOUR))
    assert not crowd(*jobs, a_job("job-0", "* * * * *", start_at=now + 30 * HOUR))
    assert not crowd(*jobs, a_job("job-0", None))


def test_intervals_are_no_crowd_for_each_begins_at_a_moment_of_its_own() -> None:
    assert not crowd(*eleven("every 5m"))
    assert not crowd(*eleven("every 5m after end"))
    assert not crowd(*eleven(["every 5m", "0 9 * * *"]))


def test_of_too_many_occurrences_those_of_rare_jobs_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = [*eleven("* * * * *"), *(a_job(f"daily-{n}", "0 9 * * *") for n in range(12))]
    assert "23 jobs" in crowd(*jobs)
    monkeypatch.setattr(checking, "LOOKS", 1000)
    assert "12 jobs" in crowd(*jobs)


def test_a_missing_folder_is_a_problem(house: House) -> None:
    (house.root / "jobs").rmdir()
    done = house.call("check")
    assert done.code == 1
    assert "jobs: there is no folder jobs" in done.out


def test_check_as_json(house: House) -> None:
    house.job("a", schedule="61 * * * *")
    done = house.call("check", "--json")
    assert done.code == 1
    assert done.json.keys() == {"jobs", "problems", "warnings"}
    (problem,) = done.json["problems"]
    assert problem.keys() == {"job", "file", "line", "message", "hint"}
    assert (problem["job"], problem["file"], problem["line"]) == ("a", "jobs/a.py", 3)


def test_a_hostile_file_cannot_act_on_the_terminal(house: House) -> None:
    house.write(
        "jobs/a.py",
        'config = {"name": "a", "schedule": None}\n'
        'raise ValueError("\\x1b[2J\\u202e")\ndef default(): pass\n',
    )
    done = house.call("check")
    assert "\x1b" not in done.out
    assert "\u202e" not in done.out


def test_the_examples_of_the_repository_are_well(house: House) -> None:
    examples = os.path.join(os.path.dirname(__file__), "..", "..", "examples", "jobs")
    done = house.process("check", "--jobs", examples)
    assert done.code == 0, done.out


def test_a_setting_that_cannot_be_used_is_a_problem_with_file_and_line(house: House) -> None:
    house.write("jobrunner.yaml", "slots: 4\ngrace: lots\n")
    done = house.call("check")
    assert done.code == 1
    assert done.out.startswith("jobrunner.yaml:2: ")


def test_broken_services_hide_no_problem_of_the_jobs(house: House) -> None:
    house.write("services.py", "def register(container):\n    raise RuntimeError('no')\n")
    house.write("jobs/a.py", "import nobody\nconfig = {'name': 'a', 'schedule': None}\ndef default(): pass\n")
    done = house.call("check")
    assert done.code == 1
    assert "services.py" in done.out
    assert "nobody" in done.out


def test_static_executes_nothing_at_all(house: House) -> None:
    mark = house.root / "executed"
    config = "name = 'a'\nconfig = {'name': name, 'schedule': None}\ndef default(): pass\n"
    house.write("jobs/a.py", f"open({str(mark)!r}, 'w')\n{config}")
    done = house.call("check", "--static")
    assert done.code == 0
    assert "jobs/a.py" in done.out and "computed" in done.out
    assert not mark.exists()
    assert house.call("check").code == 0
    assert mark.exists()


def test_an_interpreter_that_is_not_here_is_a_problem_where_it_is_named(house: House) -> None:
    run_by = {"name": "subprocess", "python": "venvs/none/bin/python"}
    house.job("own", executor=run_by)
    house.job("over")
    house.job("one", executor="subprocess")
    house.job("two", executor={"name": "subprocess"})
    house.job("far", executor=run_by, runsOn="elsewhere")
    house.job("fine", executor={"name": "subprocess", "python": sys.executable})
    house.write("jobrunner.yaml", "jobs:\n  over:\n    executor: {name: subprocess, python: /none}\n"
                "executors:\n  subprocess:\n    python: nobodys-python\n")  # fmt: skip
    done = house.call("check")
    said = "and this machine has no such interpreter"
    hint = "make that environment, or correct it; a relative path counts from the project"
    assert (done.code, sorted(done.out.splitlines())) == (1, [
        f'jobrunner.yaml:3: executor.python is "/none", {said} — {hint}',
        f'jobrunner.yaml:6: executors.subprocess.python is "nobodys-python", {said} — {hint}',
        f'jobs/own.py:3: executor.python is "venvs/none/bin/python", {said} — {hint}',
    ])  # fmt: skip
    assert [house.call("check", *args).code for args in (["fine"], ["--static"])] == [0, 0]
    assert "jobs/far.py:3" in house.process("check", env={"JOBRUNNER_LABELS": "elsewhere"}).out


def test_hooks_that_no_file_defines_are_problems(house: House) -> None:
    house.job("a", hooks={"on_failure": ":nope", "onFinish": "alerts:page", "on_skip": "alerts:no"})
    (house.root / "alerts.py").write_text("def page(run): ...\n")
    found = house.call("check", "--static").out
    assert "its hook on_failure is :nope, and a.py defines no nope" in found
    assert "its hook on_skip is alerts:no, and alerts.py defines no no" in found
    assert "page" not in found


def test_a_broken_hooks_file_is_a_problem(house: House) -> None:
    house.job("a")
    (house.root / "hooks.py").write_text("def on_failure(\n")
    done = house.call("check", "--static")
    assert done.code == 1
    assert done.out.startswith("hooks.py:1: the file is not Python")


def test_a_function_that_is_named_like_a_hook_and_is_none_is_warned_of(house: House) -> None:
    house.job("a")
    house.write("hooks.py", "def on_failure(run):\n    pass\n\n\nasync def on_retry(run):\n    pass\n")
    done = house.call("check", "--json")
    assert (done.code, done.json["problems"]) == (0, [])
    (found,) = done.json["warnings"]
    assert (found["file"], found["line"]) == ("hooks.py", 5)
    assert found["message"] == "on_retry is no hook: it is never called"
    assert "on_start, on_success, on_failure, on_skip, on_finish" in found["hint"]
    assert house.call("check", "--strict").code == 1
