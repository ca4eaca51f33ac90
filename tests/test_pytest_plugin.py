"""The plugin, in a pytest of its own as users have it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

JOB = '''"""Send the day's invoices."""

config = {"name": "invoices", "schedule": "0 18 * * *"}


def default(mailer, state, ctx):
    state.set("sent", state.get("sent", 0) + 1)
    mailer.append(ctx.started_at.isoformat())
    return state.get("sent")
'''
TESTS = """
def test_state_lasts_for_a_test(jobrunner_run, jobrunner_clock):
    sent = []
    assert jobrunner_run("invoices", overrides={"mailer": sent}).result == 1
    jobrunner_clock.advance("1d")
    assert jobrunner_run("invoices", overrides={"mailer": sent}).result == 2
    assert sent == ["2026-11-20T12:00:00+00:00", "2026-11-21T12:00:00+00:00"]


def test_and_no_longer(jobrunner_run):
    assert jobrunner_run.documents == {}


def test_a_week_of_the_project(jobrunner_simulate):
    week = jobrunner_simulate(start="2026-03-23", end="2026-03-30", timezone="Europe/Berlin")
    assert len(week.of("invoices")) == 7
"""


def a_project(root: Path) -> None:
    (root / "jobs").mkdir(parents=True)
    (root / "jobs" / "invoices.py").write_text(JOB)
    (root / "jobrunner.yaml").write_text("timezone: UTC\n")


def run_pytest(folder: Path, *args: str) -> str:
    command = [sys.executable, "-W", "error", "-m", "pytest", "-q", "-p", "no:cacheprovider", *args]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(("folder", "ini"), [("", ""), ("app", "jobrunner_project = app\n")])
def test_fixtures_are_there_and_bound_to_the_project(tmp_path: Path, folder: str, ini: str) -> None:
    a_project(tmp_path / folder)
    (tmp_path / "pytest.ini").write_text(f"[pytest]\n{ini}")
    (tmp_path / "test_invoices.py").write_text(TESTS)
    assert "3 passed" in run_pytest(tmp_path)


def test_a_session_that_asks_for_nothing_imports_nothing(tmp_path: Path) -> None:
    (tmp_path / "test_other.py").write_text(
        "import sys\n\n\ndef test_other():\n"
        "    ours = {name for name in sys.modules if name.partition('.')[0] == 'jobrunner'}\n"
        "    assert ours == {'jobrunner', 'jobrunner.pytest_plugin'}\n"
        "    assert not {'apsw', 'click', 'yaml'} & set(sys.modules)\n"
    )
    assert "1 passed" in run_pytest(tmp_path)


def test_fixtures_are_listed_with_what_they_do(tmp_path: Path) -> None:
    listed = run_pytest(tmp_path, "--fixtures")
    for name in ("jobrunner_clock", "jobrunner_run", "jobrunner_simulate"):
        assert name in listed
