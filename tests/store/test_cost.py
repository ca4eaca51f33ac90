"""What a turn costs does not grow with what is in the ledger."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobrunner.store import open_store
from jobrunner.store.contract.things import at, make_job, make_node, run_at
from jobrunner.store.sqlite import SqliteStore


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    store = open_store(f"sqlite://{tmp_path}/state.db", create=True)
    assert isinstance(store, SqliteStore)
    yield store
    store.close()


SCANNED = ("CANCEL_PENDING", "ASK", "ASKED", "STATE", "GLANCE", "JOBS", "BUSY", "NOT_YET", "REACHING",
           "CANDIDATES", "START", "FINISH", "JOB_ENDED", "RUNNING_OF", "LOSE", "STANDINGS", "STANDINGS_OF",
           "NEXT_PENDING", "ASKED", "OPEN_RUNS", "OCCUPANT", "RUNS_OF_JOB", "COUNT", "MOVE")  # fmt: skip


@pytest.mark.parametrize("name", SCANNED)
def test_no_statement_of_a_turn_reads_all_runs(store: SqliteStore, name: str) -> None:
    plan = [row[3] for row in plan_of(store, getattr(SqliteStore, name))]
    full = [
        line for line in plan if line.startswith(("SCAN runs", "SCAN r", "SCAN busy")) and "INDEX" not in line
    ]
    assert full == []


def test_the_ledgers_statements_read_by_index(store: SqliteStore) -> None:
    from jobrunner.store.sqlite.ledger import Ledger

    for statement in (Ledger.FOLD, Ledger.EXTEND, Ledger.SINGLES, Ledger.RANGES, Ledger.LENGTH):
        assert all(row[3].startswith("SEARCH") or "SUBQUERY" in row[3] for row in plan_of(store, statement))


def test_pruning_finds_chains_by_index_and_reads_all_runs_once_at_most(store: SqliteStore) -> None:
    for statement, scans in ((SqliteStore.TOO_OLD, 1), (SqliteStore.NAMED, 1), (SqliteStore.DELETE, 0)):
        lines = [row[3] for row in plan_of(store, statement)]
        assert len([line for line in lines if line.startswith("SCAN r")]) == scans, lines
        assert not [line for line in lines if line.startswith("SCAN o")], lines


def plan_of(store: SqliteStore, statement: str) -> list[Any]:
    named = re.findall(r":(\w+)", statement)
    numbered = re.findall(r"\?(\d)", statement)
    number = max(map(int, numbered)) if numbered else statement.count("?")
    bindings: Any = dict.fromkeys(named, 0) if named else (0,) * number
    return store._db.rows("EXPLAIN QUERY PLAN " + statement, bindings)


def test_finished_runs_make_no_claim_slower(store: SqliteStore) -> None:
    store.join(make_node())
    job = make_job(concurrency="allow")
    store.register("a", [job], "", at(0))
    standing = store.standings("a", "")[0]
    store.consume(standing, at(1), [run_at(1)], job=job, supersede=None, node=make_node(), now=at(1))
    few = steps(store)
    store._db.rows("""
        WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
        INSERT INTO runs (job_id, trigger, scheduled_for, effective_at, state, created_at, finished_at)
        SELECT 1, 'schedule', i, i, 'succeeded', i, i FROM n""")
    assert steps(store) < 2 * few


def steps(store: SqliteStore) -> int:
    """Return how much work a turn without anything to do is for SQLite's machine."""
    counted = [0]

    def count() -> bool:
        counted[0] += 1
        return False

    store._db._apsw.set_progress_handler(count, 1)
    store.standings("a", "")
    store.claim(make_node(), [1], 0)
    store.recover("nobody", at(1))
    store._db._apsw.set_progress_handler(None)
    return counted[0]
