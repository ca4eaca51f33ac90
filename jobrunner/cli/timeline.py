"""What `show RUN` tells of the chain that a run belongs to: its attempts, and how far its steps have come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jobrunner.cli import out
from jobrunner.cli.jsonout import Object, iso, step_object
from jobrunner.cli.render import table, when
from jobrunner.clock import SECOND, Instant
from jobrunner.masking import Masker, masker_of
from jobrunner.model import OPEN, Run, Step
from jobrunner.settings import Settings
from jobrunner.store.base import Store
from jobrunner.wording import brief, one_line

STEPS = ("STEP", "STATE", "TRIES", "STARTED", "TOOK", "ERROR")
ATTEMPTS = ("RUN", "ATTEMPT", "STATE", "STARTED", "TOOK", "DID")
LONGEST = 500  # characters of an error


def to_json(settings: Settings, store: Store, run: Run, now: Instant) -> Object:
    """Return the attempts and steps of a run's chain as `show --json` has them."""
    steps, masker = store.steps(run.root_id), masker_of(settings)
    return {
        "attempts": [_attempt_object(each) for each in store.chain(run.root_id)],
        "steps": [_step_object(step, masker, now) for step in steps],
    }


def write(settings: Settings, store: Store, run: Run, now: Instant) -> None:
    """Write them for people: the attempts where there are several, the steps where there are any."""
    chain, steps = store.chain(run.root_id), store.steps(run.root_id)
    if len(chain) > 1:
        out.line("")
        table(ATTEMPTS, [_attempt_row(each, now) for each in chain])
    if steps:
        going = any(each.state in OPEN and not each.undo for each in chain)
        masker = masker_of(settings)
        out.line("")
        table(STEPS, [_step_row(step, masker, now, going=going) for step in steps])


def _attempt_object(run: Run) -> Object:
    return {
        "id": run.id,
        "attempt": run.attempt,
        "state": run.state,
        "reason": run.reason,
        "compensation": run.undo > 0,
        "startedAt": iso(run.started_at),
        "finishedAt": iso(run.finished_at),
    }


def _step_object(step: Step, masker: Masker, now: Instant) -> Object:
    told = step_object(step, masker)
    undo = {"state": told.pop("undone"), "at": told.pop("undoneAt"), "error": told.pop("undoError")}
    return {**told, "took": _took(step, now) / SECOND, "undo": undo if step.undo is not None else None}


def _attempt_row(run: Run, now: Instant) -> tuple[str, ...]:
    did = "took steps back" if run.undo else "the body"
    took = "-" if run.started_at is None else brief(max(0, (run.finished_at or now) - run.started_at))
    return str(run.id), str(run.attempt), run.state, when(run.started_at, now), took, did


def _step_row(step: Step, masker: Masker, now: Instant, *, going: bool) -> tuple[str, ...]:
    folders, _, name = step.path.rpartition("/")
    indent = "  " * (folders.count("/") + 1) if folders else ""
    return (
        indent + one_line(masker.text(name)),
        state_words(step, now, going=going),
        str(step.tries or "-"),
        when(step.started_at, now),
        brief(_took(step, now)) if step.finished_at is not None or going else "-",
        masker.text("; ".join(filter(None, (error_words(step.error), error_words(step.undo_error))))),
    )


def state_words(step: Step, now: Instant, *, going: bool) -> str:
    """Return how a step stands; `going`: there is an attempt at the body yet to end."""
    if step.undone == "done":
        return "taken back"
    if step.undone == "failed":
        return "could not be taken back"
    if step.state in ("running", "waiting") and not going:
        return "did not end"
    if step.state == "waiting":
        return f"waits until {when(step.deadline, now)}" if step.deadline is not None else "waits"
    return step.state


def error_words(error: Mapping[str, Any] | None) -> str:
    """Return an error in one line."""
    parts: Sequence[str] = [str(error[key]) for key in ("type", "message") if error.get(key)] if error else []
    return one_line(": ".join(parts))[:LONGEST]


def _took(step: Step, now: Instant) -> int:
    return max(0, (step.finished_at or now) - step.started_at)
