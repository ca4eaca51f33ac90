"""Steps: how far the workflow of a chain has come, and what is to be taken back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jobrunner.clock import Instant
from jobrunner.model import Run, Step
from jobrunner.store.sql.database import Row
from jobrunner.store.sql.rows import dumps_or_null, loads
from jobrunner.store.sql.runs import Runs
from jobrunner.store.steps import Error


class Steps(Runs):
    """The verbs steps, begin_step, end_step, redo_step, to_undo and undone."""

    STEPS = """
        SELECT root_id, path, position, run_id, state, tries, started_at, finished_at, deadline,
               result, error, effects, undo, undone, undone_at, undo_error
        FROM steps WHERE root_id = ? ORDER BY position"""

    def steps(self, root_id: int) -> list[Step]:
        """See `Steps.steps`. `run_id` 0: ended from outside, and no attempt has heard of it yet."""
        return self._db.made(_step, self.STEPS, (root_id,))

    # its place is kept: the order is that of the first beginnings
    BEGIN_STEP = """
        INSERT INTO steps (root_id, path, position, run_id, state, started_at, undo)
        SELECT ?1, ?2, coalesce(max(position), 0) + 1, ?3, 'running', ?4, ?5 FROM steps WHERE root_id = ?1
        ON CONFLICT (root_id, path) DO UPDATE
        SET run_id = ?3, state = 'running', tries = 0, started_at = ?4, finished_at = NULL, deadline = NULL,
            result = NULL, error = NULL, effects = NULL, undo = ?5, undone = NULL, undone_at = NULL,
            undo_error = NULL
        WHERE steps.state != 'done'"""

    def begin_step(self, run: Run, path: str, undo: Mapping[str, Any] | None, now: Instant) -> bool:
        """See `Steps.begin_step`. A done one stays as it is."""
        how = dumps_or_null(undo)
        with self._db.transaction():
            ours = self._is_ours(run)
            if ours:
                self._db.rows(self.BEGIN_STEP, (run.root_id, path, run.id, now, how))
        return ours

    END_STEP = """
        UPDATE steps SET run_id = ?3, tries = ?4, result = ?5,
                         state = CASE WHEN CAST(?6 AS TEXT) IS NULL THEN 'done' ELSE 'failed' END,
                         error = ?6, effects = ?7, finished_at = ?8, deadline = NULL
        WHERE root_id = ?1 AND path = ?2 AND state != 'done'"""

    def end_step(
        self, run: Run, path: str, *, tries: int, result: Any, effects: Mapping[str, Any] | None,
        error: Error | None, now: Instant,
    ) -> bool:  # fmt: skip
        """See `Steps.end_step`. One that has not begun is no step."""
        said = tries, dumps_or_null(result), dumps_or_null(error), dumps_or_null(effects)
        with self._db.transaction():
            ours = self._is_ours(run)
            if ours:
                self._db.rows(self.END_STEP, (run.root_id, path, run.id, *said, now))
        return ours

    REDO_STEP = """
        UPDATE steps SET state = 'outdated', effects = NULL
        WHERE root_id = ? AND path = ? AND state = 'done'"""

    def redo_step(self, run: Run, path: str) -> bool:
        """See `Steps.redo_step`."""
        with self._db.transaction():
            ours = self._is_ours(run)
            if ours:
                self._db.rows(self.REDO_STEP, (run.root_id, path))
        return ours

    TO_UNDO = """
        SELECT EXISTS (
            SELECT 1 FROM steps WHERE root_id = ? AND undo IS NOT NULL AND undone IS DISTINCT FROM 'done'
            AND (state IN ('done', 'outdated') OR json_extract(undo, '$.given')))"""

    def to_undo(self, root_id: int) -> bool:
        """See `Steps.to_undo`."""
        row = self._db.row(self.TO_UNDO, (root_id,))
        return row is not None and bool(row[0])

    UNDONE = """
        UPDATE steps SET undone = CASE WHEN CAST(?3 AS TEXT) IS NULL THEN 'done' ELSE 'failed' END,
                         undone_at = ?4, undo_error = ?3
        WHERE root_id = ?1 AND path = ?2 AND undone IS DISTINCT FROM 'done'"""

    def undone(self, run: Run, path: str, error: Error | None, now: Instant) -> bool:
        """See `Steps.undone`. What was taken back is not taken back again."""
        why = dumps_or_null(error)
        with self._db.transaction():
            ours = self._is_ours(run)
            if ours:
                self._db.rows(self.UNDONE, (run.root_id, path, why, now))
        return ours


def _step(row: Row) -> Step:
    (
        root_id, path, position, run_id, state, tries, started_at, finished_at, deadline,
        result, error, effects, undo, undone, undone_at, undo_error,
    ) = row  # fmt: skip
    return Step(
        root_id=root_id, path=path, position=position, run_id=run_id, state=state, tries=tries,
        started_at=started_at, finished_at=finished_at, deadline=deadline, result=loads(result),
        error=loads(error), effects=loads(effects), undo=loads(undo), undone=undone, undone_at=undone_at,
        undo_error=loads(undo_error),
    )  # fmt: skip
