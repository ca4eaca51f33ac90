"""Runs: their course and their end."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from jobrunner.clock import Instant, to_iso
from jobrunner.model import Outcome, Run
from jobrunner.store.sql.nodes import Nodes
from jobrunner.store.sql.rows import COLUMNS, OPEN, dumps, dumps_or_null, run_of
from jobrunner.store.values import RunFilter

FAILURES = frozenset({"failed", "timed_out", "lost"})
DURATIONS = 30  # how many are kept of each job


class Runs(Nodes):
    """The verbs begun, progress, stall, finish, again, conclude, has_runs, recover, run, runs and open_runs.

    Recover removes a node, too.
    """

    BEGUN = """
        UPDATE runs SET began_at = coalesce(began_at, ?3), pid = ?4
        WHERE id = ?1 AND owner = ?2 AND state = 'running'"""

    def begun(self, run_id: int, owner: str, pid: int, now: Instant) -> None:
        """See `Store.begun`."""
        with self._db.transaction():
            self._db.rows(self.BEGUN, (run_id, owner, now, pid))

    PROGRESS = """
        UPDATE runs SET progress = ?4
        WHERE id = ?1 AND owner = ?2 AND attempt = ?3 AND state = 'running'"""

    def progress(self, run_id: int, owner: str, attempt: int, value: Mapping[str, Any], now: Instant) -> bool:
        """See `Store.progress`."""
        text = dumps(dict(value))
        with self._db.transaction():
            return self._db.change(self.PROGRESS, (run_id, owner, attempt, text)) == 1

    STALL = "UPDATE runs SET stalled = ?3 WHERE id = ?1 AND owner = ?2 AND state = 'running'"

    def stall(self, run_id: int, owner: str, stalled: bool) -> None:
        """See `Store.stall`."""
        with self._db.transaction():
            self._db.rows(self.STALL, (run_id, owner, int(stalled)))

    STILL_OURS = "SELECT 1 FROM runs WHERE id = ? AND owner = ? AND fence = ? AND state = 'running'"

    def _is_ours(self, run: Run) -> bool:
        """Say whether a run is running and still this claim's."""
        return self._db.row(self.STILL_OURS, (run.id, run.owner, run.fence)) is not None

    # -- the end -------------------------------------------------------------------------------------

    # only what is still ours: whoever was taken for dead and is not must not overwrite what followed
    FINISH = """
        UPDATE runs SET state = :state, reason = :reason, result = :result, truncated = :truncated,
                        error = :error, file_hash = :file_hash, log_bytes = :log_bytes, finished_at = :now,
                        stalled = 0, began_at = coalesce(began_at, :began), pid = coalesce(:begun_by, pid)
        WHERE id = :id AND owner = :owner AND attempt = :attempt AND fence = :fence AND state = 'running'"""
    CURSOR = "UPDATE jobs SET cursor = ?2 WHERE id = ?1"

    def finish(
        self, run: Run, outcome: Outcome, log_bytes: int, now: Instant, *,
        begun: tuple[int, Instant] | None = None,
    ) -> bool:  # fmt: skip
        """See `Store.finish`."""
        claim = {"id": run.id, "owner": run.owner, "attempt": run.attempt, "fence": run.fence}
        pid, moment = begun or (None, None)
        end = {
            "begun_by": pid, "began": moment,
            "state": outcome.state, "reason": outcome.reason, "result": dumps_or_null(outcome.result),
            "truncated": int(outcome.truncated), "error": dumps_or_null(outcome.error),
            "file_hash": outcome.file_hash, "log_bytes": log_bytes, "now": now,
        }  # fmt: skip
        with self._db.transaction():
            ours = self._db.change(self.FINISH, {**claim, **end}) == 1
            if ours and outcome.cursor_set:
                self._db.rows(self.CURSOR, (run.job_id, dumps(outcome.cursor)))
        return ours

    AGAIN = """
        INSERT INTO runs (job_id, trigger, scope, scheduled_for, effective_at, attempt, root_id, parent_id,
                          state, priority, exclusive, run_group, delivery, created_at, params, identity, undo)
        SELECT job_id, trigger, scope, scheduled_for, ?2, attempt + 1, coalesce(root_id, id), parent_id,
               'pending', priority, exclusive, run_group, delivery, ?3, params, identity, ?4
        FROM runs WHERE id = ?1
        ON CONFLICT DO NOTHING
        RETURNING id"""

    def again(self, run: Run, at: Instant, now: Instant, undo: int = 0) -> int | None:
        """See `Store.again`."""
        with self._db.transaction():
            row = self._db.row(self.AGAIN, (run.id, at, now, undo))
        return None if row is None else int(row[0])

    LONGER = """CASE WHEN CAST(:took AS BIGINT) IS NULL THEN durations
                ELSE json_insert(CASE WHEN json_array_length(durations) < :most THEN durations
                                 ELSE json_remove(durations, '$[0]') END, '$[#]', :took) END"""
    # A cancelled or skipped chain says nothing about the job's health: the failures in a row stay.
    JOB_ENDED = f"""
        UPDATE jobs SET
            last_state = :state,
            last_finished_at = :now,
            last_success_at = CASE WHEN :state = 'succeeded' THEN :now ELSE last_success_at END,
            last_result = CASE WHEN :state = 'succeeded' THEN :result ELSE last_result END,
            last_failure_at = CASE WHEN :failed = 1 THEN :now ELSE last_failure_at END,
            last_error = CASE WHEN :failed = 1 THEN :error ELSE last_error END,
            consecutive_failures = CASE
                WHEN :failed = 1 THEN consecutive_failures + 1
                WHEN :state = 'succeeded' THEN 0
                ELSE consecutive_failures END,
            durations = {LONGER}
        WHERE id = :job_id
        RETURNING consecutive_failures"""  # noqa: S608
    CHAIN_ENDED = "UPDATE cursors SET ended_at = ?3 WHERE job_id = ?1 AND scope = ?2"

    def conclude(self, run: Run, outcome: Outcome, now: Instant) -> int:
        """See `Store.conclude`."""
        succeeded = outcome.state == "succeeded" and run.started_at is not None
        end = {
            "job_id": run.job_id, "state": outcome.state, "failed": int(outcome.state in FAILURES),
            "result": dumps_or_null(outcome.result),
            "error": dumps_or_null(outcome.error), "now": now, "most": DURATIONS,
            "took": now - (run.started_at or now) if succeeded else None,
        }  # fmt: skip
        with self._db.transaction():
            row = self._db.row(self.JOB_ENDED, end)
            if run.trigger != "call" or not run.is_new:  # such a call has never occupied its job
                self._db.rows(self.CHAIN_ENDED, (run.job_id, run.scope, now))
        return int(row[0]) if row is not None else 0

    # -- the dead ------------------------------------------------------------------------------------

    RUNNING_OF = "SELECT id, began_at FROM runs WHERE owner = ? AND state = 'running' ORDER BY id"
    LOSE = f"""
        UPDATE runs SET state = 'lost', error = ?2, finished_at = ?3, stalled = 0
        WHERE id = ?1 AND state = 'running'
        RETURNING {COLUMNS}"""  # noqa: S608

    def has_runs(self, owner: str) -> bool:
        """See `Store.has_runs`."""
        return self._db.row(self.RUNNING_OF, (owner,)) is not None

    def recover(self, owner: str, now: Instant) -> list[Run]:
        """See `Store.recover`."""
        with self._db.transaction():
            self._remove(owner)
            return [self._lose(*row, now=now) for row in self._db.rows(self.RUNNING_OF, (owner,))]

    def _lose(self, run_id: int, began_at: Instant | None, *, now: Instant) -> Run:
        return self._db.made(run_of, self.LOSE, (run_id, dumps(lost_error(began_at)), now))[0]

    # -- to read -------------------------------------------------------------------------------------

    RUN = f"SELECT {COLUMNS} FROM runs WHERE id = ?"  # noqa: S608

    def run(self, run_id: int) -> Run | None:
        """See `Store.run`."""
        found = self._db.made(run_of, self.RUN, (run_id,))
        return found[0] if found else None

    # A run's moment is its start, else when it was due; a row for many skips reaches to the last of them.
    CHOSEN = """
        (CAST(:states AS TEXT) IS NULL OR state IN (SELECT value FROM json_each(:states)))
        AND (CAST(:since AS BIGINT) IS NULL OR coalesce(started_at, last_for, effective_at) >= :since)
        AND (CAST(:until AS BIGINT) IS NULL OR coalesce(started_at, effective_at) < :until)
        ORDER BY id DESC LIMIT :limit"""
    RUNS = f"SELECT {COLUMNS} FROM runs WHERE {CHOSEN}"  # noqa: S608
    RUNS_OF_JOB = f"""
        SELECT {COLUMNS} FROM runs
        WHERE job_id = (SELECT id FROM jobs WHERE name_key = :job) AND {CHOSEN}"""  # noqa: S608

    def runs(self, which: RunFilter) -> list[Run]:
        """See `Store.runs`: since <= moment < until."""
        states = None if which.states is None else json.dumps(list(which.states))
        values = {"states": states, "since": which.since, "until": which.until, "limit": which.limit}
        if which.job is None:
            return self._db.made(run_of, self.RUNS, values)
        return self._db.made(run_of, self.RUNS_OF_JOB, {**values, "job": which.job.casefold()})

    OPEN_RUNS = f"SELECT {COLUMNS} FROM runs WHERE {OPEN} ORDER BY +id"  # noqa: S608

    def open_runs(self) -> list[Run]:
        """See `Store.open_runs`."""
        return self._db.made(run_of, self.OPEN_RUNS)


def lost_error(began_at: Instant | None) -> dict[str, str]:
    """Return the error of a run whose node is gone; whether it began is all that can be known."""
    message = "no sign that the body began" if began_at is None else f"began at {to_iso(began_at)}"
    return {"type": "Lost", "message": message, "traceback": "", "phase": "body"}
