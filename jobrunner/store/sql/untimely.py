"""What a clock that was wrong has written about moments that have not come."""

from __future__ import annotations

from jobrunner.clock import DAY, Instant
from jobrunner.store.sql.rows import OCCUPYING, Part

LED_ASTRAY = DAY  # a cursor that is farther ahead is set back; one that is less is waited for


class Untimely(Part):
    """No verb: what rewind, rekey, register and reset have in common."""

    NOT_YET = """
        DELETE FROM runs
        WHERE job_id = ?1 AND scope = coalesce(CAST(?2 AS TEXT), scope) AND scheduled_for > ?3
          AND started_at IS NULL
          AND state IN ('pending', 'skipped') AND trigger = 'schedule' AND attempt = 1"""
    REACHING = """
        SELECT id, scheduled_for, last_for, count FROM runs INDEXED BY runs_ranges
        WHERE job_id = ?1 AND scope = coalesce(CAST(?2 AS TEXT), scope)
          AND scheduled_for <= ?3 AND last_for > ?3 AND count > 1"""
    SHORTEN_STRADDLING = "UPDATE runs SET last_for = ?2, count = ?3 WHERE id = ?1"

    def _forget(self, job_id: int, scope: str | None, now: Instant) -> None:
        """Forget what has not started and is about moments after `now`, in a scope or in all (None)."""
        place = (job_id, scope, now)
        self._db.rows(self.NOT_YET, place)
        for run_id, first, last, count in self._db.rows(self.REACHING, place):
            self._db.rows(self.SHORTEN_STRADDLING, (run_id, *_up_to(now, first, last, count)))

    RETRIES_NOW = f"""
        UPDATE runs INDEXED BY runs_occupying SET effective_at = ?3
        WHERE job_id = ?1 AND scope = ?2 AND {OCCUPYING}
          AND state != 'running' AND (attempt > 1 OR started_at IS NOT NULL)
          AND effective_at > ?3"""  # noqa: S608

    def _begin_anew(self, job_id: int, scope: str, consumed: Instant, now: Instant) -> None:
        """Before another schedule begins: what a cursor that was led astray has left would keep its runs
        out until the time for that comes."""
        if consumed > now + LED_ASTRAY:
            self._forget(job_id, scope, now)
            self._db.rows(self.RETRIES_NOW, (job_id, scope, now))


def _up_to(now: Instant, first: Instant, last: Instant, count: int) -> tuple[Instant, int]:
    """Return the last occurrence that is not after `now` and how many there are until then, of `count`
    from `first` to `last`, taking them to be evenly spaced: their schedule is not at hand here."""
    steps = (now - first) * (count - 1) // (last - first)
    return first + steps * (last - first) // (count - 1), steps + 1
