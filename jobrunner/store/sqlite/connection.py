"""One connection to one file: its settings, its transactions, its errors."""

# ruff: noqa: PTH108, PTH120, PTH202  (paths are text here: pathlib costs time)

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import apsw

from jobrunner.store.faults import fault
from jobrunner.store.sql.connection import Transactions
from jobrunner.store.sql.database import Bindings, Row
from jobrunner.store.sqlite import migrate, place
from jobrunner.store.sqlite.faults import CAUGHT, missing, translate

T = TypeVar("T")

# A power cut must not take back what was committed: with NORMAL, a started action could start again.
# fullfsync is macOS's; trusted_schema and cell_size_check are for a file that somebody meddled with.
PRAGMAS = """
PRAGMA synchronous = FULL;
PRAGMA fullfsync = ON;
PRAGMA checkpoint_fullfsync = ON;
PRAGMA foreign_keys = ON;
PRAGMA trusted_schema = OFF;
PRAGMA cell_size_check = ON;
"""
# For a state that is thrown away: nothing is ever waited for, and nobody else comes.
FLEETING = """
PRAGMA locking_mode = EXCLUSIVE;
PRAGMA temp_store = MEMORY;
PRAGMA journal_mode = MEMORY;
PRAGMA synchronous = OFF;
PRAGMA foreign_keys = ON;
"""


class Database(Transactions):
    """The connection. Every error leaves as a StateError, and leaves it usable.

    A statement that fails inside a transaction dooms it, whoever catches the error: SQLite may have
    rolled it back already, and what followed would be committed by itself.
    """

    def __init__(self, path: str, real: str, connection: apsw.Connection) -> None:
        self.path = self.name = path
        self._real = real
        self._apsw = connection
        self._identity, self._length = place.identity(path)
        self._data_version = self.pragma("data_version")

    @classmethod
    def open(
        cls, path: str, *, create: bool, patience: float, allow_network_fs: bool, durable: bool = True
    ) -> Database:
        """Open the file at `path`, or where it links to: all processes must agree on the journal's name."""
        real = os.path.realpath(path)
        try:
            if not allow_network_fs:
                place.refuse_network(os.path.dirname(real))
            if not place.is_there(real):
                if not create:
                    raise missing(path)
                _make(real)
            place.refuse_what_is_no_file(real)
            place.refuse_second_name(real)
            return cls(path, real, _connect(real, patience, durable))
        except CAUGHT as error:
            raise translate(error, path) from error

    def close(self) -> None:
        """Close; again is harmless."""
        self._apsw.close()

    # -- statements ----------------------------------------------------------------------------------

    def rows(self, sql: str, bindings: Bindings = ()) -> list[Row]:
        """Run one statement to its end and return its rows."""
        return self._guarded(lambda: self._apsw.execute(sql, bindings).fetchall())

    def made(self, make: Callable[[Row], T], sql: str, bindings: Bindings = ()) -> list[T]:
        """Run one statement to its end and return its rows, each made into something."""
        return self._guarded(lambda: [make(row) for row in self._apsw.execute(sql, bindings)])

    def row(self, sql: str, bindings: Bindings = ()) -> Row | None:
        """Run one statement to its end and return its first row, if any."""
        found = self.rows(sql, bindings)
        return found[0] if found else None

    def change(self, sql: str, bindings: Bindings = ()) -> int:
        """Run one INSERT, UPDATE or DELETE and return how many rows it touched."""
        self.rows(sql, bindings)
        return self._apsw.changes()

    def many(self, sql: str, bindings: Iterable[Bindings]) -> None:
        """Run one statement for each of the bindings."""
        self._guarded(lambda: self._apsw.executemany(sql, bindings).fetchall())

    def _guarded(self, do: Callable[[], T]) -> T:
        self._refuse_doomed()
        try:
            return do()
        except CAUGHT as error:
            self._doomed = self._depth > 0
            raise translate(error, self.path) from error

    def stream(self, sql: str) -> Iterator[Row]:
        """Yield a statement's rows as they come, without keeping them."""
        try:
            yield from self._apsw.execute(sql)
        except CAUGHT as error:
            self._doomed = self._depth > 0
            raise translate(error, self.path) from error

    def fill(self, table: str, columns: str, rows: Iterable[Row]) -> None:
        """Insert rows; `columns` are written as a list in quotes."""
        places = ", ".join("?" * (columns.count(",") + 1))
        self.many(f"INSERT INTO {table} ({columns}) VALUES ({places})", rows)  # noqa: S608

    def pragma(self, name: str) -> Any:
        """Return the value of a pragma."""
        found = self.row(f"PRAGMA {name}")
        return found[0] if found else None

    # -- transactions --------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Take the write lock at once, never in the middle: what was read stays true until the commit.

        Another version may have migrated the file since we opened it, so its version is read here too.
        """
        self._doomed = False
        self.rows("BEGIN IMMEDIATE")
        self._depth = 1
        try:
            migrate.check(self)
        except BaseException:
            self._roll_back()
            self._depth = 0
            raise

    def _commit(self) -> None:
        self.rows("COMMIT")  # raises if doomed

    def _roll_back(self) -> None:
        self._doomed = False
        if self._apsw.in_transaction:
            self.rows("ROLLBACK")

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Read the file as it is at this moment, whatever others write meanwhile."""
        self._doomed = False
        self.rows("BEGIN")
        self._depth = 1
        try:
            self.rows("SELECT 1 FROM meta")  # the first look is the moment
            yield
        finally:
            self._roll_back()
            self._depth = 0

    # -- the file ------------------------------------------------------------------------------------

    def changed(self) -> bool:
        """Say whether another connection committed since the last call, and check the version if so."""
        before, self._data_version = self._data_version, self.pragma("data_version")
        if before == self._data_version:
            return False
        migrate.check(self)
        return True

    def verify(self) -> None:
        """Raise StateError unless the path still names the file that is open."""
        try:
            now, length = place.identity(self.path)
        except OSError as error:
            raise translate(error, self.path) from error
        if now != self._identity:
            what = "was deleted" if now is None else "was replaced by another file"
            hint = "stop all jobrunner processes, put the right file in place, start again"
            raise fault("replaced", f"{self.path} {what} while in use", hint=hint)
        self._check_whole(length)

    def _check_whole(self, length: int) -> None:
        """A file that became shorter was truncated, or vacuumed by somebody: SQLite can tell which."""
        before, self._length = self._length, length
        if self._length < before and self.pragma("quick_check(1)") != "ok":
            raise fault("corrupt", f"{self.path} was truncated while in use", hint="restore a copy")

    def size(self) -> int:
        """Return how many bytes the file and its journal take."""
        files = (self._real, self._real + "-wal")
        return sum(os.path.getsize(file) for file in files if os.path.exists(file))


def _connect(real: str, patience: float, durable: bool) -> apsw.Connection:
    """Open an existing file, older ones brought up to date; nothing is written before we know it is ours."""
    connection = apsw.Connection(real, flags=apsw.SQLITE_OPEN_READWRITE, statementcachesize=200)
    try:
        connection.set_busy_timeout(int(patience * 1000))
        # else a new value of a parameter may have the statement compiled anew, which costs more than it does
        connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
        migrate.upgrade(connection, real)
        if durable:
            _use_wal(connection, patience)
        connection.execute(PRAGMAS if durable else FLEETING).fetchall()
    except BaseException:
        connection.close()
        raise
    return connection


def _use_wal(connection: apsw.Connection, patience: float) -> None:
    """Switch to WAL, which is kept in the file. SQLite does not wait for others here, so we do."""
    deadline = time.monotonic() + patience
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").fetchall()
            return
        except apsw.BusyError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _make(real: str) -> None:
    """Make a new state beside its place and move it there finished."""
    place.prepare_folder(os.path.dirname(real))
    left = os.path.lexists(real + "-wal")  # SQLite would take the journal of a file that is gone for ours
    if left and not os.path.exists(real):  # else somebody has just made the state, and works in it
        raise fault(
            "foreign-journal",
            f"{real}-wal is left of a state file that is gone",
            hint="put the state file back beside it, or move the -wal and -shm files away",
        )
    new = f"{real}.{os.urandom(4).hex()}.new"
    os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    try:
        connection = apsw.Connection(new, flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            _use_wal(connection, 0.0)
            migrate.build(connection)
        finally:
            connection.close()
    except BaseException:
        os.unlink(new)
        raise
    place.publish(new, real)
