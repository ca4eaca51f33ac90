"""The ledger: one row for each consumed occurrence, or one for a long streak of equal skips.

The rows of a (job, scope) stand for disjoint spans of time, so that the sum of their counts is the number
of occurrences consumed. A streak is broken by whatever is no skip of its reason: a run, another reason,
and an occurrence that was in the ledger already.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from jobrunner.clock import Instant
from jobrunner.facts import NodeFacts
from jobrunner.model import Due, Job, Reason, Standing
from jobrunner.store.sql.database import Database, Row
from jobrunner.store.sql.rows import dumps

SINGLE_ROWS = 100  # a streak that is longer becomes one row

Span = tuple[Instant, Instant]


class Streak(NamedTuple):
    """The skips of one reason at the end of the ledger: how many, and the first row of them."""

    reason: str | None = None
    count: int = 0  # type: ignore[assignment]  # it hides a method of tuples
    run: int | None = None


class Ledger:
    """Writes what one `consume` found, inside its transaction."""

    def __init__(
        self, database: Database, standing: Standing, job: Job, node: NodeFacts, now: Instant, streak: Streak
    ) -> None:
        self._db = database
        self._standing = standing
        self._job = job
        self._node = node
        self._now = now
        self._streak = streak
        self._params = dumps(dict(job.params))

    SUPERSEDE = """
        UPDATE runs SET state = 'skipped', reason = ?6, finished_at = ?3, node = ?4, machine = ?5
        WHERE id = ?1 AND job_id = ?2 AND state = 'pending' AND started_at IS NULL"""

    def supersede(self, run_id: int, reason: Reason) -> None:
        """Turn a pending run into a skipped one. It stays a row of its own, before any streak."""
        who = self._node.node, self._node.machine
        self._db.rows(self.SUPERSEDE, (run_id, self._standing.job_id, self._now, *who, reason))

    SAVE = (
        "UPDATE cursors SET skip_reason = ?3, skip_count = ?4, skip_run = ?5 WHERE job_id = ?1 AND scope = ?2"
    )

    def write(self, due: Sequence[Due]) -> None:
        """Write the rows in the order given, and remember the streak that they end with."""
        before = self._streak
        for each in due:
            self._take(each)
        streak, place = self._streak, (self._standing.job_id, self._standing.scope)
        if streak != before:
            self._db.rows(self.SAVE, (*place, streak.reason, streak.count, streak.run))

    def _take(self, due: Due) -> None:
        parts = list(self._missing(due))
        if parts == [due]:
            self._write(due)
            return
        for part in parts:  # what is there already lies before, between and after them
            self._streak = Streak()
            self._write(part)
        self._streak = Streak()

    def _write(self, due: Due) -> None:
        streak = self._streak
        if due.skip is None:
            self._insert(due)
            self._streak = Streak()
        elif due.skip == streak.reason and (length := self._length(streak)):
            self._continue(due, length)
            self._streak = streak._replace(count=streak.count + due.count)
        else:
            self._streak = Streak(due.skip, due.count, self._insert(due))

    def _continue(self, due: Due, length: int) -> None:
        """Add to the streak whose first row counts `length`."""
        if due.count > 1 or length > 1 or self._streak.count >= SINGLE_ROWS:
            self._extend(due)
        else:
            self._insert(due)

    LENGTH = "SELECT count FROM runs WHERE id = ? AND state = 'skipped'"

    def _length(self, streak: Streak) -> int | None:
        """Return what the streak's first row counts; None when it was pruned."""
        found = self._db.row(self.LENGTH, (streak.run,))
        return found[0] if found else None

    INSERT = """
        INSERT INTO runs (job_id, trigger, scope, scheduled_for, effective_at, state, reason, exclusive,
                          priority, run_group, delivery, params, created_at, finished_at, node, machine,
                          count, last_for, blocked_by)
        VALUES (:job_id, 'schedule', :scope, :scheduled_for, :effective_at, :state, :reason, :exclusive,
                :priority, :group, :delivery, :params, :now, :finished_at, :node, :machine,
                :count, :last_for, :blocked_by)
        RETURNING id"""

    def _insert(self, due: Due) -> int:
        row = self._db.row(self.INSERT, {**self._of_job(due), **_of_due(due), **self._of_end(due)})
        assert row is not None
        return int(row[0])

    def _of_job(self, due: Due) -> dict[str, object]:
        return {
            "job_id": self._standing.job_id,
            "scope": self._standing.scope,
            "exclusive": int(self._job.concurrency != "allow" or due.serial),
            "priority": self._job.priority,
            "group": self._job.group,
            "delivery": self._job.delivery,
            "params": self._params,
            "now": self._now,
        }

    def _of_end(self, due: Due) -> dict[str, object]:
        """A skip is over at once, and belongs to the node that found it due."""
        if due.skip is None:
            return {"finished_at": None, "node": None, "machine": None}
        return {"finished_at": self._now, "node": self._node.node, "machine": self._node.machine}

    # -- streaks -------------------------------------------------------------------------------------

    FOLD = """
        DELETE FROM runs
        WHERE job_id = :job_id AND scope = :scope AND attempt = 1 AND state = 'skipped' AND reason = :reason
          AND scheduled_for > (SELECT scheduled_for FROM runs WHERE id = :first) AND scheduled_for <= :last
        RETURNING count"""
    EXTEND = """
        UPDATE runs SET count = count + :more, last_for = :last, finished_at = :now
        WHERE id = :first"""

    def _extend(self, due: Due) -> None:
        """Make the streak one row, its first, and let it reach over `due`."""
        place = {"job_id": self._standing.job_id, "scope": self._standing.scope, "reason": due.skip}
        ends = {"first": self._streak.run, "last": _last(due)}
        folded = sum(row[0] for row in self._db.rows(self.FOLD, {**place, **ends}))
        self._db.rows(self.EXTEND, {**ends, "more": folded + due.count, "now": self._now})

    # -- what is there already -----------------------------------------------------------------------

    THERE = """
        SELECT scheduled_for, scheduled_for FROM runs
        WHERE job_id = ?1 AND scope = ?2 AND scheduled_for BETWEEN ?3 AND ?4 AND count = 1
        UNION ALL
        SELECT scheduled_for, last_for FROM runs
        WHERE job_id = ?1 AND scope = ?2 AND last_for >= ?3 AND scheduled_for <= ?4 AND count > 1"""

    def _missing(self, due: Due) -> Iterator[Due]:
        """Yield the parts of `due` that no row stands for; all of it, unless a clock went back."""
        place = (self._standing.job_id, self._standing.scope, due.scheduled_for, _last(due))
        spans = sorted(self._db.made(_span, self.THERE, place))
        if not spans:
            yield due
        elif due.count > 1:
            yield from self._gaps(due, spans)

    def _gaps(self, due: Due, spans: Sequence[Span]) -> Iterator[Due]:
        after = due.scheduled_for - 1
        for start, end in [*spans, (_last(due) + 1, _last(due) + 1)]:
            yield from self._between(due, after, start - 1)
            after = max(after, end)

    def _between(self, due: Due, after: Instant, until: Instant) -> Iterator[Due]:
        """Yield one row for the occurrences in (after, until], if there are any."""
        schedule, anchor = self._job.schedule, self._standing.anchor
        if schedule is None or after >= until:
            return
        first, last = schedule.next_after(after, anchor), schedule.latest(after, until, anchor)
        if first is not None and last is not None:
            count = schedule.count(after, until, anchor)
            late = due.effective_at - due.scheduled_for
            yield due._replace(scheduled_for=first, effective_at=first + late, count=count, last_for=last)


def _of_due(due: Due) -> dict[str, object]:
    return {
        "scheduled_for": due.scheduled_for,
        "effective_at": due.effective_at,
        "state": "pending" if due.skip is None else "skipped",
        "reason": due.skip,
        "count": due.count,
        "last_for": _last(due) if due.count > 1 else None,
        "blocked_by": due.blocked_by,
    }


def _last(due: Due) -> Instant:
    return due.scheduled_for if due.last_for is None else due.last_for


def _span(row: Row) -> Span:
    return row[0], row[1]
