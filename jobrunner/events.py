"""What happened, as data. `log` turns each into one sentence; tests look at them as they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jobrunner.clock import Instant
from jobrunner.mishaps import *  # noqa: F403  (whoever asks for an event finds it here)
from jobrunner.mishaps import Event
from jobrunner.model import Outcome, Problem, Run


@dataclass(slots=True)
class JobAdded(Event):
    """A definition that the store had not seen."""

    job: str


@dataclass(slots=True)
class JobUpdated(Event):
    """A definition that differs from the stored one; `rescheduled` when its schedule does."""

    job: str
    rescheduled: bool


@dataclass(slots=True)
class NotHeld(Event):
    """An added job is not held here, for its module cannot be found; other nodes may hold it."""

    job: str
    module: str


@dataclass(slots=True)
class JobOrphaned(Event):
    """The store knows a job that no file defines; its rows are kept."""

    job: str


@dataclass(slots=True)
class FileBroken(Event):
    """A job file cannot be used; all others run."""

    problem: Problem


@dataclass(slots=True)
class Started(Event):
    """A run was claimed, committed and handed to its process; `late` in microseconds, None if manual."""

    run_id: int
    job: str
    attempt: int
    late: int | None


@dataclass(slots=True)
class Output(Event):
    """Bytes that a run wrote to stdout or stderr."""

    run_id: int
    data: bytes


@dataclass(slots=True)
class Finished(Event):
    """A run ended and the store took it. `took` in microseconds."""

    run_id: int
    job: str
    outcome: Outcome
    took: int


@dataclass(slots=True)
class Retrying(Event):
    """A run failed and its chain goes on: `attempt` is the next one's number, due `at`."""

    run_id: int
    job: str
    attempt: int
    at: Instant


@dataclass(slots=True)
class Conflicted(Event):
    """What an exactly-once run had read has changed before its commit: its body runs again, for the
    `times`-th time."""

    run_id: int
    job: str
    times: int


@dataclass(slots=True)
class Suspended(Event):
    """A run has gone until one of the steps that it waits for is completed."""

    run_id: int
    job: str
    steps: tuple[str, ...]


@dataclass(slots=True)
class StillOpen(Event):
    """All is done but this run, and `more` others: until then it is not due, or its steps wait."""

    run_id: int
    job: str
    steps: tuple[str, ...]
    until: Instant | None
    more: int


@dataclass(slots=True)
class WaitedInVain(Event):
    """A step's time to be completed is over; its run goes on and hears of that."""

    run_id: int
    job: str
    step: str


@dataclass(slots=True)
class Compensating(Event):
    """A chain has not ended well, and its steps are taken back; `attempt` is the attempt that does it."""

    run_id: int
    job: str
    attempt: int


@dataclass(slots=True)
class Progressed(Event):
    """A running run said how far it is: `value`, `max` and `message`, each may be None."""

    run_id: int
    job: str
    progress: Mapping[str, Any]


@dataclass(slots=True)
class Looked(Event):
    """The node looked around, as it does once a second; `upcoming` are the next due (job, instant)."""

    upcoming: tuple[tuple[str, Instant], ...]


@dataclass(slots=True)
class ChainEnded(Event):
    """A chain has come to its final outcome; `run` is its last attempt, as it was before that."""

    run: Run
    outcome: Outcome


@dataclass(slots=True)
class JobDisabled(Event):
    """A job failed as often in a row as its stopOnError allows, and is disabled now."""

    job: str
    reason: str


@dataclass(slots=True)
class Ending(Event):
    """A running run was asked to end: `reason` is canceled, or replaced by a newer occurrence."""

    run_id: int
    job: str
    reason: str


@dataclass(slots=True)
class Stalled(Event):
    """A running run has said nothing for longer than its stallAfter; `silent` in microseconds."""

    run_id: int
    job: str
    silent: int


@dataclass(slots=True)
class HookFailed(Event):
    """A hook could not do its work; the run that it was about is what it was."""

    run_id: int
    job: str
    hook: str
    message: str


@dataclass(slots=True)
class Reloaded(Event):
    """Job files or settings changed, and what they say now holds; names of jobs."""

    added: tuple[str, ...]
    updated: tuple[str, ...]
    removed: tuple[str, ...]


@dataclass(slots=True)
class KeptOld(Event):
    """A file was edited and cannot be used now; its job goes on as it was."""

    job: str
    problem: Problem


@dataclass(slots=True)
class Mended(Event):
    """A file that could not be used is fine again, or gone."""

    file: str


@dataclass(slots=True)
class AtNextStart(Event):
    """Settings were changed that a node reads only when it starts."""

    settings: tuple[str, ...]


@dataclass(slots=True)
class SchedulesPaused(Event):
    """Somebody paused all schedules, or ended the pause."""

    paused: bool


@dataclass(slots=True)
class ClaimLost(Event):
    """A run ended here, but was no longer ours to finish."""

    run_id: int
    job: str


@dataclass(slots=True)
class Skipped(Event):
    """Due occurrences that do not run, recorded with their reason."""

    job: str
    scheduled_for: Instant
    reason: str
    count: int


@dataclass(slots=True)
class Lost(Event):
    """A run whose node died; `began` tells whether there was a sign of the body."""

    run_id: int
    job: str
    node: str
    began: bool


@dataclass(slots=True)
class JobFinished(Event):
    """A job reached its numberOfExecutions."""

    job: str
    executions: int


@dataclass(slots=True)
class CursorReset(Event):
    """A job's schedule stood more than a day in the future (a clock was wrong) and was set back to now."""

    job: str
    was: Instant


@dataclass(slots=True)
class CursorAhead(Event):
    """A job's schedule is already consumed up to a moment in the future; it waits for it."""

    job: str
    until: Instant


@dataclass(slots=True)
class DefinitionsOutdated(Event):
    """This node, or the living one named, holds other definitions of `count` jobs than the current ones, and
    runs them no more; or, when that is `over`, again. `jobs` are some of them."""

    jobs: tuple[str, ...]
    over: bool = False
    node: str | None = None
    pid: int = 0
    count: int = 0


@dataclass(slots=True)
class Draining(Event):
    """The node was asked to stop: nothing new starts, `running` runs may end within the grace."""

    running: int
