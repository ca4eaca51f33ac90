from __future__ import annotations

import os
from pathlib import Path

import psycopg
import pytest

from tests.lifecycle.project import alive, wait_until
from tests.postgres import keeper
from tests.postgres.server import ADMIN, Server
from tests.system.pooler import Pooler


def test_a_pooler_passes_on_to_the_server(pooler: Pooler, postgres: Server) -> None:
    with psycopg.connect(pooler.dsn()) as connection:
        assert connection.execute("show port").fetchone() == (str(postgres.port),)


def test_two_clients_take_turns_on_one_connection_between_transactions(postgres: Server) -> None:
    with Pooler(postgres, {"default_pool_size": "1"}) as pooler:
        dsn = pooler.dsn()
        with psycopg.connect(dsn, autocommit=True) as one, psycopg.connect(dsn, autocommit=True) as two:
            pids = [each.execute("select pg_backend_pid()").fetchone() for each in (one, two)]
    assert pids[0] == pids[1]


def test_a_plain_pooler_refuses_start_up_options(pooler: Pooler) -> None:
    with pytest.raises(psycopg.OperationalError, match="unsupported startup parameter"):
        psycopg.connect(pooler.dsn(), options="-c search_path=some")


def test_its_console_is_there_for_administrators(pooler: Pooler) -> None:
    with psycopg.connect(pooler.dsn(ADMIN), dbname="pgbouncer", autocommit=True) as console:
        cursor = psycopg.ClientCursor(console)
        shown = {row[0]: row[1] for row in cursor.execute("show config").fetchall()}
    assert shown["pool_mode"] == "transaction"
    assert shown["ignore_startup_parameters"] == ""


def test_a_pooler_runs_as_nobody_and_leaves_nothing(postgres: Server) -> None:
    with Pooler(postgres) as pooler:
        pid = keeper.postmaster(pooler.folder)
        assert pid is not None
        assert os.stat(f"/proc/{pid}").st_uid != 0
    wait_until(lambda: not alive(pid), "the pooler to end")
    assert not pooler.folder.exists()
    assert Path(f"/proc/{postgres.pid}").exists()
