"""What happened, as sentences: all the prose that a running node speaks.

`sentence` turns an event into (level, text), `Log` writes it, as a line for people or as JSON. User text
(job names apart, which are plain by rule) passes through `printable`, so that no file name, error message
or output can move the cursor, forge a line or colour the terminal.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable
from dataclasses import asdict, is_dataclass
from typing import Any, TextIO

from jobrunner import durations
from jobrunner import events as e
from jobrunner.clock import SECOND, Instant, to_iso

Say = tuple[str, str]

# C0 and C1 controls but newline and tab, bidi controls, zero-width marks, line separators
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)


def printable(text: str) -> str:
    """Return text with every character that could act on a terminal shown as an escape."""
    return _UNSAFE.sub(_escape, text)


def one_line(text: str) -> str:
    """Return text as one printable line."""
    return printable(text).replace("\n", "\\n").replace("\t", " ")


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def sentence(event: e.Event) -> Say | None:
    """Return (level, sentence) of an event; None for those that are no news to people."""
    say = _SAY.get(type(event))
    return say(event) if say else None


def _finished(event: e.Finished) -> Say:
    outcome, took = event.outcome, durations.text(max(event.took, 1000))
    head = f"{event.job} #{event.run_id} {outcome.state.replace('_', ' ')}"
    why = f" ({outcome.reason})" if outcome.reason else ""
    if outcome.error and outcome.state != "canceled":
        return "error", f"{head}{why} after {took}: {_error(outcome.error)}"
    return ("info" if outcome.state in ("succeeded", "skipped") else "warning"), f"{head}{why} after {took}"


def _error(error: Any) -> str:
    kind, message = str(error.get("type", "")), str(error.get("message", ""))
    return one_line(f"{kind}: {message}" if message else kind)[:500]


def _started(event: e.Started) -> Say:
    late = f", {durations.text(event.late)} late" if event.late and event.late >= SECOND else ""
    again = f", attempt {event.attempt}" if event.attempt > 1 else ""
    return "info", f"{event.job} #{event.run_id} started{again}{late}"


def _skipped(event: e.Skipped) -> Say:
    many = f"{event.count} occurrences from " if event.count > 1 else ""
    return "info", f"{event.job} skipped {many}{to_iso(event.scheduled_for)}: {event.reason}"


def _broken(event: e.FileBroken) -> Say:
    problem = event.problem
    where = f"{problem.file}:{problem.line}" if problem.line else problem.file
    hint = f"; {problem.hint}" if problem.hint else ""
    return "error", one_line(f"{where}: {problem.message}{hint}")


def _lost(event: e.Lost) -> Say:
    sign = "its body had begun" if event.began else "there is no sign that its body began"
    return "warning", f"{event.job} #{event.run_id} is lost: {one_line(event.node)} died while it ran; {sign}"


def _jumped(event: e.ClockJumped) -> Say:
    direction = "forward" if event.micros > 0 else "back"
    return "warning", f"the clock was set {direction} by {durations.text(abs(event.micros))}"


def _draining(event: e.Draining) -> Say:
    if not event.running:
        return "info", "stopping"
    runs = "1 run" if event.running == 1 else f"{event.running} runs"
    return "info", f"stopping: waiting for {runs}; a second signal ends at once"


_SAY: dict[type[e.Event], Callable[[Any], Say]] = {
    e.JobAdded: lambda v: ("info", f"{v.job} is new"),
    e.JobUpdated: lambda v: (
        "info",
        f"{v.job} changed" + ("; its new schedule counts from now" if v.rescheduled else ""),
    ),
    e.JobOrphaned: lambda v: (
        "warning",
        f"{v.job} is an orphan: no file defines it any more; its history is kept",
    ),
    e.FileBroken: _broken,
    e.Started: _started,
    e.Finished: _finished,
    e.ClaimLost: lambda v: (
        "warning",
        f"{v.job} #{v.run_id} ended here, but was given up before; its end is not recorded",
    ),
    e.Skipped: _skipped,
    e.Lost: _lost,
    e.NodeDied: lambda v: ("warning", f"node {one_line(v.node)} (pid {v.pid}) is dead; taking over"),
    e.JobFinished: lambda v: ("info", f"{v.job} has had its last of {v.executions} scheduled starts"),
    e.ClockJumped: _jumped,
    e.Slept: lambda v: ("warning", f"the machine slept for {durations.text(v.micros)}"),
    e.CursorReset: lambda v: (
        "warning",
        f"{v.job} had been planned up to {to_iso(v.was)}, more than a day ahead; it starts again from now",
    ),
    e.CursorAhead: lambda v: (
        "warning",
        f"{v.job} is already planned up to {to_iso(v.until)} (a clock was wrong); it waits until then",
    ),
    e.Draining: _draining,
    e.StoreTroubled: lambda v: ("error", f"{one_line(v.message)}; trying again"),
    e.StoreRecovered: lambda v: ("info", "the state can be written again"),
}


class Log:
    """Writes events to a stream, as text or as JSON lines. A broken stream never stops the node."""

    def __init__(self, stream: TextIO, now: Callable[[], Instant], style: str = "text") -> None:
        self._stream = stream
        self._now = now
        self._json = style == "json"

    def __call__(self, event: e.Event) -> None:
        """Write one event, if it is news."""
        said = sentence(event)
        if said is not None:
            self.line(*said, event)

    def line(self, level: str, text: str, event: e.Event | None = None) -> None:
        """Write one line."""
        at = to_iso(self._now())
        if self._json:
            line = json.dumps({"time": at, "level": level, "message": text, **_fields(event)}, default=str)
        else:
            mark = "" if level == "info" else f"{level}: "
            line = f"{at[11:19]}Z {mark}{text}"
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except (OSError, ValueError):  # a closed terminal must not end the schedule
            return


def _fields(event: e.Event | None) -> dict[str, Any]:
    if event is None or not is_dataclass(event):
        return {}
    return {"event": type(event).__name__, "data": asdict(event)}


def width(text: str) -> int:
    """Return how many columns a printable text takes in a terminal."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)
