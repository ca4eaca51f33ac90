"""The verbs of the document store that jobs know as `state`, and of what `ctx.once` keeps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from jobrunner.clock import Instant
from jobrunner.model import Run
from jobrunner.store.values import Document, Effects, Write


class Documents(Protocol):
    """JSON values by key. A document's version is another one after every write; absence is version 0."""

    def document(self, key: str) -> Document | None:
        """Return one document, as it is committed now."""
        ...

    def documents(self, prefix: str) -> list[Document]:
        """Return the documents whose keys begin so, by key, as of one moment; "" means all."""
        ...

    def write_documents(self, run: Run, writes: Sequence[Write], now: Instant) -> list[bool] | None:
        """Write or delete documents, all or none, and say of each whether it was there before.

        None, and nothing is written, when the run is no longer ours and running.
        """
        ...

    def commit_effects(self, run: Run, effects: Effects, now: Instant) -> bool:
        """Check what a run has read, then apply what it has written, called and canceled; all or nothing.

        False, and nothing is applied, when a document or prefix is no longer as the run has read it. What
        changes nothing is not checked. Belongs into the transaction of `finish`; the caller knows that the
        run is its own. Calls are of the run's chain (`parent_id`).
        """
        ...

    def stale(self, effects: Effects) -> bool:
        """Say whether something that a run has read has changed since."""
        ...

    def recorded(self, job_id: int, key: str) -> tuple[bool, Any]:
        """Return (whether `ctx.once` has recorded this key of a job, the result)."""
        ...

    def record(self, run: Run, key: str, result: Any, now: Instant) -> tuple[bool, Any]:
        """Record the result of `ctx.once`, unless one is there; returns (whether the run is still ours and
        running, the result that is there now)."""
        ...
