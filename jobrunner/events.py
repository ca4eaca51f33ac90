"""What happened, as data. `log` turns each into one sentence; tests look at them as they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jobrunner.clock import Instant
from jobrunner.mishaps import *  # noqa: F403  (whoever asks for an event finds it here)
from jobrunner.mishaps import Event
from jobrunner.model import Outcome, Problem, Run


class JobAdded(Event):
    """A definition that the store had not seen."""

    job: str


class JobUpdated(Event):
    """A definition that differs from the stored one; `rescheduled` when its schedule does."""

    job: str
    rescheduled: bool


class NotHeld(Event):
    """An added job is not held here, for its module cannot be found; other nodes may hold it."""

    job: str
    module: str


class JobOrphaned(Event):
    """The store knows a job that no file defines; its rows are kept."""

    job: str


class FileBroken(Event):
    """A job file cannot be used; all others run."""

    problem: Problem


class Started(Event):
    """A run was claimed, committed and handed to its process; `late` in microseconds, None if manual."""

    run_id: int
    job: str
    attempt: int
    late: int | None


class Output(Event):
    """Bytes that a run wrote to stdout or stderr."""

    run_id: int
    data: bytes


class Finished(Event):
    """A run ended and the store took it. `took` in microseconds."""

    run_id: int
    job: str
    outcome: Outcome
    took: int


class Retrying(Event):
    """A run failed and its chain goes on: `attempt` is the next one's number, due `at`."""

    run_id: int
    job: str
    attempt: int
    at: Instant


class Conflicted(Event):
    """What an exactly-once run had read has changed before its commit: its body runs again, for the
    `times`-th time."""

    run_id: int
    job: str
    times: int


class Suspended(Event):
    """A run has gone until one of the steps that it waits for is completed."""

    run_id: int
    job: str
    steps: tuple[str, ...]


class StillOpen(Event):
    """All is done but this run, and `more` others: until then it is not due, or its steps wait."""

    run_id: int
    job: str
    steps: tuple[str, ...]
    until: Instant | None
    more: int


class WaitedInVain(Event):
    """A step's time to be completed is over; its run goes on and hears of that."""

    run_id: int
    job: str
    step: str


class Compensating(Event):
    """A chain has not ended well, and its steps are taken back; `attempt` is the attempt that does it."""

    run_id: int
    job: str
    attempt: int


class Progressed(Event):
    """A running run said how far it is: `value`, `max` and `message`, each may be None."""

    run_id: int
    job: str
    progress: Mapping[str, Any]


class Looked(Event):
    """The node looked around, as it does once a second; `upcoming` are the next due (job, instant)."""

    upcoming: tuple[tuple[str, Instant], ...]


class ChainEnded(Event):
    """A chain has come to its final outcome; `run` is its last attempt, as it was before that."""

    run: Run
    outcome: Outcome


class JobDisabled(Event):
    """A job failed as often in a row as its stopOnError allows, and is disabled now."""

    job: str
    reason: str


class Ending(Event):
    """A running run was asked to end: `reason` is canceled, or replaced by a newer occurrence."""

    run_id: int
    job: str
    reason: str


class Stalled(Event):
    """A running run has said nothing for longer than its stallAfter; `silent` in microseconds."""

    run_id: int
    job: str
    silent: int


class HookFailed(Event):
    """A hook could not do its work; the run that it was about is what it was."""

    run_id: int
    job: str
    hook: str
    message: str


class Reloaded(Event):
    """Job files or settings changed, and what they say now holds; names of jobs."""

    added: tuple[str, ...]
    updated: tuple[str, ...]
    removed: tuple[str, ...]


class KeptOld(Event):
    """A file was edited and cannot be used now; its job goes on as it was."""

    job: str
    problem: Problem


class Mended(Event):
    """A file that could not be used is fine again, or gone."""

    file: str


class AtNextStart(Event):
    """Settings were changed that a node reads only when it starts."""

    settings: tuple[str, ...]


class SchedulesPaused(Event):
    """Somebody paused all schedules, or ended the pause."""

    paused: bool


class ClaimLost(Event):
    """A run ended here, but was no longer ours to finish."""

    run_id: int
    job: str


class Skipped(Event):
    """Due occurrences that do not run, recorded with their reason."""

    job: str
    scheduled_for: Instant
    reason: str
    count: int


class Lost(Event):
    """A run whose node died; `began` tells whether there was a sign of the body."""

    run_id: int
    job: str
    node: str
    began: bool


class JobFinished(Event):
    """A job reached its numberOfExecutions."""

    job: str
    executions: int


class CursorReset(Event):
    """A job's schedule stood more than a day in the future (a clock was wrong) and was set back to now."""

    job: str
    was: Instant


class CursorAhead(Event):
    """A job's schedule is already consumed up to a moment in the future; it waits for it."""

    job: str
    until: Instant


class DefinitionsOutdated(Event):
    """This node, or the living one named, holds other definitions of `count` jobs than the current ones, and
    runs them no more; or, when that is `over`, again. `jobs` are some of them."""

    jobs: tuple[str, ...]
    over: bool = False
    node: str | None = None
    pid: int = 0
    count: int = 0


class Draining(Event):
    """The node was asked to stop: nothing new starts, `running` runs may end within the grace."""

    running: int
