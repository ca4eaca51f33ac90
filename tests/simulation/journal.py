"""The state's own diary: triggers note what each commit has made of cursors and runs, in its order.

They are written by the database, not by the program, and are rolled back with what they tell of. So whatever
the program believes it has done, this is what was so.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from jobrunner.store.sqlite import SqliteStore

CURSOR = ("job_id", "scope", "schedule_key", "consumed", "anchor", "executions")
RUN = (
    "id", "job_id", "trigger", "scope", "scheduled_for", "effective_at", "attempt", "root_id", "state",
    "reason", "exclusive", "delivery", "owner", "fence", "started_at", "count", "last_for", "asked",
    "run_group", "undo", "blocked_by", "began_at",
)  # fmt: skip
# What nodes go by at that moment: the pause, whether somebody has enabled the job, what its definition says.
AROUND = """
    'paused', (SELECT paused_at IS NOT NULL FROM meta),
    'override', (SELECT enabled_override FROM jobs WHERE id = {row}.job_id),
    'hash', (SELECT definition_hash FROM jobs WHERE id = {row}.job_id),
    'open', (SELECT count(*) FROM runs o WHERE o.job_id = {row}.job_id AND o.scope = {row}.scope
             AND o.state IN ('pending', 'running', 'waiting'))"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One change. `before` is None for what is new, `after` for what was deleted.

    `at` is the world's time, `wall` the clock that the actor went by, both in microseconds; `since` is when
    the actor's look began, as it may have been stopped in the middle.
    """

    number: int
    what: str
    at: int
    wall: int
    who: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    around: dict[str, Any]

    @property
    def row(self) -> dict[str, Any]:
        """What it is about."""
        return self.after or self.before or {}

    @property
    def place(self) -> tuple[int, str]:
        """The job's id and the scope."""
        return self.row["job_id"], self.row["scope"]

    def became(self, key: str, value: Any) -> bool:
        """Say whether this change has given it this value."""
        if self.after is None or self.after[key] != value:
            return False
        return self.before is None or self.before[key] != value


def _image(row: str, columns: tuple[str, ...]) -> str:
    return "json_object(" + ", ".join(f"'{name}', {row}.{name}" for name in columns) + ")"


def _trigger(table: str, columns: tuple[str, ...], verb: str, of: str = "") -> str:
    before = _image("OLD", columns) if verb != "INSERT" else "NULL"
    after = _image("NEW", columns) if verb != "DELETE" else "NULL"
    around = AROUND.format(row="OLD" if verb == "DELETE" else "NEW")
    return f"""
        CREATE TRIGGER sim_{table}_{verb.lower()} AFTER {verb}{of} ON {table} BEGIN
            INSERT INTO sim_journal (what, stamp, before, after, around)
            VALUES ('{table}', sim_stamp(), {before}, {after}, json_object({around}));
        END"""


def install(store: SqliteStore) -> None:
    """Have a state keep its diary."""
    database = store._db
    database.rows("""
        CREATE TABLE sim_journal (number INTEGER PRIMARY KEY, what TEXT, stamp TEXT, before TEXT,
                                  after TEXT, around TEXT) STRICT""")
    for table, columns in (("cursors", CURSOR), ("runs", RUN)):
        of = " OF " + ", ".join(columns)
        database.rows(_trigger(table, columns, "INSERT"))
        database.rows(_trigger(table, columns, "UPDATE", of))
        database.rows(_trigger(table, columns, "DELETE"))


def read(store: SqliteStore) -> list[Entry]:
    """Return what it tells."""
    return list(_entries(store))


def _entries(store: SqliteStore) -> Iterator[Entry]:
    found = store._db.rows("SELECT number, what, stamp, before, after, around FROM sim_journal")
    for number, what, stamp, before, after, around in found:
        at, wall, who = stamp.split(" ")
        yield Entry(number, what, int(at), int(wall), who, _loads(before), _loads(after), json.loads(around))


def _loads(text: str | None) -> dict[str, Any] | None:
    return None if text is None else json.loads(text)
