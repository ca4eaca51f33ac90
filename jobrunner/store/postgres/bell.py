"""The doorbell over a database: a second connection that listens. A pooler of transactions has none."""

from __future__ import annotations

from contextlib import suppress

import psycopg

from jobrunner.store.postgres.address import Address
from jobrunner.store.postgres.bounded import Bounded, open_connection
from jobrunner.store.postgres.faults import CAUGHT, translate

RING = "SELECT pg_notify(?, '')"


def channel(schema: str) -> str:
    """Return the name under which the nodes of a schema listen."""
    return f"jobrunner_{schema}"


class Bell:
    """Hung when it is first asked for."""

    def __init__(self, address: Address, patience: float) -> None:
        self._address = address
        self._patience = patience
        self._connection: Bounded | None = None

    def descriptor(self) -> int:
        """Return what to wait on. Raises StateError."""
        try:
            if self._connection is None:
                self._connection = open_connection(self._address, self._patience)
                self._connection.execute(f'LISTEN "{channel(self._address.schema)}"')
            return self._connection.pgconn.socket
        except CAUGHT as error:
            self.close()
            raise translate(error, self._address.name) from error

    def hush(self) -> bool:
        """Take what has come; False when the connection is gone, which is closed then."""
        if self._connection is None:
            return False
        try:
            self._connection.pgconn.consume_input()
            while self._connection.pgconn.notifies() is not None:
                pass
        except psycopg.Error:
            self.close()
            return False
        return True

    def close(self) -> None:
        """Take it down."""
        if self._connection is not None:
            with suppress(Exception):
                self._connection.close()
        self._connection = None
