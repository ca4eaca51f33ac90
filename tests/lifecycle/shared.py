"""A project whose state is in a database, and what a test sees of its nodes there."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from jobrunner.store import open_store
from jobrunner.store.postgres.dialect import TABLES
from tests.lifecycle.project import Project, wait_until
from tests.postgres.server import Server


class Shared(Project):
    """Its leases are short. Nodes find the database at `url`, perhaps a proxy's; tests ask the server."""

    lease = 2.0

    def __init__(
        self, root: Path, server: Server, schema: str, url: str | None = None, *, grace: str = "200ms"
    ) -> None:
        super().__init__(root)
        self.url = url or server.url(schema)
        self.environment |= {
            "JOBRUNNER_STATE": self.url,
            "JOBRUNNER_LEASE": f"{self.lease:g}s",
            "JOBRUNNER_GRACE": grace,
        }
        self._server, self._schema = server, schema
        self._line: psycopg.Connection | None = None
        open_store(server.url(schema), create=True).close()

    def living(self) -> dict[str, int]:
        """Return the nodes that have joined, each with the moment when it was last seen."""
        return dict(self.ask("SELECT node, seen_at FROM {schema}.nodes"))

    def join(self, name: str) -> subprocess.Popen[bytes]:
        """Start a node of that name, and wait until it is one of them."""
        node = self.start("--node", name)
        wait_until(lambda: name in self.living(), f"{name} to join")
        return node

    def states(self, job: str) -> list[str]:
        """Return the states of a job's runs, oldest first, as the database has them."""
        rows = self.ask(
            "SELECT r.state FROM {schema}.runs r JOIN {schema}.jobs j ON j.id = r.job_id"
            f" WHERE j.name = '{job}' ORDER BY r.id"
        )
        return [row[0] for row in rows]

    def content(self) -> bytes:
        """Return all that is in the state."""
        rows = [row for table in TABLES for row in self.ask(f"SELECT * FROM {{schema}}.{table}")]
        return repr(rows).encode()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Let nobody write to the state meanwhile."""
        with psycopg.connect(self._server.dsn()) as connection:
            connection.execute(f'SELECT 1 FROM "{self._schema}".meta FOR UPDATE'.encode())
            yield

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """Return the rows of a statement, in which `{schema}` stands before the names of tables.

        Tests ask all the time, and a connection costs more than an answer: it is kept while it can be.
        """
        statement = sql.format(schema=f'"{self._schema}"').encode()
        if self._line is not None:
            try:
                return self._line.execute(statement).fetchall()
            except psycopg.OperationalError:
                self._hang_up()
        self._line = self._server.connect()
        self._line.prepare_threshold = None  # what tests ask is not to be taken for what nodes do
        return self._line.execute(statement).fetchall()

    def end(self) -> None:
        """Kill what the test started and left running."""
        super().end()
        self._hang_up()

    def _hang_up(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None
