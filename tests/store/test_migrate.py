"""From one version to the next, and what an older program does with a newer file."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import apsw
import pytest

from jobrunner.errors import StateError
from jobrunner.model import Parameter
from jobrunner.store import open_store, schema
from jobrunner.store.base import Write
from jobrunner.store.contract.things import at, make_job, make_node
from jobrunner.store.sqlite import SqliteStore, migrate

pytestmark = pytest.mark.sqlite

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
    monkeypatch.setattr(migrate, "FOLDER", str(folder))


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
        schema.steps.cache_clear()


# -- what each version has brought ---------------------------------------------------------------------

OF_VERSION_2 = """
INSERT INTO nodes VALUES ('a', 'node-a', 'm', 'b', 1, '1', 'all', 4, 0, 1, 1, 1);
INSERT INTO jobs (id, name, name_key, definition_hash, file, first_seen_at)
VALUES (1, 'tick', 'tick', 'tick/1/None', 'jobs/tick.py', 1);
INSERT INTO definitions (job_id, hash, file, config)
VALUES (1, 'tick/1/None', 'jobs/tick.py', '{"name": "tick"}');
INSERT INTO holdings VALUES (1, 'a', 'tick/1/None', NULL);
INSERT INTO cursors (job_id, scope, schedule_key, consumed, anchor) VALUES (1, '', 'every 1s||', 1, 1);
INSERT INTO runs (id, job_id, trigger, scheduled_for, effective_at, state, created_at, started_at, owner,
                  fence, finished_at, attempt, root_id)
VALUES (7, 1, 'schedule', 10, 10, 'failed', 10, 11, 'a', 1, 12, 1, NULL),
       (8, 1, 'schedule', 10, 20, 'pending', 12, NULL, NULL, 0, NULL, 2, 7),
       (9, 1, 'schedule', 30, 30, 'pending', 30, NULL, NULL, 0, NULL, 1, NULL);
"""


@pytest.fixture
def of_version_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A state as version 2 has left it."""
    folder = tmp_path / "old"
    folder.mkdir()
    for path in sorted(Path(migrate.FOLDER).glob("*.sql"))[:2]:
        shutil.copy(path, folder)
    url = f"sqlite://{tmp_path}/s/old.db"
    with monkeypatch.context() as before:
        become(before, folder)
        store = open_store(url, create=True)
        assert isinstance(store, SqliteStore)
        store._db._apsw.execute(OF_VERSION_2).fetchall()
        store.close()
    return url


def test_runs_of_version_2_go_on_and_may_do_what_version_3_can(of_version_2: str) -> None:
    store = open_store(of_version_2)
    (standing,) = store.standings("a", "")
    assert (standing.open, standing.pending, standing.pending_id, standing.occupant) == (2, 1, 9, 8)
    (claim,) = store.claim(make_node(), [1, 2], at(1))
    assert (claim.run.id, claim.run.undo, claim.run.conflicts, claim.steps) == (8, 0, 0, ())
    assert store.begin_step(claim.run, "a", None, at(2))
    assert [step.root_id for step in store.steps(7)] == [7]
    assert store.write_documents(claim.run, [Write("k", 1)], at(2)) == [False]
    assert store.reserve(1) == 10
    store.close()


def test_a_definition_of_version_2_learns_what_its_function_takes(of_version_2: str) -> None:
    store = open_store(of_version_2)
    assert [each.parameters for each in store.definitions()] == [None]
    takes = (Parameter("n", "int"),)
    store.register("a", [make_job(parameters=takes)], "", at(1))
    assert [each.parameters for each in store.definitions()] == [takes]
    store.close()


def test_a_program_that_knows_version_2_refuses_what_version_3_and_later_have_made(
    of_version_2: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_store(of_version_2).close()
    become(monkeypatch, tmp_path / "old")
    with pytest.raises(StateError, match=r"schema \d+, .* knows \d+; this one knows 2") as found:
        open_store(of_version_2)
    assert found.value.code == "too-new"


def test_what_a_row_of_runs_must_be_is_the_same_in_cheaper_words(of_version_2: str) -> None:
    store = open_store(of_version_2)
    assert isinstance(store, SqliteStore)
    connection = store._db._apsw
    (text,) = connection.execute("SELECT sql FROM sqlite_schema WHERE name = 'runs'").fetchone() or ("",)
    assert not re.findall(r"IN \('[^)]*,[^)]*,", text)  # of three and more
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    for column, value in (("state", "'gone'"), ("delivery", "'never'"), ("trigger", "'whim'")):
        with pytest.raises(apsw.ConstraintError, match=f"{column} = "):
            connection.execute(f"UPDATE runs SET {column} = {value}")
    with pytest.raises(apsw.ConstraintError, match="finished_at IS NULL"):
        connection.execute("UPDATE runs SET state = 'lost' WHERE finished_at IS NULL")
    store.close()


def test_every_migration_says_who_may_read_the_result() -> None:
    steps = schema.steps(migrate.FOLDER)
    assert [step.version for step in steps] == list(range(1, len(steps) + 1))
    assert all(1 <= step.min_reader <= step.version for step in steps)
