"""Logs: what runs wrote, in pieces, each at its offset."""

from __future__ import annotations

from collections.abc import Sequence

from jobrunner.store.sql.database import Row
from jobrunner.store.sql.rows import Part
from jobrunner.store.values import LogChunk


class Logs(Part):
    """The verbs append_log and read_log."""

    # whole chunks only: a chunk that reaches beyond the cut is still needed from there on
    CUT = """
        DELETE FROM logs
        WHERE run_id = ?1 AND "offset" >= ?2 AND "offset" < ?3 AND "offset" + length(data) <= ?3"""

    # the same piece may come twice, when it is not known whether the first commit worked
    APPEND = """
        INSERT INTO logs (run_id, "offset", data) VALUES (?, ?, ?)
        ON CONFLICT (run_id, "offset") DO UPDATE SET data = excluded.data"""

    OURS = "SELECT 1 FROM runs WHERE id = ? AND owner = ? AND state = 'running'"

    def append_log(
        self, run_id: int, owner: str, chunks: Sequence[LogChunk], cut: tuple[int, int] | None = None
    ) -> None:
        """See `Store.append_log`."""
        with self._db.transaction():
            if self._db.row(self.OURS, (run_id, owner)) is None:
                return
            if cut is not None:
                self._db.rows(self.CUT, (run_id, *cut))
            self._db.many(self.APPEND, ((run_id, chunk.offset, bytes(chunk.data)) for chunk in chunks))

    READ = 'SELECT "offset", data FROM logs WHERE run_id = ? AND "offset" >= ? ORDER BY "offset"'

    def read_log(self, run_id: int, offset: int = 0) -> list[LogChunk]:
        """See `Store.read_log`."""
        return self._db.made(_chunk, self.READ, (run_id, offset))


def _chunk(row: Row) -> LogChunk:
    return LogChunk(offset=row[0], data=bytes(row[1]))
