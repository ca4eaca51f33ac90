"""new, init, completion: what they write works, and nothing that exists is touched."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.cli.house import House


def test_what_init_writes_passes_check_and_runs(house: House) -> None:
    done = house.call("init", "billing")
    assert done.code == 0
    assert done.out.splitlines() == ["billing/jobrunner.yaml", "billing/jobs/hello.py", "billing/.gitignore"]
    assert "next: cd billing" in done.err
    project = ["--project", "billing"]
    assert house.call(*project, "check", "--strict").out == "1 job, no problems\n"
    assert house.process(*project, "run", "hello").json == {"greeted": 1}
    assert house.call(*project, "ls", "--json").json[0]["scheduleDescription"] == "every minute"


def test_each_commented_setting_of_init_is_one_that_there_is(house: House) -> None:
    """The hints in jobrunner.yaml are true: without their # they load."""
    house.call("init")
    text = (house.root / "jobrunner.yaml").read_text()
    body = [
        line[2:]
        for line in text.splitlines()
        if line.startswith("# ") and ":" in line and "JOBRUNNER" not in line
    ]
    house.write("app/__init__.py", "")
    house.write("app/database.py", "def connect(): return 1\n")
    blocks = "\n".join(line for line in body if not line.startswith("jobs: ["))
    house.write("jobrunner.yaml", blocks)
    done = house.call("check")
    assert done.code == 0, done.out + done.err
    assert house.call("ls", "--json").json[0]["schedule"] == "0 9 * * *"


def test_init_twice_changes_nothing(house: House) -> None:
    house.call("init")
    house.write("jobrunner.yaml", "timezone: UTC\n")
    before = {path: path.read_text() for path in sorted(house.root.rglob("*")) if path.is_file()}
    done = house.call("init")
    assert (done.code, done.out) == (0, "")
    assert "jobrunner.yaml is there already" in done.err
    assert before == {path: path.read_text() for path in sorted(house.root.rglob("*")) if path.is_file()}


def test_init_adds_to_a_gitignore_and_not_twice(house: House) -> None:
    house.write(".gitignore", "*.pyc")
    house.call("init")
    assert (house.root / ".gitignore").read_text() == "*.pyc\n.jobrunner/\n"
    house.write(".gitignore", "/.jobrunner\n")
    house.call("init")
    assert (house.root / ".gitignore").read_text() == "/.jobrunner\n"


@pytest.mark.parametrize(
    "name", ["sync-orders", "a/b", "x.y", "test_it", "it_test", "conftest", "tests", "a:b", "Z9", "it's"]
)
def test_what_new_writes_is_found_passes_check_and_runs(house: House, name: str) -> None:
    done = house.call("new", name, "--schedule", "*/5 * * * *")
    if name == "it's":
        assert done.code == 2
        return
    assert done.code == 0, done.err
    assert house.call("check").out == "1 job, no problems\n"
    (job,) = house.call("ls", "--json").json
    assert (job["id"], job["schedule"]) == (name, "*/5 * * * *")
    assert done.out == job["file"] + "\n"
    assert "jobrunner run" in done.err
    assert house.process("run", name).code == 0


@pytest.mark.parametrize("schedule", ["every 30s", "@daily", "0 0 9 * * *", "0 9 * * mon; 0 10 * * tue"])
def test_new_takes_any_schedule_as_text(house: House, schedule: str) -> None:
    done = house.call("new", "x", "--schedule", schedule)
    assert done.code == 0, done.err
    assert house.call("check").code == 0


def test_new_never_overwrites(house: House) -> None:
    path = house.write("jobs/x.py", "# mine\n")
    done = house.call("new", "x")
    assert done.code == 4
    assert "exists already" in done.err
    assert path.read_text() == "# mine\n"


def test_new_refuses_a_name_that_is_taken_in_any_case(house: House) -> None:
    house.write("jobs/other.py", 'config = {"name": "Sync", "schedule": None}\ndef default(): pass\n')
    done = house.call("new", "sync")
    assert done.code == 4
    assert '"Sync"' in done.err
    assert not (house.root / "jobs" / "sync.py").exists()


def test_new_makes_the_jobs_folder(house: House) -> None:
    (house.root / "jobs").rmdir()
    assert house.call("new", "x").code == 0
    assert (house.root / "jobs" / "x.py").exists()


def test_a_folder_that_cannot_be_written_is_a_sentence(house: House) -> None:
    house.write("blocked", "a file")
    for args in (["new", "x", "--jobs", "blocked"], ["init", "blocked/deeper"]):
        done = house.call(*args)
        assert (done.code, done.out) == (3, "")
        sentence, hint = done.err.splitlines()
        assert sentence.startswith("error: blocked/")
        assert " cannot be written: " in sentence
        assert hint.startswith("hint: ")


def test_a_gitignore_that_cannot_be_written_is_a_sentence(house: House) -> None:
    (house.root / ".gitignore").symlink_to("nowhere/at/all")
    done = house.call("init")
    assert done.code == 3
    assert ".gitignore cannot be written" in done.err


@pytest.mark.parametrize("word", ["none", "None", " NONE "])
def test_new_with_schedule_none_makes_a_job_on_demand(house: House, word: str) -> None:
    done = house.call("new", "x", "--schedule", word)
    assert done.code == 0, done.err
    assert "`jobrunner run x` runs it" in done.err
    assert "start" not in done.err
    (job,) = house.call("ls", "--json").json
    assert (job["schedule"], job["state"]) == (None, "on-demand")
    assert house.call("check", "--strict").code == 0


def test_the_default_that_the_help_of_new_names_can_be_typed(house: House) -> None:
    default = house.call("new", "--help").out.partition("[default: ")[2].partition("]")[0]
    assert " ".join(default.split()) == "0 9 * * *"
    assert house.call("new", "x", "--schedule", " ".join(default.split())).code == 0
    assert "on demand" in " ".join(house.call("new", "--help").out.split())


# -- completion ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(house: House, shell: str) -> None:
    done = house.call("completion", shell)
    assert done.code == 0
    assert "_JOBRUNNER_COMPLETE" in done.out


def test_the_shell_is_known_from_the_environment(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/usr/bin/fish")
    assert "fish_complete" in house.call("completion").out
    monkeypatch.setenv("SHELL", "/bin/sh")
    assert house.call("completion").code == 2


def completed(house: House, words: str, number: int) -> list[str]:
    done = house.process(
        env={"_JOBRUNNER_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(number)}
    )
    return [line.partition(",")[2] for line in done.out.splitlines()]


def test_commands_and_names_of_jobs_are_completed(house: House) -> None:
    house.job("sync-orders")
    house.job("sync-stock")
    house.job("report")
    assert completed(house, "jobrunner hi", 1) == ["history"]
    for verb in ("run", "ls", "history", "show", "logs", "next", "check"):
        assert completed(house, f"jobrunner {verb} SY", 2) == ["sync-orders", "sync-stock"]
    assert completed(house, "jobrunner start --only re", 3) == ["report"]


def test_a_prompt_does_not_break_over_a_broken_project(house: House) -> None:
    house.write("jobrunner.yaml", "nonsense: [")
    done = house.process(
        env={"_JOBRUNNER_COMPLETE": "bash_complete", "COMP_WORDS": "jobrunner run ", "COMP_CWORD": "2"}
    )
    assert (done.out.strip(), done.err) == ("", "")


@pytest.mark.skipif(not Path("/bin/bash").exists(), reason="needs bash")
def test_the_bash_script_is_bash(house: House) -> None:
    script = house.call("completion", "bash").out
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
