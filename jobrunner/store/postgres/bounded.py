"""A connection to the server, as psycopg makes it, but one on which nobody waits for ever."""

from __future__ import annotations

from typing import TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.types.numeric import Int8Dumper

from jobrunner.store.postgres.address import Address
from jobrunner.store.sql.database import Row

T = TypeVar("T")

PREPARED = 300  # statements that a connection keeps, more than there are


class Bounded(psycopg.Connection[Row]):
    """A connection each call of which ends in time, even where the server does not say a word."""

    limit = 5.0  # seconds

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        """Wait for an answer. Raises psycopg.OperationalError when there is none in time."""
        return super().wait(gen, interval, self.limit if timeout is None else timeout)


def open_connection(address: Address, patience: float) -> Bounded:
    """Connect; each call of the connection then takes at most about `patience` seconds.

    Raises psycopg.Error.
    """
    connection = Bounded.connect(**address.params, autocommit=True, prepare_threshold=None)
    connection.limit = patience + 1.0  # the server's own limits come first
    connection.prepared_max = PREPARED
    connection.adapters.register_dumper(int, Int8Dumper)  # else each size of a number is another statement
    return connection
