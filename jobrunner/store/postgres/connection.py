"""One connection to one schema: made again when it is lost, its transactions, its errors.

One writer of a schema works at a time: each transaction begins by changing the row of `meta`, whose lock it
keeps until its commit, as SQLite's writers have their file's. So all that the verbs read before they write
stays true, on both. There is no session state (no SET, no session lock; prepared statements only where no
pooler stands between), so any connection is as good as any other.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, TypeVar

import psycopg
from psycopg import RawCursor

from jobrunner import failpoints
from jobrunner.clock import Instant
from jobrunner.errors import StateError
from jobrunner.store.faults import fault
from jobrunner.store.postgres.address import Address
from jobrunner.store.postgres.bounded import Bounded, open_connection
from jobrunner.store.postgres.dialect import translate as dialect
from jobrunner.store.postgres.faults import CAUGHT, is_lost, translate
from jobrunner.store.sql.connection import Transactions
from jobrunner.store.sql.database import Bindings, Row

T = TypeVar("T")

FROZEN = 5.0  # seconds of silence inside a transaction after which the server ends it
QUICK = 1.0  # seconds in which one hears of a cut

BEGIN = """
BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off';
SET LOCAL lock_timeout = {patience};
SET LOCAL statement_timeout = {patience};
SET LOCAL idle_in_transaction_session_timeout = {frozen};
UPDATE "{schema}".meta SET changes = changes + 1
    RETURNING changes, min_reader, version, state_id, CAST(pg_current_xact_id() AS text),
              CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)
"""


class Database(Transactions):
    """The connection. Every error leaves as a StateError, and leaves it usable: it is made again.

    `check` is called with what each transaction finds of the schema's version, and raises for one that is
    too new. `doubt` is the transaction of which nobody knows whether its commit was heard.
    """

    def __init__(self, address: Address, patience: float, check: Callable[[int, int], None]) -> None:
        self.address = address
        self.name = address.name
        self.schema = address.schema
        self.patience = patience
        self.round_trips = 0
        self._check = check
        self._connection: Bounded | None = None
        self._cursor: RawCursor[Row] | None = None
        self._closed = False
        self._xid = ""
        self._state_id = ""
        self.doubt: str | None = None
        self.pooled = False
        self.changes: int | None = None  # as of our last transaction, or the last look
        self.strange = True  # whether others may have committed since the last look
        self.hear: Callable[[Instant, float], None] = lambda _, __: (
            None
        )  # what the server's clock says, and how late
        self.limit_silence(FROZEN)

    def limit_silence(self, seconds: float) -> None:
        """Have the server end our transactions in which we say nothing for so long: others wait for us."""
        self._begin_text = BEGIN.format(
            patience=max(1, round(self.patience * 1000)), frozen=round(seconds * 1000), schema=self.schema
        )

    # -- the connection ------------------------------------------------------------------------------

    def connect(self) -> RawCursor[Row]:
        """Return the open connection's cursor; connects where there is none. Raises StateError."""
        if self._closed:
            raise fault("closed", f"{self.name} was closed before", hint="please report this")
        if self._cursor is not None:
            return self._cursor
        try:
            self._open()
        except CAUGHT as error:
            self.drop()
            raise translate(error, self.name) from error
        assert self._cursor is not None
        return self._cursor

    def _open(self) -> None:
        self._connection = open_connection(self.address, self.patience)
        self._cursor = RawCursor(self._connection)
        found = self._cursor.execute("SELECT pg_backend_pid()").fetchone()
        # a pooler gives us a number of its own, and another server process for each transaction
        self.pooled = found is None or found[0] != self._connection.info.backend_pid
        self._connection.prepare_threshold = None if self.pooled else 3
        self.strange = True

    def prepare(self, do: Callable[[Bounded], None]) -> None:
        """Have something done to the bare connection. Raises StateError."""
        self.connect()
        assert self._connection is not None
        try:
            do(self._connection)
        except CAUGHT as error:
            self.drop()
            raise translate(error, self.name) from error

    def drop(self) -> None:
        """Forget the connection; the next call makes another."""
        if self._connection is not None:
            with suppress(Exception):
                self._connection.close()
        self._connection = self._cursor = None

    def close(self) -> None:
        """Close for good; again is harmless."""
        self.drop()
        self._closed = True

    # -- statements ----------------------------------------------------------------------------------

    def rows(self, sql: str, bindings: Bindings = ()) -> list[Row]:
        """Run one statement to its end and return its rows."""
        statement = dialect(sql, self.schema)
        return self._run(statement.text, statement.values(bindings))[0]

    def made(self, make: Callable[[Row], T], sql: str, bindings: Bindings = ()) -> list[T]:
        """Run one statement to its end and return its rows, each made into something."""
        try:
            return [make(row) for row in self.rows(sql, bindings)]
        except ValueError as error:
            self._doomed = self._depth > 0
            raise translate(error, self.name) from error

    def row(self, sql: str, bindings: Bindings = ()) -> Row | None:
        """Run one statement to its end and return its first row, if any."""
        found = self.rows(sql, bindings)
        return found[0] if found else None

    def change(self, sql: str, bindings: Bindings = ()) -> int:
        """Run one INSERT, UPDATE or DELETE and return how many rows it touched."""
        statement = dialect(sql, self.schema)
        return self._run(statement.text, statement.values(bindings))[1]

    def many(self, sql: str, bindings: Iterable[Bindings]) -> None:
        """Run one statement for each of the bindings, in few round trips."""
        statement = dialect(sql, self.schema)
        values = [statement.values(each) for each in bindings]
        if len(values) == 1:
            self._run(statement.text, values[0])
        elif values:
            self._guarded(lambda cursor: cursor.executemany(statement.text, values))

    def _run(self, text: str, values: Any) -> tuple[list[Row], int]:
        def run(cursor: RawCursor[Row]) -> tuple[list[Row], int]:
            cursor.execute(text, values)
            return (cursor.fetchall() if cursor.description else []), cursor.rowcount

        return self._guarded(run) if self._depth else self._twice(lambda: self._guarded(run))

    def _twice(self, do: Callable[[], T]) -> T:
        """Do something again where it found that the connection was cut while it was idle."""
        fresh, asked = self._cursor is None, time.monotonic()
        try:
            return do()
        except StateError:
            cut = self._cursor is None and time.monotonic() - asked < QUICK  # else it is silent
            if fresh or not cut:
                raise
        return do()

    def _guarded(self, run: Callable[[RawCursor[Row]], T]) -> T:
        self._refuse_doomed()
        cursor = self.connect()
        self.round_trips += 1
        try:
            return run(cursor)
        except CAUGHT as error:
            self._doomed = self._depth > 0
            if is_lost(error):
                self.drop()
            raise translate(error, self.name) from error

    # -- transactions --------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Take the row of `meta`; what waits for another writer has waited when this returns."""
        if self.doubt is not None:  # whoever wants to know has asked before
            self.came_through()
        self._doomed = False
        self._twice(self._take)

    def _take(self) -> None:
        def run(cursor: RawCursor[Row]) -> Row:
            cursor.execute(self._begin_text, prepare=False)
            while cursor.nextset():
                pass
            found = cursor.fetchone()
            if found is None:
                raise psycopg.errors.UndefinedTable("its table meta is empty")
            return found

        self._depth = 1
        asked = time.monotonic()
        try:
            changes, min_reader, version, state_id, self._xid, now = self._guarded(run)
            self._recognize(state_id)
            self._check(min_reader, version)
        except BaseException:
            self._roll_back()
            self._depth = 0
            raise
        self.strange = self.strange or self.changes is None or changes != self.changes + 1
        self.changes = changes
        self.hear(now, time.monotonic() - asked)

    def _commit(self) -> None:
        self._refuse_doomed()
        try:
            self._guarded(_commit)
        except StateError as error:
            if self._cursor is not None:  # it was heard, and refused
                raise
            self._depth, self._doomed, self.doubt = 0, False, self._xid
            if not self.came_through():
                raise fault("away", error.message, hint=error.hint) from error

    def came_through(self) -> bool:
        """Say what has become of the commit that was in doubt. Raises StateError while nobody can say."""
        if self.doubt is None:
            return False
        deadline = time.monotonic() + self.patience
        while True:
            try:
                state = self._status(self.doubt)
            except StateError as error:
                if time.monotonic() >= deadline:
                    raise _in_doubt(error) from None
            else:
                if state != "in progress":
                    self.doubt = None
                    return state == "committed"
            time.sleep(0.05)  # it is the server that we wait for, and our patience is bounded

    def _status(self, xid: str) -> str:
        text = "SELECT pg_xact_status(CAST(CAST($1 AS text) AS xid8))"
        try:
            row = self._run(text, [xid])[0]
        except StateError as error:
            if error.code == "unstorable":  # a number to come: a standby took over that had not heard of it
                return "aborted"
            raise
        return str(row[0][0]) if row else "aborted"

    def _roll_back(self) -> None:
        self.strange = self.strange or (self._depth > 0 and self._doomed)
        self._doomed = False
        if self._cursor is not None and self._connection is not None and self._depth:
            with suppress(StateError):
                self._guarded(lambda cursor: cursor.execute("ROLLBACK", prepare=False))
        self._doomed = False  # also where nobody has heard that
        if self._depth:
            self.changes = None

    # -- what others did -----------------------------------------------------------------------------

    def changed(self) -> bool:
        """Say whether another connection committed since the last call, and check the version if so."""
        found = self.row("SELECT changes, min_reader, version, state_id FROM meta")
        if found is None:
            raise fault(
                "corrupt", f"{self.name} is not whole: its table meta is empty", hint="restore a backup"
            )
        changes, min_reader, version, state_id = found
        self._recognize(state_id)
        strange, self.strange = self.strange or changes != self.changes, False
        self.changes = changes
        if strange:
            self._check(min_reader, version)
        return strange

    def _recognize(self, state_id: str) -> None:
        """Raise StateError where this is not the state that we have met first: nothing here is ours."""
        self._state_id = self._state_id or state_id
        if state_id != self._state_id:
            hint = "stop all jobrunner processes, and start them again if that is meant"
            raise fault("replaced", f"{self.name} was replaced by another state while in use", hint=hint)


def _in_doubt(why: StateError) -> StateError:
    """Return the error for a commit of which nobody can be asked, and why not."""
    said = f"{why.message}, and nobody knows yet whether a commit was heard that was under way"
    return fault("in-doubt", said, hint=why.hint)


def _commit(cursor: RawCursor[Row]) -> None:
    failpoints.reach("commit-unsent")
    cursor.execute("COMMIT", prepare=False)
    failpoints.reach("commit-heard")
