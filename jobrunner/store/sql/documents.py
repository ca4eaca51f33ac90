"""Documents: JSON values by key, which is what jobs know as `state`, and what `ctx.once` keeps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jobrunner.clock import Instant
from jobrunner.fingerprint import of_versions
from jobrunner.model import Run
from jobrunner.store.sql.calls import Calls
from jobrunner.store.sql.cancel import Cancels
from jobrunner.store.sql.database import Row
from jobrunner.store.sql.rows import dumps, loads
from jobrunner.store.values import Document, Effects, Write


class Documents(Calls, Cancels):
    """The verbs document, documents, write_documents, commit_effects, stale, recorded and record."""

    DOCUMENT = "SELECT key, value, version FROM documents WHERE key = ?"

    def document(self, key: str) -> Document | None:
        """See `Documents.document`."""
        found = self._db.made(_document, self.DOCUMENT, (key,))
        return found[0] if found else None

    DOCUMENTS = "SELECT key, value, version FROM documents WHERE key >= ? ORDER BY key"
    DOCUMENTS_TO = "SELECT key, value, version FROM documents WHERE key >= ? AND key < ? ORDER BY key"

    def documents(self, prefix: str) -> list[Document]:
        """See `Documents.documents`."""
        return self._db.made(_document, *_range(self.DOCUMENTS, self.DOCUMENTS_TO, prefix))

    # -- to write ------------------------------------------------------------------------------------

    def write_documents(self, run: Run, writes: Sequence[Write], now: Instant) -> list[bool] | None:
        """See `Documents.write_documents`; one after the other."""
        with self._db.transaction():
            return self._write_all(run, writes, now) if self._is_ours(run) else None

    REVISION = "UPDATE meta SET revision = revision + ? RETURNING revision"
    VERSION = "SELECT version FROM documents WHERE key = ?"
    SET = """
        INSERT INTO documents (key, value, version, updated_at, run_id) VALUES (?, ?, ?, ?, ?)
        ON CONFLICT (key) DO UPDATE
        SET value = excluded.value, version = excluded.version, updated_at = excluded.updated_at,
            run_id = excluded.run_id"""
    DELETE_DOCUMENT = "DELETE FROM documents WHERE key = ?"

    def _write_all(self, run: Run, writes: Sequence[Write], now: Instant) -> list[bool]:
        existed: list[bool] = []
        row = self._db.row(self.REVISION, (len(writes),)) if writes else None
        for number, write in enumerate(writes, 1 - len(writes)):
            assert row is not None
            existed.append(self._version(write.key) != 0)
            if write.deleted:
                self._db.rows(self.DELETE_DOCUMENT, (write.key,))
            else:
                self._db.rows(self.SET, (write.key, dumps(write.value), row[0] + number, now, run.id))
        return existed

    def _version(self, key: str) -> int:
        row = self._db.row(self.VERSION, (key,))
        return 0 if row is None else int(row[0])

    # -- the effects of a run ------------------------------------------------------------------------

    def commit_effects(self, run: Run, effects: Effects, now: Instant) -> bool:
        """See `Documents.commit_effects`."""
        if not effects.changes:
            return True
        with self._db.transaction():
            if self.stale(effects):
                return False
            self._write_all(run, effects.writes, now)
            for job, call in effects.calls:
                self.call(call._replace(parent_id=run.root_id), job, now)
            for run_id in effects.cancels:
                self.cancel(run_id, now)
        return True

    def stale(self, effects: Effects) -> bool:
        """See `Documents.stale`."""
        return any(self._version(key) != version for key, version in effects.reads.items()) or any(
            self._digest(prefix) != digest for prefix, digest in effects.prefixes.items()
        )

    VERSIONS = "SELECT key, version FROM documents WHERE key >= ? ORDER BY key"
    VERSIONS_TO = "SELECT key, version FROM documents WHERE key >= ? AND key < ? ORDER BY key"

    def _digest(self, prefix: str) -> str:
        return of_versions(self._db.made(_pair, *_range(self.VERSIONS, self.VERSIONS_TO, prefix)))

    # -- once ----------------------------------------------------------------------------------------

    RECORDED = "SELECT result FROM once WHERE job_id = ? AND key = ?"

    def recorded(self, job_id: int, key: str) -> tuple[bool, Any]:
        """See `Documents.recorded`."""
        row = self._db.row(self.RECORDED, (job_id, key))
        return (False, None) if row is None else (True, loads(row[0]))

    RECORD = """
        INSERT INTO once (job_id, key, result, run_id, at) VALUES (?, ?, ?, ?, ?)
        ON CONFLICT DO NOTHING"""

    def record(self, run: Run, key: str, result: Any, now: Instant) -> tuple[bool, Any]:
        """See `Documents.record`."""
        text = dumps(result)
        with self._db.transaction():
            ours = self._is_ours(run)
            if ours:
                self._db.rows(self.RECORD, (run.job_id, key, text, run.id, now))
            return ours, self.recorded(run.job_id, key)[1]


def after(prefix: str) -> str | None:
    """Return the first key after all that begin so, or None where every later key does.

    Keys are in the order of their code points; what UTF-16 needs for pairs is no character of any text.
    """
    kept = prefix.rstrip("\U0010ffff")
    if not kept:
        return None
    last = 0xE000 if kept[-1] == "\ud7ff" else ord(kept[-1]) + 1
    return kept[:-1] + chr(last)


def _range(open_end: str, to: str, prefix: str) -> tuple[str, tuple[str, ...]]:
    end = after(prefix)
    return (open_end, (prefix,)) if end is None else (to, (prefix, end))


def _pair(row: Row) -> tuple[str, int]:
    return row[0], row[1]


def _document(row: Row) -> Document:
    return Document(row[0], loads(row[1]), row[2])
