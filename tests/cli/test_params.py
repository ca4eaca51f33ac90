"""Params of a run by hand: typed, listed in the help, completed, and refused by name."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.cli.house import Done, House, command

pytestmark = pytest.mark.usefixtures("store_kind")

JOB = '''"""Copy new orders.

At length."""
from datetime import date
config = {"name": "sync", "schedule": "@daily", "params": {"tenant": "acme"}}
def default(logger, since: date, rows: int = 100, full: bool = False, tag: str | None = None, *, tenant):
    return [since, rows, full, tag, tenant]
'''


@pytest.fixture
def sync(house: House) -> House:
    house.write("jobs/sync.py", JOB)
    return house


def test_values_have_the_types_of_the_signature(sync: House) -> None:
    args = ["-p", "since=2026-05-01", "-p", "rows=5", "-p", "full=yes", "-p", "tag=7", "-p", "tenant=42"]
    assert sync.process("run", "sync", *args).json == ["2026-05-01", 5, True, "7", "42"]
    done = sync.process("run", "sync", "-p", "since=2026-05-01", "-p", "tag=null")
    assert done.json == ["2026-05-01", 100, False, None, "acme"]


@pytest.mark.stateless
@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["-p", "since=soon"], 'since: "soon" is no date'),
        (["-p", "rows=many"], 'rows: "many" is no int'),
        (["--params", '{"full": "maybe"}'], 'full: "maybe" is no bool'),
        (["-p", "sinc=2026-05-01"], 'sync has no param "sinc"'),
    ],
)
def test_what_does_not_fit_is_refused_by_name_before_anything_is_done(
    sync: House, args: list[str], said: str
) -> None:
    done = sync.call("run", "sync", *args)
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert sync.stateless


def test_params_come_from_a_file_or_from_stdin(sync: House) -> None:
    sync.write("day.json", '{"since": "2026-05-01", "rows": 7}')
    wanted = ["2026-05-01", 7, False, None, "acme"]
    assert sync.process("run", "sync", "--params", "@day.json").json == wanted
    wanted[1] = 8
    assert sync.process("run", "sync", "--params", "@day.json", "-p", "rows=8").json == wanted
    read = subprocess.run(
        command(["run", "sync", "--params", "-"]), cwd=sync.root, input='{"since": "2026-05-01", "rows": 8}',
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert Done(read.returncode, read.stdout, read.stderr).json == wanted


@pytest.mark.parametrize("given", ["@nowhere.json", "@jobs"])
def test_a_file_of_params_that_cannot_be_read_is_a_misuse(sync: House, given: str) -> None:
    done = sync.call("run", "sync", "--params", given)
    assert done.code == 2
    assert f"--params {given} cannot be read" in done.err


# -- what is missing -----------------------------------------------------------------------------------------


@pytest.mark.stateless
def test_a_param_that_nothing_can_bring_is_asked_for_before_anything_is_done(sync: House) -> None:
    done = sync.call("run", "sync")
    assert (done.code, done.out) == (2, "")
    assert 'sync needs the param "since", which has no value and no default' in done.err
    assert sync.stateless


def test_where_a_service_might_bring_it_the_run_finds_out_and_names_it(sync: House) -> None:
    sync.write("services.py", "def register(container): pass\n")
    done = sync.process("run", "sync")
    assert done.code == 1
    assert "parameter 'since': no param of that name, no service 'since'" in done.err
    assert "hint: give it what it needs: -p since=…" in done.err
    sync.write("services.py", "def register(container): container.register('since', '2026-05-02')\n")
    assert sync.process("run", "sync").json[0] == "2026-05-02"


def test_a_class_of_the_run_s_own_is_not_asked_for(house: House) -> None:
    text = "from jobrunner.context import Context\nconfig = {'name': 'a', 'schedule': None}\n"
    house.write("jobs/a.py", text + "def default(mine: Context): return mine.job\n")
    assert house.process("run", "a").json == "a"


# -- help ----------------------------------------------------------------------------------------------------


@pytest.mark.stateless
@pytest.mark.parametrize("args", [["sync", "--help"], ["--help", "sync"], ["sync", "-p", "rows=1", "-h"]])
def test_the_help_of_a_named_job_lists_what_it_takes(sync: House, args: list[str]) -> None:
    done = sync.call("run", *args)
    assert done.code == 0
    said = [" ".join(line.split()) for line in done.out.splitlines()]
    assert "Copy new orders." in said
    assert [line for line in said if "[" in line and line.endswith("]")][-5:] == [
        "since date, as text [required, unless it is a service]",
        "rows int [default: 100]",
        "full bool [default: false]",
        "tag str or null [default: null]",
        'tenant str [params: "acme"]',
    ]
    assert "logger" not in done.out
    assert sync.stateless


def test_the_examples_in_the_help_of_a_named_job_are_of_that_job(sync: House) -> None:
    done = sync.call("run", "sync", "--help").out
    assert "  jobrunner run sync -p since=…\n" in done
    assert "report" not in done
    assert "  jobrunner in 90s sync -p since=…\n" in sync.call("in", "2h", "sync", "--help").out
    assert "jobrunner run report" in sync.call("run", "--help").out


def test_the_help_of_a_call_lists_them_too(sync: House) -> None:
    assert "since   date" in sync.call("in", "2h", "sync", "--help").out


def test_the_help_without_a_job_and_of_no_job_is_help_all_the_same(sync: House) -> None:
    assert "Its params" not in sync.call("run", "--help").out
    done = sync.call("run", "snyc", "--help")
    assert done.code == 0
    assert "there is no job 'snyc'" in done.out


def test_the_help_executes_nothing_and_escapes_what_it_shows(house: House) -> None:
    house.write(
        "jobs/a.py",
        'open("ran", "w")\nconfig = {"name": "a", "schedule": None, "params": {"x": "\\x1b[2J\\u202e"}}\n'
        "def default(x): pass\n",
    )
    done = house.call("run", "a", "--help")
    assert "\x1b" not in done.out
    assert "\u202e" not in done.out
    assert "x  str  [params:" in done.out
    assert not (house.root / "ran").exists()


def test_the_help_of_a_job_in_another_project_is_that_job_s(house: House) -> None:
    house.write("other/jobs/b.py", JOB.replace('"sync"', '"b"'))
    assert "since   date" in house.call("run", "b", "--project", "other", "--help").out


def test_what_a_literal_allows_is_listed_checked_and_completed(house: House) -> None:
    text = "from typing import Literal\nconfig = {'name': 'a', 'schedule': None}\n"
    house.write("jobs/a.py", text + "def default(speed: Literal['fast', 'slow', 3]): return speed\n")
    assert 'speed  "fast" | "slow" | 3  [required' in house.call("run", "a", "--help").out
    done = house.call("run", "a", "-p", "speed=x")
    assert (done.code, 'speed: "x" is none of "fast", "slow", 3' in done.err) == (2, True)
    assert house.process("run", "a", "-p", "speed=3").json == 3
    assert completed(house, "jobrunner run a -p speed=", 4, "zsh") == ["speed=fast", "speed=slow", "speed=3"]
    assert completed(house, "jobrunner run a -p speed=s", 4, "zsh") == ["speed=slow"]
    assert completed(house, "jobrunner run a -p sp", 4, "zsh") == ["speed="]


# -- completion ----------------------------------------------------------------------------------------------


def completed(house: House, words: str, number: int, shell: str = "bash") -> list[str]:
    done = house.process(
        env={"_JOBRUNNER_COMPLETE": f"{shell}_complete", "COMP_WORDS": words, "COMP_CWORD": str(number)}
    )
    return [line for line in done.out.splitlines() if line not in ("", "plain", "_")]


def test_params_of_the_named_job_are_completed_each_once(sync: House) -> None:
    every = [f"plain,{name}=" for name in ("since", "rows", "full", "tag", "tenant")]
    assert completed(sync, "jobrunner run sync -p ", 4) == every
    assert completed(sync, "jobrunner run sync --param t", 4) == every[3:]
    assert completed(sync, "jobrunner run sync -p rows = 1 -p ", 8) == [
        each for each in every if "rows" not in each
    ]
    assert completed(sync, "jobrunner run SYNC -p si", 4, "zsh") == ["since="]
    assert completed(sync, "jobrunner in 2h sync -p si", 5) == ["plain,since="]
    assert completed(sync, "jobrunner in 2h sync -p rows = 1 -p si", 9) == ["plain,since="]
    assert completed(sync, "jobrunner run -p ", 3) == []
    assert completed(sync, "jobrunner run nosuch -p ", 4) == []


def test_the_blank_behind_a_completed_param_is_left_out(sync: House) -> None:
    """Bash itself: it calls the script's function as it would for a Tab, and notes what it asks for."""
    script = sync.call("completion", "bash").out
    asks = """
set -u
compopt() { echo "compopt $1 $2"; }
COMP_WORDS=(jobrunner run sync -p si); COMP_CWORD=4
_jobrunner_completion jobrunner; echo "${COMPREPLY[@]}"
COMP_WORDS=(jobrunner run sy); COMP_CWORD=2; COMPREPLY=()
_jobrunner_completion jobrunner; echo "${COMPREPLY[@]}"
"""
    home = sync.root / "bin"
    home.mkdir()
    (home / "jobrunner").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m jobrunner "$@"\n')
    (home / "jobrunner").chmod(0o755)
    done = subprocess.run(
        ["bash", "-c", f'PATH="{home}:$PATH"\n{script}\n{asks}'],
        cwd=sync.root, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines() == ["compopt -o nospace", "since=", "sync"]
