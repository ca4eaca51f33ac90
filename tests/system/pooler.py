"""PgBouncer as it is installed, before a server of ours."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg

from tests.lifecycle.project import wait_until
from tests.postgres import keeper
from tests.postgres.binaries import servant
from tests.postgres.ports import free_port
from tests.postgres.server import ADMIN, LOOPBACK, USER, Server, dsn_of, url_of

STARTS = 5  # somebody else may take the port we chose


class Pooler:
    """A pooler in transaction mode with all else as it comes; `settings` are lines of `[pgbouncer]`."""

    def __init__(self, server: Server, settings: Mapping[str, str] | None = None) -> None:
        self._server = server
        self._settings = {"pool_mode": "transaction", **(settings or {})}
        self.port = 0
        self.folder = Path(tempfile.mkdtemp(prefix="jobrunner-pooler-"))
        self._lease = keeper.lease(self.folder)
        keeper.keep(self.folder)

    def start(self) -> Self:
        """Start the pooler, and wait until it answers."""
        for attempt in range(1, STARTS + 1):
            self.port = free_port()
            try:
                self._run("pgbouncer", "--daemon", str(self._configured()))
                break
            except OSError as error:
                if attempt == STARTS or "Address already in use" not in str(error):
                    raise
        wait_until(self._answers, "the pooler to answer")
        return self

    def url(self, schema: str) -> str:
        """Return what JOBRUNNER_STATE takes."""
        return url_of(self.port, schema)

    def dsn(self, user: str = USER) -> str:
        """Return what psycopg takes."""
        return dsn_of(self.port, user=user)

    @property
    def log(self) -> Path:
        """Return the file that the pooler writes its messages to."""
        return self.folder / "log"

    def close(self) -> None:
        """End the pooler, and its connections."""
        keeper.end(self.folder)
        os.close(self._lease)

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _configured(self) -> Path:
        settings = {
            **self._settings, "listen_addr": LOOPBACK, "listen_port": str(self.port), "unix_socket_dir": "",
            "auth_type": "trust", "auth_file": str(self.folder / "users"), "admin_users": ADMIN,
            "logfile": str(self.log), "pidfile": str(self.folder / "pid"),
        }  # fmt: skip
        lines = [f"{name} = {value}" for name, value in settings.items()]
        database = f"* = host={self._server.address} port={self._server.port}"
        (self.folder / "users").write_text(f'"{USER}" ""\n"{ADMIN}" ""\n', "utf-8")
        written = self.folder / "pgbouncer.ini"
        written.write_text("\n".join(["[databases]", database, "[pgbouncer]", *lines, ""]), "utf-8")
        for each in (self.folder, written, self.folder / "users"):
            os.chown(each, servant()["user"], servant()["group"])
        return written

    def _run(self, *command: str) -> None:
        done = subprocess.run(
            command, cwd=self.folder, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False,
            **servant(),
        )  # fmt: skip
        if done.returncode:
            raise OSError(f"{command[0]} failed: {done.stdout}{done.stderr}")

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.dsn()).close()
        except psycopg.OperationalError:
            return False
        return True
