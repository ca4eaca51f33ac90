"""What a command costs before it does anything: it imports what it needs, and no more."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.cli.house import House

HEAVY = {
    "rich", "croniter", "yaml", "filelock", "asyncio", "tzlocal",
    "concurrent", "ctypes", "hashlib", "logging", "pathlib", "random", "selectors", "shutil", "socket",
    "subprocess", "tempfile", "urllib",
}  # fmt: skip
PROBE = """
import sys
from jobrunner.cli.app import run
run(sys.argv[1:])
print(*sorted(sys.modules), file=sys.stderr)
"""


class Loaded:
    """What a command has imported."""

    def __init__(self, house: House, *args: str) -> None:
        done = subprocess.run(
            [sys.executable, "-c", PROBE, *args], cwd=house.root, capture_output=True, text=True, check=True
        )
        names = done.stderr.splitlines()[-1].split()
        self.packages = {name.partition(".")[0] for name in names}
        self.ours = [name for name in names if name.partition(".")[0] == "jobrunner"]


@pytest.mark.parametrize(
    "args", [["--help"], ["--version"], ["ls", "--help"], ["start", "--help"]], ids=" ".join
)
def test_help_imports_nothing_heavy(house: House, args: list[str]) -> None:
    assert Loaded(house, *args).packages & {*HEAVY, "apsw"} == set()


def test_what_commands_there_are_is_told_without_any_of_them(house: House) -> None:
    loaded = Loaded(house, "--help")
    assert {*loaded.ours} == {
        "jobrunner", "jobrunner.cli", "jobrunner.cli.app", "jobrunner.cli.asking", "jobrunner.cli.out",
        "jobrunner.errors",
    }  # fmt: skip
    assert loaded.packages & {"dataclasses", "json", "zlib"} == set()


def test_ls_imports_neither_a_calendar_nor_a_database_nor_a_painter(house: House) -> None:
    for number in range(250):  # enough for the registry to keep what it read
        house.job(f"job-{number}")
    assert house.process("ls").code == 0
    assert Loaded(house, "ls").packages & {*HEAVY, "apsw"} == set()


@pytest.mark.parametrize(("command", "most"), [("ls", 71), ("history", 80)])
def test_who_looks_at_a_state_imports_what_reads_it_and_little_else(
    house: House, command: str, most: int
) -> None:
    house.job("a")
    house.ran("a")
    assert house.process(command).code == 0
    loaded = Loaded(house, command)
    assert loaded.packages & {*HEAVY, "dataclasses"} == set()
    assert {"jobrunner.events", "jobrunner.definitions", "jobrunner.store.base"} & {*loaded.ours} == set()
    assert len(loaded.ours) <= most


def test_ls_executes_no_job_file(house: House) -> None:
    house.write(
        "jobs/a.py",
        'config = {"name": "a", "schedule": "@daily"}\nopen("ran", "w").close()\ndef default(): pass\n',
    )
    for args in (["ls"], ["ls", "--json"], ["next"], ["history"], ["show", "a"], ["check", "--static"]):
        assert house.call(*args).code == 0
    assert not (house.root / "ran").exists()
