"""The state in one SQLite file. Each verb's statements stand right above it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, cast

import apsw

from jobrunner.store.sqlite.connection import Database
from jobrunner.store.sqlite.control import Control
from jobrunner.store.sqlite.documents import Documents
from jobrunner.store.sqlite.facts import Facts
from jobrunner.store.sqlite.housekeeping import Housekeeping
from jobrunner.store.sqlite.insight import Insight
from jobrunner.store.sqlite.logs import Logs
from jobrunner.store.sqlite.schedule import Schedule
from jobrunner.store.sqlite.waiting import Waiting

if TYPE_CHECKING:
    from jobrunner.store.base import Store


class SqliteStore(Documents, Waiting, Schedule, Facts, Control, Logs, Housekeeping, Insight):
    """A `Store` (base.py has the conditions); here is what concerns the whole file."""

    def __init__(self, url: str, database: Database) -> None:
        super().__init__(database)
        self.url = url
        self._currents = self._read_currents()

    @classmethod
    def open(
        cls,
        url: str,
        path: str,
        *,
        create: bool = False,
        patience: float = 5.0,
        allow_network_fs: bool = False,
        durable: bool = True,
    ) -> SqliteStore:
        """Open the file at `path`. Raises StateError."""
        database = Database.open(
            path, create=create, patience=patience, allow_network_fs=allow_network_fs, durable=durable
        )
        try:
            return cls(url, database)
        except BaseException:
            database.close()
            raise

    def close(self) -> None:
        """See `Store.close`."""
        self._db.close()

    def transaction(self) -> AbstractContextManager[None]:
        """See `Store.transaction`. What fails inside dooms it, even if the error is caught there."""
        return self._db.transaction()

    def changed(self) -> bool:
        """See `Store.changed`."""
        return self._db.changed()

    CURRENTS = "SELECT currents FROM meta"

    def definitions_changed(self) -> bool:
        """See `Store.definitions_changed`."""
        before, self._currents = self._currents, self._read_currents()
        return before != self._currents

    def _read_currents(self) -> int:
        row = self._db.row(self.CURRENTS)
        return cast(int, row[0]) if row else 0

    def verify(self) -> None:
        """See `Store.verify`."""
        self._db.verify()

    INFO = "SELECT version, min_reader, state_id, created_at FROM meta"

    def info(self) -> Mapping[str, Any]:
        """Return version, min_reader, state_id, created_at, bytes, journal_mode, library and path."""
        version, min_reader, state_id, created_at = self._db.row(self.INFO) or (0, 0, "", 0)
        return {
            "version": version,
            "min_reader": min_reader,
            "state_id": state_id,
            "created_at": created_at,
            "bytes": self._db.size(),
            "journal_mode": self._db.pragma("journal_mode"),
            "library": f"SQLite {apsw.sqlite_lib_version()} (apsw {apsw.apsw_version()})",
            "path": self._db.path,
        }


if TYPE_CHECKING:

    def _is_a_store(store: SqliteStore) -> Store:
        """Let mypy hold the class to the protocol."""
        return store
