"""A PostgreSQL server in a temporary folder, for tests to stop, freeze, copy and promote."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import psycopg

from tests.lifecycle.project import wait_until
from tests.postgres import keeper
from tests.postgres.binaries import Binaries, NoServer, binaries, servant, within_reach
from tests.postgres.ports import free_port

LOOPBACK = "127.0.0.1"
ADMIN = "postgres"
USER = DATABASE = "jobrunner"
PATIENCE = 60  # seconds for pg_ctl
STARTS = 5  # somebody else may take the port we chose
SETTINGS = {
    "max_connections": "300",  # all workers' nodes share one server
    "shared_buffers": "16MB",
    "max_wal_size": "256MB",
    "wal_keep_size": "128MB",  # what a replica may miss
    "wal_retrieve_retry_interval": "200ms",  # how soon it asks again
    "logging_collector": "off",
    "log_line_prefix": "%m [%p] ",
}


def url_of(port: int, schema: str, host: str = LOOPBACK) -> str:
    """Return what JOBRUNNER_STATE takes."""
    return f"postgresql://{USER}@{host}:{port}/{DATABASE}?schema={schema}"


def dsn_of(port: int, host: str = LOOPBACK, user: str = USER) -> str:
    """Return what psycopg takes."""
    return f"host={host} port={port} user={user} dbname={DATABASE}"


class Server:
    """One server; `with Server() as server:` starts it and takes everything away afterwards.

    `folder` is its alone (on a small disk, say), made if need be and removed at the end. `address` is where
    it listens; another one than loopback lets in who is on its subnet. `environment` is added to that of its
    processes.
    """

    def __init__(
        self, *, folder: Path | None = None, address: str = LOOPBACK, fsync: bool = True,
        settings: Mapping[str, str] | None = None, environment: Mapping[str, str] | None = None,
        primary: Server | None = None,
    ) -> None:  # fmt: skip
        self._offered: Binaries = binaries()
        self.address = address
        self.port = 0
        self._settings = {**SETTINGS, "fsync": "on" if fsync else "off", **(settings or {})}
        self._environment = dict(environment or {})
        self._primary = primary
        self._name = f"follower_{secrets.token_hex(4)}"  # as its primary knows it
        self._take(folder or Path(tempfile.mkdtemp(prefix="jobrunner-pg-")))

    @classmethod
    def at(cls, folder: Path) -> Server | None:
        """Join a server that another process has started; None when there is none."""
        try:
            known = json.loads((folder / "server.json").read_text("utf-8"))
        except FileNotFoundError:
            return None
        joined = cls.__new__(cls)
        joined.folder, joined._lease, joined._primary = folder, keeper.lease(folder), None
        joined._environment = known["environment"]
        joined.address, joined.port = known["address"], known["port"]
        joined.binaries = Binaries(Path(known["binaries"]), known["source"])
        return joined

    def _take(self, folder: Path) -> None:
        """Make the folder this server's, and see to its end before there is anything to end."""
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self._lease: int | None = keeper.lease(folder)
        keeper.keep(folder)
        self.binaries: Binaries = within_reach(self._offered, folder)
        (folder / "sockets").mkdir()
        owner = servant()
        if owner:
            for each in (folder, folder / "sockets"):
                os.chown(each, owner["user"], owner["group"])

    # --- its life ----------------------------------------------------------------------------------

    def start(self) -> Self:
        """Start the server, made first if need be, and wait until it answers."""
        if self.port:
            self._pg_ctl("start", "-l", str(self.log))
            return self
        self._initdb() if self._primary is None else self._basebackup(self._primary)
        self._first_start()
        if self._primary is None:
            self._provide()
        return self

    def stop(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Stop the server: in order, or as a crash would ("immediate"). Its port and its data stay."""
        self._pg_ctl("stop", "-m", mode)

    def restart(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Stop and start the server."""
        self.stop(mode)
        self.start()

    def freeze(self) -> None:
        """Stop all processes of the server where they are; their connections stay open."""
        pid = self.pid
        keeper.tell([pid], signal.SIGSTOP)  # first, so that it makes no more of them
        keeper.tell(keeper.family(pid), signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen server go on."""
        keeper.tell(keeper.family(self.pid), signal.SIGCONT)

    def promote(self) -> None:
        """Make a replica a primary, and wait until it takes writes."""
        self._pg_ctl("promote")
        self._primary = None

    def replica(self, *, synchronous: bool = False, fsync: bool = True) -> Server:
        """Return another server, started, that follows this one.

        With `synchronous`, a commit here is answered when the replica has written it, too.
        """
        made = Server(address=self.address, fsync=fsync, primary=self)
        try:
            made.start()
            wait_until(lambda: self._follower(made._name) is not None, "the replica to follow")
            if synchronous:
                self.execute(f"alter system set synchronous_standby_names = '{made._name}'")
                self.execute("select pg_reload_conf()")
                wait_until(lambda: self._follower(made._name) == "sync", "the replica to be synchronous")
        except BaseException:
            made.close()
            raise
        return made

    def close(self) -> None:
        """End the server, whatever its state, and remove its folder."""
        if self._lease is not None:
            keeper.end(self.folder)
            os.close(self._lease)
            self._lease = None

    def leave(self) -> None:
        """Have no more to do with the server; it ends when all its users have left."""
        if self._lease is not None:
            os.close(self._lease)
            self._lease = None

    def __enter__(self) -> Self:
        try:
            return self if self.port else self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- speaking with it --------------------------------------------------------------------------

    def url(self, schema: str) -> str:
        """Return what JOBRUNNER_STATE takes."""
        return url_of(self.port, schema, self.address)

    def dsn(self, user: str = USER) -> str:
        """Return what psycopg takes."""
        return dsn_of(self.port, self.address, user)

    def execute(self, sql: str, parameters: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
        """Execute an administrator's statement in a connection of its own and return the rows."""
        with self.connect() as connection:
            cursor = connection.execute(sql.encode(), parameters)
            return cursor.fetchall() if cursor.description else []

    def connect(self) -> psycopg.Connection:
        """Return an administrator's connection."""
        return psycopg.connect(self.dsn(ADMIN), autocommit=True, connect_timeout=PATIENCE)

    def drop(self, schema: str) -> None:
        """Remove a schema with all that is in it; who still works in it is thrown out."""
        statement = f'drop schema if exists "{schema}" cascade'
        try:
            self.execute(f"set lock_timeout = '1s'; {statement}")
        except psycopg.errors.LockNotAvailable:
            self.execute(
                "select pg_terminate_backend(pid) from pg_locks join pg_class on relation = pg_class.oid"
                " where relnamespace::regnamespace::text = %s and pid <> pg_backend_pid()",
                [schema],
            )
            self.execute(statement)

    def caught_up(self) -> None:
        """Wait until this replica shows all that its primary has committed by now."""
        assert self._primary is not None, "a replica has a primary"
        ((position,),) = self._primary.execute("select pg_current_wal_lsn()::text")
        behind = "select pg_wal_lsn_diff(%s::pg_lsn, pg_last_wal_replay_lsn()) > 0"
        wait_until(lambda: self.execute(behind, [position]) == [(False,)], "the replica to catch up")

    @property
    def pid(self) -> int:
        """Return the process of the server; fail when it does not run."""
        found = keeper.postmaster(self.folder)
        assert found is not None, "the server does not run"
        return found

    @property
    def data(self) -> Path:
        """Return the folder with the data."""
        return self.folder / "data"

    @property
    def sockets(self) -> Path:
        """Return the folder with the unix socket: libpq's `host`."""
        return self.folder / "sockets"

    @property
    def log(self) -> Path:
        """Return the file that the server writes its messages to."""
        return self.folder / "log"

    # --- within ------------------------------------------------------------------------------------

    def _initdb(self) -> None:
        self._run(
            "initdb", "--pgdata", str(self.data), "--username", ADMIN, "--auth", "trust", "--no-sync",
            "--encoding", "UTF8", "--locale", "C",
        )  # fmt: skip

    def _basebackup(self, primary: Server) -> None:
        self._run(
            "pg_basebackup", "--pgdata", str(self.data), "--write-recovery-conf", "--checkpoint", "fast",
            "--no-sync", "--dbname", f"{primary.dsn(ADMIN)} application_name={self._name}",
        )  # fmt: skip

    def _first_start(self) -> None:
        """Start on a free port; when somebody was quicker, on another."""
        for attempt in range(1, STARTS + 1):
            self.port = free_port()
            self._configure()
            try:
                self._pg_ctl("start", "-l", str(self.log))
                break
            except NoServer as error:
                if attempt == STARTS or "Address already in use" not in str(error):
                    raise
        self._announce()

    def _configure(self) -> None:
        """Write the settings; a later line counts more than an earlier one."""
        settings = {
            **self._settings, "port": str(self.port), "listen_addresses": self.address,
            "unix_socket_directories": f'"{self.sockets}"',
        }  # fmt: skip
        with (self.data / "postgresql.conf").open("a", encoding="utf-8") as file:
            for name, value in settings.items():
                quoted = value.replace("'", "''")
                file.write(f"{name} = '{quoted}'\n")
        if self.address != LOOPBACK:
            with (self.data / "pg_hba.conf").open("a", encoding="utf-8") as file:
                file.write("host all all samenet trust\nhost replication all samenet trust\n")

    def _announce(self) -> None:
        """Write down what another process needs to join; whole at once."""
        draft = self.folder / "server.draft"
        draft.write_text(json.dumps({
            "address": self.address, "port": self.port, "environment": self._environment,
            "binaries": str(self.binaries.folder), "source": self.binaries.source,
        }), "utf-8")  # fmt: skip
        draft.replace(self.folder / "server.json")

    def _provide(self) -> None:
        """Make the role and the database that tests use; an owner, no administrator."""
        with psycopg.connect(f"{self.dsn(ADMIN)} dbname=postgres", autocommit=True) as connection:
            connection.execute(f"create role {USER} login".encode())
            connection.execute(f"create database {DATABASE} owner {USER}".encode())

    def _follower(self, name: str) -> str | None:
        """Return how a replica follows: "async" or "sync"; None when it does not."""
        asked = (
            "select sync_state from pg_stat_replication where state = 'streaming' and application_name = %s"
        )
        rows = self.execute(asked, [name])
        return str(rows[0][0]) if rows else None

    def _pg_ctl(self, *arguments: str) -> None:
        self._run("pg_ctl", arguments[0], "-D", str(self.data), "-w", "-t", str(PATIENCE), *arguments[1:])

    def _run(self, program: str, *arguments: str) -> None:
        # an environment of our own: PGHOST or a foreign locale change what these programs do
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "LC_ALL": "C",
            "TZ": "UTC",
            **self._environment,
        }
        done = subprocess.run(
            [self.binaries[program], *arguments], cwd=self.folder, env=environment, capture_output=True,
            text=True, errors="replace", stdin=subprocess.DEVNULL, check=False, **servant(),
        )  # fmt: skip
        if done.returncode:
            said = self.log.read_text("utf-8", "replace")[-2000:] if self.log.exists() else ""
            raise NoServer(f"{program} {arguments[0]} failed:\n{done.stdout}{done.stderr}{said}")
