"""The schema of a database: made, checked, and brought up to date, by one process at a time."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psycopg

from jobrunner.clock import SystemClock
from jobrunner.errors import StateError
from jobrunner.store.faults import fault
from jobrunner.store.postgres.address import Address
from jobrunner.store.schema import MIGRATIONS, Step, steps, too_new

FOLDER = os.path.join(MIGRATIONS, "postgres")
OLDEST = 130000  # the first server that says how a transaction ended, by its number

FOUND = """
    SELECT (SELECT count(*) FROM pg_namespace WHERE nspname = $1),
           (SELECT count(*) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
            JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname = $1 AND c.relname = 'meta' AND a.attname = 'state_id'),
           (SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname = $1 AND c.relkind = 'r')"""
LOCK = "SELECT pg_advisory_xact_lock(CAST($1 AS integer), CAST($2 AS integer))"
MAY_CREATE = "SELECT has_schema_privilege($1, 'CREATE')"
OURS = 0x6A6F6272  # "jobr"
PATIENCE = 2000  # milliseconds that we wait for a lock: as long as that the nodes wait for us
TRIES = 5


def ours() -> int:
    """Return the version that this program knows."""
    return steps(FOLDER)[-1].version


def check(name: str, min_reader: int, version: int) -> None:
    """Raise StateError when another program made the schema too new for us."""
    if min_reader > ours():
        raise too_new(name, min_reader, version, ours())


def prepare(connection: psycopg.Connection[Any], address: Address, *, create: bool) -> None:
    """See that the schema is there and is ours; make it, or bring it up to date.

    Raises StateError, and changes nothing, when there is none and `create` is False, when what is there is
    something else, and when it is too new. Raises psycopg.Error.
    """
    if connection.info.server_version < OLDEST:
        said = f"{address.name} is PostgreSQL {connection.info.server_version // 10000}"
        raise fault("unsupported", said, hint="13 or newer is needed")
    cursor = psycopg.RawCursor(connection)
    version = _version(cursor, address)
    if version is None and not create:
        raise missing(address.name)
    if version is None or version < ours():
        _upgrade(cursor, address)


def found(connection: psycopg.Connection[Any], address: Address) -> int:
    """Return the version of the schema, and change nothing. Raises StateError and psycopg.Error."""
    version = _version(psycopg.RawCursor(connection), address)
    if version is None:
        raise missing(address.name)
    return version


def missing(name: str) -> StateError:
    """Return the error for a state that is not there."""
    hint = "run `jobrunner start` once, it makes one"
    return fault("state-missing", f"there is no state at {name}", hint=hint)


def _version(cursor: psycopg.RawCursor[Any], address: Address) -> int | None:
    """Return the version of the schema, None where there is none yet. Raises StateError."""
    _, meta, tables = cursor.execute(FOUND, [address.schema]).fetchone() or (0, 0, 0)
    if not meta and tables:
        said = f"{address.name} is not a jobrunner state: the schema has other tables"
        raise fault("not-a-database", said, hint="name another with ?schema=; nothing was changed")
    if not meta:
        return None
    row = cursor.execute(f'SELECT min_reader, version FROM "{address.schema}".meta').fetchone()  # noqa: S608
    if row is None:
        return None
    check(address.name, row[0], row[1])
    return int(row[1])


def _upgrade(cursor: psycopg.RawCursor[Any], address: Address) -> None:
    for step in steps(FOLDER):
        _again(lambda step=step: _take(cursor, address, step))  # type: ignore[misc]


def _again(take: Callable[[], None]) -> None:
    """Take a step; where somebody who reads is in the way, let him by and try again."""
    for _ in range(TRIES - 1):
        with suppress(psycopg.errors.DeadlockDetected, psycopg.errors.LockNotAvailable):
            return take()
    return take()


def _take(cursor: psycopg.RawCursor[Any], address: Address, step: Step) -> None:
    cursor.execute("BEGIN")
    try:
        cursor.execute(f"SET LOCAL lock_timeout = {PATIENCE}")
        cursor.execute(LOCK, [_signed(OURS), _signed(zlib.crc32(address.schema.encode()))])
        _apply(cursor, address, step)
    except BaseException:
        cursor.execute("ROLLBACK")
        raise
    cursor.execute("COMMIT")


def _apply(cursor: psycopg.RawCursor[Any], address: Address, step: Step) -> None:
    """Take one step, unless another process has taken it while we waited for the lock."""
    version = _version(cursor, address)
    if version is not None and version >= step.version:
        return
    if version is not None:  # nodes are at work, perhaps: whoever writes has ended then, and nobody begins
        cursor.execute(f'LOCK TABLE "{address.schema}".meta IN ACCESS EXCLUSIVE MODE')
    schemas, *_ = cursor.execute(FOUND, [address.schema]).fetchone() or (0,)
    if not schemas:
        cursor.execute(f'CREATE SCHEMA "{address.schema}"')
    elif not (cursor.execute(MAY_CREATE, [address.schema]).fetchone() or (True,))[0]:
        hint = "grant CREATE and USAGE on it to the user, or name another with ?schema="
        raise fault("forbidden", f"{address.name}: the schema is somebody else's", hint=hint)
    cursor.execute(f'SET LOCAL search_path TO "{address.schema}"')
    cursor.execute(step.sql)
    if version is None:
        values = [os.urandom(16).hex(), step.version, step.min_reader, SystemClock().now()]
        cursor.execute(
            "INSERT INTO meta (id, state_id, version, min_reader, created_at) VALUES (1, $1, $2, $3, $4)",
            values,
        )
    else:
        cursor.execute(
            "UPDATE meta SET version = $1, min_reader = greatest(min_reader, $2), changes = changes + 1",
            [step.version, step.min_reader],
        )


def _signed(number: int) -> int:
    return number - (1 << 32) if number >= 1 << 31 else number
