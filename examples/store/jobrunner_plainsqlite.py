"""A state in an SQLite file, by the sqlite3 of the standard library: plainsqlite:///var/lib/app/state.db

An example of a store of one's own: the verbs are jobrunner's (`SqlStore`), the connection is ours. So is the
file: its application id is another one, since nodes of `sqlite:` keep their locks in another folder.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from jobrunner.errors import StateError
from jobrunner.store import Bindings, Connection, Row, SqlStore, Store, fault, steps_of, too_new

OURS = 0x706C6E31  # "pln1"
STEPS = steps_of("sqlite")
FIRST = "INSERT INTO meta (id, state_id, version, min_reader, created_at) VALUES (1, ?, 1, 1, ?)"
MARK = "UPDATE meta SET version = ?1, min_reader = max(min_reader, ?2)"
SAID = {  # by SQLite's result code
    sqlite3.SQLITE_BUSY: ("busy", "is locked by another process"),
    sqlite3.SQLITE_FULL: ("full", "has no space left"),
    sqlite3.SQLITE_READONLY: ("read-only", "cannot be written to"),
    sqlite3.SQLITE_CANTOPEN: ("read-only", "cannot be opened"),
    sqlite3.SQLITE_CONSTRAINT: ("rule", "refuses a row by a rule of its own"),
    sqlite3.SQLITE_TOOBIG: ("unstorable", "cannot hold a value"),
    sqlite3.SQLITE_NOTADB: ("not-a-database", "is no jobrunner state"),
    sqlite3.SQLITE_CORRUPT: ("corrupt", "is damaged"),
}


class File(Connection):
    """One connection to one file, which is there."""

    caught = (sqlite3.Error,)

    def __init__(self, path: str, patience: float) -> None:
        self.name, self._patience = path, patience
        self._sqlite = self._guarded(self._connect)
        self._found = os.stat(path)

    def _connect(self) -> sqlite3.Connection:
        uri = f"{Path(self.name).as_uri()}?mode=rw"  # which never makes a file
        made = sqlite3.connect(uri, uri=True, timeout=self._patience, isolation_level=None)
        made.executescript("PRAGMA foreign_keys = ON; PRAGMA synchronous = FULL")
        return made

    def close(self) -> None:
        self._sqlite.close()

    def _execute(self, sql: str, bindings: Bindings) -> tuple[Iterable[Row], int]:
        rows = self._sqlite.execute(sql, bindings).fetchall()
        ((touched,),) = self._sqlite.execute("SELECT changes()")  # rowcount knows nothing of WITH … DELETE
        return rows, touched

    def _meaning(self, error: Exception) -> StateError:
        code, said = SAID.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, ("io", "cannot be used"))
        return fault(code, f"{self.name} {said} ({error})")

    # -- transactions --------------------------------------------------------------------------------

    def _begin(self) -> None:
        self.rows("BEGIN IMMEDIATE")  # the lock at once, so that what is read stays true until the commit
        self._depth = 1
        try:
            self.version()
        except BaseException:
            self._roll_back()
            self._depth = 0
            raise

    def _commit(self) -> None:
        self.rows("COMMIT")  # which is refused when it is doomed

    def _roll_back(self) -> None:
        self._doomed = False
        if self._sqlite.in_transaction:
            self.rows("ROLLBACK")

    # -- the file ------------------------------------------------------------------------------------

    def version(self) -> int:
        """Return the version of the schema. Raises StateError for a file that is not ours, or too new."""
        if self.row("PRAGMA application_id") != (OURS,):
            raise fault("not-a-database", f"{self.name} is no state of this store")
        min_reader, version = self.row("SELECT min_reader, version FROM meta") or (0, 0)
        if min_reader > STEPS[-1].version:
            raise too_new(self.name, min_reader, version, STEPS[-1].version)
        return int(version)

    def in_place(self) -> bool:
        """Say whether the path still names the file that is open."""
        return os.path.exists(self.name) and os.path.samestat(os.stat(self.name), self._found)

    def upgrade(self, version: int) -> None:
        """Take the steps that follow a version; in a transaction, for others may be about to."""
        for step in STEPS:
            if step.version > version:
                for statement in _statements(step.sql):
                    self.rows(statement)
                if step.version == 1:
                    self.rows(FIRST, (os.urandom(16).hex(), time.time_ns() // 1000))
                self.rows(MARK, (step.version, step.min_reader))
        self.rows(f"PRAGMA application_id = {OURS}")


class PlainStore(SqlStore):
    """All the verbs, over a `File`."""

    _db: File

    def __init__(self, url: str, database: File) -> None:
        super().__init__(url, database)
        self._seen = database.row("PRAGMA data_version")

    def close(self) -> None:
        self._db.close()

    def changed(self) -> bool:
        before, self._seen = self._seen, self._db.row("PRAGMA data_version")
        return before != self._seen and bool(self._db.version())  # which raises for one that is too new now

    def verify(self) -> None:
        if not self._db.in_place():
            raise fault("replaced", f"{self._db.name} was deleted or replaced while in use")

    def healthy(self) -> str:
        return " ".join(map(str, self._db.row("PRAGMA quick_check(1)") or ("no answer",)))

    def info(self) -> Mapping[str, Any]:
        library = f"SQLite {sqlite3.sqlite_version} (sqlite3 of Python)"
        return {**super().info(), "bytes": os.stat(self._db.name).st_size, "library": library}


def open_state(url: str, *, create: bool, patience: float, allow_network_fs: bool) -> Store:
    """Open the file that a URL names: what the entry point names."""
    path = url.partition("://")[2]
    if sqlite3.sqlite_version_info < (3, 39):
        said = f"this Python has SQLite {sqlite3.sqlite_version}, and 3.39 or newer is needed"
        raise fault("unsupported", said, hint="use sqlite:///, which brings its own")
    if not path.startswith("/"):
        raise fault("unsupported", f"{url} names no file", hint="write plainsqlite:///absolute/path/state.db")
    if create and not os.path.exists(path):
        _make(path)
    if not os.path.exists(path):
        raise fault("state-missing", f"there is no state at {path}", hint="`jobrunner start` makes one")
    database = File(path, patience)
    try:
        if database.version() < STEPS[-1].version:
            with database.transaction():
                database.upgrade(database.version())
        return PlainStore(url, database)
    except BaseException:
        database.close()
        raise


def _make(path: str) -> None:
    """Make the file beside its place, and name it when it is finished; the second takes what is there."""
    Path(path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = f"{path}.{os.urandom(4).hex()}.new"
    os.close(os.open(new, os.O_CREAT | os.O_EXCL, 0o600))
    try:
        database = File(new, 0.0)
        try:
            database.rows("PRAGMA journal_mode = WAL")  # kept in the file: who reads waits for nobody
            database.rows("BEGIN")
            database.upgrade(0)
            database.rows("COMMIT")
        finally:
            database.close()
        if not os.path.exists(path):
            os.link(new, path)
    finally:
        Path(new).unlink()


def _statements(sql: str) -> Iterator[str]:
    """Yield the statements of a script, which run as a whole would end the transaction that is open."""
    part = ""
    for line in sql.splitlines(keepends=True):
        part += line
        if sqlite3.complete_statement(part):
            yield part
            part = ""
