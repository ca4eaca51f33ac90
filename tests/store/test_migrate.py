"""From one version to the next, and what an older program does with a newer file."""

from __future__ import annotations

import shutil
from pathlib import Path

import apsw
import pytest

from jobrunner.errors import StateError
from jobrunner.store import migrate, open_store
from jobrunner.store.contract.things import at, make_node
from jobrunner.store.sqlite import SqliteStore

LATER = """\
-- min_reader: {min_reader}
ALTER TABLE audit ADD COLUMN mood TEXT;
INSERT INTO audit VALUES (1, 1, 'm', 'm', NULL, 'm', 'm');
"""


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite://{tmp_path}/s/state.db"
    store = open_store(url, create=True)
    store.join(make_node())
    store.close()
    return url


def file(url: str) -> Path:
    return Path(url.removeprefix("sqlite://"))


@pytest.fixture
def newer(tmp_path: Path) -> Path:
    """The migrations of a later version."""
    folder = tmp_path / "migrations"
    shutil.copytree(migrate.FOLDER, folder)
    (folder / f"{NEXT:04}_moods.sql").write_text(LATER.format(min_reader=OURS))
    return folder


OURS = migrate.ours()
NEXT = OURS + 1


def become(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setattr(migrate, "FOLDER", folder)


def test_an_older_state_is_brought_up_and_a_copy_kept(
    url: str, newer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    become(monkeypatch, newer)
    store = open_store(url)
    assert (store.info()["version"], store.info()["min_reader"]) == (NEXT, OURS)
    assert [node.owner for node in store.nodes()] == ["a"]
    store.close()
    copy = file(url).with_name(f"state.db.v{OURS}.bak")
    assert copy.stat().st_mode & 0o777 == 0o600
    old = apsw.Connection(str(copy))
    assert (old.pragma("user_version"), old.pragma("integrity_check")) == (OURS, "ok")
    assert old.execute("SELECT owner FROM nodes").fetchall() == [("a",)]


def test_a_new_state_is_made_by_all_migrations(
    tmp_path: Path, newer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    become(monkeypatch, newer)
    store = open_store(f"sqlite://{tmp_path}/new.db", create=True)
    assert store.info()["version"] == NEXT
    store.close()
    assert not list(tmp_path.glob("*.bak"))


def test_a_migration_that_fails_changes_nothing(
    url: str, newer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = LATER.format(min_reader=OURS) + "ALTER TABLE nowhere ADD COLUMN x;\n"
    (newer / f"{NEXT:04}_moods.sql").write_text(broken)
    with monkeypatch.context() as later:
        become(later, newer)
        with pytest.raises(StateError):
            open_store(url)
    store = open_store(url)
    assert isinstance(store, SqliteStore)
    assert store.info()["version"] == OURS
    assert store._db.rows("SELECT * FROM audit") == []
    store.close()


def test_a_newer_state_that_only_grew_is_used_as_it_is(
    url: str, newer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as later:
        become(later, newer)
        open_store(url).close()
    store = open_store(url)
    store.note("ann", "x", None, "y", at(1))
    assert store.info()["version"] == NEXT
    store.close()


def test_a_state_that_is_too_new_is_refused_untouched_with_both_versions(
    url: str, newer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    too_new(url, newer, monkeypatch)
    before = file(url).read_bytes()
    with pytest.raises(StateError, match=rf"schema {NEXT}.* knows {NEXT}; this one knows {OURS}") as found:
        open_store(url, create=True)
    assert (found.value.code, found.value.exit_code) == ("too-new", 7)
    assert file(url).read_bytes() == before


def test_a_running_node_stops_when_another_program_makes_its_state_too_new(
    url: str, newer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(url)
    too_new(url, newer, monkeypatch)
    with pytest.raises(StateError) as found:
        store.seen("a", at(1))
    assert found.value.code == "too-new"
    with pytest.raises(StateError) as found:
        store.changed()
    assert found.value.code == "too-new"
    store.close()


def too_new(url: str, newer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (newer / f"{NEXT:04}_moods.sql").write_text(LATER.format(min_reader=NEXT))
    with monkeypatch.context() as later:
        become(later, newer)
        open_store(url).close()
        migrate.steps.cache_clear()


def test_every_migration_says_who_may_read_the_result() -> None:
    steps = migrate.steps(migrate.FOLDER)
    assert [step.version for step in steps] == list(range(1, len(steps) + 1))
    assert all(1 <= step.min_reader <= step.version for step in steps)
