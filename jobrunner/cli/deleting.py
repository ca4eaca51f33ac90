"""history --delete: selected history goes, never what is open."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import click

from jobrunner.cli import out
from jobrunner.cli.render import many
from jobrunner.clock import Instant, SystemClock, to_iso
from jobrunner.errors import BadRequest
from jobrunner.store.base import RunFilter, Store


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
    gone = store.delete_runs(what.filter)
    said = f"{many(gone, 'row')}: {what.words}"
    store.note(_who(), "history-deleted", what.name, said, SystemClock().now())
    _say(what, count, gone)


def _say(what: Deletion, count: int, gone: int | None) -> None:
    if what.as_json:
        out.json_document({"matching": count, "deleted": gone or 0, "dryRun": what.dry_run})
    elif gone is None:
        out.talk(f"{many(count, 'row')} would go: {what.words}")
    else:
        out.talk(f"{many(gone, 'row')} deleted: {what.words}")


def _who() -> str:
    """Return user@host; where nobody is known to the system, the number."""

    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = f"uid {os.getuid()}"
    return f"{user}@{os.uname().nodename}"
