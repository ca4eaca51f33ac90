"""What the verbs of a store take and give, beside the nouns of `model`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from jobrunner.clock import Instant
from jobrunner.model import Job


class Registration(NamedTuple):
    """What `register` found new: names of jobs added, updated (definition), rescheduled (also updated)."""

    added: tuple[str, ...]
    updated: tuple[str, ...]
    rescheduled: tuple[str, ...]


class Document(NamedTuple):
    """A JSON value by its key; `version` is the number of the write that made it."""

    key: str
    value: Any
    version: int


class Write(NamedTuple):
    """What becomes of a document: `value` is kept, unless it is `deleted`."""

    key: str
    value: Any
    deleted: bool = False


class Call(NamedTuple):
    """One run that code asks for. `id` was reserved before, or None; `parent_id` is the calling chain's."""

    at: Instant
    params: Mapping[str, Any] = {}
    identity: str = "system"
    id: int | None = None
    parent_id: int | None = None


class Effects(NamedTuple):
    """What a run would have its commit apply, and what it has read before.

    `reads` are versions by key (0: it was not there), `prefixes` digests (`fingerprint.of_versions`) of
    keys and versions; `calls` go with the definition that they are of; `cancels` are ids of runs.
    """

    reads: Mapping[str, int] = {}
    prefixes: Mapping[str, str] = {}
    writes: Sequence[Write] = ()
    calls: Sequence[tuple[Job, Call]] = ()
    cancels: Sequence[int] = ()

    @property
    def changes(self) -> bool:
        """Whether there is anything to apply."""
        return bool(self.writes or self.calls or self.cancels)


class AddedJob(NamedTuple):
    """A job without a file: `target` is "package.module:function", `config` has canonical keys."""

    name: str
    target: str
    config: Mapping[str, Any]


class Glance(NamedTuple):
    """What a list of thousands needs of each job; fields as in `JobFacts`, where they cost more to make.

    `durations` are there while the job is running, to tell whether it runs for too long.
    """

    id: int
    name: str
    definition_hash: str
    file: str
    running: int
    pending: int
    executions: int
    consumed: Instant | None
    anchor: Instant | None
    schedule_key: str
    enabled_override: bool | None
    enabled_reason: str | None
    last_started_at: Instant | None
    last_finished_at: Instant | None
    last_state: str | None
    overrides: Mapping[str, Any]
    progress: Mapping[str, Any] | None
    running_since: Instant | None
    durations: tuple[int, ...]


class LogChunk(NamedTuple):
    """A piece of a run's output, `offset` bytes from its beginning. A gap before it was cut."""

    offset: int
    data: bytes


class RunFilter(NamedTuple):
    """Which runs to list; None means any. `limit` counts rows, newest first."""

    job: str | None = None
    states: tuple[str, ...] | None = None
    since: Instant | None = None
    until: Instant | None = None
    limit: int = 50


class Keep(NamedTuple):
    """What pruning leaves: rows that ended after `ended_since` (failed ones: `failed_since`), and of each
    job the newest `rows`."""

    ended_since: Instant
    failed_since: Instant
    rows: int
    calls_since: Instant = 0


class Hold(NamedTuple):
    """A node, by its owner id, that holds a job's current definition; `gate`: why it may not run there."""

    owner: str
    gate: str | None


class Holding(NamedTuple):
    """A definition that a node holds: of which job, its hash, whether it is the current one, and `gate` as
    in `Hold`."""

    job: str
    hash: str
    current: bool
    gate: str | None


class Figure(NamedTuple):
    """What statistics need of a row: how long the run took and how late it started, in microseconds.

    `count` is how many occurrences a row of skips stands for. What did not start took no time: None; nor did
    what takes steps back, for it is no run of the body.
    `newest`: its chain has no later attempt, so that its state is the chain's.
    """

    job_id: int
    state: str
    count: int  # type: ignore[assignment]  # it hides a method of tuples
    trigger: str
    attempt: int
    took: int | None
    late: int | None
    newest: bool
