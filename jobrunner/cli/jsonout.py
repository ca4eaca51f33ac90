"""Runs, steps and problems as JSON: camelCase, times ISO-8601 UTC with milliseconds."""

from __future__ import annotations

from jobrunner.record import Object, iso, problem_object, run_object, step_object

__all__ = ["Object", "iso", "problem_object", "run_object", "step_object"]
