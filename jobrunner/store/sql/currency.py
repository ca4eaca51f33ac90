"""Which definition is current once its holders are gone: so a rollback works."""

from __future__ import annotations

import json
from collections.abc import Sequence

from jobrunner.store.sql.database import Database

ABANDONED = """
    SELECT job_id, hash, file, config FROM (
        SELECT h.job_id, h.hash, d.file, d.config,
               row_number() OVER (PARTITION BY h.job_id ORDER BY n.registration DESC) AS place
        FROM (SELECT DISTINCT CAST(value AS BIGINT) AS job_id FROM json_each(?1)) AS touched
        CROSS JOIN jobs j ON j.id = touched.job_id
        CROSS JOIN holdings h ON h.job_id = j.id
        CROSS JOIN nodes n ON n.owner = h.owner
        CROSS JOIN definitions d ON d.job_id = h.job_id AND d.hash = h.hash
        WHERE NOT EXISTS (SELECT 1 FROM holdings c WHERE c.job_id = j.id AND c.hash = j.definition_hash)
    ) AS latest WHERE place = 1 ORDER BY job_id"""
# where the name has become another job's meanwhile, that one keeps it, and the current definition stays
FALL_BACK = """
    UPDATE jobs SET definition_hash = ?2, file = ?3, name = ?4, name_key = lower(?4)
    WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM jobs o WHERE o.name_key = lower(?4) AND o.id != ?1)"""

CHANGED = "UPDATE meta SET currents = currents + 1"

GO_ON = """
    UPDATE cursors SET consumed = CASE WHEN consumed < ?2 THEN ?2 ELSE consumed END
    WHERE job_id = ?1 AND executions >= (
        SELECT d.execution_limit FROM jobs j
        JOIN definitions d ON d.job_id = j.id AND d.hash = j.definition_hash WHERE j.id = ?1)"""

FORGET = """
    DELETE FROM definitions AS d
    WHERE job_id IN (SELECT CAST(value AS BIGINT) FROM json_each(?1))
      AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.id = d.job_id AND j.definition_hash = d.hash)
      AND NOT EXISTS (SELECT 1 FROM holdings h WHERE h.job_id = d.job_id AND h.hash = d.hash)"""


def go_on(database: Database, job_ids: Sequence[int], now: int) -> None:
    """Before limits are raised or counting starts over: nothing was due while these jobs were finished."""
    database.many(GO_ON, [(job_id, now) for job_id in job_ids])


def settle(database: Database, job_ids: Sequence[int]) -> None:
    """After holdings of these jobs went: where nobody holds the current definition but somebody another,
    the one registered last becomes current; definitions that nobody needs are forgotten."""
    if not job_ids:
        return
    touched = json.dumps(list(job_ids))
    fallen = [_fall_back(database, *row) for row in database.rows(ABANDONED, (touched,))]
    if any(fallen):
        database.rows(CHANGED)
    database.rows(FORGET, (touched,))


def _fall_back(database: Database, job_id: int, hash_: str, file: str, config: str) -> bool:
    return database.change(FALL_BACK, (job_id, hash_, file, json.loads(config)["name"])) == 1
