"""Waiting: runs that go without an end, until somebody outside says how their step has ended.

A step that was ended from outside bears no attempt (`run_id` 0) until a claim, or an answer, has told one of
it. So whoever suspends a run can see that the body has not heard of it yet, and lets it go on.
"""

from __future__ import annotations

from typing import Any

from jobrunner.clock import Instant, to_iso
from jobrunner.errors import Refused
from jobrunner.model import Run, Step
from jobrunner.store.sql.cancel import Cancels
from jobrunner.store.sql.rows import COLUMNS, dumps, dumps_or_null, run_of
from jobrunner.store.steps import Error


class Waiting(Cancels):
    """The verbs wait_step, suspend, complete, expire_steps and next_deadline."""

    WAIT_STEP = """
        INSERT INTO steps (root_id, path, position, run_id, state, started_at, deadline)
        SELECT ?1, ?2, coalesce(max(position), 0) + 1, ?3, 'waiting', ?4, ?5 FROM steps WHERE root_id = ?1
        ON CONFLICT (root_id, path) DO UPDATE
        SET run_id = ?3, state = CASE WHEN steps.state = 'running' THEN 'waiting' ELSE steps.state END,
            deadline = CASE WHEN steps.state = 'running' THEN ?5 ELSE steps.deadline END"""

    def wait_step(self, run: Run, path: str, deadline: Instant | None, now: Instant) -> Step | None:
        """See `Steps.wait_step`."""
        with self._db.transaction():
            if not self._is_ours(run):
                return None
            self._db.rows(self.WAIT_STEP, (run.root_id, path, run.id, now, deadline))
            return next(step for step in self.steps(run.root_id) if step.path == path)

    SUSPEND = """
        UPDATE runs SET owner = NULL, pid = NULL, stalled = 0, log_bytes = :log_bytes, state = CASE
            WHEN EXISTS (SELECT 1 FROM steps WHERE root_id = :root AND state = 'waiting')
            AND NOT EXISTS (SELECT 1 FROM steps WHERE root_id = :root AND run_id = 0)
            THEN 'waiting' ELSE 'pending' END
        WHERE id = :id AND owner = :owner AND fence = :fence AND state = 'running'
        RETURNING asked"""

    def suspend(self, run: Run, log_bytes: int, now: Instant) -> bool:
        """See `Steps.suspend`. Whoever was asked to end does not wait: it is canceled."""
        which = {"root": run.root_id, "id": run.id, "owner": run.owner, "fence": run.fence}
        which["log_bytes"] = log_bytes
        with self._db.transaction():
            found = self._db.row(self.SUSPEND, which)
            if found is not None and found[0] is not None:
                self.cancel(run.id, now)
        return found is not None

    # -- from outside --------------------------------------------------------------------------------

    ROOT = "SELECT coalesce(root_id, id) FROM runs WHERE id = ?"
    COMPLETE = """
        UPDATE steps SET run_id = 0, state = CASE WHEN CAST(?4 AS TEXT) IS NULL THEN 'done' ELSE 'failed' END,
                         result = ?3, error = ?4, finished_at = ?5, deadline = NULL
        WHERE root_id = ?1 AND path = ?2 AND state = 'waiting'"""

    def complete(self, run_id: int, path: str, *, result: Any, error: Error | None, now: Instant) -> Run:
        """See `Steps.complete`. A chain that has ended waits for nothing."""
        said = dumps_or_null(result), dumps_or_null(error)
        with self._db.transaction():
            found = self._db.row(self.ROOT, (run_id,))
            if found is None:
                raise Refused(f"there is no run {run_id}", hint="`jobrunner history` lists them")
            waiting = self._waits_for(found[0])
            if path not in waiting:
                raise _refusal(run_id, path, waiting)
            self._db.rows(self.COMPLETE, (found[0], path, *said, now))
            run = self._go_on(found[0])
            assert run is not None
            return run

    OPEN_OF = f"""
        SELECT {COLUMNS} FROM runs
        WHERE (id = ?1 OR root_id = ?1) AND undo = 0
          AND state IN ('pending', 'running', 'waiting')"""  # noqa: S608

    def _waits_for(self, root_id: int) -> list[str]:
        if not self._db.rows(self.OPEN_OF, (root_id,)):
            return []
        return [step.path for step in self.steps(root_id) if step.state == "waiting"]

    WAKE = """
        UPDATE runs SET state = 'pending' WHERE (id = ?1 OR root_id = ?1) AND state = 'waiting'"""

    def _go_on(self, root_id: int) -> Run | None:
        """Let a chain go on that waits; returns what of it is open, if anything."""
        self._db.rows(self.WAKE, (root_id,))
        found = self._db.made(run_of, self.OPEN_OF, (root_id,))
        return found[0] if found else None

    # -- in vain -------------------------------------------------------------------------------------

    EXPIRED = """
        SELECT root_id, path, deadline FROM steps
        WHERE state = 'waiting' AND deadline <= ? ORDER BY deadline, root_id, position"""

    def expire_steps(self, now: Instant) -> list[tuple[Run, str]]:
        """See `Steps.expire_steps`. Those of chains that have ended are not among them."""
        went_on: list[tuple[Run, str]] = []
        with self._db.transaction():
            for root_id, path, deadline in self._db.rows(self.EXPIRED, (now,)):
                error = dumps(in_vain(path, deadline))
                self._db.rows(self.COMPLETE, (root_id, path, None, error, now))
                run = self._go_on(root_id)
                if run is not None:
                    went_on.append((run, path))
        return went_on

    NEXT_DEADLINE = "SELECT min(deadline) FROM steps WHERE state = 'waiting' AND deadline IS NOT NULL"

    def next_deadline(self) -> Instant | None:
        """See `Steps.next_deadline`."""
        row = self._db.row(self.NEXT_DEADLINE)
        return row[0] if row is not None else None


def in_vain(path: str, deadline: Instant) -> dict[str, str]:
    """Return the error of a step that nobody has completed in time."""
    message = f"nobody completed {path} until {to_iso(deadline)}"
    return {"type": "TimeoutError", "message": message, "traceback": "", "phase": "body"}


def _refusal(run_id: int, path: str, waiting: list[str]) -> Refused:
    for_what = ", ".join(waiting) or "nothing"
    return Refused(f"run {run_id} does not wait for {path}: it waits for {for_what}")
