"""What a call costs whoever makes it: how often the state is asked, and how much of it is read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from jobrunner import Client
from jobrunner.errors import BadArgument, Refused
from jobrunner.model import Parameter
from jobrunner.settings import load
from jobrunner.store.base import Store
from jobrunner.store.contract.things import make_node
from tests.fakes import a_job
from tests.place import Place

BACKLOG = 20_000
FILL = """
    INSERT INTO runs (job_id, trigger, effective_at, state, created_at, finished_at)
    WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < ?)
    SELECT 1, 'call', 1 << 60, CASE i % 2 WHEN 0 THEN 'pending' ELSE 'succeeded' END, i,
           CASE i % 2 WHEN 1 THEN i END FROM n"""
ASKED: dict[str, Callable[[Client], object]] = {
    "run_after": lambda client: client.run_after("1h", "job"),
    "trigger": lambda client: client.trigger("job", queue=True),
    "trigger by force": lambda client: client.trigger("job", force=True),
    "run_many": lambda client: client.run_many("job", [{}] * 100, delay="1h"),
}


class Held:
    """A project without files, a node that holds its one job, and a client."""

    def __init__(self, place: Place) -> None:
        self.store = place.open()
        self.store.join(make_node())
        self.register()
        options = {"project": str(place.folder), "state": place.url}
        self.client = Client(load(options, {"PATH": os.environ["PATH"]}))

    def register(self, *parameters: str, hash_: str = "first") -> None:
        """Have the node hold a job with these parameters, none of them required."""
        takes = tuple(Parameter(each, required=False) for each in parameters)
        self.store.register("a", [a_job("job", hash=hash_, parameters=takes)], "", 1)

    @property
    def connection(self) -> Any:
        """What the client's own store asks."""
        store: Any = self.client._connections.store()
        return store._db

    def close(self) -> None:
        """Close both."""
        self.client.close()
        self.store.close()


@pytest.fixture
def held(place: Place) -> Iterator[Held]:
    made = Held(place)
    yield made
    made.close()


def statements(held: Held, act: Callable[[], object]) -> int:
    """Return how often the state is asked for something; over a network, each is a round trip."""
    database = held.connection
    if hasattr(database, "round_trips"):
        before = database.round_trips
        act()
        return int(database.round_trips - before)
    texts: list[str] = []

    def traced(_: object, text: str, __: object) -> bool:
        texts.append(text)
        return True

    database._apsw.exec_trace = traced
    act()
    database._apsw.exec_trace = None
    return len(texts)


def steps(held: Held, act: Callable[[], object]) -> int:
    """Return how many steps of SQLite's machine something takes."""
    taken = [0]

    def count() -> bool:
        taken[0] += 1
        return False

    held.connection._apsw.set_progress_handler(count, 1)
    act()
    held.connection._apsw.set_progress_handler(None)
    return taken[0]


@pytest.mark.sqlite
@pytest.mark.parametrize("how", ASKED)
def test_a_call_costs_the_same_however_many_wait_and_have_ended(held: Held, how: str) -> None:
    ask = ASKED[how]
    ask(held.client)
    few = steps(held, lambda: ask(held.client))
    held.store._db.rows(FILL, (BACKLOG,))  # type: ignore[attr-defined]
    assert steps(held, lambda: ask(held.client)) < 1.2 * few


@pytest.mark.parametrize("how", ["run_after", "trigger", "trigger by force"])
def test_who_has_called_before_asks_the_state_six_times_for_a_call(held: Held, how: str) -> None:
    ASKED[how](held.client)
    assert statements(held, lambda: ASKED[how](held.client)) <= 6


def test_a_hundred_calls_at_once_take_one_question_more_than_one_call(held: Held) -> None:
    ASKED["run_many"](held.client)
    assert statements(held, lambda: ASKED["run_many"](held.client)) <= 7


def test_a_call_goes_by_the_definition_of_its_moment(held: Held) -> None:
    held.register("a", hash_="second")
    assert held.client.run_after("1h", "job", a=1)
    held.register("b", hash_="third")
    assert held.client.run_after("1h", "job", b=1)
    with pytest.raises(BadArgument, match='has no param "a"'):
        held.client.run_after("1h", "job", a=1)
    with pytest.raises(BadArgument, match='has no param "a"'):
        held.client.run_many("job", [{"b": 1}, {"a": 1}])
    assert len(held.client.pending()) == 2


def test_a_call_whose_job_changes_between_its_look_and_its_transaction_goes_by_what_is_then(
    held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    held.register("a", hash_="second")
    held.client.run_after("1h", "job", a=1)
    store, before = held.client._connections.store(), type(held.store).transaction

    def late(of: Store) -> Any:
        if of is store and store.definition("job").hash == "second":  # type: ignore[union-attr]
            held.register("b", hash_="third")
        return before(of)

    monkeypatch.setattr(type(held.store), "transaction", late)
    with pytest.raises(BadArgument, match='has no param "a"'):
        held.client.run_after("1h", "job", a=2)
    assert [dict(run.params) for run in held.client.pending()] == [{"a": 1}]


def test_a_trigger_goes_by_what_others_have_said_since_the_last(held: Held) -> None:
    held.client.trigger("job", queue=True)
    job_id = held.store.footing("job").job_id or 0
    held.store.set_enabled(job_id, False, "by ana", 2)
    with pytest.raises(Refused, match="job is disabled by ana"):
        held.client.trigger("job", queue=True)
    held.store.set_enabled(job_id, None, None, 3)
    held.store.pause("bob", "move", 4)
    with pytest.raises(Refused, match="all is paused by bob: move, job too"):
        held.client.trigger("job", queue=True)
    held.store.resume(5)
    assert held.client.trigger("job", queue=True)


def test_what_stands_in_files_is_read_again_after_a_moment(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = place.folder / "jobs" / "job.py"
    file.parent.mkdir()
    with Client(load({"project": str(place.folder), "state": place.url}, {})) as client:
        text = 'config = {"name": "job", "schedule": None}\ndef default(first=1): pass\n'
        file.write_text(text)
        for _ in range(2):
            assert client.run_after("1h", "job", first=2)
        monkeypatch.setattr("jobrunner.registry.LATELY", 0.0)
        file.write_text(text.replace("first", "second"))
        with pytest.raises(BadArgument, match='has no param "first"'):
            client.run_after("1h", "job", first=2)
        assert client.run_after("1h", "job", second=2)
