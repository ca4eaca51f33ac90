"""What a turn costs does not grow with what is in the ledger."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jobrunner.store import open_store
from jobrunner.store.contract.things import at, make_job, make_node, run_at
from jobrunner.store.sql.housekeeping import Housekeeping
from jobrunner.store.sql.insight import Insight
from jobrunner.store.sql.ledger import Ledger
from jobrunner.store.sqlite import SqliteStore

pytestmark = pytest.mark.sqlite


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    store = open_store(f"sqlite://{tmp_path}/state.db", create=True)
    assert isinstance(store, SqliteStore)
    yield store
    store.close()


OPEN = "runs_open"
OCCUPYING = "runs_occupying"
OCCURRENCE = "sqlite_autoindex_runs_1"  # UNIQUE (job_id, scheduled_for, scope, attempt)
ATTEMPT = "sqlite_autoindex_runs_2"  # UNIQUE (root_id, attempt)

# Each statement that touches `runs`: the indexes that it means, in the plan's order. None: by id.
MEANT = {
    "JOBS": [OPEN] * 3, "ALL_JOBS": [OPEN] * 3, "ONE_JOB": [OPEN] * 3, "GLANCE": [OPEN],
    "STANDINGS": [OCCUPYING] * 5, "STANDINGS_OF": [OCCUPYING] * 5,
    "ASK_ALL": [OCCUPYING], "END_RETRIES": [OCCUPYING], "RETRIES_NOW": [OCCUPYING],
    "ALL_WAITING": [OCCUPYING], "WAITING_OF": [OCCUPYING], "OCCUPANT": [OCCUPYING],
    "BUSY_JOBS": [OCCUPYING] * 2,
    "OPEN_RUNS": [OPEN], "BUSY": [OPEN], "ORPHANED": [OPEN],
    "CANDIDATES": ["runs_pending", "runs_low", OCCUPYING, "runs_of_group"], "IN_GROUP": ["runs_of_group"],
    "THIS_ONE": [OCCUPYING], "CANCEL_CALLS": ["runs_of_parent"], "CHILDREN": ["runs_of_parent"],
    "OPEN_OF": [ATTEMPT], "WAKE": [ATTEMPT],
    "NEXT_PENDING": ["runs_due"], "ASKED": ["runs_asked"], "RUNNING_OF": ["runs_of_owner"],
    "FORGET": [OCCURRENCE], "NOT_YET": [OCCURRENCE], "FOLD": [OCCURRENCE],
    "DUE_BEFORE": [OCCURRENCE], "DUE_AFTER": [OCCURRENCE], "AT": [OCCURRENCE],
    "UNSCHEDULED": [OCCURRENCE], "CHAIN": [ATTEMPT],
    "STRADDLING": ["runs_ranges"], "REACHING": ["runs_ranges"],
    "THERE": [OCCURRENCE, "runs_ranges"],
    "START": [], "FINISH": [], "BEGUN": [], "PROGRESS": [], "STALL": [], "AGAIN": [], "LOSE": [], "RUN": [],
    "OVER_LIMIT": [], "GIVE_UP": [], "SUPERSEDE": [], "EXTEND": [], "SHORTEN": [], "SHORTEN_STRADDLING": [],
    "CANCEL_WAITING": [], "ASK": [], "STATE": [], "OURS": [], "LENGTHEN": [],
    "LENGTH": [], "INSERT": [], "RUN_HERE": [], "CALL": [], "CALL_RESERVED": [], "CALLS": [],
    "FAIL_CALL": [], "ROOT": [], "STILL_OURS": [],
    "REPEAT": [], "SUSPEND": [],
}  # fmt: skip
# What somebody asks for once, or what the pruning does, which may look at much.
SELDOM = {"RUNS", "RUNS_OF_JOB"}
PARTS = {"STANDING", "WAITING", "CHOSEN"}  # of statements


@pytest.mark.parametrize("name", MEANT)
def test_a_statement_of_a_turn_reads_by_the_index_that_it_means(store: SqliteStore, name: str) -> None:
    for statement in statements(name):
        assert used(store, statement) == MEANT[name]


def test_every_statement_that_touches_runs_says_which_index_it_means() -> None:
    seldom = {name for part in (Housekeeping, Insight) for name in vars(part)}
    names = {
        name
        for part in (*SqliteStore.__mro__, Ledger)
        for name, text in vars(part).items()
        if name.isupper() and isinstance(text, str) and touches_runs(text)
    }
    assert names - seldom - set(MEANT) - SELDOM - PARTS == set()


@pytest.mark.parametrize("table", ["steps", "documents", "once"])
def test_steps_documents_and_records_are_found_by_their_keys(store: SqliteStore, table: str) -> None:
    found = [
        text
        for part in SqliteStore.__mro__
        for name, text in vars(part).items()
        if name.isupper() and isinstance(text, str) and re.search(rf"\b{table}\b", text)
    ]
    assert len(found) >= 2
    for statement in found:
        assert not [line for line in plan_of(store, statement) if line == f"SCAN {table}"], statement


def test_pruning_finds_chains_by_index_and_reads_all_runs_once_at_most(store: SqliteStore) -> None:
    for statement, scans in ((SqliteStore.TOO_OLD, 1), (SqliteStore.NAMED, 1), (SqliteStore.DELETE, 0)):
        lines = plan_of(store, statement)
        assert len([line for line in lines if line.startswith("SCAN r")]) == scans, lines
        assert not [line for line in lines if line.startswith("SCAN o")], lines


@pytest.mark.parametrize(
    "statement",
    [
        SqliteStore.START, SqliteStore.STARTED, SqliteStore.BEGUN, SqliteStore.FINISH, SqliteStore.JOB_ENDED,
        SqliteStore.CALL, SqliteStore.CALL_RESERVED, Ledger.INSERT,
        SqliteStore.CANDIDATES,
    ],
)  # fmt: skip
def test_to_write_a_row_makes_no_table_but_the_one_of_what_is_returned(
    store: SqliteStore, statement: str
) -> None:
    made = [row[1] for row in explained(store, "EXPLAIN " + statement)].count("OpenEphemeral")
    assert made <= ("RETURNING" in statement)


def statements(name: str) -> list[str]:
    """Return the statements of that name; two parts may have one each."""
    found = {text for part in (*SqliteStore.__mro__, Ledger) if (text := vars(part).get(name)) is not None}
    assert found, f"there is no statement {name} any more"
    return [text for text in found if touches_runs(text)]


def touches_runs(statement: str) -> bool:
    return re.search(r"\b(FROM|JOIN|INTO|UPDATE) runs\b", statement) is not None


def used(store: SqliteStore, statement: str) -> list[str]:
    """Return by which indexes a statement finds rows of `runs`; "all rows" where by none."""
    aliases = {"runs", *re.findall(r"\bruns (?:AS )?([a-z])\b", statement)}
    found: list[str] = []
    for line in plan_of(store, statement):
        match = re.match(r"(?:SCAN|SEARCH) (\w+)(?: USING (?:COVERING )?INDEX (\w+))?", line)
        if match is not None and match[1] in aliases and "INTEGER PRIMARY KEY" not in line:
            found.append(match[2] or "all rows")
    return found


def plan_of(store: SqliteStore, statement: str) -> list[str]:
    return [row[3] for row in explained(store, "EXPLAIN QUERY PLAN " + statement)]


def explained(store: SqliteStore, statement: str) -> list[Any]:
    named = re.findall(r":(\w+)", statement)
    numbered = re.findall(r"\?(\d)", statement)
    number = max(map(int, numbered)) if numbered else statement.count("?")
    bindings: Any = dict.fromkeys(named, 0) if named else (0,) * number
    return store._db.rows(statement, bindings)


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


def test_what_other_jobs_have_waiting_makes_no_look_slower(store: SqliteStore) -> None:
    store.join(make_node())
    store.register("a", [make_job(), make_job("other")], "", at(0))
    few = counted(store, lambda: store.waiting_runs([1]))
    store._db.rows("""
        WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
        INSERT INTO runs (job_id, trigger, scheduled_for, effective_at, state, created_at)
        SELECT 2, 'schedule', i, i, 'pending', i FROM n""")
    assert counted(store, lambda: store.waiting_runs([1])) < 2 * few


def test_a_look_at_what_thousands_of_jobs_have_waiting_costs_what_waits(store: SqliteStore) -> None:
    store.join(make_node())
    store.register("a", [make_job(f"job-{i}") for i in range(3_000)], "", at(0))
    few, all_of_them = set(range(1, 100)), set(range(1, 3_001))
    store.waiting_runs(few)
    idle = counted(store, lambda: store.waiting_runs(few))
    assert counted(store, lambda: store.waiting_runs(all_of_them)) == idle
    store._db.rows("""
        WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
        INSERT INTO runs (job_id, trigger, scheduled_for, effective_at, state, created_at)
        SELECT 2000 + i % 2, 'schedule', i, i, 'pending', i FROM n""")
    assert counted(store, lambda: store.waiting_runs(few)) < 4 * idle
    assert len(store.waiting_runs(all_of_them)) == 5000
    assert len(store.waiting_runs(all_of_them - {2000})) == 2500


def test_calls_that_have_not_started_make_no_look_at_other_jobs_slower(store: SqliteStore) -> None:
    store.join(make_node())
    store.register("a", [make_job(), make_job("other")], "", at(0))
    acts: tuple[Callable[[], object], ...] = (
        lambda: store.standings("a", ""),
        lambda: store.waiting_runs([1, 2]),
        lambda: store.orphaned_calls(at(9)),
        lambda: store.claim(make_node(), [1], 0),
        lambda: store.next_pending(at(9)),
    )
    few = [counted(store, act) for act in acts]
    store._db.rows(
        """
        WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
        INSERT INTO runs (job_id, trigger, effective_at, state, created_at, parent_id)
        SELECT 2, 'call', ?, 'pending', i, 4711 FROM n""",
        (at(5),),
    )
    many = [counted(store, act) for act in acts]
    assert [after < 2 * before for after, before in zip(many, few, strict=True)] == [True] * len(acts)


def steps(store: SqliteStore) -> int:
    """Return how much work a turn without anything to do, and what is shown, is for SQLite's machine."""

    def turn() -> None:
        store.standings("a", "")
        store.claim(make_node(), [1], 0)
        store.recover("nobody", at(1))
        store.jobs()
        store.glance()
        store.job("tick")

    return counted(store, turn)


def counted(store: SqliteStore, act: Callable[[], object]) -> int:
    """Return how many steps of SQLite's machine something takes."""
    taken = [0]

    def count() -> bool:
        taken[0] += 1
        return False

    store._db._apsw.set_progress_handler(count, 1)
    act()
    store._db._apsw.set_progress_handler(None)
    return taken[0]
