"""The whole of a state: read at one moment, written at once, into whichever database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import apsw
import pytest

from jobrunner.clock import SystemClock
from jobrunner.errors import StateError
from jobrunner.moving import transfer
from jobrunner.store import open_store, schema
from jobrunner.store.base import Call, RunFilter, Store
from jobrunner.store.contract.things import at, make_job, make_node
from jobrunner.store.moving import OF_NODES, TABLES, Movable, measure
from jobrunner.store.sqlite import migrate
from tests.furnished import Furnished, some_jobs
from tests.postgres.server import Server

KINDS = ("sqlite", "postgres")
Place = Callable[[str], str]


@pytest.fixture
def place(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Place]:
    """Yield what names a new state of a kind."""
    number, schemas = count(), []

    def new(kind: str) -> str:
        if kind == "sqlite":
            return f"sqlite://{tmp_path}/{next(number)}/state.db"
        server = request.getfixturevalue("postgres")
        schemas.append(f"{request.getfixturevalue('postgres_schema')}_{next(number)}")
        return str(server.url(schemas[-1]))

    yield new
    for name in schemas:
        request.getfixturevalue("postgres").drop(name)


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, place: Place) -> str:
    return place(request.param)


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    with closing(open_store(url, create=True, patience=0.5)) as store:
        yield store


def movable(store: Store) -> Movable:
    assert isinstance(store, Movable)
    return store


def furnish(url: str) -> None:
    Furnished(url, some_jobs(), SystemClock().now())


def moved(origin: str, goal: str) -> None:
    """Copy without asking whether one may."""
    with closing(open_store(origin)) as source, closing(open_store(goal, create=True)) as target:
        with movable(source).reading() as reading, movable(target).writing() as writing:
            found = transfer(reading, writing)
    assert all(each.same for each in found)
    assert all(each.there.rows > 0 for each in found), "there is something of everything"


def contents(url: str) -> dict[str, Any]:
    """Return all that moves, row by row."""
    with closing(open_store(url)) as store, movable(store).reading() as reading:
        return {each.name: list(reading.rows(each)) for each in TABLES}


# -- the contract of what moves --------------------------------------------------------------------------


def test_every_table_and_column_is_moved_or_belongs_to_nodes(tmp_path: Path) -> None:
    connection = apsw.Connection(str(tmp_path / "new.db"))
    migrate.build(connection)
    there: dict[str, set[str]] = {}
    sql = "SELECT t.name, c.name FROM sqlite_schema t, pragma_table_info(t.name) c WHERE t.type = 'table'"
    for name, column in connection.execute(sql):
        there.setdefault(str(name), set()).add(str(column))
    left = {"meta", "sqlite_sequence", *OF_NODES}
    assert {name: columns for name, columns in there.items() if name not in left} == {
        each.name: set(each.columns) for each in TABLES
    }
    connection.close()


def test_a_mark_of_the_whole_is_carried_or_is_the_places_own(tmp_path: Path) -> None:
    connection = apsw.Connection(str(tmp_path / "new.db"))
    migrate.build(connection)
    columns = {row[0] for row in connection.execute("SELECT name FROM pragma_table_info('meta')")}
    carried = {"fence", "revision", "paused_at", "paused_by", "pause_reason"}
    assert columns == carried | {"id", "state_id", "version", "min_reader", "currents", "created_at"}
    connection.close()


def test_the_newest_version_is_that_of_each_database() -> None:
    folders = [str(each) for each in Path(schema.MIGRATIONS).iterdir()]
    assert {schema.steps(folder)[-1].version for folder in folders} == {schema.newest()}


@pytest.mark.parametrize("origin", KINDS)
@pytest.mark.parametrize("goal", KINDS)
def test_everything_arrives_as_it_was_in_whichever_database(place: Place, origin: str, goal: str) -> None:
    here, there = place(origin), place(goal)
    furnish(here)
    moved(here, there)
    before, after = contents(here), contents(there)
    for name in before:
        assert after[name] == before[name], name


def test_a_round_trip_over_the_other_database_is_the_identity(place: Place) -> None:
    here, there, back = place("sqlite"), place("postgres"), place("sqlite")
    furnish(here)
    moved(here, there)
    moved(there, back)
    assert contents(back) == contents(here)


def test_a_digest_tells_any_two_contents_apart(store: Store) -> None:
    def digests() -> list[str]:
        with movable(store).reading() as reading:
            return [measure(reading, each).digest for each in TABLES]

    store.join(make_node("a"))
    store.register("a", [make_job("a")], "m", at(0))
    before = digests()
    assert digests() == before
    store.note("ann", "x", None, "y", at(1))
    assert [now == then for now, then in zip(digests(), before, strict=True)] == [True] * 9 + [False]


def test_what_cannot_be_counted_and_read_alike_is_damage(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with movable(store).reading() as reading:
        monkeypatch.setattr(reading, "count", lambda table: 7)
        with pytest.raises(StateError, match="jobs counts 7 rows, and 0 can be read"):
            measure(reading, TABLES[0])


# -- numbers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("origin", KINDS)
@pytest.mark.parametrize("goal", KINDS)
def test_no_number_is_given_twice_after_a_move(place: Place, origin: str, goal: str) -> None:
    here, there = place(origin), place(goal)
    furnish(here)
    with closing(open_store(here)) as store:
        fences = max(run.fence for run in store.runs(RunFilter(limit=1000)))
        reserved = store.reserve(10) + 9
    moved(here, there)
    with closing(open_store(there)) as store:
        job, node = make_job("called", every=60), make_node("new")
        store.join(node)
        claim = store.run_here(job_id(store, "called"), job, node, 1, {}, identity="x", force=True, now=at(0))
        assert claim.run.id > reserved
        assert claim.run.fence > fences
        assert store.call(Call(at=at(0)), job, at(0)) == claim.run.id + 1
        assert job_id(store, "called") < store.enroll(make_job("brand-new"), at(0))
        newest = max(note.id for note in store.notes())
        store.note("ann", "x", None, "y", at(0))
        assert max(note.id for note in store.notes()) > newest


def job_id(store: Store, name: str) -> int:
    found = store.job(name)
    assert found is not None
    return found.id


def test_the_whole_fence_of_a_later_timeline_goes_along(
    place: Place, postgres: Server, postgres_schema: str
) -> None:
    there, back = place("postgres"), place("sqlite")
    furnish(there)
    name = there.rpartition("=")[2]
    postgres.execute(f'UPDATE "{name}".meta SET timeline = 7')
    moved(there, back)
    with closing(open_store(back)) as store, movable(store).reading() as reading:
        assert reading.marks().fence > 7 << 32


@pytest.mark.parametrize("number", [0, 1, 2], ids=["fences", "ids", "revisions"])
def test_a_place_that_has_given_out_more_goes_on_from_there(place: Place, number: int) -> None:
    for kind in KINDS:
        with closing(open_store(place(kind), create=True)) as store:
            with movable(store).writing() as writing:
                high = [5, 5, 5]
                high[number] = 900
                writing.mark(writing.marks()._replace(fence=high[0], run_id=high[1], revision=high[2]))
                assert list(writing.marks().numbers) == high
                writing.mark(writing.marks()._replace(fence=6, run_id=6, revision=6))
                assert list(writing.marks().numbers) == [max(6, each) for each in high]


# -- moments and transactions ----------------------------------------------------------------------------


def test_what_is_read_is_of_one_moment_whatever_others_write(store: Store) -> None:
    store.note("ann", "x", None, "before", at(1))
    with movable(store).reading() as reading, closing(open_store(store.url)) as other:
        other.note("ann", "x", None, "after", at(2))
        assert reading.count("audit") == 1
        assert [row[-1] for row in reading.rows(TABLES[-1])] == ["before"]


def test_whoever_reads_alone_keeps_others_from_writing_and_from_nothing_else(store: Store) -> None:
    with closing(open_store(store.url, patience=0.3)) as other:
        with movable(store).reading(alone=True):
            with pytest.raises(StateError) as found:
                other.join(make_node("late"))
            assert found.value.code == "busy"
            assert other.nodes() == []
        other.join(make_node("late"))


def test_reading_alone_waits_for_a_writer_and_then_says_busy(store: Store) -> None:
    with closing(open_store(store.url)) as other, other.transaction():
        with pytest.raises(StateError) as found, movable(store).reading(alone=True):
            raise AssertionError("somebody else writes")
        assert found.value.code == "busy"
    with movable(store).reading(alone=True) as reading:
        assert reading.count("audit") == 0


def test_reading_leaves_no_trace(store: Store) -> None:
    with closing(open_store(store.url)) as other:
        other.changed()
        for alone in (False, True):
            with movable(store).reading(alone=alone) as reading:
                reading.marks()
        assert not other.changed()


def test_what_is_written_is_seen_by_others_all_at_once(place: Place, store: Store) -> None:
    origin = place("sqlite")
    furnish(origin)
    with closing(open_store(origin)) as source, closing(open_store(store.url)) as other:
        other.changed()
        with movable(source).reading() as reading, movable(store).writing() as writing:
            transfer(reading, writing)
            assert (other.jobs(), other.paused()) == ([], None)
        assert other.changed()
        assert other.definitions_changed()
        assert len(other.jobs()) == len(source.jobs())


def test_a_block_that_raises_has_written_nothing_and_leaves_the_store_usable(
    place: Place, store: Store
) -> None:
    origin = place("sqlite")
    furnish(origin)
    with closing(open_store(origin)) as source:
        with pytest.raises(KeyError), movable(source).reading() as reading:
            with movable(store).writing() as writing:
                transfer(reading, writing)
                raise KeyError
    with movable(store).reading() as reading:
        assert all(reading.count(each.name) == 0 for each in TABLES)
    store.note("ann", "x", None, "y", at(1))


def test_the_pause_and_what_is_current_go_along(place: Place, store: Store) -> None:
    origin = place("sqlite")
    furnish(origin)
    moved(origin, store.url)
    with closing(open_store(origin)) as source:
        assert store.paused() == source.paused() is not None
        assert store.definitions() == source.definitions()
        assert store.machine_counts() == source.machine_counts() != {}
        assert store.info()["state_id"] != source.info()["state_id"]


def test_nodes_stay_behind_and_so_does_what_only_they_hold(place: Place, store: Store) -> None:
    goal = place("sqlite")
    for owner in ("a", "b"):
        store.join(make_node(owner))
        store.register(owner, [make_job("tick", hash=f"of {owner}")], "m", at(0))
    with closing(open_store(goal, create=True)) as target:
        with movable(store).reading() as reading, movable(target).writing() as writing:
            transfer(reading, writing)
        assert target.nodes() == []
        assert [each.hash for each in target.definitions()] == ["of b"]
        with movable(target).reading() as reading:
            assert list(reading.problems()) == []


def test_dissolving_keeps_what_is_current_which_leaving_would_not(store: Store) -> None:
    for owner in ("a", "b"):
        store.join(make_node(owner))
        store.register(owner, [make_job("tick", hash=f"of {owner}")], "m", at(0))
    movable(store).dissolve()
    assert (store.nodes(), store.holders()) == ([], {})
    assert store._db.rows("SELECT hash FROM definitions") == [("of b",)]  # type: ignore[attr-defined]
    assert [each.hash for each in store.definitions()] == ["of b"]
    with movable(store).reading() as reading:
        assert list(reading.problems()) == []


def test_the_next_node_goes_on_where_the_last_one_was(place: Place, store: Store) -> None:
    """It finds its definitions, so nothing is new, no schedule begins anew, and no count is lost."""
    origin = place("sqlite")
    jobs = some_jobs()
    furnish(origin)
    moved(origin, store.url)
    with closing(open_store(origin)) as source:
        before = source.jobs()
    node = make_node("new")
    store.join(node)
    found = store.register(node.owner, list(jobs.values()), node.machine, SystemClock().now())
    assert (found.added, found.updated, found.rescheduled) == ((), (), ())
    assert store.jobs() == before
    assert {each.job for each in store.standings("new", node.machine)} == set(jobs)


def test_a_value_that_a_database_has_no_room_for_is_refused_by_its_table(place: Place) -> None:
    here, there = place("sqlite"), place("postgres")
    with closing(open_store(here, create=True)) as source, closing(open_store(there, create=True)) as target:
        source.note("ann", "x", None, "a\0b", at(1))
        with movable(source).reading() as reading, pytest.raises(StateError) as found:
            with movable(target).writing() as writing:
                transfer(reading, writing)
        assert found.value.code == "unstorable"
        assert found.value.message.startswith("a row of audit cannot be taken over: ")
        assert target.notes() == []


def test_a_million_bytes_of_text_are_not_kept_in_memory_twice(store: Store) -> None:
    """Rows come one at a time: the second is not asked for before the first was used."""
    store.join(make_node("a"))
    store.register("a", [make_job("tick", concurrency="allow")], "m", at(0))
    for second in range(1, 4):
        store.call(Call(at=at(second)), make_job("tick"), at(0))
    with movable(store).reading() as reading:
        rows = reading.rows(next(each for each in TABLES if each.name == "runs"))
        assert not isinstance(rows, list)
        assert [row[0] for row in rows] == [1, 2, 3]


# -- newer programs --------------------------------------------------------------------------------------


def test_a_state_with_more_than_we_know_is_not_copied_in_part(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with movable(store).reading() as reading:
        reading.understood()
        monkeypatch.setattr(reading, "_ours", 3)
        with pytest.raises(
            StateError, match=r"has schema \d+, for a jobrunner that knows \d+; this one knows 3"
        ):
            reading.understood()
