"""A zygote may be on its way before its node is: it is taken, or it ends."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jobrunner import processes
from jobrunner.executor import birth
from jobrunner.settings import Settings, load
from tests.executor.household import Household
from tests.executor.test_family import zygote_of


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load({"project": str(tmp_path)}, {})


def only() -> birth.Helper:
    (helper,) = birth._begun
    return helper


def test_the_first_node_takes_the_zygote_that_was_begun_and_it_serves(
    tmp_path: Path, settings: Settings
) -> None:
    with birth.begun(settings):
        begun = only()
        house = Household(tmp_path, environ=birth.environment(settings))
        house.pool.start()
        assert zygote_of(house) == begun.process.pid
        assert house.run("def default(container): return 1").result == 1
    assert begun.process.poll() is None  # it is the node's now
    house.close()
    assert begun.process.returncode == 0


def test_one_that_nobody_takes_is_gone_with_the_command(settings: Settings) -> None:
    before = processes.children()
    with pytest.raises(ZeroDivisionError), birth.begun(settings):
        begun = only()
        _ = 1 / 0
    assert begun.process.returncode is not None
    assert begun.control.fileno() == -1
    assert processes.children() == before


def test_one_of_another_environment_is_not_taken_and_ends(tmp_path: Path, settings: Settings) -> None:
    with birth.begun(settings):
        begun = only()
        house = Household(tmp_path, environ={**os.environ, "OTHER": "1"})
        house.pool.start()
        assert zygote_of(house) != begun.process.pid
        assert begun.process.returncode is not None
        seen = house.run("import os\ndef default(container): return os.environ['OTHER']")
        assert seen.result == "1"
    house.close()


def test_one_that_has_died_meanwhile_is_replaced(tmp_path: Path, settings: Settings) -> None:
    with birth.begun(settings):
        begun = only()
        begun.process.kill()
        begun.process.wait()
        house = Household(tmp_path, environ=birth.environment(settings))
        house.pool.start()
        assert house.run("def default(container): return 2").result == 2
    house.close()


def test_runs_do_not_see_a_state_that_has_a_password(
    monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    monkeypatch.setenv("JOBRUNNER_STATE", "postgresql://me:secret@db/jobs")
    seen = birth.environment(settings._replace(state=os.environ["JOBRUNNER_STATE"]))
    assert "JOBRUNNER_STATE" not in seen
    monkeypatch.setenv("JOBRUNNER_STATE", "postgresql://me@db/jobs")
    seen = birth.environment(settings._replace(state=os.environ["JOBRUNNER_STATE"]))
    assert seen["JOBRUNNER_STATE"] == "postgresql://me@db/jobs"
