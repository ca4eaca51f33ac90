"""What a store knows of jobs, nodes and what people have done: frozen values, as it gives them out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from jobrunner.clock import Instant
from jobrunner.model import Parameter

CONTROL = "control"  # the role of a node that neither plans nor claims; `readers.ROLES` has them all


class JobFacts(NamedTuple):
    """What the store knows of a job, definition or none.

    `pending` counts what its schedule has due and no node has started yet; `durations` are those of its last
    successes, oldest first; `overrides` what `set` changed;
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
    durations: tuple[int, ...] = ()
    overrides: Mapping[str, Any] = {}
    progress: Mapping[str, Any] | None = None
    running_since: Instant | None = None


class NodeFacts(NamedTuple):
    """One `start` (or `run`) process as it told the store.

    `lease` is how long (microseconds) after `seen_at` it is taken for dead, by the store's own clock, and
    `expired` whether that has come; 0: a lock tells. `tzdata` is the version of its rules of time zones.
    """

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
    labels: tuple[str, ...] = ()
    timezone: str = ""
    tzdata: str = ""
    lease: int = 0
    expired: bool = False

    @property
    def works(self) -> bool:
        """Whether it plans and claims."""
        return self.role in ("all", "worker")


class Definition(NamedTuple):
    """A job's current definition as the store keeps it; `config` has canonical keys.

    `parameters` is what its function takes; None: anything, or nobody can tell.
    """

    job_id: int
    name: str
    hash: str
    file: str
    config: Mapping[str, Any]
    parameters: tuple[Parameter, ...] | None = None


class Pause(NamedTuple):
    """Since when, by whom and why all schedules stand still."""

    at: Instant
    by: str
    reason: str | None


class Footing(NamedTuple):
    """What calls of a job go by; `job_id` is None for one that the store does not know.

    While `mark` is the same, so is what the store says of the job's definition, who holds it, and what was
    set, added, enabled or paused.
    """

    job_id: int | None
    enabled_override: bool | None
    enabled_reason: str | None
    pause: Pause | None
    mark: tuple[Any, ...]


class Note(NamedTuple):
    """A line of the audit trail: who did what, when; `job` None concerns all."""

    id: int
    at: Instant
    actor: str
    action: str
    job: str | None
    detail: str
