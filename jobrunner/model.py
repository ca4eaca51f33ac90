"""The nouns: frozen values without behaviour. Instants and durations are integer microseconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:  # the nouns are cheap to import, calendars are not
    from jobrunner.clock import Instant
    from jobrunner.schedule import Schedule

State = Literal[
    "pending", "running", "waiting", "succeeded", "failed", "timed_out", "canceled", "skipped", "lost"
]
Trigger = Literal["schedule", "manual", "call"]
Reason = Literal[
    "overlap", "replaced", "missed", "asleep", "grace", "paused", "disabled", "environment", "limit",
    "broken-file", "orphan", "calendar", "dst", "body", "shutdown", "conflict",
]  # fmt: skip

OPEN: frozenset[str] = frozenset({"pending", "running", "waiting"})
ENDED: frozenset[str] = frozenset({"succeeded", "failed", "timed_out", "canceled", "skipped", "lost"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A definition: what one config says, with every default filled in.

    `file` is the path as shown to people (relative to the project root where it lies below it),
    `path` the absolute one; `folder` the jobs folder it was found in. `content_hash` is the sha256 of
    the file, `hash` of everything that makes two definitions the same (content, config, zone).
    `config` is the dict as written, JSON only, canonical keys.
    """

    name: str
    schedule: Schedule | None
    timezone: str
    file: str
    path: str
    folder: str
    line: int
    content_hash: str
    hash: str
    config: Mapping[str, Any]
    target: str = ""
    description: str = ""
    tags: tuple[str, ...] = ()
    number_of_executions: int | None = None
    enabled: bool = True
    environments: tuple[str, ...] | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    timeout: int | None = None
    concurrency: str = "forbid"
    misfire: str = "once"
    misfire_grace: int | None = None
    delivery: str = "at-most-once"
    hidden: bool = False
    runs_per_process: int = 1
    run_on_start: bool = False
    start_at: Instant | None = None
    end_at: Instant | None = None
    imports: tuple[str, ...] = ()  # top-level modules that the file imports, for the zygote's preload

    @property
    def schedule_key(self) -> str:
        """What a stored cursor belongs to: when this text changes, the schedule starts anew."""
        if self.schedule is None:
            return ""
        zone = "" if self.schedule.text.startswith("every ") else self.timezone
        gap, fold = self.config.get("dstGap", ""), self.config.get("dstFold", "")
        return f"{self.schedule.text}|{zone}|{gap}|{fold}"


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a file, or one of its configs, cannot be used: where, what, and what to do."""

    file: str
    line: int | None
    message: str
    hint: str | None = None
    name: str | None = None  # the job's name, where it could be read
    path: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a job stands in one scope: how far its schedule is consumed, and what occupies it.

    The cursor (`consumed`) lives apart from the runs, so that pruning forgets nothing. `open` counts
    rows that are pending, running or waiting, `pending` the scheduled first attempts among them that no
    node has claimed yet, and `pending_id` is the newest of these. `anchor` is the start of interval
    grids, `ended_at` the end of the last chain. `elsewhere`: another node holds the same definition and
    nothing keeps the job from running there.
    """

    job_id: int
    job: str
    scope: str
    schedule_key: str
    consumed: Instant
    anchor: Instant
    executions: int
    open: int = 0
    pending: int = 0
    pending_id: int | None = None
    ended_at: Instant | None = None
    elsewhere: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """One row to write for one or many due occurrences.

    `skip` None: it shall run. Otherwise the reason why not; `count` > 1 then stands for all due
    occurrences from `scheduled_for` to `last_for`.
    """

    scheduled_for: Instant
    effective_at: Instant
    skip: Reason | None = None
    count: int = 1
    last_for: Instant | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One attempt, as the store keeps it. `fence` grows with every claim of the whole store."""

    id: int
    job_id: int
    job: str
    trigger: Trigger
    scope: str
    scheduled_for: Instant | None
    effective_at: Instant
    state: State
    attempt: int
    root_id: int
    parent_id: int | None = None
    reason: str | None = None
    created_at: Instant
    began_at: Instant | None = None
    started_at: Instant | None = None
    finished_at: Instant | None = None
    owner: str | None = None
    node: str | None = None
    machine: str | None = None
    pid: int | None = None
    fence: int = 0
    params: Mapping[str, Any] = field(default_factory=dict)
    result: Any = None
    truncated: bool = False
    error: Mapping[str, Any] | None = None
    progress: Mapping[str, Any] | None = None
    identity: str = "system"
    file_hash: str = ""
    delivery: str = "at-most-once"
    count: int = 1
    last_for: Instant | None = None
    log_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a run ended, as a value: a crash, a time-out and a return are the same kind of thing."""

    state: State
    reason: str | None = None
    result: Any = None
    truncated: bool = False
    error: Mapping[str, Any] | None = None
    file_hash: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFacts:
    """What the store knows of a job, definition or none.

    `progress` and `running_since` are of its newest running run.
    """

    id: int
    name: str
    definition_hash: str
    file: str
    first_seen_at: Instant
    running: int = 0
    pending: int = 0
    executions: int = 0
    consumed: Instant | None = None
    anchor: Instant | None = None
    schedule_key: str = ""
    enabled_override: bool | None = None
    enabled_reason: str | None = None
    consecutive_failures: int = 0
    last_scheduled_for: Instant | None = None
    last_started_at: Instant | None = None
    last_finished_at: Instant | None = None
    last_success_at: Instant | None = None
    last_failure_at: Instant | None = None
    last_state: str | None = None
    last_result: Any = None
    last_error: Mapping[str, Any] | None = None
    cursor: Any = None
    progress: Mapping[str, Any] | None = None
    running_since: Instant | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """One `start` (or `run`) process as it told the store."""

    owner: str
    node: str
    machine: str
    boot_id: str
    pid: int
    version: str
    slots: int
    exclusive: bool
    started_at: Instant
    seen_at: Instant
    role: str = "all"
