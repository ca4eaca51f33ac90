"""The whole of a schema: its own words for numbers, and whether it is what we made."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple, Protocol

from jobrunner.store.moving import TABLES
from jobrunner.store.postgres import migrate
from jobrunner.store.postgres.bulk import Bulk, quoted
from jobrunner.store.schema import steps
from jobrunner.store.sql.database import Bindings, Row
from jobrunner.store.sql.whole import Passage


class Whole(Passage):
    """See `store.moving`."""

    _db: Bulk

    def __init__(self, bulk: Bulk) -> None:
        super().__init__(bulk, migrate.ours())

    MARKS = """
        SELECT fence + timeline * 4294967296, revision, paused_at, paused_by, pause_reason FROM meta"""

    NUMBERED = ("runs", "jobs", "audit")
    LAST = "SELECT pg_sequence_last_value(CAST(? AS regclass))"
    SET_LAST = "SELECT setval(CAST(? AS regclass), ?)"

    def last_id(self, table: str) -> int:
        """Return the last id that a table has given out."""
        return self._number(self.LAST, (quoted(self._db.schema, f"{table}_id_seq"),))

    def set_last_id(self, table: str, number: int) -> None:
        """Let the next id of a table be a higher one. No rollback takes that back, and it harms nobody."""
        self._db.rows(self.SET_LAST, (quoted(self._db.schema, f"{table}_id_seq"), number))

    def damage(self) -> Iterator[str]:
        """Yield what is missing of the schema, and what the server knows of its pages; reads every row."""
        found = list(flaws(self._db))
        yield from found
        if not found:
            for table in TABLES:
                for _ in self.rows(table):
                    pass


class Asking(Protocol):
    """What a look at the catalogue needs of a connection."""

    @property
    def schema(self) -> str:
        """The schema's name."""
        ...

    def rows(self, sql: str, bindings: Bindings = ()) -> list[Row]:
        """Run one statement to its end and return its rows."""
        ...


THERE = """
    SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = ? AND c.relkind = 'r'"""
INDEXED = """
    SELECT c.relname, i.indisunique FROM pg_index i
    JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = ? AND i.indisvalid"""
RULED = """
    SELECT t.relname, CAST(c.contype AS text), count(*) FROM pg_constraint c
    JOIN pg_class t ON t.oid = c.conrelid JOIN pg_namespace n ON n.oid = t.relnamespace
    WHERE n.nspname = ? AND c.convalidated GROUP BY 1, 2"""
CHECKSUMS = """
    SELECT checksum_failures FROM pg_stat_database
    WHERE datname = current_database() AND checksum_failures > 0"""


def flaws(db: Asking) -> Iterator[str]:
    """Yield what of the schema is missing or not in force, and what the server knows of damaged pages."""
    made = Made.of("\n".join(step.sql for step in steps(migrate.FOLDER)))
    there = {row[0] for row in db.rows(THERE, (db.schema,))}
    yield from (f"the table {name} is missing" for name in sorted(made.tables - there))
    valid = {tuple(row) for row in db.rows(INDEXED, (db.schema,))}
    for name, unique in sorted(made.indexes - valid):
        yield f"the {'unique ' if unique else ''}index {name} is missing or not valid"
    rules = {(table, kind): number for table, kind, number in db.rows(RULED, (db.schema,))}
    for (table, kind), number in sorted(made.rules.items()):
        have = rules.get((table, kind), 0)
        if table in there and have < number:
            yield f"{table} has {have} of its {number} {KINDS[kind]} in force"
    for (failures,) in db.rows(CHECKSUMS):
        yield f"the server has met {failures} damaged pages in this database"


KINDS = {"p": "primary keys", "u": "unique constraints", "f": "foreign keys", "c": "checks"}
WORDS = {"p": "PRIMARY KEY", "u": r"UNIQUE\b", "f": "REFERENCES", "c": r"CHECK \("}


class Made(NamedTuple):
    """What the migrations make: tables, indexes with whether they are unique, rules by table and kind."""

    tables: frozenset[str]
    indexes: frozenset[tuple[str, bool]]
    rules: Counter[tuple[str, str]]

    @classmethod
    def of(cls, sql: str) -> Made:
        """Read them off the text."""
        text = re.sub(r"--.*", "", sql)
        bodies = dict(re.findall(r"CREATE TABLE (\w+) \((.*?)\n\)", text, re.DOTALL))
        indexes = re.findall(r"CREATE (UNIQUE )?INDEX (\w+)", text)
        rules = Counter({
            (table, kind): len(re.findall(word, body))
            for table, body in bodies.items() for kind, word in WORDS.items()
        })  # fmt: skip
        return cls(frozenset(bodies), frozenset((name, bool(unique)) for unique, name in indexes), +rules)
