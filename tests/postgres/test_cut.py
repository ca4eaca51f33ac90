from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import psycopg
import pytest

from tests.lifecycle.project import wait_until
from tests.postgres.cut import Cut
from tests.postgres.server import Server


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor() as made:
        yield made


@pytest.fixture
def connection(postgres_cut: Cut) -> Iterator[psycopg.Connection[Any]]:
    with closing(psycopg.connect(postgres_cut.dsn(), autocommit=True)) as made:
        yield made


def test_a_cut_connection_raises_at_once_and_new_ones_are_refused(
    postgres_cut: Cut, connection: psycopg.Connection[Any]
) -> None:
    postgres_cut.cut()
    with pytest.raises(psycopg.OperationalError):
        connection.execute("select 1")
    with pytest.raises(psycopg.OperationalError, match="refused"):
        psycopg.connect(postgres_cut.dsn())
    postgres_cut.heal()
    with psycopg.connect(postgres_cut.dsn()) as another:
        assert another.execute("select 1").fetchone() == (1,)


def test_the_server_ends_what_was_cut(
    postgres: Server, postgres_cut: Cut, connection: psycopg.Connection[Any]
) -> None:
    backend = connection.info.backend_pid
    connection.execute("begin")
    postgres_cut.cut()
    here = "select 1 from pg_stat_activity where pid = %s"
    wait_until(lambda: postgres.execute(here, [backend]) == [], "the server to hang up")


def test_a_silent_connection_does_not_raise_and_goes_on_when_healed(
    postgres_cut: Cut, connection: psycopg.Connection[Any], pool: ThreadPoolExecutor
) -> None:
    postgres_cut.silence()
    asked = pool.submit(connection.execute, "select 1")
    with pytest.raises(TimeoutError):
        asked.result(timeout=0.3)
    postgres_cut.heal()
    assert asked.result(timeout=60).fetchone() == (1,)


def test_a_new_connection_to_a_silent_server_waits(postgres_cut: Cut) -> None:
    postgres_cut.silence()
    with pytest.raises(psycopg.errors.ConnectionTimeout):
        psycopg.connect(postgres_cut.dsn(), connect_timeout=2)


def test_silence_can_end_in_a_cut(
    postgres_cut: Cut, connection: psycopg.Connection[Any], pool: ThreadPoolExecutor
) -> None:
    postgres_cut.silence()
    asked = pool.submit(connection.execute, "select 1")
    with pytest.raises(TimeoutError):
        asked.result(timeout=0.1)
    postgres_cut.cut()
    with pytest.raises(psycopg.OperationalError):
        asked.result(timeout=60)


def test_an_answer_takes_twice_the_delay_and_no_longer_when_healed(
    postgres_cut: Cut, connection: psycopg.Connection[Any]
) -> None:
    postgres_cut.delay(0.2)
    begun = time.monotonic()
    connection.execute("select 1")
    assert time.monotonic() - begun >= 0.4
    postgres_cut.heal()
    assert connection.execute("select 1").fetchone() == (1,)


def test_what_is_large_arrives_whole(postgres_cut: Cut, connection: psycopg.Connection[Any]) -> None:
    text = "0123456789" * 500_000
    answered = connection.execute("select %s::text", [text]).fetchone()
    assert answered == (text,)


def test_a_server_that_is_down_hangs_up_through_the_proxy(postgres_own: Callable[..., Server]) -> None:
    made = postgres_own(fsync=False)
    with Cut(made) as cut:
        made.stop()
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(cut.dsn())
        made.start()
        with psycopg.connect(cut.dsn()) as connection:
            assert connection.execute("select 1").fetchone() == (1,)
