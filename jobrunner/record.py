"""A run, a step, or a problem, as JSON has it anywhere: camelCase, times ISO-8601 UTC with milliseconds."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from jobrunner.clock import Instant, to_iso

if TYPE_CHECKING:  # `ls` has no runs to tell of, and need not know what one is
    from jobrunner.masking import Masker
    from jobrunner.model import Problem, Run, Step

Object = dict[str, Any]


def iso(instant: Instant | None) -> str | None:
    """Return an instant as text."""
    return None if instant is None else to_iso(instant)


Moment = Callable[[Instant | None], Any]


def run_object(run: Run, moment: Moment = iso) -> Object:
    """Return a run as JSON has it; `moment` is how instants are told."""
    return {
        "id": run.id,
        "job": run.job,
        "trigger": run.trigger,
        "scheduledFor": moment(run.scheduled_for),
        "effectiveAt": moment(run.effective_at),
        "startedAt": moment(run.started_at),
        "finishedAt": moment(run.finished_at),
        "state": run.state,
        "reason": run.reason,
        "attempt": run.attempt,
        "node": run.node,
        "machine": run.machine,
        "pid": run.pid,
        "identity": run.identity,
        "params": dict(run.params),
        "progress": run.progress,
        "stalled": run.stalled,
        "result": run.result,
        "truncated": run.truncated,
        "error": run.error,
        "rootId": run.root_id,
        "parentId": run.parent_id,
        "blockedBy": run.blocked_by,
        "cancelAsked": run.asked is not None,
        "log": {"bytes": run.log_bytes},
        **_counted(run, moment),
    }


def _counted(run: Run, moment: Moment) -> Object:
    """Return what a row stands for: one run, or many skips in a row for the same reason."""
    if run.state != "skipped":
        return {"count": 1, "firstFor": None, "lastFor": None}
    return {
        "count": run.count,
        "firstFor": moment(run.scheduled_for),
        "lastFor": moment(run.last_for or run.scheduled_for),
    }


def step_object(step: Step, masker: Masker, moment: Moment = iso) -> Object:
    """Return a step as JSON has it. It is kept with what is secret in it, for its run needs it so."""
    return {
        "path": masker.text(step.path),
        "state": step.state,
        "tries": step.tries,
        "startedAt": moment(step.started_at),
        "finishedAt": moment(step.finished_at),
        "deadline": moment(step.deadline),
        "result": masker.data(step.result),
        "error": masker.data(step.error),
        "undone": step.undone,
        "undoneAt": moment(step.undone_at),
        "undoError": masker.data(step.undo_error),
    }


def problem_object(problem: Problem) -> Object:
    """Return a problem of a file or setting."""
    return {
        "job": problem.name,
        "file": problem.file,
        "line": problem.line,
        "message": problem.message,
        "hint": problem.hint,
    }
