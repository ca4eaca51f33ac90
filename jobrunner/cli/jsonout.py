"""Runs and problems as JSON: camelCase, times ISO-8601 UTC with milliseconds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from jobrunner.clock import Instant, to_iso
from jobrunner.errors import BadRequest

if TYPE_CHECKING:
    from jobrunner.model import Problem, Run

Object = dict[str, Any]


def iso(instant: Instant | None) -> str | None:
    """Return an instant as text."""
    return None if instant is None else to_iso(instant)


def run_object(run: Run) -> Object:
    """Return a run as JSON has it."""
    return {
        "id": run.id,
        "job": run.job,
        "trigger": run.trigger,
        "scheduledFor": iso(run.scheduled_for),
        "effectiveAt": iso(run.effective_at),
        "startedAt": iso(run.started_at),
        "finishedAt": iso(run.finished_at),
        "state": run.state,
        "reason": run.reason,
        "attempt": run.attempt,
        "node": run.node,
        "machine": run.machine,
        "pid": run.pid,
        "identity": run.identity,
        "params": dict(run.params),
        "progress": run.progress,
        "result": run.result,
        "truncated": run.truncated,
        "error": run.error,
        "rootId": run.root_id,
        "parentId": run.parent_id,
        "log": {"bytes": run.log_bytes},
        **_skips(run),
    }


def _skips(run: Run) -> Object:
    """Return what a skipped row stands for: one occurrence, or many in a row for the same reason."""
    if run.state != "skipped":
        return {}
    return {
        "count": run.count,
        "firstFor": iso(run.scheduled_for),
        "lastFor": iso(run.last_for or run.scheduled_for),
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


def params(pairs: tuple[str, ...], text: str | None) -> Object:
    """Return the params of `-p key=value` (repeatable) over those of `--params JSON`.

    A value that is JSON is that value, all else is text. Raises BadRequest.
    """
    found: Object = {}
    if text is not None:
        found = _json_object(text)
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise BadRequest(f'-p takes key=value, not "{pair}"', hint="for example -p rows=100")
        found[key.strip()] = _value(value)
    return found


def _value(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return text


def _json_object(text: str) -> Object:
    try:
        found = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise BadRequest(
            f"--params is not JSON: {error}", hint="for example --params '{\"rows\": 100}'"
        ) from None
    if not isinstance(found, Mapping):
        raise BadRequest("--params is not a JSON object", hint="for example --params '{\"rows\": 100}'")
    return dict(found)


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is no JSON")
