"""What only a database can do: commits that nobody heard of, connections cut, servers that say nothing."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import partial
from typing import Any

import pytest

from jobrunner.clock import SECOND, SystemClock
from jobrunner.errors import StateError
from jobrunner.model import Job
from jobrunner.store import exists, open_store, version_of
from jobrunner.store.contract.things import T0, at, make_job, make_node
from jobrunner.store.postgres import PostgresStore, migrate
from jobrunner.store.postgres.address import Address
from jobrunner.store.postgres.dialect import translate
from tests.postgres.cut import Cut
from tests.postgres.server import ADMIN, DATABASE, USER, Server


def opened(url: str, **options: Any) -> PostgresStore:
    found = open_store(url, **{"create": True, **options})
    assert isinstance(found, PostgresStore)
    return found


@pytest.fixture
def store(postgres_url: str) -> Iterator[PostgresStore]:
    with closing(opened(postgres_url)) as made:
        made.join(make_node("a"))
        yield made


def lose(store: PostgresStore, *, heard: bool) -> None:
    """Have the connection cut at the next commit: after it was heard, or before it was sent."""
    database = store._db
    run = database._guarded

    def guarded(do: Callable[[Any], Any]) -> Any:
        def cut(cursor: Any) -> Any:
            if do.__name__ == "_commit":
                database._guarded = run  # type: ignore[method-assign]
                if heard:
                    do(cursor)
                raise ConnectionError("cut")
            return do(cursor)

        return run(cut)

    database._guarded = guarded  # type: ignore[method-assign,assignment]


# -- a commit that nobody heard of -----------------------------------------------------------------------


def test_a_commit_that_was_heard_though_its_answer_was_lost_counts_as_done(store: PostgresStore) -> None:
    lose(store, heard=True)
    assert store.seen("a", at(7))
    assert store.nodes()[0].seen_at == at(7)


def test_a_commit_that_was_not_heard_is_said_to_have_failed_and_nothing_of_it_happened(
    store: PostgresStore,
) -> None:
    lose(store, heard=False)
    with pytest.raises(StateError) as found:
        store.seen("a", at(7))
    assert found.value.code == "away"
    assert store.nodes()[0].seen_at == T0


@pytest.mark.parametrize("heard", [True, False])
def test_while_nobody_can_say_a_commit_is_in_doubt_and_later_it_is_known(
    postgres_cut: Cut, postgres_schema: str, heard: bool
) -> None:
    with closing(opened(postgres_cut.url(postgres_schema), patience=0.2)) as store:
        store.join(make_node("a"))
        lose(store, heard=heard)
        run = store._db._guarded

        def guarded(do: Callable[[Any], Any]) -> Any:
            try:
                return run(do)
            except StateError:
                postgres_cut.cut()
                raise

        store._db._guarded = guarded  # type: ignore[method-assign,assignment]
        with pytest.raises(StateError) as found:
            store.seen("a", at(7))
        assert found.value.code == "in-doubt"
        with pytest.raises(StateError) as found:
            store.came_through()
        assert found.value.code == "in-doubt"
        store._db._guarded = run  # type: ignore[method-assign]
        postgres_cut.heal()
        assert store.came_through() is heard
        assert store.nodes()[0].seen_at == (at(7) if heard else T0)


# -- connections -----------------------------------------------------------------------------------------


def end_all(server: Server) -> None:
    """Have the server end all other connections."""
    server.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE pid != pg_backend_pid() AND application_name = 'jobrunner'"
    )


def test_a_connection_that_was_cut_while_idle_is_made_again_unnoticed(
    postgres_own: Callable[..., Server],
) -> None:
    server = postgres_own(fsync=False)
    with closing(opened(server.url("s"))) as store:
        store.join(make_node("a"))
        end_all(server)
        assert [node.owner for node in store.nodes()] == ["a"]
        end_all(server)
        assert store.seen("a", at(1))


def test_a_rollback_that_nobody_hears_dooms_nothing_that_comes_after(
    postgres_cut: Cut, postgres_schema: str
) -> None:
    with closing(opened(postgres_cut.url(postgres_schema), patience=0.2)) as store:
        with pytest.raises(StateError), store.transaction():
            try:
                store._db.rows("SELECT 1 / 0")
            except StateError:
                postgres_cut.cut()
                raise
        postgres_cut.heal()
        assert store.paused() is None


def test_what_was_begun_on_a_cut_connection_is_not_continued_on_another(
    postgres_own: Callable[..., Server],
) -> None:
    server = postgres_own(fsync=False)
    with closing(opened(server.url("s"))) as store:
        with pytest.raises(StateError), store.transaction():
            store.join(make_node("a"))
            end_all(server)
            with pytest.raises(StateError):
                store.join(make_node("b"))
            store.join(make_node("c"))
        assert store.nodes() == []


def test_a_server_that_says_nothing_is_given_up_in_time_and_used_again_when_it_speaks(
    postgres_cut: Cut, postgres_schema: str
) -> None:
    with closing(opened(postgres_cut.url(postgres_schema), patience=0.2)) as store:
        store.join(make_node("a"))
        postgres_cut.silence()
        with pytest.raises(StateError) as found:
            store.nodes()
        assert found.value.code == "away"
        postgres_cut.heal()
        assert store.seen("a", at(1))


def test_a_writer_that_stops_in_the_midst_of_its_work_does_not_keep_the_others_from_theirs(
    postgres_url: str, store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobrunner.store.postgres.connection.FROZEN", 0.2)
    with closing(opened(postgres_url)) as stopped:
        with pytest.raises(StateError) as found, stopped.transaction():
            stopped.join(make_node("b"))
            assert store.seen("a", at(1))  # it waits until the server has ended the other
            stopped.seen("b", at(2))
        assert found.value.code in {"away", "busy", "aborted"}
        assert [node.owner for node in store.nodes()] == ["a"]
        stopped.join(make_node("c"))


def test_a_full_house_is_said_to_be_one(postgres_own: Callable[..., Server]) -> None:
    server = postgres_own(fsync=False, settings={"max_connections": "6"})
    opened(server.url("s")).close()
    room = int(server.execute("SHOW max_connections")[0][0])
    with ExitStack() as stack:
        with pytest.raises(StateError, match=r"cannot be reached|has no room") as found:
            for _ in range(room + 1):
                stack.enter_context(closing(opened(server.url("s"), patience=0.2)))
        assert found.value.code == "away"


# -- what a URL may say ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me@localhost/db?schema=",
        "postgresql://me@localhost/db?schema=Upper",
        'postgresql://me@localhost/db?schema=a"b',
        "postgresql://me@localhost/db?schema=a;drop",
        "postgresql://me@localhost/db?schema=a&schema=b",
        "postgresql://me@localhost/db?nonsense=1",
        "postgresql://me@localhost:port/db",
    ],
)
def test_a_url_that_cannot_be_meant_is_refused_in_a_sentence(url: str) -> None:
    with pytest.raises(StateError) as found:
        open_store(url)
    assert found.value.code == "unsupported"
    assert found.value.hint


def test_no_message_shows_the_password(postgres: Server) -> None:
    url = f"postgresql://nobody:s3cret@127.0.0.1:{postgres.port}/missing"
    with pytest.raises(StateError) as found:
        open_store(url)
    assert "s3cret" not in f"{found.value.message} {found.value.hint} {found.value.__cause__}"
    assert "s3cret" not in repr(Address.of(url, 1.0))


def test_where_nothing_listens_it_is_said_that_it_cannot_be_reached() -> None:
    with pytest.raises(StateError, match="cannot be reached") as found:
        open_store("postgresql://me@127.0.0.1:1/db")
    assert found.value.code == "away"


@pytest.mark.parametrize(
    ("address", "said"),
    [
        (
            "{user}:wrong@{host}/{database}",
            'refuses the user (password authentication failed for user "{user}")',
        ),
        ("{user}@{host}/{database}", "refuses the user (no password supplied)"),
        ("nobody@{host}/{database}", "refuses the user (no pg_hba.conf entry for host "),
        ("{user}:right@{host}/nowhere", '/nowhere?schema=s (database "nowhere" does not exist)'),
        ("{user}:wrong@127.0.0.1:1,{host}/{database}", "refuses the user (password authentication failed"),
    ],
)
def test_who_is_not_let_in_is_told_why_and_need_not_try_again(
    guarded: Server, address: str, said: str
) -> None:
    names = {"user": USER, "database": DATABASE, "host": f"127.0.0.1:{guarded.port}"}
    for act in (partial(open_store, create=True), exists, version_of):
        with pytest.raises(StateError) as found:
            act(f"postgresql://{address.format(**names)}?schema=s")
        assert (found.value.code, said.format(**names) in found.value.message) == ("forbidden", True)


@pytest.fixture(scope="module")
def guarded() -> Iterator[Server]:
    """Yield a server that asks for a password."""
    with Server(fsync=False) as server:
        server.execute(f"ALTER ROLE {USER} PASSWORD 'right'")
        rules = "host all {ADMIN} all trust\nhost all {USER} all scram-sha-256\n"
        (server.data / "pg_hba.conf").write_text(rules.format(ADMIN=ADMIN, USER=USER))
        server.restart()
        yield server


def test_a_schema_that_is_not_there_yet_is_no_state_and_is_not_made_by_looking(
    postgres: Server, postgres_url: str, postgres_schema: str
) -> None:
    assert not exists(postgres_url)
    with pytest.raises(StateError) as found:
        open_store(postgres_url)
    assert found.value.code == "state-missing"
    assert not postgres.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", [postgres_schema])


def test_a_schema_with_the_tables_of_others_is_left_alone(
    postgres: Server, postgres_url: str, postgres_schema: str
) -> None:
    postgres.execute(f'CREATE SCHEMA "{postgres_schema}"')
    postgres.execute(f'CREATE TABLE "{postgres_schema}".customers (id int)')
    with pytest.raises(StateError) as found:
        opened(postgres_url)
    assert found.value.code == "not-a-database"
    assert len(postgres.execute(_TABLES, [postgres_schema])) == 1


_TABLES = "SELECT table_name FROM information_schema.tables WHERE table_schema = %s"


def test_a_schema_that_a_newer_program_has_made_is_refused_when_opened_and_when_in_use(
    postgres: Server, store: PostgresStore, postgres_url: str, postgres_schema: str
) -> None:
    postgres.execute(f'UPDATE "{postgres_schema}".meta SET version = 99, min_reader = 98, changes = 7')
    for act in (lambda: opened(postgres_url), store.changed, lambda: store.seen("a", at(1))):
        with pytest.raises(
            StateError, match=rf"schema 99.* knows 98; this one knows {migrate.ours()}"
        ) as found:
            act()
        assert found.value.code == "too-new"


def test_processes_that_make_the_schema_in_the_same_moment_get_the_same_one(postgres_url: str) -> None:
    script = (
        "import sys; from jobrunner.store import open_store\n"
        "print(open_store(sys.argv[1], create=True).info()['state_id'])"
    )
    makers = [
        subprocess.Popen([sys.executable, "-c", script, postgres_url], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    assert len({maker.communicate()[0] for maker in makers}) == 1
    assert [maker.returncode for maker in makers] == [0] * 4


def test_a_standby_is_refused(postgres_own: Callable[..., Server]) -> None:
    server = postgres_own(fsync=False)
    opened(server.url("s")).close()
    with server.replica(fsync=False) as replica, pytest.raises(StateError) as found:
        opened(replica.url("s"), patience=0.5)
    assert found.value.code in {"away", "read-only"}
    assert "read" in found.value.message


def test_fences_given_after_a_failover_are_above_all_that_were_given_before(
    postgres_own: Callable[..., Server],
) -> None:
    server = postgres_own(fsync=False)
    job = make_job(concurrency="allow")
    with closing(opened(server.url("s"))) as store:
        store.join(make_node("a"))
        job_id = store.enroll(job, at(0))
        with server.replica(fsync=False) as replica:
            before = [_fence(store, job, job_id) for _ in range(3)]
            replica.caught_up()
            replica.promote()
            with closing(opened(replica.url("s"))) as promoted:
                after = _fence(promoted, job, job_id)
    assert after > max(before)


def _fence(store: PostgresStore, job: Job, job_id: int) -> int:
    node = make_node("a")
    return store.run_here(job_id, job, node, 1, {}, identity="x", force=True, now=at(1)).run.fence


# -- clocks and bells ------------------------------------------------------------------------------------


class Wrong(SystemClock):
    """A machine whose wall clock is an hour ahead."""

    def now(self) -> int:
        return super().now() + 3600 * SECOND


def test_the_clock_is_the_servers_whatever_the_local_one_says(store: PostgresStore, postgres: Server) -> None:
    clock = store.clock(Wrong())
    ((there,),) = postgres.execute("SELECT extract(epoch FROM clock_timestamp()) * 1000000")
    assert abs(clock.now() - int(there)) < 60 * SECOND


def test_each_transaction_sets_the_clock_anew(store: PostgresStore) -> None:
    heard: list[int] = []
    store._db.hear = lambda said, _: heard.append(said)
    store.seen("a", at(1))
    store.seen("a", at(2))
    assert heard == sorted(heard)
    assert len(heard) == 2


def test_a_ring_is_heard_by_those_who_listen_until_they_hush(store: PostgresStore, postgres_url: str) -> None:
    import select

    bell = store.bell()
    assert bell is not None
    assert not select.select([bell], [], [], 0)[0]
    with closing(opened(postgres_url)) as other:
        other.ring()
    assert select.select([bell], [], [], 30)[0]
    assert store.hush()
    assert not select.select([bell], [], [], 0)[0]


def test_a_bell_whose_connection_was_cut_is_hung_anew(postgres_own: Callable[..., Server]) -> None:
    import select

    server = postgres_own(fsync=False)
    with closing(opened(server.url("s"))) as store:
        bell = store.bell()
        end_all(server)
        assert select.select([bell or -1], [], [], 30)[0]
        _until(lambda: not store.hush())
        again = store.bell()
        store.ring()
        assert select.select([again or -1], [], [], 30)[0]
        assert store.hush()


def test_a_lease_ends_by_the_servers_clock(store: PostgresStore) -> None:

    store.join(make_node("b")._replace(lease=50_000))
    _until(lambda: any(node.expired for node in store.nodes() if node.owner == "b"))
    assert store.seen("b", 0)
    assert not any(node.expired for node in store.nodes() if node.owner == "a")


def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end


# -- how the shared statements read ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "text"),
    [
        ("SELECT a FROM runs WHERE id = ?", 'SELECT a FROM "s".runs WHERE id = $1'),
        (
            "UPDATE jobs SET a = ?2 WHERE id = ?1 OR b = ?2",
            'UPDATE "s".jobs SET a = $1 WHERE id = $2 OR b = $1',
        ),
        ("SELECT ':a', '?' FROM meta WHERE x = :a", "SELECT ':a', '?' FROM \"s\".meta WHERE x = $1"),
        ("FROM runs r INDEXED BY runs_open WHERE", 'FROM "s".runs r WHERE'),
        ("INSERT INTO once (at) VALUES (?, ?)", 'INSERT INTO "s".once (at) VALUES ($1, $2)'),
    ],
)
def test_a_shared_statement_is_read_as_postgresql_writes_it(sql: str, text: str) -> None:
    assert translate(sql, "s").text == text


def test_parameters_come_in_the_order_in_which_they_are_named() -> None:
    assert translate("SELECT ?2, ?1, ?2", "s").values(("a", "b")) == ["b", "a"]
    assert translate("SELECT :b, :a, :b", "s").values({"a": 1, "b": 2}) == [2, 1]
