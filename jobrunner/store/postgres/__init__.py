"""The state in one schema of a PostgreSQL database: many machines may share it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg

from jobrunner.clock import SECOND, Clock
from jobrunner.facts import NodeFacts
from jobrunner.store.postgres import migrate
from jobrunner.store.postgres.address import Address
from jobrunner.store.postgres.bell import RING, Bell, channel
from jobrunner.store.postgres.bounded import open_connection
from jobrunner.store.postgres.bulk import ALONE, LOOK, WRITE, Bulk, quoted
from jobrunner.store.postgres.clock import ServerClock
from jobrunner.store.postgres.connection import FROZEN, Database
from jobrunner.store.postgres.faults import CAUGHT, translate
from jobrunner.store.postgres.whole import Whole, flaws
from jobrunner.store.sql import SqlStore
from jobrunner.store.sql.calls import Calls
from jobrunner.store.sql.runs import Runs

if TYPE_CHECKING:
    from jobrunner.store.base import Store
    from jobrunner.store.moving import Movable, Reading, Writing

NOW = "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)"  # microseconds


class PostgresStore(SqlStore):
    """A `Store` (base.py has the conditions); here is what PostgreSQL says in its own words."""

    _db: Database

    def __init__(self, url: str, database: Database) -> None:
        super().__init__(url, database)
        self._bell = Bell(database.address, database.patience)

    @classmethod
    def open(cls, url: str, *, create: bool = False, patience: float = 5.0) -> PostgresStore:
        """Open the schema that `url` names. Raises StateError."""
        address = Address.of(url, patience)
        database = Database(address, patience, lambda *found: migrate.check(address.name, *found))
        try:
            database.prepare(lambda connection: migrate.prepare(connection, address, create=create))
            database.changed()  # what was there before is no change
            return cls(url, database)
        except BaseException:
            database.close()
            raise

    @staticmethod
    def version_of(url: str, *, patience: float = 5.0) -> int:
        """Return which version the schema has that `url` names. Raises StateError."""
        address = Address.of(url, patience)
        try:
            with open_connection(address, max(patience, 2.0)) as connection:
                return migrate.found(connection, address)
        except CAUGHT as error:
            raise translate(error, address.name) from error

    def close(self) -> None:
        """See `Store.close`."""
        self._bell.close()
        self._db.close()

    def changed(self) -> bool:
        """See `Store.changed`."""
        return self._db.changed()

    # -- company -------------------------------------------------------------------------------------

    @property
    def leased(self) -> bool:
        """See `Company.leased`."""
        return True

    TIME = f"SELECT {NOW}"

    def clock(self, local: Clock) -> Clock:
        """See `Company.clock`; each transaction tells it more exactly."""
        found = ServerClock(local)
        self._db.hear = found.hear
        asked = time.monotonic()
        row = self._db.row(self.TIME)
        assert row is not None
        found.hear(row[0], time.monotonic() - asked)
        return found

    def ring(self) -> None:
        """See `Company.ring`."""
        self._db.rows(RING, (channel(self._db.schema),))

    def bell(self) -> int | None:
        """See `Company.bell`. Behind a pooler nobody can listen: nodes look by themselves, each second."""
        self._db.connect()
        return None if self._db.pooled else self._bell.descriptor()

    def hush(self) -> bool:
        """See `Company.hush`."""
        return self._bell.hush()

    def came_through(self) -> bool:
        """See `Company.came_through`."""
        return self._db.came_through()

    SEEN = f"""
        UPDATE nodes SET seen_at = CASE WHEN lease > 0 THEN {NOW} ELSE ?2 END
        WHERE owner = ?1"""  # noqa: S608

    def join(self, node: NodeFacts) -> None:
        """See `Store.join`; its lease begins by the server's clock.

        Who stops in the midst of a transaction must not keep the others from renewing theirs.
        """
        with self._db.transaction():
            super().join(node)
            self.seen(node.owner, node.seen_at)
        if node.lease:
            self._db.limit_silence(min(FROZEN, node.lease / SECOND / 4))

    # -- in other words ------------------------------------------------------------------------------

    # while the server was down nobody could renew a lease: it counts from its start again
    NODES = f"""
        SELECT owner, node, machine, boot_id, pid, version, slots, exclusive, started_at, seen_at, role,
               labels, timezone, tzdata, lease,
               lease > 0 AND {NOW} > lease + greatest(
                   seen_at, CAST(extract(epoch FROM pg_postmaster_start_time()) * 1000000 AS bigint))
        FROM nodes ORDER BY started_at, owner"""  # noqa: S608

    TO_UNDO = """
        SELECT EXISTS (
            SELECT 1 FROM steps WHERE root_id = ? AND undo IS NOT NULL AND undone IS DISTINCT FROM 'done'
            AND (state IN ('done', 'outdated') OR CAST(undo AS json) ->> 'given' = 'true'))"""

    JOB_ENDED = Runs.JOB_ENDED.replace(
        Runs.LONGER,
        """CASE WHEN CAST(:took AS bigint) IS NULL THEN durations
                ELSE CAST((CASE WHEN jsonb_array_length(CAST(durations AS jsonb)) < :most
                           THEN CAST(durations AS jsonb) ELSE CAST(durations AS jsonb) - 0 END)
                          || to_jsonb(CAST(:took AS bigint)) AS text) END""",
    )

    # a standby that took over may have lost numbers given out: those of a later timeline are above them all
    FENCES = """
        UPDATE meta SET fence = fence + ?1, timeline = now.timeline
        FROM (SELECT CAST(CAST('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) AS bit(32))
                          AS bigint) AS timeline) AS now
        RETURNING fence + now.timeline * 4294967296"""

    # elements as they are written: as text, \\u0000 would be refused
    CALLS = Calls.CALLS.replace(":id + key", ":id + key - 1").replace(
        "FROM json_each(:params)",
        "FROM json_array_elements(CAST(:params AS json)) WITH ORDINALITY AS each (value, key)",
    )

    RESERVE = "SELECT setval(CAST(? AS regclass), nextval(CAST(?1 AS regclass)) + ?2 - 1)"

    def reserve(self, count: int) -> int:
        """See `Calls.reserve`."""
        with self._db.transaction():
            row = self._db.row(self.RESERVE, (quoted(self._db.schema, "runs_id_seq"), count))
        assert row is not None
        return int(row[0]) - count + 1

    def healthy(self) -> str:
        """See `Control.healthy`: the schema is whole and in force, and no page known to be damaged."""
        return "; ".join(flaws(self._db)) or "ok"

    @contextmanager
    def reading(self, *, alone: bool = False) -> Iterator[Reading]:
        """See `Movable.reading`."""
        with Bulk.begun(self._db.address, self._db.patience, ALONE if alone else LOOK) as bulk:
            yield Whole(bulk)

    @contextmanager
    def writing(self) -> Iterator[Writing]:
        """See `Movable.writing`."""
        with Bulk.begun(self._db.address, self._db.patience, WRITE) as bulk:
            yield Whole(bulk)

    def duplicate(self, path: str) -> bool:
        """See `Movable.duplicate`."""
        return False

    SIZE_OF_ALL = """
        SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = ? AND c.relkind = 'r'"""
    SERVER = "SELECT current_setting('server_version')"

    def info(self) -> Mapping[str, Any]:
        """See `Store.info`."""
        size = self._db.row(self.SIZE_OF_ALL, (self._db.schema,)) or (0,)
        server = self._db.row(self.SERVER) or ("",)
        return {
            **super().info(),
            "bytes": int(size[0]),
            "library": f"PostgreSQL {server[0]} (psycopg {psycopg.__version__})",
        }


if TYPE_CHECKING:

    def _is_a_store(store: PostgresStore) -> Store:
        """Let mypy hold the class to the protocol."""
        return store

    def _is_movable(store: PostgresStore) -> Movable:
        """Let mypy hold it to this one, too."""
        return store
