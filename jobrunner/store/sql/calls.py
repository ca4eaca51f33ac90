"""Calls: runs that code or people ask for, and jobs that code has added."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from jobrunner.clock import Instant
from jobrunner.facts import Footing, Pause
from jobrunner.model import Job, Run
from jobrunner.store.schema import headless
from jobrunner.store.sql.claims import Claims
from jobrunner.store.sql.database import Row
from jobrunner.store.sql.jobs import Jobs
from jobrunner.store.sql.rows import COLUMNS, OPEN, dumps, run_of
from jobrunner.store.values import AddedJob, Call

AT_ONCE = 100  # calls in a statement: of 4 MiB of params each, as many as a database takes in one value


class Calls(Claims, Jobs):
    """The verbs reserve, call, call_all, trigger, footing, orphaned_calls, fail_call, children, and those of
    added jobs: add_job, added_jobs and remove_job."""

    # SQLite's own counter; it has no row before the first run. PostgreSQL has a sequence
    RESERVE = "UPDATE sqlite_sequence SET seq = seq + ? WHERE name = 'runs' RETURNING seq"
    RESERVE_FIRST = "INSERT INTO sqlite_sequence (name, seq) VALUES ('runs', ?) RETURNING seq"

    def reserve(self, count: int) -> int:
        """See `Calls.reserve`."""
        with self._db.transaction():
            row = self._db.row(self.RESERVE, (count,)) or self._db.row(self.RESERVE_FIRST, (count,))
        assert row is not None
        return int(row[0]) - count + 1

    CALL = """
        INSERT INTO runs (job_id, trigger, effective_at, parent_id, state, exclusive, priority, run_group,
                          delivery, params, identity, created_at)
        VALUES (:job_id, :trigger, :at, :parent_id, 'pending', :exclusive, :priority, :group,
                :delivery, :params, :identity, :now)
        RETURNING id"""
    CALL_RESERVED = CALL.replace("(job_id,", "(id, job_id,").replace("(:job_id,", "(:id, :job_id,")

    def call(self, call: Call, job: Job, now: Instant, job_id: int | None = None) -> int:
        """See `Calls.call`. Its params are kept as given; the job's own are the caller's to add."""
        with self._db.transaction():
            return self._ask(_values(call, job, job_id or self.enroll(job, now), now))

    # A statement for hundreds of rows costs less than half of as many statements, the values' way into the
    # database included.
    CALLS = """
        INSERT INTO runs (id, job_id, trigger, effective_at, parent_id, state, exclusive, priority, run_group,
                          delivery, params, identity, created_at)
        SELECT :id + key, :job_id, :trigger, :at, :parent_id, 'pending', :exclusive, :priority, :group,
               :delivery, value, :identity, :now
        FROM json_each(:params)"""

    def call_all(
        self, call: Call, params: Sequence[Mapping[str, Any]], job: Job, now: Instant,
        job_id: int | None = None,
    ) -> Sequence[int]:  # fmt: skip
        """See `Calls.call_all`."""
        with self._db.transaction():
            job_id, first = job_id or self.enroll(job, now), self.reserve(len(params))
            asked = _values(call, job, job_id, now)
            for start in range(0, len(params), AT_ONCE):
                some = dumps([dict(each) for each in params[start : start + AT_ONCE]])
                self._db.rows(self.CALLS, {**asked, "id": first + start, "params": some})
        return range(first, first + len(params))

    def _ask(self, values: Mapping[str, object]) -> int:
        row = self._db.row(self.CALL if values["id"] is None else self.CALL_RESERVED, values)
        assert row is not None
        return int(row[0])

    def trigger(
        self, job_id: int, job: Job, params: Mapping[str, Any], *, identity: str, force: bool, queue: bool,
        now: Instant,
    ) -> int:  # fmt: skip
        """See `Calls.trigger`. What each machine runs for itself is occupied while it is on any of them."""
        alone = job.concurrency != "allow" and not force
        with self._db.transaction():
            if alone and not queue:
                self._refuse_if_busy(job_id, job, None if job.run_per_machine else "")
            asked = _values(Call(at=now, params=params, identity=identity), job, job_id, now)
            return self._ask({**asked, "trigger": "manual", "exclusive": int(alone)})

    FOOTING = """
        SELECT m.currents, m.paused_at, m.paused_by, m.pause_reason,
               j.id, j.enabled_override, j.enabled_reason, j.definition_hash, d.parameters IS NOT NULL,
               EXISTS (SELECT 1 FROM holdings h WHERE h.job_id = j.id AND h.hash = j.definition_hash)
        FROM meta m
        LEFT JOIN jobs j ON j.name_key = ?
        LEFT JOIN definitions d ON d.job_id = j.id AND d.hash = j.definition_hash"""

    def footing(self, name: str) -> Footing:
        """See `Calls.footing`."""
        row = self._db.row(self.FOOTING, (name.casefold(),))
        if row is None:
            raise headless(self._db.name)
        return _footing(row)

    # -- what cannot be made -------------------------------------------------------------------------

    # From the jobs that nobody holds, which are few, to their calls: there may be thousands of others. One
    # that was only enrolled is not meant: no node has read its file yet.
    ORPHANED = f"""
        SELECT {COLUMNS} FROM runs INDEXED BY runs_open
        WHERE job_id IN (
            SELECT j.id FROM jobs j WHERE j.definition_hash != '' AND NOT EXISTS (
                SELECT 1 FROM holdings h WHERE h.job_id = j.id AND h.hash = j.definition_hash))
          AND {OPEN} AND state = 'pending' AND trigger = 'call' AND effective_at <= ?
          AND attempt = 1 AND started_at IS NULL
        ORDER BY +id"""  # noqa: S608

    def orphaned_calls(self, now: Instant) -> list[Run]:
        """See `Calls.orphaned_calls`. What is in the midst of its work waits until its job is back."""
        return self._db.made(run_of, self.ORPHANED, (now,))

    FAIL_CALL = f"""
        UPDATE runs SET state = 'failed', reason = 'orphan', error = ?2, finished_at = ?3
        WHERE id = ?1 AND state = 'pending' AND trigger = 'call'
        RETURNING {COLUMNS}"""  # noqa: S608

    def fail_call(self, run_id: int, error: Mapping[str, Any], now: Instant) -> Run | None:
        """See `Calls.fail_call`."""
        text = dumps(dict(error))
        with self._db.transaction():
            found = self._db.made(run_of, self.FAIL_CALL, (run_id, text, now))
        return found[0] if found else None

    CHILDREN = f"""
        SELECT {COLUMNS} FROM runs INDEXED BY runs_of_parent
        WHERE parent_id = (SELECT coalesce(root_id, id) FROM runs WHERE id = ?)
        ORDER BY +id"""  # noqa: S608

    def children(self, run_id: int) -> list[Run]:
        """See `Calls.children`; each with its later attempts."""
        return self._db.made(run_of, self.CHILDREN, (run_id,))

    # -- jobs without a file -------------------------------------------------------------------------

    ADD_JOB = """
        INSERT INTO added (name_key, name, target, config, added_at) VALUES (?, ?, ?, ?, ?)
        ON CONFLICT DO NOTHING"""

    def add_job(self, job: AddedJob, now: Instant) -> bool:
        """See `Calls.add_job`."""
        values = job.name.casefold(), job.name, job.target, dumps(dict(job.config)), now
        with self._db.transaction():
            new = self._db.change(self.ADD_JOB, values) == 1
            if new:
                self._db.rows(self.CURRENTS_CHANGED)
        return new

    ADDED_JOBS = "SELECT name, target, config FROM added ORDER BY name_key"

    def added_jobs(self) -> list[AddedJob]:
        """See `Calls.added_jobs`."""
        return self._db.made(_added, self.ADDED_JOBS)

    REMOVE_JOB = "DELETE FROM added WHERE name_key = ?"

    def remove_job(self, name: str) -> bool:
        """See `Calls.remove_job`."""
        with self._db.transaction():
            gone = self._db.change(self.REMOVE_JOB, (name.casefold(),)) == 1
            if gone:
                self._db.rows(self.CURRENTS_CHANGED)
        return gone


def _values(call: Call, job: Job, job_id: int, now: Instant) -> dict[str, object]:
    return {
        "id": call.id, "job_id": job_id, "trigger": "call", "at": max(call.at, now),
        "parent_id": call.parent_id, "exclusive": int(job.concurrency != "allow"), "priority": job.priority,
        "group": job.group, "delivery": job.delivery, "params": dumps(dict(call.params)),
        "identity": call.identity, "now": now,
    }  # fmt: skip


def _footing(row: Row) -> Footing:
    revision, at, by, reason, job_id, enabled, enabled_reason, definition, complete, held = row
    pause = None if at is None else Pause(at, by, reason)
    enabled = None if enabled is None else bool(enabled)
    return Footing(job_id, enabled, enabled_reason, pause, (revision, definition, complete, held))


def _added(row: Row) -> AddedJob:
    return AddedJob(row[0], row[1], json.loads(row[2]))
