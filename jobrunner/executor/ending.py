"""How a run ended, as a value, from what is known: its reply, its exit, what was asked of it. Pure."""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from jobrunner.clock import SECOND
from jobrunner.executor.happened import Asked as Request
from jobrunner.model import Outcome, State
from jobrunner.wire import LAPSED, WireError

StopState = Literal["canceled", "timed_out"]
_STATES: Mapping[str, State] = {
    "succeeded": "succeeded", "failed": "failed", "skipped": "skipped", "canceled": "canceled",
    "waiting": "waiting",
}  # fmt: skip
_LONGEST = 256 * 1024  # characters of a result or error; an honest child sends less
_DEEPEST = 150
_FOR_PEOPLE = frozenset({"progress", "heartbeat"})  # kept in every run's row
_LONGEST_REQUEST = 16 * 1024  # characters of JSON of those: a few numbers and a sentence
_HEX = frozenset("0123456789abcdef")


class Asked(NamedTuple):
    """That a run was asked to end: what it will be if it does, and why."""

    state: StopState | Literal["failed"]
    reason: str | None
    timeout: int | None = None  # microseconds, where the run's own time-out asked
    error: Mapping[str, Any] | None = None  # why it failed, where its memoryLimit asked


def by_reply(reply: Any, asked: Asked | None) -> Outcome:
    """Return the outcome that a complete reply decides. Raises WireError when it is none of ours.

    A reply that says canceled counts as such only if somebody asked; else the body raised it by itself.
    """
    if not isinstance(reply, dict) or reply.get("state") not in _STATES:
        raise WireError("a reply without a state")
    state, error, digest = _STATES[reply["state"]], reply.get("error"), reply.get("fileHash", "")
    if not (error is None or isinstance(error, dict)) or not isinstance(digest, str):
        raise WireError("a reply of the wrong shape")
    digest = digest if len(digest) == 64 and _HEX.issuperset(digest) else ""
    result, truncated = _clean(reply.get("result"), bool(reply.get("truncated")))
    error = _clean(error, False)[0]
    if state == "waiting" and asked is not None:  # it shall not come back
        return _as_asked(asked, None, digest)
    if state == "waiting":
        return Outcome(state=state, file_hash=digest)
    if state == "canceled" and asked is not None:
        return _as_asked(asked, error if asked.state == "canceled" else None, digest)
    if state == "canceled":
        state = "failed"
    reason = "body" if state == "skipped" else None
    return Outcome(
        state=state, reason=reason, result=result, truncated=truncated, error=error, file_hash=digest,
        **_cursor(reply, state),
    )  # fmt: skip


def _cursor(reply: Mapping[str, Any], state: State) -> Any:
    """Return the fields of an outcome for the cursor that a successful body has assigned."""
    if "cursor" not in reply or state != "succeeded":
        return {}
    cursor, unfit = _clean(reply["cursor"], False)
    if unfit:  # an honest child has found it out before
        raise WireError("a reply with a cursor that cannot be kept")
    return {"cursor": cursor, "cursor_set": True}


def acceptable(request: Request) -> bool:
    """Say whether a request may be passed on: the node keeps what the last word about progress said.

    Raises WireError when it has the wrong shape.
    """
    number, verb, payload = request.number, request.verb, request.payload
    if not (isinstance(number, int) and isinstance(verb, str) and isinstance(payload, dict)):
        raise WireError("a request of the wrong shape")
    if verb not in _FOR_PEOPLE:  # bounded by the frame, and looked at by who answers
        return True
    return len(json.dumps((number, verb, payload), ensure_ascii=False)) <= _LONGEST_REQUEST


def never_began() -> Outcome:
    """Return the outcome of a run for which there was no child."""
    return Outcome(state="failed", error=crashed("its process died before the body began"))


def unstorable(error: Exception) -> Outcome:
    """Return the outcome of a run whose spec no child can be told."""
    message = f"the run cannot be handed to a process: {error}"[:500]
    kept = message.encode("utf-8", "replace").decode()
    return Outcome(
        state="failed",
        error={"type": "Unstorable", "message": kept, "traceback": "", "phase": "import"},
    )


def by_exit(
    code: int | None, asked: Asked | None, problem: str | None = None, *, begun: bool = True
) -> Outcome:
    """Return the outcome of a process that ended without a reply. Negative codes are signals.

    `begun` is false of one that was never there, so that its run has not begun.
    """
    if asked is not None and problem is None:
        return _as_asked(asked, None, "", "ran longer than" if begun else "had not begun within")
    if problem == LAPSED:
        return lost(LAPSED)
    return Outcome(state="failed", error=crashed(problem or exit_words(code)))


def lost(message: str) -> Outcome:
    """Return how a run ends whose node was not allowed to see it through."""
    error = {"type": "Lost", "message": message, "traceback": "", "phase": "body"}
    return Outcome(state="lost", error=error)


def unprepared(limit: float) -> Asked:
    """Return what is asked of a run whose process is not ready in time, in seconds."""
    return Asked("failed", None, error=crashed(f"its process was not ready within {limit:g} s"))


def crashed(message: str) -> Mapping[str, Any]:
    """Return the error of a run whose process ended without a word."""
    return {"type": "Crashed", "message": message, "traceback": "", "phase": "body"}


def over_memory(used: int, limit: int) -> Asked:
    """Return what is asked of a run whose processes hold more memory than they may; both in bytes."""
    message = f"its processes held {used / 1e6:.1f} MB; memoryLimit is {limit / 1e6:.1f} MB"
    error = {"type": "MemoryLimit", "message": message, "traceback": "", "phase": "body"}
    return Asked("failed", None, error=error)


def exit_words(code: int | None) -> str:
    """Return how a process ended, in words."""
    if code is None:
        return "its process is gone, nobody knows how"
    if code >= 0:
        return f"exited with status {code} without a reply"
    try:
        return f"ended by signal {-code} ({signal.Signals(-code).name})"
    except ValueError:
        return f"ended by signal {-code}"


def _as_asked(
    asked: Asked, error: Mapping[str, Any] | None, digest: str, how: str = "ran longer than"
) -> Outcome:
    if asked.timeout is not None:
        message = f"{how} its time-out of {asked.timeout / SECOND:g} s"
        error = {"type": "TimedOut", "message": message, "traceback": "", "phase": "body"}
    return Outcome(state=asked.state, reason=asked.reason, error=asked.error or error, file_hash=digest)


def _clean(value: Any, truncated: bool) -> tuple[Any, bool]:
    """Return data that every store can keep: no lone surrogates, bounded in size and depth."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        clean = text.encode("utf-8", "replace").decode()
    except (ValueError, RecursionError):
        return None, True
    if len(clean) > _LONGEST or _too_deep(value):
        return (clean[:_LONGEST] if not isinstance(value, dict) else None), True
    return (value if clean == text else json.loads(clean)), truncated


def _too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(_DEEPEST):
        level = [one for one in level if isinstance(one, (list, dict))]
        if not level:
            return False
        level = [inner for one in level for inner in (one.values() if isinstance(one, dict) else one)]
    return bool(level)
