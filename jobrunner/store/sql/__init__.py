"""The verbs of a store in SQL, for each database that speaks it. Their statements stand right above them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, cast

from jobrunner.clock import Clock
from jobrunner.store.sql.control import Control
from jobrunner.store.sql.database import Database
from jobrunner.store.sql.documents import Documents
from jobrunner.store.sql.facts import Facts
from jobrunner.store.sql.housekeeping import Housekeeping
from jobrunner.store.sql.insight import Insight
from jobrunner.store.sql.logs import Logs
from jobrunner.store.sql.moving import Moving
from jobrunner.store.sql.schedule import Schedule
from jobrunner.store.sql.waiting import Waiting


class SqlStore(Documents, Waiting, Schedule, Facts, Control, Logs, Housekeeping, Insight, Moving):
    """All verbs of a `Store` (base.py has the conditions) but those that concern its place.

    Those are `close`, `changed`, `healthy`, and what `info` says of its size and library. As it stands it is
    a store in a file: nodes live by locks, on one machine. `Company` has what is to be replaced elsewhere.
    """

    def __init__(self, url: str, database: Database) -> None:
        super().__init__(database)
        self.url = url
        self._currents = self._read_currents()

    def transaction(self) -> AbstractContextManager[None]:
        """See `Store.transaction`. What fails inside dooms it, even if the error is caught there."""
        return self._db.transaction()

    def verify(self) -> None:
        """See `Store.verify`. Of a database the next statement tells."""

    # -- for a store in a file, the machine does all of this ---------------------------------------

    @property
    def leased(self) -> bool:
        """See `Company.leased`."""
        return False

    def clock(self, local: Clock) -> Clock:
        """See `Company.clock`."""
        return local

    def ring(self) -> None:
        """See `Company.ring`; the bells of its nodes hang in its folder."""

    def bell(self) -> int | None:
        """See `Company.bell`."""
        return None

    def hush(self) -> bool:
        """See `Company.hush`."""
        return True

    def came_through(self) -> bool:
        """See `Company.came_through`; of a file it is always known."""
        return False

    CURRENTS = "SELECT currents FROM meta"

    def definitions_changed(self) -> bool:
        """See `Store.definitions_changed`."""
        before, self._currents = self._currents, self._read_currents()
        return before != self._currents

    def _read_currents(self) -> int:
        row = self._db.row(self.CURRENTS)
        return cast(int, row[0]) if row else 0

    META = "SELECT version, min_reader, state_id, created_at FROM meta"

    def info(self) -> Mapping[str, Any]:
        """See `Store.info`; a database adds `bytes` and `library`."""
        version, min_reader, state_id, created_at = self._db.row(self.META) or (0, 0, "", 0)
        found = {"version": version, "min_reader": min_reader, "state_id": state_id}
        return {**found, "created_at": created_at, "path": self._db.name, "journal_mode": None}
