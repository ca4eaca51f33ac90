"""Jobs, runs and steps as programs are told of them: what `--json` has, with aware datetimes (UTC)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from jobrunner.clock import Instant, to_datetime
from jobrunner.masking import Masker
from jobrunner.model import Run, State, Step, StepState, Trigger
from jobrunner.record import Object, run_object, step_object


@dataclass(frozen=True, slots=True, kw_only=True)
class JobInfo:
    """A job at one moment, as `ls --json` has it.

    `name` is None for a file that cannot be read, and so names none. `schedule` is None for a job on demand;
    `state` one of active, disabled, finished, error, orphan, excluded, paused, on-demand, and `state_reason`
    why. `overrides` is what `update` has changed, by the file's keys. `file` is "" for a job that code has
    added, whose function is `target`.
    """

    name: str | None
    description: str | None
    file: str
    target: str | None
    schedule: str | None
    schedule_description: str | None
    timezone: str | None
    tags: tuple[str, ...]
    hidden: bool
    enabled: bool
    enabled_reason: str | None
    state: str
    state_reason: str | None
    paused: bool
    overrides: Mapping[str, Any]
    next_execution_at: datetime | None
    is_running: bool
    executions: int
    executions_by_machine: Mapping[str, int] | None
    number_of_executions: int | None
    consecutive_failures: int
    last_executed_at: datetime | None
    last_finished_at: datetime | None
    last_success_at: datetime | None
    last_failure_at: datetime | None
    last_status: str | None
    last_result: Any
    last_error: Mapping[str, Any] | None
    problems: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInfo:
    """One attempt, as `history --json` has it.

    `root_id` is the first attempt of its chain, `parent_id` that of the run which called it. `effective_at`
    is when it is due. `params` are those it was given; `result` is what it returned. `error` has type,
    message, traceback and phase. `log_bytes` is the length of what `logs` returns, in bytes.
    """

    id: int
    job: str
    trigger: Trigger
    state: State
    reason: str | None
    attempt: int
    scheduled_for: datetime | None
    effective_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    node: str | None
    machine: str | None
    pid: int | None
    identity: str
    params: Mapping[str, Any]
    progress: Mapping[str, Any] | None
    stalled: bool
    result: Any
    truncated: bool
    error: Mapping[str, Any] | None
    root_id: int
    parent_id: int | None
    blocked_by: int | None
    cancel_asked: bool
    log_bytes: int
    count: int
    first_for: datetime | None
    last_for: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepInfo:
    """A step of a workflow: `path` is its name below those of the steps around it, as in `ship/label`.

    `tries` counts how often its function was called by the attempt that ended it; `deadline` is until when
    a waiting one waits, None: for ever. `undone` is "done" or "failed" once it was taken back.
    """

    path: str
    state: StepState
    tries: int
    started_at: datetime
    finished_at: datetime | None
    deadline: datetime | None
    result: Any
    error: Mapping[str, Any] | None
    undone: str | None
    undone_at: datetime | None
    undo_error: Mapping[str, Any] | None


def job_info(found: Object) -> JobInfo:
    """Return a job from what JSON would have, made with `moment`."""
    told = {**found, "name": found["id"], "tags": tuple(found["tags"])}
    return JobInfo(**_told(JobInfo, told))


def run_info(run: Run) -> RunInfo:
    """Return a run as programs are told of it."""
    found = run_object(run, moment)
    return RunInfo(**_told(RunInfo, {**found, "logBytes": found["log"]["bytes"]}))


def step_info(step: Step, masker: Masker) -> StepInfo:
    """Return a step as programs are told of it, without secrets."""
    return StepInfo(**_told(StepInfo, step_object(step, masker, moment)))


def moment(instant: Instant | None) -> datetime | None:
    """Return an instant as a datetime, to the microsecond."""
    return None if instant is None else to_datetime(instant)


def _told(kind: type[Any], found: Object) -> dict[str, Any]:
    """Return the fields of a kind from what JSON would have: camelCase becomes snake_case."""
    return {each.name: found[_camel(each.name)] for each in fields(kind)}


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(map(str.capitalize, rest))
