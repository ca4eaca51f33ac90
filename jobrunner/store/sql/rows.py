"""Between rows and values: JSON both ways, and a row of `runs` as a Run."""

from __future__ import annotations

import json
from typing import Any

from jobrunner.model import Run
from jobrunner.store.faults import fault
from jobrunner.store.sql.database import Database, Row


class Part:
    """What each part of the store works on; parts share no names, so their order means nothing."""

    def __init__(self, database: Database) -> None:
        self._db = database


_ENCODED = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode


def dumps(value: Any) -> str:
    """Return JSON text. Raises StateError for what JSON has no word for (NaN, sets, objects)."""
    try:
        return _ENCODED(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise fault("unstorable", f"a value cannot be stored as JSON ({error})") from error


def dumps_or_null(value: Any) -> str | None:
    """Return JSON text; None is NULL."""
    return None if value is None else dumps(value)


def loads(text: str | None) -> Any:
    """Return what JSON text means; NULL is None. ValueError is the database's to translate."""
    return None if text is None else json.loads(text)


def plain(text: str) -> str:
    """Return text that is valid UTF-8: a file name may hold bytes that are none."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


# The columns of `runs` in the order of run_of.
COLUMNS = """
id, job_id, (SELECT name FROM jobs WHERE jobs.id = runs.job_id), trigger, scope, scheduled_for, effective_at,
state, attempt, coalesce(root_id, id), parent_id, reason, created_at, began_at, started_at, finished_at,
owner, node, machine, pid, fence, identity, file_hash, delivery, count, last_for, log_bytes, truncated,
params, result, error, progress, run_group, asked, stalled, blocked_by, conflicts, undo
"""


def is_open(alias: str) -> str:
    """Return the condition of the index runs_open. Of three in an IN SQLite makes a table, at each change."""
    return f"({alias}.state = 'pending' OR {alias}.state = 'running' OR {alias}.state = 'waiting')"


def occupying(alias: str) -> str:
    """Return the condition of the index runs_occupying: open, and no call that is new."""
    return f"""{is_open(alias)}
        AND ({alias}.state != 'pending' OR {alias}.trigger != 'call' OR {alias}.attempt > 1
             OR {alias}.started_at IS NOT NULL)"""


OPEN, OCCUPYING = is_open("runs"), occupying("runs")


def run_of(row: Row) -> Run:
    """Return the Run of a row of COLUMNS."""
    (
        id_, job_id, job, trigger, scope, scheduled_for, effective_at, state, attempt, root_id, parent_id,
        reason, created_at, began_at, started_at, finished_at, owner, node, machine, pid, fence, identity,
        file_hash, delivery, count, last_for, log_bytes, truncated, params, result, error, progress,
        group, asked, stalled, blocked_by, conflicts, undo,
    ) = row  # fmt: skip
    return Run(
        id=id_, job_id=job_id, job=job, trigger=trigger, scope=scope, scheduled_for=scheduled_for,
        effective_at=effective_at, state=state, attempt=attempt, root_id=root_id, parent_id=parent_id,
        reason=reason, created_at=created_at, began_at=began_at, started_at=started_at,
        finished_at=finished_at, owner=owner, node=node, machine=machine, pid=pid, fence=fence,
        identity=identity, file_hash=file_hash, delivery=delivery, count=count, last_for=last_for,
        log_bytes=log_bytes, truncated=bool(truncated), params={} if params == "{}" else json.loads(params),
        result=loads(result), error=loads(error), progress=loads(progress), group=group, asked=asked,
        stalled=bool(stalled), blocked_by=blocked_by, conflicts=conflicts, undo=undo,
    )  # fmt: skip
