"""The whole of a state in SQL: each table read in the order of its key, and written as it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, Protocol, cast

from jobrunner.errors import StateError
from jobrunner.store.faults import fault
from jobrunner.store.moving import Marks, Table, Values
from jobrunner.store.schema import too_new
from jobrunner.store.sql.database import Bindings, Row
from jobrunner.store.sql.moving import CURRENT
from jobrunner.store.sql.soundness import RULES, at_least

MEANT = {"definitions": f" WHERE {CURRENT}"}  # of which tables not all rows are


class Channel(Protocol):
    """A connection in a transaction that may take long. Every error leaves as a StateError."""

    @property
    def name(self) -> str:
        """How sentences call the state."""
        ...

    def row(self, sql: str, bindings: Bindings = ()) -> Row | None:
        """Run one statement to its end and return its first row, if any."""
        ...

    def rows(self, sql: str, bindings: Bindings = ()) -> list[Row]:
        """Run one statement to its end and return its rows."""
        ...

    def stream(self, sql: str) -> Iterator[Row]:
        """Yield a statement's rows as they come, without keeping them."""
        ...

    def fill(self, table: str, columns: str, rows: Iterable[Row]) -> None:
        """Insert rows; `columns` are written as a list in quotes."""
        ...


class Passage:
    """A state that is read, or written, in one transaction: see `store.moving`."""

    def __init__(self, db: Channel, ours: int) -> None:
        self._db = db
        self._ours = ours

    VERSION = "SELECT version FROM meta"

    def understood(self) -> None:
        """See `Reading.understood`."""
        version = self._number(self.VERSION)
        if version > self._ours:
            raise too_new(self._db.name, version, version, self._ours)

    def _number(self, sql: str, bindings: Bindings = ()) -> int:
        row = self._db.row(sql, bindings)
        return 0 if row is None or row[0] is None else int(row[0])

    def count(self, table: str) -> int:
        """See `Reading.count`."""
        return self._number(f"SELECT count(*) FROM {table}{MEANT.get(table, '')}")  # noqa: S608

    def rows(self, table: Table) -> Iterator[Values]:
        """See `Reading.rows`."""
        meant = MEANT.get(table.name, "")
        sql = f"SELECT {_list(table.columns)} FROM {table.name}{meant} ORDER BY {_list(table.key)}"  # noqa: S608
        return cast(Iterator[Values], self._db.stream(sql))

    def write(self, table: Table, rows: Iterable[Values]) -> None:
        """See `Writing.write`."""
        try:
            self._db.fill(table.name, _list(table.columns), rows)
        except StateError as error:
            if error.code != "unstorable":
                raise
            said = f"a row of {table.name} cannot be taken over: {error.message}"
            raise fault(
                "unstorable", said, hint="change or delete it where it is, then copy again"
            ) from error

    # -- marks ---------------------------------------------------------------------------------------

    MARKS = "SELECT fence, revision, paused_at, paused_by, pause_reason FROM meta"

    def marks(self) -> Marks:
        """See `Reading.marks`."""
        fence, revision, *pause = self._db.row(self.MARKS) or (0, 0, None, None, None)
        return Marks(fence, self.last_id("runs"), revision, *pause)

    MARK = """
        UPDATE meta SET fence = CASE WHEN fence < ?1 THEN ?1 ELSE fence END,
               revision = CASE WHEN revision < ?2 THEN ?2 ELSE revision END,
               paused_at = ?3, paused_by = ?4, pause_reason = ?5, currents = currents + 1,
               state_id = coalesce(?6, state_id)"""

    def mark(self, marks: Marks, state_id: str | None = None) -> None:
        """See `Writing.mark`."""
        self._db.rows(self.MARK, (marks.fence, marks.revision, *marks[3:], state_id))
        for table in self.NUMBERED:
            given = marks.run_id if table == "runs" else self._number(f"SELECT max(id) FROM {table}")  # noqa: S608
            if given > self.last_id(table):
                self.set_last_id(table, given)

    NUMBERED: tuple[str, ...] = ("runs",)  # tables that remember which ids they have given out
    LAST_ID = "SELECT seq FROM sqlite_sequence WHERE name = ?"
    SET_LAST_ID = "UPDATE sqlite_sequence SET seq = ?2 WHERE name = ?1 RETURNING 1"
    FIRST_LAST_ID = "INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)"

    def last_id(self, table: str) -> int:
        """Return the last id that a table has given out."""
        return self._number(self.LAST_ID, (table,))

    def set_last_id(self, table: str, number: int) -> None:
        """Let the next id of a table be a higher one."""
        if self._db.row(self.SET_LAST_ID, (table, number)) is None:
            self._db.rows(self.FIRST_LAST_ID, (table, number))

    # -- nodes ---------------------------------------------------------------------------------------

    ROLES = "SELECT owner, role FROM nodes"

    def roles(self) -> Mapping[str, str]:
        """See `Reading.roles`."""
        return dict(cast("list[tuple[str, str]]", self._db.rows(self.ROLES)))

    OWNERS = "SELECT owner, min(id) FROM runs WHERE state = 'running' GROUP BY owner ORDER BY min(id)"

    def owners(self) -> Mapping[str, int]:
        """See `Reading.owners`."""
        return dict(cast("list[tuple[str, int]]", self._db.rows(self.OWNERS)))

    # -- what is wrong -------------------------------------------------------------------------------

    def problems(self) -> Iterator[str]:
        """See `Reading.problems`. What is damaged may not be able to tell of more."""
        found = 0
        try:
            for each in chain(self.damage(), self._broken_rules()):
                found += 1
                yield each
        except StateError as error:
            if not found and error.code != "corrupt":
                raise
            yield error.message

    def damage(self) -> Iterator[str]:
        """Yield what the database says of its own integrity."""
        raise NotImplementedError

    def _broken_rules(self) -> Iterator[str]:
        for rule in RULES:
            yield from (rule.sentence.format(*row) for row in self._db.rows(rule.sql))
        marks = self.marks()
        for what, given, highest in (
            ("the next fence", marks.fence, "SELECT max(fence) FROM runs"),
            ("the revision of the next document", marks.revision, "SELECT max(version) FROM documents"),
        ):
            yield from at_least(what, given, self._number(highest))
        for table in self.NUMBERED:
            highest_id = self._number(f"SELECT max(id) FROM {table}")  # noqa: S608
            yield from at_least(f"the next id of {table}", self.last_id(table), highest_id)


def _list(names: Iterable[Any]) -> str:
    return ", ".join(f'"{name}"' for name in names)
