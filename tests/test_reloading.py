"""Reloading survives what keeps it from reading, and says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jobrunner import definitions, reloading, watching
from jobrunner.events import Event, FileBroken
from jobrunner.reloading import RETRY, Reloading
from tests.discovery.household import Project


class Place:
    """A loop that nobody turns."""

    def attend(self, descriptor: int) -> None:
        return

    def leave_alone(self, descriptor: int) -> None:
        return


class Dying:
    """A process that ends before it has read anything."""

    trouble = "it was killed"

    def start(self, settings: Any) -> None:
        return

    def fileno(self) -> int:
        return 0

    def done(self) -> bool:
        return True

    def gathered(self) -> None:
        return


class Unborn(Dying):
    """A process that the system has no room for."""

    def start(self, settings: Any) -> None:
        raise OSError(11, "Resource temporarily unavailable")


@pytest.fixture
def said() -> list[Event]:
    return []


@pytest.fixture
def watched(tmp_path: Path, said: list[Event]) -> Reloading:
    project = Project(tmp_path / "project")
    project.plain("a")
    held = definitions.load(project.settings())
    return Reloading(held, Place(), project.settings, said.append, watch=False)  # type: ignore[arg-type]


def _asked(watched: Reloading) -> None:
    watched.ask({}, [], 0.0)
    assert watched.turn(1.0) is None


def test_a_reader_that_dies_is_told_of_and_nothing_changes(
    watched: Reloading, said: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reloading, "Warmer", Dying)
    _asked(watched)
    (event,) = said
    assert isinstance(event, FileBroken)
    assert "it was killed" in event.problem.message
    assert watched.due(1.0) is None


def test_where_no_process_can_be_started_another_try_follows(
    watched: Reloading, said: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reloading, "Warmer", Unborn)
    _asked(watched)
    assert len(said) == 1
    assert watched.due(1.0 + RETRY + 1) == 0


@pytest.mark.parametrize("lack", ["_adder", "_opened"])
@pytest.mark.parametrize("file", ["jobs/a.py", "jobs/new.py", "jobrunner.yaml", "services.py"])
def test_where_the_system_tells_nothing_a_look_finds_what_was_edited(
    tmp_path: Path, said: list[Event], monkeypatch: pytest.MonkeyPatch, lack: str, file: str
) -> None:
    monkeypatch.setattr(watching, lack, lambda: None)
    project = Project(tmp_path / "project")
    project.plain("a")
    held = definitions.load(project.settings())
    watched = Reloading(held, Place(), project.settings, said.append, watch=True)  # type: ignore[arg-type]
    watched.look(1.0)
    assert watched.due(1.0) is None
    (project.root / file).write_text("# edited\n")
    watched.look(2.0)
    assert watched.due(2.0) is not None
    watched.close()


def test_whoever_follows_a_node_that_was_given_up_reads_the_files_again(
    tmp_path: Path, said: list[Event]
) -> None:
    project = Project(tmp_path / "project")
    project.plain("a")
    held = definitions.load(project.settings())
    for unread in (False, True):
        watched = Reloading(
            held, Place(), project.settings, said.append, watch=True, unread=unread  # type: ignore[arg-type]
        )  # fmt: skip
        watched.look(0.0)
        assert (watched.due(0.0) is not None) is unread
        watched.close()
