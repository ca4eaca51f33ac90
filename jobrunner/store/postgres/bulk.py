"""A connection of its own, for as long as a state is read or written whole.

Nothing here has the short limits of a node's connection: one statement may read millions of rows. What is
silent for long is given up all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

from psycopg import RawCursor

from jobrunner.store.postgres import migrate
from jobrunner.store.postgres.address import Address
from jobrunner.store.postgres.bounded import Bounded, open_connection
from jobrunner.store.postgres.dialect import translate as dialect
from jobrunner.store.postgres.faults import CAUGHT, translate
from jobrunner.store.sql.database import Bindings, Row

T = TypeVar("T")

SILENCE = 600.0  # seconds without a word from the server

UNLIMITED = """
SET LOCAL statement_timeout = 0;
SET LOCAL idle_in_transaction_session_timeout = 0;
SET LOCAL lock_timeout = {patience}"""
# The first look is the moment of which all is read; it must not come before the lock.
VERSION = 'SELECT min_reader, version FROM "{schema}".meta'
LOOK = f"""
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;{UNLIMITED};
{VERSION}"""
ALONE = f"""
BEGIN ISOLATION LEVEL REPEATABLE READ;{UNLIMITED};
LOCK TABLE "{{schema}}".meta IN SHARE ROW EXCLUSIVE MODE;
{VERSION}"""
# as each transaction of a store begins: with the row's lock, and a number by which others notice
WRITE = f"""
BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;{UNLIMITED};
SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off';
UPDATE "{{schema}}".meta SET changes = changes + 1 RETURNING min_reader, version"""  # noqa: S608


class Bulk:
    """The connection; a `Channel` of `sql.whole`."""

    def __init__(self, address: Address, connection: Bounded) -> None:
        self.address = address
        self._cursor: RawCursor[Row] = RawCursor(connection)

    @classmethod
    @contextmanager
    def begun(cls, address: Address, patience: float, begin: str) -> Iterator[Bulk]:
        """Open one, with a transaction that is committed at the end, or rolled back when the block raises.

        Raises StateError, code "busy", when another writes for longer than `patience` seconds.
        """
        try:
            connection = open_connection(address, patience)
        except CAUGHT as error:
            raise translate(error, address.name) from error
        connection.limit = SILENCE
        made = cls(address, connection)
        try:
            made._begin(begin.format(schema=address.schema, patience=max(1, round(patience * 1000))))
            yield made
            made._do(lambda cursor: cursor.execute("COMMIT"))
        finally:
            with suppress(Exception):  # what is not committed is rolled back by this
                connection.close()

    def _begin(self, begin: str) -> None:
        def run(cursor: RawCursor[Row]) -> None:
            cursor.execute(begin)
            while cursor.nextset():
                pass
            migrate.check(self.name, *cursor.fetchone() or (0, 0))

        self._do(run)

    def _do(self, run: Callable[[RawCursor[Row]], T]) -> T:
        try:
            return run(self._cursor)
        except CAUGHT as error:
            raise translate(error, self.name) from error

    @property
    def name(self) -> str:
        """The URL without its password."""
        return self.address.name

    @property
    def schema(self) -> str:
        """The schema's name."""
        return self.address.schema

    def rows(self, sql: str, bindings: Bindings = ()) -> list[Row]:
        """Run one statement to its end and return its rows."""
        statement = dialect(sql, self.schema)

        def run(cursor: RawCursor[Row]) -> list[Row]:
            cursor.execute(statement.text, statement.values(bindings))
            return cursor.fetchall() if cursor.description else []

        return self._do(run)

    def row(self, sql: str, bindings: Bindings = ()) -> Row | None:
        """Run one statement to its end and return its first row, if any."""
        found = self.rows(sql, bindings)
        return found[0] if found else None

    def stream(self, sql: str) -> Iterator[Row]:
        """Yield a statement's rows as they come, without keeping them."""
        try:
            yield from self._cursor.stream(dialect(sql, self.schema).text)
        except CAUGHT as error:
            raise translate(error, self.name) from error

    def fill(self, table: str, columns: str, rows: Iterable[Row]) -> None:
        """Insert rows; `columns` are written as a list in quotes."""

        def run(cursor: RawCursor[Row]) -> None:
            with cursor.copy(f'COPY "{self.schema}".{table} ({columns}) FROM STDIN') as copy:
                for row in rows:
                    copy.write_row(row)

        self._do(run)


def quoted(schema: str, name: str) -> str:
    """Return a name of the schema as `regclass` reads it."""
    return f'"{schema}".{name}'
