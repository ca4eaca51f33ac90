from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from tests.postgres.server import Server


@pytest.fixture
def primary(postgres_own: Callable[..., Server]) -> Server:
    made = postgres_own(fsync=False)
    made.execute("create table kept (number int)")
    return made


@pytest.fixture
def replica(primary: Server) -> Iterator[Server]:
    with primary.replica(fsync=False) as made:
        yield made


def test_a_replica_follows(primary: Server, replica: Server) -> None:
    primary.execute("insert into kept values (1)")
    replica.caught_up()
    assert replica.execute("select number from kept") == [(1,)]
    assert replica.port != primary.port


def test_a_replica_takes_no_writes_until_it_is_promoted(primary: Server, replica: Server) -> None:
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        replica.execute("insert into kept values (1)")
    primary.stop("immediate")
    replica.promote()
    replica.execute("insert into kept values (2)")
    assert replica.execute("select number from kept") == [(2,)]


def test_a_replica_goes_on_following_after_its_primarys_restart(primary: Server, replica: Server) -> None:
    primary.restart("immediate")
    primary.execute("insert into kept values (1)")
    replica.caught_up()
    assert replica.execute("select number from kept") == [(1,)]


def test_a_commit_waits_for_a_synchronous_replica(primary: Server) -> None:
    with primary.replica(synchronous=True, fsync=False) as replica, ThreadPoolExecutor() as pool:
        replica.freeze()
        written = pool.submit(primary.execute, "insert into kept values (1)")
        with pytest.raises(TimeoutError):
            written.result(timeout=0.3)
        replica.thaw()
        written.result(timeout=60)


def test_a_commit_does_not_wait_for_another(primary: Server, replica: Server) -> None:
    replica.freeze()
    primary.execute("insert into kept values (1)")
    replica.thaw()
    replica.caught_up()
