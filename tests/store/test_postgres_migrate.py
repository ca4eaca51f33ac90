"""A schema that is brought up to date while nodes work in it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from jobrunner.store import open_store
from jobrunner.store.base import RunFilter, Store
from jobrunner.store.contract.things import at, make_node
from jobrunner.store.postgres import migrate
from tests.lifecycle.project import wait_until
from tests.postgres.server import Server

OURS = migrate.ours()
LATER = f"""\
-- min_reader: {OURS}
ALTER TABLE runs ADD COLUMN mood TEXT;
ALTER TABLE nodes ADD COLUMN mood TEXT;
"""
WAITS = """
    SELECT count(*) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
    WHERE NOT l.granted AND c.relnamespace::regnamespace::text = %s"""


@pytest.fixture
def store(postgres_url: str) -> Iterator[Store]:
    with closing(open_store(postgres_url, create=True)) as made:
        made.join(make_node())
        yield made


@pytest.fixture
def upgrade(
    store: Store, postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], Future[int]]]:
    """Lets a later version open the state, in a thread, and returns the schema's version."""
    folder = tmp_path / "migrations"
    shutil.copytree(migrate.FOLDER, folder)
    (folder / f"{OURS + 1:04}_moods.sql").write_text(LATER)
    monkeypatch.setattr(migrate, "FOLDER", str(folder))

    def opened() -> int:
        with closing(open_store(postgres_url)) as later:
            return int(later.info()["version"])

    with ThreadPoolExecutor(1) as pool:
        yield lambda: pool.submit(opened)


def waits(postgres: Server, schema: str) -> None:
    wait_until(lambda: postgres.execute(WAITS, [schema]) != [(0,)], "the upgrade to wait")


def test_a_step_is_taken_between_the_transactions_of_nodes_and_fails_none_of_them(
    postgres: Server, postgres_schema: str, store: Store, upgrade: Callable[[], Future[int]]
) -> None:
    with store.transaction():
        coming = upgrade()
        waits(postgres, postgres_schema)
        assert store.seen("a", at(1))  # tables that the step changes
        assert store.runs(RunFilter()) == []
    assert coming.result(60) == OURS + 1
    assert store.seen("a", at(2))


def test_a_step_that_has_to_wait_for_a_reader_lets_the_nodes_by_and_is_tried_again(
    postgres: Server, postgres_schema: str, store: Store, upgrade: Callable[[], Future[int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(migrate, "PATIENCE", 100)
    monkeypatch.setattr(migrate, "TRIES", 10_000)
    with psycopg.connect(postgres.dsn()) as reader:  # a backup, say
        reader.execute(f'SELECT count(*) FROM "{postgres_schema}".runs'.encode())
        coming = upgrade()
        for _ in range(3):
            waits(postgres, postgres_schema)
            assert store.seen("a", at(1))
        assert not coming.done()
    assert coming.result(60) == OURS + 1
