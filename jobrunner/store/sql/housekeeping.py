"""Housekeeping: what is deleted when, the audit trail, and what is added to a log afterwards."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from jobrunner.clock import Instant
from jobrunner.facts import Note
from jobrunner.store.sql.database import Row
from jobrunner.store.sql.rows import Part, plain
from jobrunner.store.values import Keep, RunFilter

ALL = 1 << 62  # more than there are rows
BATCH = 500  # rows that one transaction deletes, the rest of the last chain apart: nodes wait for the lock
Chains = dict[int, int]  # the last attempt's id -> how many rows the chain has


class Housekeeping(Part):
    """The verbs prune, delete_runs, note, note_all, notes and add_to_log."""

    # Chains are chosen by their last attempt and go whole: of half a chain nobody could say how it ended,
    # and without its first attempt nothing forbids a second one of the same instant.
    OVER = """
        r.state NOT IN ('pending', 'running', 'waiting')
        AND NOT EXISTS (
            SELECT 1 FROM runs o WHERE o.root_id = coalesce(r.root_id, r.id)
            AND (o.attempt > r.attempt OR o.state IN ('pending', 'running', 'waiting')))"""
    SIZE = """
        CASE WHEN r.root_id IS NULL THEN 1 ELSE (
            SELECT count(*) FROM runs o WHERE o.root_id = r.root_id OR o.id = r.root_id) END"""
    SINCE = "CASE WHEN r.state IN ('failed', 'timed_out', 'lost') THEN :failed_since ELSE :ended_since END"
    # What a row for many stands for reaches to last_for; its finished_at is the moment of its last
    # extension, which a wrong clock may have made an old one.
    TOO_OLD = f"""
        SELECT r.id, {SIZE} FROM runs r
        WHERE CASE WHEN r.last_for > r.finished_at THEN r.last_for ELSE r.finished_at END <
              CASE WHEN r.trigger = 'call' AND :calls_since > {SINCE} THEN :calls_since ELSE {SINCE} END
          AND {OVER}
        ORDER BY r.id LIMIT :limit"""  # noqa: S608
    TOO_MANY = f"""
        SELECT r.id, {SIZE} FROM jobs j
        CROSS JOIN runs r ON r.job_id = j.id
        WHERE r.id <= (SELECT n.id FROM runs n WHERE n.job_id = j.id ORDER BY n.id DESC LIMIT 1 OFFSET :rows)
          AND {OVER}
        ORDER BY r.id LIMIT :limit"""  # noqa: S608
    OLD_NOTES = """
        DELETE FROM audit
        WHERE id IN (SELECT id FROM audit WHERE at < :failed_since ORDER BY id LIMIT :limit)"""

    def prunable(self, keep: Keep) -> int:
        """See `Control.prunable`."""
        return sum(self._leftovers(keep, ALL).values())

    def _leftovers(self, keep: Keep, limit: int) -> Chains:
        since = {"ended_since": keep.ended_since, "failed_since": keep.failed_since}
        found = self._chains(self.TOO_OLD, {**since, "calls_since": keep.calls_since, "limit": limit})
        if len(found) != limit:
            found |= self._chains(self.TOO_MANY, {"rows": keep.rows, "limit": limit})
        return dict(sorted(found.items()))

    def prune(self, keep: Keep, limit: int) -> int:
        """See `Control.prune`. It looks for them before it takes the lock: what has ended stays ended."""
        chosen = next(_batches(self._leftovers(keep, limit), limit), [])
        with self._db.transaction():
            self._db.rows(self.OLD_NOTES, {"failed_since": keep.failed_since, "limit": limit})
            return self._delete(chosen)

    DELETE = f"""
        WITH gone (root) AS MATERIALIZED (
            SELECT coalesce(r.root_id, r.id) FROM runs r
            WHERE r.id IN (SELECT CAST(value AS BIGINT) FROM json_each(?)) AND {OVER})
        DELETE FROM runs WHERE id IN (
            SELECT root FROM gone
            UNION ALL SELECT o.id FROM gone CROSS JOIN runs o ON o.root_id = gone.root)"""  # noqa: S608

    def _delete(self, lasts: Sequence[int]) -> int:
        return self._db.change(self.DELETE, (json.dumps(list(lasts)),)) if lasts else 0

    def _chains(self, sql: str, values: Mapping[str, object]) -> Chains:
        return {row[0]: row[1] for row in self._db.rows(sql, values)}

    # a run's moment is the one that `runs` lists it by
    NAMED = f"""
        SELECT r.id, {SIZE} FROM runs r
        WHERE (CAST(:job AS TEXT) IS NULL OR r.job_id = (SELECT id FROM jobs WHERE name_key = :job))
          AND (CAST(:states AS TEXT) IS NULL OR r.state IN (SELECT value FROM json_each(:states)))
          AND (CAST(:since AS BIGINT) IS NULL OR coalesce(r.started_at, r.last_for, r.effective_at) >= :since)
          AND (CAST(:until AS BIGINT) IS NULL OR coalesce(r.started_at, r.last_for, r.effective_at) < :until)
          AND {OVER}
        ORDER BY r.id"""  # noqa: S608

    def delete_runs(self, which: RunFilter, *, dry_run: bool = False) -> int:
        """See `Control.delete_runs`. A row for many skips goes when the last of them is named."""
        values: dict[str, object] = {
            "job": None if which.job is None else which.job.casefold(),
            "states": None if which.states is None else json.dumps(list(which.states)),
            "since": which.since,
            "until": which.until,
        }
        found = self._chains(self.NAMED, values)
        if dry_run:
            return sum(found.values())
        return sum(self._delete_batch(batch) for batch in _batches(found, BATCH))

    def _delete_batch(self, lasts: Sequence[int]) -> int:
        with self._db.transaction():
            return self._delete(lasts)

    # -- the audit trail -----------------------------------------------------------------------------

    NOTE = "INSERT INTO audit (at, actor, action, job, detail) VALUES (?, ?, ?, ?, ?)"

    def note(self, actor: str, action: str, job: str | None, detail: str, now: Instant) -> None:
        """See `Control.note`."""
        self.note_all(actor, [(action, job, detail)], now)

    def note_all(self, actor: str, lines: Sequence[tuple[str, str | None, str]], now: Instant) -> None:
        """See `Control.note_all`."""
        who = plain(actor)
        with self._db.transaction():
            self._db.many(self.NOTE, [(now, who, action, job, plain(said)) for action, job, said in lines])

    NOTES = """
        SELECT id, at, actor, action, job, detail FROM audit
        WHERE (CAST(:job AS TEXT) IS NULL OR job IS NULL OR lower(job) = lower(:job))
          AND (CAST(:since AS BIGINT) IS NULL OR at >= :since)
        ORDER BY id DESC LIMIT :limit"""

    def notes(self, job: str | None = None, *, since: Instant | None = None, limit: int = 1000) -> list[Note]:
        """See `Control.notes`. Newest is what was written last, whatever the clocks said."""
        return self._db.made(_note, self.NOTES, {"job": job, "since": since, "limit": limit})

    # -- logs of what has ended ----------------------------------------------------------------------

    LENGTHEN = """
        UPDATE runs SET log_bytes = log_bytes + ?2
        WHERE id = ?1 AND state NOT IN ('pending', 'running', 'waiting')
        RETURNING log_bytes - ?2"""
    ADD = 'INSERT INTO logs (run_id, "offset", data) VALUES (?, ?, ?)'

    def add_to_log(self, run_id: int, data: bytes) -> None:
        """See `Store.add_to_log`; of a run that is there no more, or still open, nothing is written."""
        if not data:
            return
        with self._db.transaction():
            row = self._db.row(self.LENGTHEN, (run_id, len(data)))
            if row is not None:
                self._db.rows(self.ADD, (run_id, row[0], bytes(data)))


def _batches(chains: Chains, rows: int) -> Iterator[list[int]]:
    """Yield the chains in turn, so many at a time that they have `rows` rows together, but no more."""
    batch: list[int] = []
    weight = 0
    for last, size in chains.items():
        batch.append(last)
        weight += size
        if weight >= rows:
            yield batch
            batch, weight = [], 0
    if batch:
        yield batch


def _note(row: Row) -> Note:
    return Note(id=row[0], at=row[1], actor=row[2], action=row[3], job=row[4], detail=row[5])
