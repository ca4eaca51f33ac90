from __future__ import annotations

import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import psycopg
import pytest

from tests.lifecycle.project import alive, wait_until
from tests.postgres import keeper, server
from tests.postgres.ports import free_port
from tests.postgres.server import Server

Own = Callable[..., Server]


def count(found: Server, table: str = "kept") -> int:
    ((number,),) = found.execute(f"select count(*) from {table}")
    return int(number)


def test_a_server_comes_up_and_answers(postgres: Server) -> None:
    assert postgres.execute("show server_encoding") == [("UTF8",)]
    assert postgres.execute("select datcollate from pg_database where datname = 'jobrunner'") == [("C",)]


def test_it_answers_on_its_socket_too(postgres: Server) -> None:
    with psycopg.connect(postgres.dsn(), host=str(postgres.sockets)) as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def test_tests_are_owners_of_their_database_and_no_administrators(postgres: Server) -> None:
    with psycopg.connect(postgres.dsn()) as connection:
        rows = connection.execute("select rolsuper, rolcreatedb from pg_roles where rolname = current_user")
        assert rows.fetchall() == [(False, False)]


@pytest.mark.parametrize("fsync", [True, False])
def test_commits_reach_the_disk_unless_one_says_otherwise(fsync: bool, postgres_own: Own) -> None:
    made = postgres_own() if fsync else postgres_own(fsync=False)
    assert made.execute("show fsync") == [("on" if fsync else "off",)]


def test_a_restart_keeps_data_and_port_in_order_and_after_a_crash(postgres_own: Own) -> None:
    made = postgres_own()
    url = made.url("some")
    made.execute("create table kept as select 1 as number")
    modes: list[Literal["fast", "immediate"]] = ["fast", "immediate"]
    for mode in modes:
        made.execute("insert into kept values (2)")
        made.restart(mode)
    assert (count(made), made.url("some")) == (3, url)


def test_a_stopped_server_refuses_connections(postgres_own: Own) -> None:
    made = postgres_own(fsync=False)
    made.stop()
    with pytest.raises(psycopg.OperationalError, match="refused"):
        made.execute("select 1")


def test_settings_and_environment_reach_the_server(postgres_own: Own) -> None:
    made = postgres_own(settings={"work_mem": "5MB", "cluster_name": "it's"}, environment={"PGTZ": "UTC"})
    assert made.execute("show work_mem") == [("5MB",)]
    assert made.execute("show cluster_name") == [("it's",)]
    if Path("/proc/self").exists():
        assert b"PGTZ=UTC" in Path(f"/proc/{made.pid}/environ").read_bytes().split(b"\0")


def test_a_port_that_somebody_takes_first_is_no_obstacle(
    postgres: Server, postgres_own: Own, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports = [postgres.port, free_port()]
    monkeypatch.setattr(server, "free_port", lambda: ports.pop(0))
    assert postgres_own(fsync=False).execute("select 1") == [(1,)]
    assert ports == []


def test_a_frozen_server_leaves_a_client_waiting_until_its_patience_ends(postgres_own: Own) -> None:
    made = postgres_own(fsync=False)
    made.freeze()
    with pytest.raises(psycopg.errors.ConnectionTimeout):
        psycopg.connect(made.dsn(), connect_timeout=2)
    made.thaw()
    assert made.execute("select 1") == [(1,)]


def test_a_statement_on_a_frozen_server_is_answered_when_it_thaws(postgres_own: Own) -> None:
    made = postgres_own(fsync=False)
    with ThreadPoolExecutor() as pool, psycopg.connect(made.dsn()) as connection:
        made.freeze()
        asked = pool.submit(connection.execute, "select 1")
        with pytest.raises(TimeoutError):
            asked.result(timeout=0.3)
        made.thaw()
        assert asked.result(timeout=60).fetchone() == (1,)


@pytest.mark.parametrize("frozen", [False, True])
def test_closing_a_server_leaves_no_process_and_no_file(frozen: bool) -> None:
    made = Server(fsync=False).start()
    family = keeper.family(made.pid)
    assert len(family) > 1
    if frozen:
        made.freeze()
    made.close()
    wait_until(lambda: not any(map(alive, family)), "the server's processes to end")
    assert not made.folder.exists()


def test_a_killed_server_is_none_that_runs(postgres_own: Own) -> None:
    made = postgres_own(fsync=False)
    keeper.tell([made.pid], signal.SIGKILL)
    wait_until(lambda: keeper.postmaster(made.folder) is None, "the server to die")
    with pytest.raises(AssertionError, match="does not run"):
        _ = made.pid


def test_dropping_a_schema_throws_out_who_still_works_in_it(postgres: Server, postgres_schema: str) -> None:
    with psycopg.connect(postgres.dsn()) as connection:
        connection.execute(f"create schema {postgres_schema}".encode())
        connection.execute(f"create table {postgres_schema}.some (number int)".encode())
        connection.commit()
        connection.execute(f"insert into {postgres_schema}.some values (1)".encode())
        postgres.drop(postgres_schema)
        with pytest.raises(psycopg.OperationalError):
            connection.execute("select 1")
    assert postgres.execute("select 1 from pg_namespace where nspname = %s", [postgres_schema]) == []
