"""Runs and problems as JSON: camelCase, times ISO-8601 UTC with milliseconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobrunner.record import Object, iso, run_object

if TYPE_CHECKING:
    from jobrunner.model import Problem

__all__ = ["Object", "iso", "problem_object", "run_object"]


def problem_object(problem: Problem) -> Object:
    """Return a problem of a file or setting."""
    return {
        "job": problem.name,
        "file": problem.file,
        "line": problem.line,
        "message": problem.message,
        "hint": problem.hint,
    }
