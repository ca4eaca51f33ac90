"""Which definition is current once its holders are gone: so a rollback works."""

from __future__ import annotations

import json
from collections.abc import Sequence

from jobrunner.store.sqlite.connection import Database

# Beside max() SQLite takes the other columns from the row that has the maximum.
FALL_BACK = """
    UPDATE OR IGNORE jobs SET definition_hash = latest.hash, file = latest.file,
           name = latest.name, name_key = lower(latest.name)
    FROM (SELECT h.job_id, h.hash, d.file, json_extract(d.config, '$.name') AS name, max(n.registration)
          FROM json_each(?1) AS touched
          CROSS JOIN holdings h ON h.job_id = touched.value
          JOIN nodes n ON n.owner = h.owner
          JOIN definitions d ON d.job_id = h.job_id AND d.hash = h.hash
          GROUP BY h.job_id) AS latest
    WHERE jobs.id = latest.job_id
      AND NOT EXISTS (SELECT 1 FROM holdings h WHERE h.job_id = jobs.id AND h.hash = jobs.definition_hash)"""

CHANGED = "UPDATE meta SET currents = currents + 1"

GO_ON = """
    UPDATE cursors SET consumed = max(consumed, ?2)
    WHERE job_id = ?1 AND executions >= (
        SELECT d.execution_limit FROM jobs j
        JOIN definitions d ON d.job_id = j.id AND d.hash = j.definition_hash WHERE j.id = ?1)"""

FORGET = """
    DELETE FROM definitions AS d
    WHERE job_id IN (SELECT value FROM json_each(?1))
      AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.id = d.job_id AND j.definition_hash = d.hash)
      AND NOT EXISTS (SELECT 1 FROM holdings h WHERE h.job_id = d.job_id AND h.hash = d.hash)"""


def go_on(database: Database, job_id: int, now: int) -> None:
    """Before a limit is raised or counting starts over: nothing was due while the job was finished."""
    database.rows(GO_ON, (job_id, now))


def settle(database: Database, job_ids: Sequence[int]) -> None:
    """After holdings of these jobs went: where nobody holds the current definition but somebody another,
    the one registered last becomes current; definitions that nobody needs are forgotten."""
    if not job_ids:
        return
    touched = json.dumps(list(job_ids))
    if database.change(FALL_BACK, (touched,)):
        database.rows(CHANGED)
    database.rows(FORGET, (touched,))
