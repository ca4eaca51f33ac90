"""history --delete: selected history goes, never what is open."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import click

from jobrunner.cli import out
from jobrunner.cli.desk import actor
from jobrunner.cli.render import many
from jobrunner.clock import Instant, SystemClock, to_iso
from jobrunner.errors import BadRequest
from jobrunner.store.base import RunFilter, Store

BATCH = 500  # rows that go in one transaction: nodes want the lock, too


@dataclass(frozen=True, slots=True)
class Deletion:
    """What shall go: of one job or of `all`, before a moment, in some states."""

    name: str | None
    all: bool
    before: Instant | None
    states: Sequence[str]
    dry_run: bool
    yes: bool
    as_json: bool
    user: str | None

    def check(self) -> None:
        """Raise BadRequest unless it is clear whose history is meant."""
        if (self.name is None) != self.all:
            hint = "--dry-run tells how much it is"
            raise BadRequest("--delete needs either a job's NAME or --all", hint=hint)

    @property
    def filter(self) -> RunFilter:
        """The rows that are meant."""
        return RunFilter(job=self.name, states=tuple(self.states) or None, until=self.before)

    @property
    def words(self) -> str:
        """What is meant, for the audit trail and for people."""
        states = f" in state {', '.join(self.states)}" if self.states else ""
        before = f" before {to_iso(self.before)}" if self.before is not None else ""
        return f"history of {self.name or 'all jobs'}{states}{before}"


def delete(store: Store | None, what: Deletion) -> None:
    """Delete, after a question at a terminal; say how many rows went, and write it in the audit trail."""
    count = store.delete_runs(what.filter, dry_run=True) if store is not None else 0
    if what.dry_run or store is None or not count:
        _say(what, count, 0 if not what.dry_run else None)
        return
    if not what.yes and sys.stdin is not None and sys.stdin.isatty():
        click.confirm(f"Delete {many(count, 'row')}: {what.words}?", abort=True, err=True)
    _say(what, count, _delete(store, what, count))


def _delete(store: Store, what: Deletion, count: int) -> int:
    """Delete, and write it in the audit trail: together, or before many go, a batch at a time."""
    if count > BATCH:
        _note(store, what, count)
        return store.delete_runs(what.filter)
    with store.transaction():
        gone = store.delete_runs(what.filter)
        _note(store, what, gone)
    return gone


def _note(store: Store, what: Deletion, count: int) -> None:
    said = f"{many(count, 'row')}: {what.words}"
    store.note(actor(what.user), "history-deleted", what.name, said, SystemClock().now())


def _say(what: Deletion, count: int, gone: int | None) -> None:
    if what.as_json:
        out.json_document({"matching": count, "deleted": gone or 0, "dryRun": what.dry_run})
    elif gone is None:
        out.talk(f"{many(count, 'row')} would go: {what.words}")
    else:
        out.talk(f"{many(gone, 'row')} deleted: {what.words}")
