"""Asking runs to end. Whoever asks need not be whoever runs them."""

from __future__ import annotations

from jobrunner.clock import Instant
from jobrunner.model import Outcome, State
from jobrunner.store.sqlite.connection import Row
from jobrunner.store.sqlite.rows import COLUMNS, run_of
from jobrunner.store.sqlite.runs import Runs


class Cancels(Runs):
    """The verbs cancel and asked_to_end; what is canceled before it starts concludes its chain."""

    CANCEL_PENDING = f"""
        UPDATE runs SET state = 'canceled', finished_at = ?2
        WHERE id = ?1 AND state = 'pending'
        RETURNING {COLUMNS}"""  # noqa: S608
    ASK = """
        UPDATE runs SET asked = coalesce(asked, 'canceled')
        WHERE id = ?1 AND state = 'running'"""
    STATE = "SELECT state FROM runs WHERE id = ?"

    def cancel(self, run_id: int, now: Instant) -> State | None:
        """See `Store.cancel`."""
        with self._db.transaction():
            for run in self._db.made(run_of, self.CANCEL_PENDING, (run_id, now)):
                self.conclude(run, Outcome(state="canceled"), now)
            self._db.rows(self.ASK, (run_id,))
            found = self._db.row(self.STATE, (run_id,))
        return None if found is None else found[0]

    ASKED = (
        "SELECT id, asked FROM runs WHERE owner = ? AND state = 'running' AND asked IS NOT NULL ORDER BY id"
    )

    def asked_to_end(self, owner: str) -> list[tuple[int, str]]:
        """See `Store.asked_to_end`."""
        return self._db.made(_asked, self.ASKED, (owner,))


def _asked(row: Row) -> tuple[int, str]:
    return row[0], row[1]
