"""Insight: what questions about the past need, each answered by an index or in one pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jobrunner.clock import Instant
from jobrunner.model import Run
from jobrunner.store.sql.database import Row
from jobrunner.store.sql.rows import COLUMNS, Part, run_of
from jobrunner.store.values import Figure, Hold, Holding


class Insight(Part):
    """The verbs due_before, due_after, chain, holders, holdings and figures."""

    # a row for many is found by its first occurrence, as any other
    DUE_BEFORE = """
        SELECT max(scheduled_for) FROM runs WHERE job_id = ?1 AND scheduled_for <= ?2 AND attempt = 1"""
    DUE_AFTER = """
        SELECT min(scheduled_for) FROM runs WHERE job_id = ?1 AND scheduled_for > ?2 AND attempt = 1"""
    AT = f"""
        SELECT {COLUMNS} FROM runs
        WHERE job_id = ?1 AND scheduled_for = ?2 AND attempt = 1 ORDER BY +id"""  # noqa: S608

    def due_before(self, job_id: int, at: Instant) -> list[Run]:
        """See `Control.due_before`."""
        return self._first_attempts(self.DUE_BEFORE, job_id, at)

    def due_after(self, job_id: int, at: Instant) -> list[Run]:
        """See `Control.due_after`."""
        return self._first_attempts(self.DUE_AFTER, job_id, at)

    def _first_attempts(self, which: str, job_id: int, at: Instant) -> list[Run]:
        row = self._db.row(which, (job_id, at))
        instant = row[0] if row is not None else None
        return [] if instant is None else self._db.made(run_of, self.AT, (job_id, instant))

    UNSCHEDULED = f"""
        SELECT {COLUMNS} FROM runs
        WHERE job_id = ?1 AND scheduled_for IS NULL AND effective_at <= ?2 AND attempt = 1
        ORDER BY effective_at DESC, id DESC LIMIT 1"""  # noqa: S608

    def unscheduled_before(self, job_id: int, at: Instant) -> Run | None:
        """See `Control.unscheduled_before`."""
        found = self._db.made(run_of, self.UNSCHEDULED, (job_id, at))
        return found[0] if found else None

    CHAIN = f"SELECT {COLUMNS} FROM runs WHERE id = ?1 OR root_id = ?1 ORDER BY attempt"  # noqa: S608

    def chain(self, root_id: int) -> list[Run]:
        """See `Control.chain`."""
        return self._db.made(run_of, self.CHAIN, (root_id,))

    HOLDERS = """
        SELECT h.job_id, h.owner, h.gate FROM holdings h
        JOIN jobs j ON j.id = h.job_id AND j.definition_hash = h.hash
        ORDER BY h.job_id, h.owner"""

    def holders(self) -> Mapping[int, Sequence[Hold]]:
        """See `Control.holders`."""
        found: dict[int, list[Hold]] = {}
        for job_id, owner, gate in self._db.rows(self.HOLDERS):
            found.setdefault(job_id, []).append(Hold(owner, gate))
        return found

    HELD_NOW = """
        SELECT h.owner, j.name, h.hash, h.hash = j.definition_hash, h.gate
        FROM holdings h JOIN jobs j ON j.id = h.job_id"""
    HOLDINGS = f"{HELD_NOW} ORDER BY h.owner, j.name_key"
    OUTDATED = f"{HELD_NOW} AND h.hash != j.definition_hash ORDER BY h.owner, j.name_key"

    def holdings(self, *, outdated: bool = False) -> Mapping[str, Sequence[Holding]]:
        """See `Control.holdings`."""
        found: dict[str, list[Holding]] = {}
        for owner, job, hash_, current, gate in self._db.rows(self.OUTDATED if outdated else self.HOLDINGS):
            found.setdefault(owner, []).append(Holding(job, hash_, bool(current), gate))
        return found

    FIGURES = """
        SELECT job_id, state, count, trigger, attempt,
               CASE WHEN undo = 0 THEN finished_at - started_at END,
               CASE WHEN undo = 0 THEN started_at - effective_at END,
               NOT EXISTS (SELECT 1 FROM runs later
                           WHERE later.root_id = coalesce(runs.root_id, runs.id)
                           AND later.attempt > runs.attempt)
        FROM runs
        WHERE (CAST(:job_id AS BIGINT) IS NULL OR job_id = :job_id)
          AND (CAST(:since AS BIGINT) IS NULL OR coalesce(finished_at, started_at, effective_at) >= :since)
        ORDER BY job_id, id"""

    def figures(self, job_id: int | None, since: Instant | None) -> list[Figure]:
        """See `Control.figures`."""
        return self._db.made(_figure, self.FIGURES, {"job_id": job_id, "since": since})


def _figure(row: Row) -> Figure:
    job_id, state, count, trigger, attempt, took, late, newest = row
    return Figure(job_id, state, count, trigger, attempt, took, late, bool(newest))
