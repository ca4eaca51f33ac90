"""What is known of each job: all of it, or the little that a list of thousands needs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from jobrunner.facts import JobFacts
from jobrunner.store.sql.database import Row
from jobrunner.store.sql.rows import OPEN, Part, is_open, loads
from jobrunner.store.values import Glance


class Facts(Part):
    """The verbs jobs, job and glance."""

    # Of several scopes the cursor that is furthest stands for the job, and the largest count. The index is
    # named, and its states listed as it has them: SQLite would take runs_of_job, which has all rows of a job.
    JOBS = f"""
        SELECT j.id, j.name, j.definition_hash, j.file, j.first_seen_at,
               (SELECT count(*) FROM runs r INDEXED BY runs_open WHERE r.job_id = j.id
                AND {is_open("r")} AND r.state != 'pending'),
               (SELECT count(*) FROM runs r INDEXED BY runs_open WHERE r.job_id = j.id
                AND {is_open("r")} AND r.state = 'pending'
                AND r.trigger = 'schedule' AND r.attempt = 1 AND r.started_at IS NULL),
               coalesce((SELECT max(executions) FROM cursors WHERE job_id = j.id), 0),
               c.consumed, c.anchor, coalesce(c.schedule_key, ''), j.enabled_override, j.enabled_reason,
               j.consecutive_failures, j.last_scheduled_for, j.last_started_at, j.last_finished_at,
               j.last_success_at, j.last_failure_at, j.last_state, j.last_result, j.last_error, j.cursor,
               j.durations, j.overrides, n.progress, n.started_at
        FROM jobs j
        LEFT JOIN cursors c ON c.job_id = j.id AND c.scope = (
            SELECT scope FROM cursors WHERE job_id = j.id ORDER BY consumed DESC, scope LIMIT 1)
        LEFT JOIN runs n ON n.id = (
            SELECT max(id) FROM runs r INDEXED BY runs_open WHERE r.job_id = j.id
            AND {is_open("r")} AND r.state = 'running')"""  # noqa: S608
    ALL_JOBS = JOBS + " ORDER BY j.name_key"
    ONE_JOB = JOBS + " WHERE j.name_key = ?"

    def jobs(self) -> list[JobFacts]:
        """See `Store.jobs`; enrolled ones too."""
        return self._db.made(_facts, self.ALL_JOBS)

    def job(self, name: str) -> JobFacts | None:
        """See `Store.job`."""
        found = self._db.made(_facts, self.ONE_JOB, (name.casefold(),))
        return found[0] if found else None

    # The same, but looked up once for all jobs where that is quicker than once for each.
    GLANCE = f"""
        WITH open AS MATERIALIZED (
            SELECT job_id, count(*) FILTER (WHERE state != 'pending') AS running,
                   count(*) FILTER (WHERE state = 'pending' AND trigger = 'schedule' AND attempt = 1
                                    AND started_at IS NULL) AS pending,
                   max(id) FILTER (WHERE state = 'running') AS newest
            FROM runs INDEXED BY runs_open
            WHERE {OPEN} GROUP BY job_id)
        SELECT j.id, j.name, j.definition_hash, j.file, coalesce(o.running, 0), coalesce(o.pending, 0),
               coalesce((SELECT max(executions) FROM cursors WHERE job_id = j.id), 0),
               c.consumed, c.anchor, coalesce(c.schedule_key, ''), j.enabled_override, j.enabled_reason,
               j.last_started_at, j.last_finished_at, j.last_state, j.overrides, n.progress, n.started_at,
               CASE WHEN o.running > 0 THEN j.durations END
        FROM jobs j
        LEFT JOIN cursors c ON c.job_id = j.id AND NOT EXISTS (
            SELECT 1 FROM cursors f WHERE f.job_id = c.job_id AND f.scope != c.scope
            AND (f.consumed, c.scope) > (c.consumed, f.scope))
        LEFT JOIN open o ON o.job_id = j.id
        LEFT JOIN runs n ON n.id = o.newest
        ORDER BY j.name_key"""  # noqa: S608

    def glance(self) -> list[Glance]:
        """See `Store.glance`."""
        return self._db.made(_glance, self.GLANCE)


def _glance(row: Row) -> Glance:
    (
        id_, name, hash_, file, running, pending, executions, consumed, anchor, schedule_key,
        enabled, enabled_reason, started_at, finished_at, state, overrides, progress, since, durations,
    ) = row  # fmt: skip
    return Glance(
        id_, name, hash_, file, running, pending, executions, consumed, anchor, schedule_key,
        None if enabled is None else bool(enabled), enabled_reason, started_at, finished_at, state,
        _mapping(overrides), None if progress is None else loads(progress), since,
        () if durations is None else tuple(json.loads(durations)),
    )  # fmt: skip


def _mapping(text: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = {} if text == "{}" else json.loads(text)
    return found


def _facts(row: Row) -> JobFacts:
    """Return the JobFacts of a row of JOBS, whose columns are its fields."""
    enabled = row[11]
    result, error, cursor, durations, overrides, progress, running_since = row[20:]
    return JobFacts._make((
        *row[:11], None if enabled is None else bool(enabled), *row[12:20],
        loads(result), loads(error), loads(cursor),
        () if durations == "[]" else tuple(json.loads(durations)),
        _mapping(overrides), loads(progress), running_since,
    ))  # fmt: skip
