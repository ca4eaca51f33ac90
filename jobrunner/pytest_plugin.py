"""Fixtures for tests of jobs. pytest finds them by itself; nothing is imported before a test asks for one.

    jobrunner_clock      a `FakeClock`, at noon of an ordinary Friday
    jobrunner_run        a `Runner` on the project, with a state of the test's own, and that clock
    jobrunner_simulate   `simulate` on the project

The project is where pytest's root is, or what the ini setting `jobrunner_project` says from there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from jobrunner.testing import FakeClock, Runner, Timeline


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the ini setting."""
    parser.addini("jobrunner_project", "folder of the jobrunner project, from pytest's root", default="")


@pytest.fixture
def jobrunner_clock() -> FakeClock:
    """Return a clock that is moved by hand."""
    from jobrunner.testing import FakeClock

    return FakeClock()


@pytest.fixture
def jobrunner_run(request: pytest.FixtureRequest, jobrunner_clock: FakeClock) -> Iterator[Runner]:
    """Yield what runs bodies in this process: `jobrunner_run("sync-orders", overrides={"mailer": fake})`.

    The runs of a test share their state; no other does.
    """
    from jobrunner.testing import Runner

    with Runner(_project(request), clock=jobrunner_clock) as runner:
        yield runner


@pytest.fixture
def jobrunner_simulate(request: pytest.FixtureRequest) -> Callable[..., Timeline]:
    """Return what simulates the project: `jobrunner_simulate(start="2026-03-28", end="2026-03-31")`."""
    from jobrunner.testing import simulate

    simulated: Any = partial(simulate, _project(request))
    return simulated  # type: ignore[no-any-return]


def _project(request: pytest.FixtureRequest) -> Path:
    return Path(request.config.rootpath, request.config.getini("jobrunner_project"))
