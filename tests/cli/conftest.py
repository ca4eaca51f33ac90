from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.cli.house import House
from tests.place import NewPlace


@pytest.fixture
def house(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
) -> Iterator[House]:  # fmt: skip
    for name in os.environ:
        if name.startswith("JOBRUNNER_") or name in ("NO_COLOR", "FORCE_COLOR"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JOBRUNNER_TIMEZONE", "UTC")
    with ExitStack() as stack:
        state = _database(request, stack)
        if state:
            monkeypatch.setenv("JOBRUNNER_STATE", state)
        made = House(tmp_path, capsys, state)
        yield made
        made.close()


def _database(request: pytest.FixtureRequest, stack: ExitStack) -> str:
    """Return the URL of an empty state, or of none that is there yet; "" for a file as everybody has it."""
    if "store_kind" not in request.fixturenames or request.getfixturevalue("store_kind") == "sqlite":
        return ""
    if request.node.get_closest_marker("stateless") is not None:
        return str(request.getfixturevalue("postgres_url"))
    new_place: NewPlace = request.getfixturevalue("new_place")
    return stack.enter_context(new_place()).url
