"""What a command costs before it does anything: it imports what it needs, and no more."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.cli.house import House

HEAVY = {"rich", "croniter", "yaml", "apsw", "filelock", "asyncio", "subprocess", "tzlocal"}
PROBE = """
import sys
from jobrunner.cli.app import run
run(sys.argv[1:])
print(*sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
"""


def imported(house: House, *args: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *args], cwd=house.root, capture_output=True, text=True, check=True
    )
    return set(done.stderr.splitlines()[-1].split())


@pytest.mark.parametrize(
    "args", [["--help"], ["--version"], ["ls", "--help"], ["start", "--help"]], ids=" ".join
)
def test_help_imports_nothing_heavy(house: House, args: list[str]) -> None:
    assert imported(house, *args) & HEAVY == set()


def test_ls_imports_neither_a_calendar_nor_a_database_nor_a_painter(house: House) -> None:
    for number in range(250):  # enough for the registry to keep what it read
        house.job(f"job-{number}")
    assert house.process("ls").code == 0
    assert imported(house, "ls") & HEAVY == set()


def test_ls_executes_no_job_file(house: House) -> None:
    house.write(
        "jobs/a.py",
        'config = {"name": "a", "schedule": "@daily"}\nopen("ran", "w").close()\ndef default(): pass\n',
    )
    for args in (["ls"], ["ls", "--json"], ["next"], ["history"], ["show", "a"], ["check", "--static"]):
        assert house.call(*args).code == 0
    assert not (house.root / "ran").exists()


def test_history_at_a_pipe_needs_no_painter(house: House) -> None:
    house.job("a")
    house.ran("a")
    assert "rich" not in imported(house, "history")
