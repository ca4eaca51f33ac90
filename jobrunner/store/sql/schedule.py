"""Cursors: how far each job's schedule is consumed."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence

from jobrunner.clock import Instant
from jobrunner.facts import NodeFacts
from jobrunner.model import Due, Job, Reason, Run, Standing
from jobrunner.store.sql.database import Row
from jobrunner.store.sql.ledger import Ledger, Streak
from jobrunner.store.sql.rows import COLUMNS, OCCUPYING, occupying, run_of
from jobrunner.store.sql.untimely import Untimely

MANY = 50  # jobs; of more than these one looks first which have something open at all


class Schedule(Untimely):
    """The verbs standings, consume, replace, rewind, waiting_runs, give_up and rekey."""

    STANDING = f"""
        SELECT h.job_id, j.name, c.scope, c.schedule_key, c.consumed, c.anchor, c.executions,
               (SELECT count(*) FROM runs r WHERE r.job_id = c.job_id AND r.scope = c.scope
                AND {occupying("r")}),
               (SELECT count(*) FROM runs r WHERE r.job_id = c.job_id AND r.scope = c.scope
                AND {occupying("r")}
                AND r.state = 'pending' AND r.trigger = 'schedule' AND r.attempt = 1
                AND r.started_at IS NULL),
               (SELECT max(r.id) FROM runs r WHERE r.job_id = c.job_id AND r.scope = c.scope
                AND {occupying("r")}
                AND r.state = 'pending' AND r.trigger = 'schedule' AND r.attempt = 1
                AND r.started_at IS NULL),
               (SELECT min(r.id) FROM runs r WHERE r.job_id = c.job_id AND r.scope = c.scope
                AND {occupying("r")}),
               EXISTS (SELECT 1 FROM runs r WHERE r.job_id = c.job_id AND r.scope = c.scope
                AND {occupying("r")} AND r.trigger = 'schedule'
                AND r.created_at - r.effective_at > 5000000),
               c.ended_at,
               EXISTS (SELECT 1 FROM holdings o WHERE o.job_id = h.job_id AND o.hash = h.hash
                       AND o.gate IS NULL AND o.owner != h.owner
                       AND (c.scope = '' OR c.scope = (SELECT machine FROM nodes WHERE owner = o.owner))),
               j.enabled_override, (SELECT paused_at IS NOT NULL FROM meta)"""  # noqa: S608
    STANDINGS = f"""{STANDING}
        FROM holdings h
        JOIN jobs j ON j.id = h.job_id AND j.definition_hash = h.hash
        JOIN definitions d ON d.job_id = h.job_id AND d.hash = h.hash
        JOIN cursors c ON c.job_id = h.job_id AND c.scope = CASE WHEN d.per_machine = 1 THEN ?2 ELSE '' END
        WHERE h.owner = ?1 ORDER BY h.job_id"""
    STANDINGS_OF = f"""{STANDING}
        FROM (SELECT DISTINCT CAST(value AS BIGINT) AS job_id FROM json_each(?3)) AS asked
        CROSS JOIN holdings h ON h.job_id = asked.job_id AND h.owner = ?1
        JOIN jobs j ON j.id = h.job_id AND j.definition_hash = h.hash
        JOIN definitions d ON d.job_id = h.job_id AND d.hash = h.hash
        JOIN cursors c ON c.job_id = h.job_id AND c.scope = CASE WHEN d.per_machine = 1 THEN ?2 ELSE '' END
        ORDER BY h.job_id"""  # noqa: S608

    def standings(self, owner: str, machine: str, job_ids: Sequence[int] | None = None) -> list[Standing]:
        """See `Store.standings`; by job id."""
        if job_ids is None:
            return self._db.made(_standing, self.STANDINGS, (owner, machine))
        return self._db.made(_standing, self.STANDINGS_OF, (owner, machine, json.dumps(list(job_ids))))

    # `consumed` is what makes two nodes one; the key, that it still is the schedule that was planned by
    MOVE = """
        UPDATE cursors SET consumed = :until
        WHERE job_id = :job_id AND scope = :scope AND consumed = :consumed AND schedule_key = :key
          AND consumed <= :until
        RETURNING skip_reason, skip_count, skip_run"""

    def consume(
        self, standing: Standing, until: Instant, due: Sequence[Due], *, job: Job,
        supersede: Reason | None, node: NodeFacts, now: Instant,
    ) -> bool:  # fmt: skip
        """See `Store.consume`."""
        with self._db.transaction():
            cursor = self._db.row(self.MOVE, {**_place(standing), "until": until})
            if cursor is None:
                return False
            ledger = Ledger(self._db, standing, job, node, now, Streak(*cursor))
            if supersede and standing.pending_id is not None:
                ledger.supersede(standing.pending_id, supersede)
            ledger.write(due)
        return True

    # what takes steps back makes way for nothing
    ASK_ALL = f"""
        UPDATE runs INDEXED BY runs_occupying SET asked = 'replaced'
        WHERE job_id = ?1 AND scope = ?2 AND {OCCUPYING}
          AND state = 'running' AND undo = 0 AND asked IS NULL"""  # noqa: S608
    END_RETRIES = f"""
        UPDATE runs INDEXED BY runs_occupying SET state = 'canceled', reason = 'replaced', finished_at = ?3
        WHERE job_id = ?1 AND scope = ?2 AND {OCCUPYING}
          AND state != 'running' AND undo = 0 AND (attempt > 1 OR started_at IS NOT NULL)
        RETURNING {COLUMNS}"""  # noqa: S608

    def replace(self, standing: Standing, now: Instant) -> list[Run]:
        """See `Store.replace`."""
        place = (standing.job_id, standing.scope)
        with self._db.transaction():
            self._db.rows(self.ASK_ALL, place)
            return self._db.made(run_of, self.END_RETRIES, (*place, now))

    REWIND = """
        UPDATE cursors SET consumed = :to, anchor = CASE WHEN anchor > :to THEN :to ELSE anchor END,
               ended_at = CASE WHEN ended_at > :to THEN :to ELSE ended_at END,
               skip_reason = NULL, skip_count = 0, skip_run = NULL
        WHERE job_id = :job_id AND scope = :scope AND consumed = :consumed AND schedule_key = :key
          AND consumed > :to"""

    FORGET = """
        DELETE FROM runs
        WHERE job_id = ?1 AND scope = ?2 AND scheduled_for > ?3 AND started_at IS NULL
          AND state IN ('pending', 'skipped') AND trigger = 'schedule' AND attempt = 1"""
    STRADDLING = """
        SELECT id, scheduled_for FROM runs
        WHERE job_id = ?1 AND scope = ?2 AND scheduled_for <= ?3 AND last_for > ?3 AND count > 1"""
    SHORTEN = "UPDATE runs SET last_for = ?2, count = ?3 WHERE id = ?1"

    def rewind(self, standing: Standing, to: Instant, job: Job) -> bool:
        """See `Store.rewind`. A streak of skips ends: it would be extended backwards."""
        with self._db.transaction():
            if self._db.change(self.REWIND, {**_place(standing), "to": to}) != 1:
                return False
            where = (standing.job_id, standing.scope, to)
            self._db.rows(self.FORGET, where)
            self._db.rows(self.RETRIES_NOW, where)
            for run_id, first in self._db.rows(self.STRADDLING, where):
                self._shorten(run_id, first, standing, to, job)
        return True

    def _shorten(self, run_id: int, first: Instant, standing: Standing, to: Instant, job: Job) -> None:
        """Let a row for many end at `to`. Its first occurrence is at or before `to`, so one remains."""
        last, count = first, 1
        if job.schedule is not None:
            last = job.schedule.latest(first - 1, to, standing.anchor) or first
            count = job.schedule.count(first - 1, to, standing.anchor) or 1
        self._db.rows(self.SHORTEN, (run_id, last, count))

    WAITING = f"""
        SELECT {COLUMNS} FROM runs INDEXED BY runs_occupying
        WHERE {OCCUPYING}
          AND state = 'pending' AND started_at IS NULL AND undo = 0 AND scheduled_for IS NOT NULL"""  # noqa: S608
    ALL_WAITING = f"{WAITING} ORDER BY +id"
    WAITING_OF = f"{WAITING} AND job_id IN (SELECT CAST(value AS BIGINT) FROM json_each(?)) ORDER BY +id"  # noqa: S608

    # from one job to the next in the index, however much each of them has
    BUSY_JOBS = f"""
        WITH RECURSIVE busy(job_id) AS (
            SELECT min(job_id) FROM runs INDEXED BY runs_occupying WHERE {OCCUPYING}
            UNION ALL
            SELECT (SELECT min(job_id) FROM runs INDEXED BY runs_occupying
                    WHERE {OCCUPYING} AND job_id > busy.job_id)
            FROM busy WHERE busy.job_id IS NOT NULL)
        SELECT job_id FROM busy WHERE job_id IS NOT NULL"""  # noqa: S608

    def waiting_runs(self, job_ids: Collection[int] | None = None) -> list[Run]:
        """See `Store.waiting_runs`. Thousands of jobs are not asked for one by one each second."""
        if job_ids is None:
            return self._db.made(run_of, self.ALL_WAITING)
        if len(job_ids) > MANY:
            job_ids = [job_id for (job_id,) in self._db.rows(self.BUSY_JOBS) if job_id in job_ids]
        return self._db.made(run_of, self.WAITING_OF, (json.dumps(list(job_ids)),)) if job_ids else []

    # what is being taken back is not given up: it waits for somebody who can do it
    GIVE_UP = """
        UPDATE runs SET reason = ?2, finished_at = ?3, node = ?4, machine = ?5,
               state = CASE WHEN attempt = 1 AND started_at IS NULL THEN 'skipped' ELSE 'canceled' END
        WHERE id = ?1 AND state = 'pending' AND trigger = 'schedule' AND undo = 0"""

    def give_up(self, run_id: int, reason: Reason, node: NodeFacts, now: Instant) -> bool:
        """See `Store.give_up`."""
        with self._db.transaction():
            return self._db.change(self.GIVE_UP, (run_id, reason, now, node.node, node.machine)) == 1

    REKEY = """
        UPDATE cursors SET schedule_key = :new, consumed = :now, anchor = :now,
               skip_reason = NULL, skip_count = 0, skip_run = NULL
        WHERE job_id = :job_id AND scope = :scope AND consumed = :consumed AND schedule_key = :key"""

    def rekey(self, standing: Standing, schedule_key: str, now: Instant) -> bool:
        """See `Store.rekey`."""
        with self._db.transaction():
            if self._db.change(self.REKEY, {**_place(standing), "new": schedule_key, "now": now}) != 1:
                return False
            self._begin_anew(standing.job_id, standing.scope, standing.consumed, now)
        return True


def _place(standing: Standing) -> dict[str, object]:
    return {
        "job_id": standing.job_id,
        "scope": standing.scope,
        "consumed": standing.consumed,
        "key": standing.schedule_key,
    }


def _standing(row: Row) -> Standing:
    """Return the Standing of a row of STANDING, whose columns are its fields."""
    *_, catching_up, ended_at, elsewhere, enabled, paused = row
    override = None if enabled is None else bool(enabled)
    return Standing._make((*row[:11], bool(catching_up), ended_at, bool(elsewhere), override, bool(paused)))
