"""What is damaged, or contradicts the ledger's rules, is said in a sentence; of a sound state nothing is."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import psycopg
import pytest

from jobrunner.clock import SystemClock
from jobrunner.store import open_store
from jobrunner.store.base import RunFilter
from jobrunner.store.moving import Movable
from tests.furnished import Furnished, some_jobs
from tests.postgres.server import Server


class Broken:
    """A furnished state into which somebody writes past all rules."""

    def __init__(self, url: str, execute: Callable[[str], Any]) -> None:
        self.url = url
        self.execute = execute
        Furnished(url, some_jobs(), SystemClock().now())

    def problems(self) -> list[str]:
        with closing(open_store(self.url)) as store:
            assert isinstance(store, Movable)
            with store.reading() as reading:
                return list(reading.problems())


def past_sqlite(file: Path) -> Callable[[str], None]:
    def execute(sql: str) -> None:
        with closing(apsw.Connection(str(file))) as connection:
            connection.execute("PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON")
            connection.execute(sql)

    return execute


def past_postgres(server: Server, schema: str) -> Callable[[str], None]:
    def execute(sql: str) -> None:
        with psycopg.connect(server.dsn(user="postgres"), autocommit=True) as connection:
            connection.execute(f"SET search_path TO {schema}")
            connection.execute("SET session_replication_role = replica")  # no foreign keys
            connection.execute(sql)

    return execute


@pytest.fixture(params=["sqlite", "postgres"])
def broken(request: pytest.FixtureRequest, tmp_path: Path) -> Broken:
    if request.param == "sqlite":
        file = tmp_path / "s" / "state.db"
        return Broken(f"sqlite://{file}", past_sqlite(file))
    server = request.getfixturevalue("postgres")
    schema = request.getfixturevalue("postgres_schema")
    return Broken(server.url(schema), past_postgres(server, schema))


def test_a_sound_state_has_no_problems(broken: Broken) -> None:
    assert broken.problems() == []


FAILING = "(SELECT id FROM jobs WHERE name = 'failing')"
QUIET = "(SELECT id FROM jobs WHERE name = 'quiet')"


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        ("UPDATE runs SET job_id = 999 WHERE id = 1", "run 1 is of job 999, which is not there"),
        ("UPDATE logs SET run_id = 999 WHERE run_id = 1", "there is output of run 999, which is not there"),
        ("UPDATE steps SET root_id = 999", "there are steps of run 999, which is not there"),
        (
            "UPDATE cursors SET job_id = 999 WHERE job_id = 1",
            "there is a cursor of job 999, which is not there",
        ),
        (
            "UPDATE definitions SET job_id = 999 WHERE job_id = 1",
            "there is a definition of job 999, which is not there",
        ),
        ("UPDATE once SET job_id = 999", "mail/ß is recorded once for job 999, which is not there"),
        (
            "INSERT INTO holdings (job_id, owner, hash) VALUES (1, 'nobody', 'x')",
            "node nobody holds a definition of job 1 that is not there",
        ),
        (
            "INSERT INTO holdings (job_id, owner, hash) VALUES (1, 'nobody', 'x')",
            "a definition of job 1 is held by node nobody, which is not there",
        ),
        (
            "UPDATE jobs SET definition_hash = 'x' WHERE name = 'limited'",
            "the current definition of limited is not there",
        ),
        (
            "UPDATE runs SET state = 'running', finished_at = NULL WHERE id = 1",
            "run 1 is running, and its node is not there",
        ),
        (
            "DROP INDEX IF EXISTS one_at_a_time; "
            "UPDATE runs SET state = 'waiting', finished_at = NULL WHERE id IN (1, 2)",
            "runs 1 and 2 are exclusive and of one job (limited), and both are under way",
        ),
        (
            "UPDATE runs SET attempt = 9 WHERE attempt = 3",
            "run 7 is attempt 9 of run 5, and the attempt before it is not there",
        ),
        (
            "UPDATE runs SET attempt = 9 WHERE attempt = 2",
            "run 7 is attempt 3 of run 5, and the attempt before it is not there",
        ),
        (
            "UPDATE runs SET job_id = 1 WHERE attempt = 2",
            "run 6 is an attempt of run 5, which is of another job",
        ),
        (
            "UPDATE runs SET state = 'pending', finished_at = NULL, owner = NULL WHERE id = 5",
            "run 5 is pending, though run 6 is a later attempt of it",
        ),
        ("UPDATE steps SET root_id = 6", "there are steps of run 6, which is the first attempt of nothing"),
        (
            "UPDATE runs SET scheduled_for = (SELECT r.scheduled_for + 1 FROM runs r WHERE r.count > 1) "
            f"WHERE job_id = {QUIET} AND reason = 'overlap'",
            "run 12 stands for 500 skipped occurrences, and run 13 is about one of them",
        ),
        (
            "UPDATE runs SET last_for = scheduled_for WHERE count > 1",
            "run 12 stands for 500 occurrences, and ends where it begins",
        ),
        (
            f"UPDATE cursors SET consumed = consumed - 2 * 86400000000 WHERE job_id = {QUIET} AND scope = ''",
            "run 13 of quiet was planned, and the schedule is not consumed as far as that",
        ),
        (
            "UPDATE cursors SET executions = -1 WHERE job_id = 1",
            "the counts of limited cannot be: -1 executions, 0 skips in a row",
        ),
        (
            f"UPDATE cursors SET skip_count = 0 WHERE job_id = {QUIET}",
            "the counts of quiet cannot be: 0 executions, 0 skips in a row",
        ),
        (
            "UPDATE cursors SET executions = 1 WHERE job_id = 1",
            "limited counts 1 executions, and 3 are in its history",
        ),
        ("UPDATE meta SET revision = 1", "the revision of the next document would be 2, and 2 is in use"),
    ],
)  # fmt: skip
def test_whatever_breaks_a_rule_is_said(broken: Broken, harm: str, sentence: str) -> None:
    broken.execute(harm)
    assert sentence in broken.problems()


def test_a_fence_that_would_be_given_twice_is_said(broken: Broken) -> None:
    broken.execute("UPDATE meta SET fence = fence - 1")
    with closing(open_store(broken.url)) as store:
        last = max(run.fence for run in store.runs(RunFilter(limit=1000)))
    assert broken.problems() == [f"the next fence would be {last}, and {last} is in use"]


def test_starts_before_a_reset_do_not_count(broken: Broken) -> None:
    broken.execute("UPDATE cursors SET executions = 0")
    assert len(broken.problems()) == 5  # limited, unicode, failing, and each on two machines
    broken.execute("UPDATE audit SET action = 'reset' WHERE id = (SELECT max(id) FROM audit)")
    assert broken.problems() == []


def test_nor_do_those_that_are_older_than_the_audit_trail(broken: Broken) -> None:
    broken.execute("UPDATE cursors SET executions = 0")
    broken.execute("DELETE FROM audit WHERE action = 'node-start'")
    assert broken.problems() == []


def test_a_number_that_would_be_given_twice_is_said(broken: Broken) -> None:
    if broken.url.startswith("sqlite"):
        broken.execute("UPDATE sqlite_sequence SET seq = 3 WHERE name = 'runs'")
        assert broken.problems() == ["the next id of runs would be 4, and 517 is in use"]
        return
    for table, highest in (("runs", 517), ("jobs", 9), ("audit", 4)):
        broken.execute(f"SELECT setval('{table}_id_seq', 3)")
        assert broken.problems() == [f"the next id of {table} would be 4, and {highest} is in use"]
        broken.execute(f"SELECT setval('{table}_id_seq', 1000)")


# -- the database's own ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        ("DROP INDEX runs_open", r"the index runs_open is missing.*"),
        ("DROP INDEX one_at_a_time", r"the (unique )?index one_at_a_time is missing.*"),
        ("DROP TABLE added", r"the table added is missing.*"),
    ],
)
def test_what_is_missing_of_the_schema_is_said(broken: Broken, harm: str, sentence: str) -> None:
    broken.execute(harm)
    assert any(re.fullmatch(sentence, each) for each in broken.problems()[:1])


@pytest.fixture
def postgres_state(postgres: Server, postgres_schema: str) -> Broken:
    return Broken(postgres.url(postgres_schema), past_postgres(postgres, postgres_schema))


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        ("ALTER TABLE runs DROP CONSTRAINT runs_trigger_check", "runs has 17 of its 18 checks in force"),
        ("ALTER TABLE logs DROP CONSTRAINT logs_run_id_fkey", "logs has 0 of its 1 foreign keys in force"),
        (
            "ALTER TABLE jobs DROP CONSTRAINT jobs_name_key_key",
            "jobs has 0 of its 1 unique constraints in force",
        ),
        ("ALTER TABLE once DROP CONSTRAINT once_pkey", "once has 0 of its 1 primary keys in force"),
        (
            "ALTER TABLE logs DROP CONSTRAINT logs_run_id_fkey; "
            "ALTER TABLE logs ADD FOREIGN KEY (run_id) REFERENCES runs ON DELETE CASCADE NOT VALID",
            "logs has 0 of its 1 foreign keys in force",
        ),
        (
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'runs_of_job'::regclass",
            "the index runs_of_job is missing or not valid",
        ),
    ],
)  # fmt: skip
def test_postgresql_holds_all_rules_or_doctor_says_which_it_does_not(
    postgres_state: Broken, harm: str, sentence: str
) -> None:
    with closing(open_store(postgres_state.url)) as store:
        assert store.healthy() == "ok"
        postgres_state.execute(harm)
        assert store.healthy() == sentence


def test_pages_that_are_damaged_are_said(tmp_path: Path) -> None:
    file = tmp_path / "s" / "state.db"
    broken = Broken(f"sqlite://{file}", past_sqlite(file))
    broken.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with file.open("r+b") as raw:
        raw.seek(file.stat().st_size // 2)
        raw.write(b"\xde\xad" * 4096)
    assert broken.problems()[-1].startswith(("***", "Tree", "Page", "row", "wrong", str(file)))
