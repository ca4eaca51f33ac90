"""What happened, as sentences: all the prose that a running node speaks.

`sentence` turns an event into (level, text), `Log` writes it, as a line for people or as JSON. User text
(job names apart, which are plain by rule) passes through `printable`, so that no file name, error message
or output can move the cursor, forge a line or colour the terminal.
"""

from __future__ import annotations

import json
import select
from collections.abc import Callable
from typing import Any, TextIO

from jobrunner import events as e
from jobrunner.clock import MINUTE, SECOND, Instant, to_iso
from jobrunner.wording import brief, one_line, reason

Say = tuple[str, str]

_AT_ONCE = 4000  # bytes that a pipe which takes any takes whole (PIPE_BUF)


def sentence(event: e.Event, now: Instant | None = None) -> Say | None:
    """Return (level, sentence) of an event; None for those that are no news to people.

    What is to come is told as a distance from `now`, or without it as a moment.
    """
    if isinstance(event, e.Retrying):
        return _retrying(event, now)
    say = _SAY.get(type(event))
    return say(event) if say else None


def _finished(event: e.Finished) -> Say:
    outcome, took = event.outcome, brief(max(event.took, 1000))
    head = f"{event.job} #{event.run_id} {outcome.state.replace('_', ' ')}"
    said = reason(outcome.reason, outcome.result)
    why = f" ({said})" if said else ""
    if outcome.error and outcome.state != "canceled":
        return "error", f"{head}{why} after {took}: {_error(outcome.error)}"
    return ("info" if outcome.state in ("succeeded", "skipped") else "warning"), f"{head}{why} after {took}"


def _error(error: Any) -> str:
    kind, message = str(error.get("type", "")), str(error.get("message", ""))
    return one_line(f"{kind}: {message}" if message else kind)[:500]


def _started(event: e.Started) -> Say:
    late = f", {brief(event.late)} late" if event.late and event.late >= SECOND else ""
    again = f", attempt {event.attempt}" if event.attempt > 1 else ""
    return "info", f"{event.job} #{event.run_id} started{again}{late}"


def _retrying(event: e.Retrying, now: Instant | None) -> Say:
    when = f"at {to_iso(event.at)}" if now is None else f"in {_whole(event.at - now)}"
    return "warning", f"{event.job} #{event.run_id}: attempt {event.attempt} follows {when}"


def _whole(micros: int) -> str:
    """Return a wait for people: whole seconds, rounded up, and never less than none."""
    return f"{max(0, -(-micros // SECOND))} s" if micros < MINUTE else brief(micros)


def _skipped(event: e.Skipped) -> Say:
    many = f"{event.count} occurrences from " if event.count > 1 else ""
    return "info", f"{event.job} skipped {many}{to_iso(event.scheduled_for)}: {event.reason}"


def _broken(event: e.FileBroken | e.KeptOld) -> Say:
    problem = event.problem
    where = f"{problem.file}:{problem.line}" if problem.line else problem.file
    hint = f"; {problem.hint}" if problem.hint else ""
    return "error", one_line(f"{where}: {problem.message}{hint}")


def _lost(event: e.Lost) -> Say:
    sign = "its body had begun" if event.began else "there is no sign that its body began"
    return "warning", f"{event.job} #{event.run_id} is lost: {one_line(event.node)} died while it ran; {sign}"


def _jumped(event: e.ClockJumped) -> Say:
    direction = "forward" if event.micros > 0 else "back"
    return "warning", f"the clock was set {direction} by {brief(abs(event.micros))}"


def _apart(event: e.ClockApart) -> Say:
    if not event.micros:
        return "info", "this machine's clock agrees with the database's again"
    said = f"this machine's clock is {brief(abs(event.micros))} {_side(event.micros)} the database's"
    if event.astray:
        return "error", f"{said}: this node plans and claims nothing until it is mended"
    return "warning", f"{said}; what is due goes by the database's"


def _side(micros: int) -> str:
    return "ahead of" if micros > 0 else "behind"


def _reloaded(event: e.Reloaded) -> Say:
    said = (("new", event.added), ("changed", event.updated), ("gone", event.removed))
    parts = [f"{word}: {_few(names)}" for word, names in said if names]
    return "info", "reloaded; " + ("; ".join(parts) if parts else "no job is another")


def _still_open(event: e.StillOpen) -> Say:
    until = "no end" if event.until is None else to_iso(event.until)
    what = f"for {one_line(_few(event.steps))}, until {until}" if event.steps else f"until {until}"
    more = f"; and {event.more} more, see jobrunner pending" if event.more else ""
    return "info", f"not done yet: {event.job} #{event.run_id} waits {what}{more}"


def _few(names: tuple[str, ...]) -> str:
    return ", ".join(names[:5]) + (" …" if len(names) > 5 else "")


def _outdated(event: e.DefinitionsOutdated) -> Say:
    if event.node is None:
        return _outdated_here(event)
    who = f"node {one_line(event.node)} (pid {event.pid})"
    if event.over:
        return "info", f"{who} holds no other definitions than the current ones any more"
    said = _few(event.jobs) if event.count <= len(event.jobs) else f"{event.count} jobs ({_few(event.jobs)})"
    return "warning", f"{who} holds another definition than the current one of {said}, which it does not run"


def _outdated_here(event: e.DefinitionsOutdated) -> Say:
    if event.over:
        return "info", f"what this node holds of {_few(event.jobs)} is the current definition again"
    return (
        "warning",
        f"another node has a different definition of {_few(event.jobs)}, and runs it from now on;"
        " start this one again to hold the same",
    )


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
    e.NotHeld: lambda v: (
        "warning",
        f"{v.job} is not held here: its module {v.module} cannot be found",
    ),
    e.JobOrphaned: lambda v: (
        "warning",
        f"{v.job} is an orphan: nothing defines it any more; its history is kept",
    ),
    e.FileBroken: _broken,
    e.Started: _started,
    e.Finished: _finished,
    e.ClaimLost: lambda v: (
        "warning",
        f"{v.job} #{v.run_id} ended here, but was given up before; its end is not recorded",
    ),
    e.Skipped: _skipped,
    e.Conflicted: lambda v: (
        "info",
        f"{v.job} #{v.run_id} is repeated: what it had read has changed meanwhile ({v.times})",
    ),
    e.Suspended: lambda v: ("info", f"{v.job} #{v.run_id} waits for {one_line(_few(v.steps))}"),
    e.StillOpen: _still_open,
    e.WaitedInVain: lambda v: (
        "warning",
        f"{v.job} #{v.run_id}: nobody completed {one_line(v.step)} in time",
    ),
    e.Compensating: lambda v: (
        "warning",
        f"{v.job} #{v.run_id}: its steps are taken back, by attempt {v.attempt}",
    ),
    e.Lost: _lost,
    e.NodeDied: lambda v: ("warning", f"node {one_line(v.node)} (pid {v.pid}) is dead; taking over"),
    e.JobFinished: lambda v: ("info", f"{v.job} has had its last of {v.executions} scheduled starts"),
    e.ClockApart: _apart,
    e.ClockJumped: _jumped,
    e.ClockNotSet: lambda v: (
        "error",
        f"the clock is not set (it says {to_iso(v.now)}): nothing is planned until it is",
    ),
    e.JobDisabled: lambda v: ("error", f"{v.job} is disabled {v.reason}; `jobrunner enable {v.job}`"),
    e.Ending: lambda v: ("info", f"{v.job} #{v.run_id} is asked to end: {v.reason}"),
    e.Stalled: lambda v: (
        "warning",
        f"{v.job} #{v.run_id} has said nothing for {brief(v.silent)}: is it stuck?",
    ),
    e.HookFailed: lambda v: (
        "error",
        f"{v.job} #{v.run_id}: its hook {v.hook} failed: {one_line(v.message)[:500]}",
    ),
    e.Reloaded: _reloaded,
    e.KeptOld: lambda v: ("error", f"{_broken(v)[1]}; {v.job} goes on as it was"),
    e.Mended: lambda v: ("info", f"{one_line(v.file)}: nothing is wrong with it any more"),
    e.AtNextStart: lambda v: (
        "warning",
        f"{', '.join(v.settings)}: changed, which the next start will read",
    ),
    e.SchedulesPaused: lambda v: ("info", "all schedules are paused" if v.paused else "schedules go on"),
    e.Slept: lambda v: ("warning", f"the machine slept for {brief(v.micros)}"),
    e.CursorReset: lambda v: (
        "warning",
        f"{v.job} had been planned up to {to_iso(v.was)}, more than a day ahead; it starts again from now",
    ),
    e.CursorAhead: lambda v: (
        "warning",
        f"{v.job} is already planned up to {to_iso(v.until)} (a clock was wrong); it waits until then",
    ),
    e.DefinitionsOutdated: _outdated,
    e.Draining: _draining,
    e.LeaseLapsed: lambda v: (
        "error",
        f"the lease could not be renewed: {v.runs} runs killed, for others may take them over",
    ),
    e.Rejoining: lambda v: ("warning", "this node was taken for dead; it starts again as another"),
    e.NoProcess: lambda v: ("error", f"no process for a run can be had: {one_line(v.message)}; trying again"),
    e.ProcessesAgain: lambda v: ("info", "processes for runs can be had again"),
    e.StoreTroubled: lambda v: ("error", f"{one_line(v.message)}; trying again"),
    e.StoreRecovered: lambda v: ("info", "the state can be written again"),
}


class Log:
    """Writes events to a stream, as text or as JSON lines. A broken stream never stops the node."""

    def __init__(self, stream: TextIO, now: Callable[[], Instant], style: str = "text") -> None:
        self._stream = stream
        self._now = now
        self._json = style == "json"
        self._dropped = 0

    def __call__(self, event: e.Event) -> None:
        """Write one event, if it is news."""
        said = sentence(event, self._now())
        if said is not None:
            self.line(*said, event)

    def line(self, level: str, text: str, event: e.Event | str) -> None:
        """Write one line about an event; one without data goes by its name alone."""
        if not self._is_read():
            self._dropped += 1
            return
        if self._dropped:
            count, self._dropped = self._dropped, 0
            self._write("warning", f"{count} lines are missing here: nobody read them", "Dropped")
        self._write(level, text, event)

    def _write(self, level: str, text: str, event: e.Event | str) -> None:
        try:
            self._stream.write(self._formatted(level, text, event) + "\n")
            self._stream.flush()
        except (OSError, ValueError):  # a closed terminal must not end the schedule
            return

    def _formatted(self, level: str, text: str, event: e.Event | str) -> str:
        at = to_iso(self._now())
        if not self._json:
            mark = "" if level == "info" else f"{level}: "
            return f"{at[11:19]}Z {mark}{text}"
        said = {"time": at, "level": level, "message": text}
        line = json.dumps({**said, **_fields(event)}, default=str)
        return line if len(line) < _AT_ONCE else json.dumps({**said, "event": _name(event)})

    def _is_read(self) -> bool:
        """A stopped terminal or a stuck collector must not stop the schedule: we never wait for a reader."""
        try:
            return bool(select.select([], [self._stream.fileno()], [], 0)[1])
        except (OSError, ValueError):  # no file behind it
            return True


def _name(event: e.Event | str) -> str:
    return event if isinstance(event, str) else type(event).__name__


def _fields(event: e.Event | str) -> dict[str, Any]:
    """Return an event's name and what it says as JSON has it: camelCase, instants in ISO, durations in
    microseconds."""
    if isinstance(event, str):
        return {"event": event}
    kinds = type(event).__annotations__
    return {"event": _name(event), "data": _named({
        name: to_iso(value) if value is not None and "Instant" in kinds[name] else value
        for name, value in vars(event).items()
    })}  # fmt: skip


def _named(fields: dict[str, Any]) -> dict[str, Any]:
    """Return fields by their names; a named tuple among them is no mere list."""
    return {
        _camel(name): _named(value._asdict()) if hasattr(value, "_asdict") else value
        for name, value in fields.items()
    }


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(map(str.capitalize, rest))
