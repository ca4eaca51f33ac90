"""The state in one SQLite file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import apsw

from jobrunner.store.sql import SqlStore
from jobrunner.store.sqlite import migrate
from jobrunner.store.sqlite.connection import Database
from jobrunner.store.sqlite.faults import CAUGHT, translate

if TYPE_CHECKING:
    from jobrunner.store.base import Store
    from jobrunner.store.moving import Movable, Reading, Writing


class SqliteStore(SqlStore):
    """A `Store` (base.py has the conditions); here is what concerns the whole file."""

    _db: Database

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

    @staticmethod
    def version_of(path: str) -> int:
        """Return which version the file at `path` has. Raises StateError."""
        try:
            return migrate.found(path)
        except CAUGHT as error:
            raise translate(error, path) from error

    def close(self) -> None:
        """See `Store.close`."""
        self._db.close()

    def changed(self) -> bool:
        """See `Store.changed`."""
        return self._db.changed()

    def verify(self) -> None:
        """See `Store.verify`."""
        self._db.verify()

    def healthy(self) -> str:
        """See `Control.healthy`."""
        return str(self._db.pragma("quick_check(1)"))

    @contextmanager
    def reading(self, *, alone: bool = False) -> Iterator[Reading]:
        """See `Movable.reading`."""
        from jobrunner.store.sqlite.whole import Whole

        with self._db.transaction() if alone else self._db.snapshot():
            yield Whole(self._db)

    @contextmanager
    def writing(self) -> Iterator[Writing]:
        """See `Movable.writing`."""
        from jobrunner.store.sqlite.whole import Whole

        with self._db.transaction():
            yield Whole(self._db)

    def duplicate(self, path: str) -> bool:
        """See `Movable.duplicate`. Unlike a copy of the pages, this reads every row, so damage is found."""
        self._db.rows("VACUUM INTO ?", (path,))
        return True

    def info(self) -> Mapping[str, Any]:
        """See `Store.info`."""
        return {
            **super().info(),
            "bytes": self._db.size(),
            "journal_mode": self._db.pragma("journal_mode"),
            "library": f"SQLite {apsw.sqlite_lib_version()} (apsw {apsw.apsw_version()})",
        }


if TYPE_CHECKING:

    def _is_a_store(store: SqliteStore) -> Store:
        """Let mypy hold the class to the protocol."""
        return store

    def _is_movable(store: SqliteStore) -> Movable:
        """Let mypy hold it to this one, too."""
        return store
