"""The whole of a file: what SQLite says of its integrity, and whether its schema is what we made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from functools import cache

import apsw

from jobrunner.store.sql.whole import Passage
from jobrunner.store.sqlite import migrate
from jobrunner.store.sqlite.connection import Database

SCHEMA = "SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'"


class Whole(Passage):
    """See `store.moving`."""

    _db: Database

    def __init__(self, database: Database) -> None:
        super().__init__(database, migrate.ours())

    def damage(self) -> Iterator[str]:
        """Yield what SQLite finds: pages, indexes, rules of the schema, references; then what is missing."""
        found = [str(row[0]) for row in self._db.rows("PRAGMA integrity_check(20)")]
        yield from (each for each in found if each != "ok")
        for table, row_id, other, _ in self._db.rows("PRAGMA foreign_key_check"):
            where = "" if row_id is None else f" {row_id}"
            yield f"row{where} of {table} refers to one of {other} that is not there"
        if self._number(self.VERSION) == self._ours:
            there = set(self._db.rows(SCHEMA))
            for kind, name, _ in sorted(_schema(migrate.ours()) - there):
                yield f"the {kind} {name} is missing, or is not as jobrunner has made it"


@cache
def _schema(version: int) -> frozenset[tuple[str, str, str]]:
    """Return what a new file of our version consists of."""
    with closing(apsw.Connection(":memory:")) as connection:
        migrate.build(connection)
        return frozenset((str(kind), str(name), str(sql)) for kind, name, sql in connection.execute(SCHEMA))
