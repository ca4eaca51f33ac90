"""What becomes of a state that was moved elsewhere, or copied."""

from __future__ import annotations

from jobrunner.store.sql.rows import Part

CURRENT = """EXISTS (
    SELECT 1 FROM jobs j WHERE j.id = definitions.job_id AND j.definition_hash = definitions.hash)"""


class Moving(Part):
    """The verb dissolve."""

    NO_NODES = "DELETE FROM nodes"
    ONLY_CURRENT = f"DELETE FROM definitions WHERE NOT {CURRENT}"  # noqa: S608

    def dissolve(self) -> None:
        """See `Movable.dissolve`."""
        with self._db.transaction():
            self._db.rows(self.NO_NODES)
            self._db.rows(self.ONLY_CURRENT)
