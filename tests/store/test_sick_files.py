"""What is refused untouched, and what sick disks and strangers' locks do."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw
import pytest

from jobrunner.errors import StateError
from jobrunner.store import open_store, version_of
from jobrunner.store.contract.things import at, make_job, make_node
from jobrunner.store.sqlite import SqliteStore
from jobrunner.store.sqlite.faults import translate

pytestmark = pytest.mark.sqlite


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "project" / ".jobrunner" / "state.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    store = opened(path, create=True)
    yield store
    store.close()


def opened(path: Path, **options: Any) -> SqliteStore:
    found = open_store(f"sqlite://{path}", **options)
    assert isinstance(found, SqliteStore)
    return found


def refused(path: Path, code: str, **options: Any) -> StateError:
    with pytest.raises(StateError) as found:
        opened(path, **options).close()
    assert found.value.code == code
    assert str(path) in found.value.message
    assert found.value.hint
    return found.value


def pragma(store: SqliteStore, name: str) -> Any:
    return store._db.pragma(name)


def sick(path: Path, content: bytes, code: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    for create in (False, True):
        refused(path, code, create=create)
    assert path.read_bytes() == content
    assert [file.name for file in path.parent.glob("state.db*")] == ["state.db"]


def test_an_emptied_file_is_not_made_anew(path: Path) -> None:
    sick(path, b"", "not-a-database")


def test_a_file_of_a_few_bytes_is_not_made_anew(path: Path) -> None:
    opened(path, create=True).close()
    sick(path, path.read_bytes()[:50], "not-a-database")


def test_garbage_is_refused_untouched(path: Path) -> None:
    sick(path, b"garbage" * 1000, "not-a-database")


@contextmanager
def of_somebody_else(folder: Path) -> Iterator[None]:
    """Let nobody but root into a folder, and be somebody else where we are root."""
    folder.chmod(0)
    root = os.geteuid() == 0
    try:
        if root:
            os.seteuid(65_534)
        yield
    finally:
        if root:
            os.seteuid(0)
        folder.chmod(0o700)


@pytest.mark.parametrize("create", [False, True])
def test_a_state_in_somebody_elses_folder_is_not_said_to_be_missing(path: Path, *, create: bool) -> None:
    opened(path, create=True).close()
    with of_somebody_else(path.parent):
        assert "no state" not in refused(path, "read-only", create=create).message
        with pytest.raises(StateError, match="cannot be written to"):
            version_of(f"sqlite://{path}")


@pytest.mark.parametrize(("make", "what"), [(Path.mkdir, "a folder"), (os.mkfifo, "no regular file")])
def test_what_is_no_file_is_called_what_it_is(path: Path, make: Callable[[Path], None], what: str) -> None:
    path.parent.mkdir(parents=True)
    make(path)
    assert f"is {what}" in refused(path, "not-a-database").message
    with pytest.raises(StateError, match=what):
        version_of(f"sqlite://{path}")


def test_another_programs_database_is_refused_untouched(path: Path, tmp_path: Path) -> None:
    other = apsw.Connection(str(tmp_path / "other.db"))
    other.execute("CREATE TABLE t (a); INSERT INTO t VALUES (1); PRAGMA user_version = 1").fetchall()
    other.close()
    sick(path, (tmp_path / "other.db").read_bytes(), "not-a-database")


@pytest.mark.parametrize("left", [4096, 6000, 40_000])
def test_a_truncated_file_is_refused_untouched(path: Path, left: int) -> None:
    opened(path, create=True).close()
    sick(path, path.read_bytes()[:left], "corrupt")


def test_a_page_of_garbage_is_a_state_error_and_others_are_still_read(store: SqliteStore, path: Path) -> None:
    store.join(make_node())
    root = store._db.row("SELECT rootpage FROM sqlite_schema WHERE name = 'audit'")
    store.close()
    assert root is not None
    with path.open("r+b") as file:
        file.seek((root[0] - 1) * 4096)
        file.write(b"\xff" * 4096)
    damaged = opened(path)
    with pytest.raises(StateError) as found:
        damaged.note("ann", "x", None, "y", at(1))
    assert found.value.code == "corrupt"
    assert [node.owner for node in damaged.nodes()] == ["a"]
    damaged.seen("a", at(9))
    damaged.close()


def test_a_state_that_has_lost_what_says_what_it_is_is_damaged(store: SqliteStore, path: Path) -> None:
    with apsw.Connection(str(path)) as stranger:
        stranger.execute("DELETE FROM meta").fetchall()
    looks: list[Callable[[], object]] = [lambda: store.footing("tick"), store.changed]
    for look in looks:
        with pytest.raises(StateError, match="table meta is empty") as found:
            look()
        assert (found.value.code, str(path) in found.value.message) == ("corrupt", True)


def test_text_that_is_damaged_is_a_state_error(store: SqliteStore) -> None:
    store.join(make_node())
    store.register("a", [make_job()], "", at(0))
    for damage in ("CAST(x'ff' AS TEXT)", "'{not json'"):
        store._db.rows(f"UPDATE jobs SET cursor = {damage}")
        with pytest.raises(StateError) as found:
            store.jobs()
        assert found.value.code == "corrupt"
    assert len(store.nodes()) == 1


def test_a_transaction_in_which_a_look_failed_commits_nothing_even_if_the_error_is_caught(
    store: SqliteStore,
) -> None:
    store.join(make_node())
    store.register("a", [make_job()], "", at(0))
    store._db.rows("UPDATE jobs SET cursor = '{not json'")
    with pytest.raises(StateError) as found:
        with store.transaction():
            store.join(make_node("b"))
            with pytest.raises(StateError):
                store.jobs()
    assert found.value.code == "aborted"
    assert len(store.nodes()) == 1


def test_a_full_disk_stops_the_write_and_nothing_else(store: SqliteStore, path: Path) -> None:
    store.join(make_node())
    store.register("a", [make_job()], "", at(0))
    pages = pragma(store, "page_count")
    pragma(store, f"max_page_count = {pages}")
    many = [make_job(f"job-{number}") for number in range(2000)]
    with pytest.raises(StateError) as found:
        store.register("a", many, "", at(1))
    assert (found.value.code, str(path) in found.value.message) == ("full", True)
    assert [job.name for job in store.jobs()] == ["tick"]
    store.seen("a", at(2))
    pragma(store, f"max_page_count = {pages + 10_000}")
    store.register("a", many, "", at(3))
    assert len(store.jobs()) == 2001
    assert pragma(store, "integrity_check") == "ok"


def test_a_transaction_that_met_a_full_disk_commits_nothing_even_if_the_error_is_caught(
    store: SqliteStore,
) -> None:
    store.join(make_node())
    pages = pragma(store, "page_count")
    pragma(store, f"max_page_count = {pages}")
    with pytest.raises(StateError) as found:
        with store.transaction():
            with pytest.raises(StateError):
                store.register("a", [make_job(f"job-{number}") for number in range(2000)], "", at(1))
            store.join(make_node("b"))
    assert found.value.code == "aborted"
    assert [node.owner for node in store.nodes()] == ["a"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OSError(errno.ENOSPC, "x"), "full"), (OSError(errno.EFBIG, "x"), "full"),
        (OSError(errno.EROFS, "x"), "read-only"), (PermissionError(errno.EACCES, "x"), "read-only"),
        (OSError(errno.EIO, "x"), "io"), (apsw.IOError("x"), "io"), (apsw.LockedError("x"), "busy"),
        (apsw.SQLError("no such table: runs"), "corrupt"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "x"), "corrupt"),
    ],
)  # fmt: skip
def test_each_trouble_has_its_code_one_sentence_and_a_next_step(error: Exception, code: str) -> None:
    found = translate(error, "/p/state.db")
    assert (found.code, found.exit_code) == (code, 7)
    assert "/p/state.db" in found.message
    assert not found.message.endswith(".")
    assert found.hint


def test_a_lock_held_by_a_stranger_is_busy_for_as_long_as_we_are_patient(
    store: SqliteStore, path: Path
) -> None:
    store.join(make_node())
    stranger = apsw.Connection(str(path))
    stranger.execute("BEGIN IMMEDIATE").fetchall()
    hasty = opened(path, patience=0.05)
    with pytest.raises(StateError, match="locked") as found:
        hasty.seen("a", at(1))
    assert found.value.code == "busy"
    assert len(hasty.nodes()) == 1
    stranger.close()
    hasty.seen("a", at(2))
    hasty.close()
