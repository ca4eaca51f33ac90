"""The schema of an SQLite file: made, checked, and brought up to date, each step in one transaction."""

# ruff: noqa: PTH105, PTH108, PTH202  (paths are text here: pathlib costs time)

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from jobrunner.clock import SystemClock
from jobrunner.store.faults import fault
from jobrunner.store.schema import MIGRATIONS, MIN_READER, headless, steps, too_new
from jobrunner.store.sqlite import place
from jobrunner.store.sqlite.faults import missing

if TYPE_CHECKING:
    import apsw

    from jobrunner.store.sqlite.connection import Database

APPLICATION = 0x6A6F6272  # as in 0001: "jobr"
FOLDER = os.path.join(MIGRATIONS, "sqlite")


def ours() -> int:
    """Return the version that this program knows."""
    return steps(FOLDER)[-1].version


# -- guards ------------------------------------------------------------------------------------------


def check(database: Database) -> None:
    """Raise StateError when another program made the open file too new for us; cheap."""
    found = database.row(MIN_READER)
    if found is None:
        raise headless(database.path)
    if found[0] > ours():
        raise too_new(database.path, found[0], found[1], ours())


def _guard(connection: apsw.Connection, path: str) -> int:
    """Return the version of a file that is ours and that we may use."""
    version = int(connection.pragma("user_version"))
    if connection.pragma("application_id") != APPLICATION or version < 1:
        empty = "is empty" if os.path.getsize(path) == 0 else "is not a jobrunner state"
        hint = "nothing was changed; restore a copy, or move the file away"
        raise fault("not-a-database", f"{path} {empty}", hint=hint)
    found: list[tuple[int, int]] = [(int(a), int(b)) for a, b in connection.execute(MIN_READER)]
    for min_reader, at in found:
        if min_reader > ours():
            raise too_new(path, min_reader, at, ours())
    return version


def found(path: str) -> int:
    """Return the version of the file at `path`, and change nothing. Raises StateError, apsw.Error."""
    import apsw

    real = os.path.realpath(path)
    if not place.is_there(real):
        raise missing(path)
    place.refuse_what_is_no_file(real)
    with closing(apsw.Connection(real, flags=apsw.SQLITE_OPEN_READWRITE)) as connection:
        return _guard(connection, path)


# -- the way up --------------------------------------------------------------------------------------


def upgrade(connection: apsw.Connection, path: str) -> None:
    """Bring an existing file to our version, a copy of the old one kept beside it.

    Raises StateError, and leaves the file as it is, when it is not a state or is too new.
    """
    version = _guard(connection, path)
    if version < ours():
        _copy(connection, f"{path}.v{version}.bak", version)
        _apply(connection)


def build(connection: apsw.Connection) -> None:
    """Make the schema in an empty file."""
    _apply(connection)


START = "INSERT INTO meta (id, state_id, version, min_reader, created_at) VALUES (1, ?, 1, 1, ?)"

MARK = "UPDATE meta SET version = ?1, min_reader = max(min_reader, ?2)"


def _apply(connection: apsw.Connection) -> None:
    for step in steps(FOLDER):
        with _exclusively(connection):
            # read again under the lock: another process may be migrating too
            if connection.pragma("user_version") >= step.version:
                continue
            connection.execute(step.sql).fetchall()
            if step.version == 1:
                connection.execute(START, (os.urandom(16).hex(), SystemClock().now())).fetchall()
            connection.execute(MARK, (step.version, step.min_reader)).fetchall()
            connection.pragma("user_version", step.version)


@contextmanager
def _exclusively(connection: apsw.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE").fetchall()
    try:
        yield
        connection.execute("COMMIT").fetchall()
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK").fetchall()
        raise


def _copy(connection: apsw.Connection, target: str, version: int) -> None:
    """Copy by the backup API: a plain copy would miss the journal, and closing it would drop our locks."""
    import apsw

    new = f"{target}.{os.urandom(4).hex()}"
    os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    copy = apsw.Connection(new)
    try:
        with copy.backup("main", connection, "main") as backup:
            backup.step()
        still = copy.pragma("user_version") == version
    finally:
        copy.close()
    if still:
        os.replace(new, target)
    else:  # another process was quicker, and made a copy before it migrated
        os.unlink(new)
