"""Asking runs to end. Whoever asks need not be whoever runs them."""

from __future__ import annotations

from jobrunner.clock import Instant
from jobrunner.model import Outcome, Run, State
from jobrunner.store.sql.database import Row
from jobrunner.store.sql.rows import COLUMNS, run_of
from jobrunner.store.sql.steps import Steps


class Cancels(Steps):
    """The verbs cancel and asked_to_end; what is canceled before it starts concludes its chain."""

    CANCEL_WAITING = f"""
        UPDATE runs SET state = 'canceled', finished_at = ?2,
               reason = CASE WHEN asked = 'replaced' THEN asked ELSE reason END
        WHERE id = ?1 AND state IN ('pending', 'waiting')
        RETURNING {COLUMNS}"""  # noqa: S608
    ASK = """
        UPDATE runs SET asked = coalesce(asked, 'canceled')
        WHERE id = ?1 AND state = 'running'"""
    STATE = "SELECT state FROM runs WHERE id = ?"

    def cancel(self, run_id: int, now: Instant) -> State | None:
        """See `Store.cancel`."""
        with self._db.transaction():
            for run in self._db.made(run_of, self.CANCEL_WAITING, (run_id, now)):
                self._settle(run, now)
            self._db.rows(self.ASK, (run_id,))
            for call in self._db.made(run_of, self.CANCEL_CALLS, (run_id, now)):
                self.conclude(call, Outcome(state="canceled"), now)
            found = self._db.row(self.STATE, (run_id,))
        return None if found is None else found[0]

    # Chains by their first row, from the one that `run_id` belongs to down; UNION ends what would be a ring.
    CANCEL_CALLS = f"""
        WITH RECURSIVE tree (root) AS (
            SELECT coalesce(root_id, id) FROM runs WHERE id = ?1
            UNION
            SELECT coalesce(r.root_id, r.id)
            FROM tree CROSS JOIN runs r INDEXED BY runs_of_parent ON r.parent_id = tree.root)
        UPDATE runs SET state = 'canceled', finished_at = ?2
        WHERE id IN (SELECT root FROM tree) AND state = 'pending'
          AND trigger = 'call' AND attempt = 1 AND started_at IS NULL
        RETURNING {COLUMNS}"""  # noqa: S608

    def _settle(self, run: Run, now: Instant) -> None:
        """End the chain of a run that was canceled while it waited, or let its steps be taken back first."""
        if not run.undo and self.to_undo(run.root_id):
            self.again(run, now, now, undo=1)
        else:
            self.conclude(run, Outcome(state="canceled", reason=run.reason), now)

    ASKED = (
        "SELECT id, asked FROM runs WHERE owner = ? AND state = 'running' AND asked IS NOT NULL ORDER BY id"
    )

    def asked_to_end(self, owner: str) -> list[tuple[int, str]]:
        """See `Store.asked_to_end`."""
        return self._db.made(_asked, self.ASKED, (owner,))


def _asked(row: Row) -> tuple[int, str]:
    return row[0], row[1]
