from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobrunner.model import Chosen
from tests.executors.abroad import Abroad
from tests.lifecycle.project import Project


@pytest.fixture(scope="session")
def other_python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Another virtual environment, with one package of its own and none of ours; returns its interpreter."""
    home = tmp_path_factory.mktemp("environments") / "theirs"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home)], check=True, timeout=100)
    (packages,) = home.glob("lib/python*/site-packages")
    (packages / "only_theirs.py").write_text("WHERE = 'in the other environment'\n")
    return str(home / "bin" / "python")


@pytest.fixture
def abroad(tmp_path: Path, other_python: str) -> Iterator[Abroad]:
    """Runs by an interpreter of another environment."""
    house = Abroad(
        tmp_path, Chosen("subprocess", {"python": other_python}), lock_path=str(tmp_path / "zygote.lock")
    )
    house.pool.start()
    yield house
    house.close()


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    made = Project(tmp_path / "project")
    yield made
    made.end()
