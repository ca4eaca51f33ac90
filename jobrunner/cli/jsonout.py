"""Runs and problems as JSON: camelCase, times ISO-8601 UTC with milliseconds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from jobrunner.errors import BadRequest
from jobrunner.record import Object, iso, run_object

if TYPE_CHECKING:
    from jobrunner.model import Problem

__all__ = ["Object", "iso", "params", "problem_object", "run_object"]


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

    A value that is JSON is that value, all else is text. Raises BadRequest, also for what only Python takes
    for JSON: NaN, and numbers that are too large for it.
    """
    found: Object = {}
    if text is not None:
        found = _json_object(text)
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise BadRequest(f'-p takes key=value, not "{pair}"', hint="for example -p rows=100")
        found[key.strip()] = _value(value)
    for key, given in found.items():
        _check_finite(key, given)
    return found


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _json_object(text: str) -> Object:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadRequest(
            f"--params is not JSON: {error}", hint="for example --params '{\"rows\": 100}'"
        ) from None
    if not isinstance(found, Mapping):
        raise BadRequest("--params is not a JSON object", hint="for example --params '{\"rows\": 100}'")
    return dict(found)


def _check_finite(key: str, value: Any) -> None:
    """Raise BadRequest for a param that no store could keep, by its name."""
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        raise BadRequest(
            f'param "{key}" is or holds NaN, or a number that is too large, which is not JSON',
            hint=f"as a text it is fine: -p '{key}=\"NaN\"'",
        ) from None
