"""When `start --until-done` may end: every job with a limit has finished, and nothing is pending."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from jobrunner.clock import SECOND, Instant
from jobrunner.errors import BadRequest, StateError
from jobrunner.events import Event, StillOpen
from jobrunner.model import Job, Run, Standing
from jobrunner.plan import exhausted, next_due
from jobrunner.scheduler import gate, shut
from jobrunner.settings import Settings
from jobrunner.store.base import Store

SHUT_HERE = {"environment": "not in this environment", "labels": "no node has the labels in its runsOn"}


class Progress(NamedTuple):
    """How far it is: `reached` when no limited job can start again by its schedule; `stuck` names those
    that have not finished and never will, each with the reason."""

    reached: bool
    stuck: tuple[tuple[str, str], ...]


def progress(jobs: Iterable[Job], standings: Iterable[Standing], settings: Settings) -> Progress:
    """Look at all jobs with a limit."""
    where = {standing.job.casefold(): standing for standing in standings}
    going, stuck = 0, []
    for job in jobs:
        if job.number_of_executions is None:
            continue
        standing = where.get(job.name.casefold())
        why = (
            "another node holds a newer definition"
            if standing is None
            else _hindrance(job, standing, settings)
        )
        if why is not None:
            stuck.append((job.name, why))
        elif standing is not None and not exhausted(job, standing):
            going += 1
    return Progress(reached=going == 0, stuck=tuple(stuck))


def _hindrance(job: Job, standing: Standing, settings: Settings) -> str | None:
    """Return why a job that has not finished never will, or None."""
    if exhausted(job, standing):
        return None
    reason, ours_alone = shut(job, standing, gate(job, settings))
    waits = standing.elsewhere if ours_alone else reason == "paused"
    if reason is not None and not waits:
        return SHUT_HERE.get(reason, reason)
    if job.schedule is None:
        return "it has no schedule"
    ended = next_due(job, standing) is None and not standing.open
    return "its schedule has no further occurrence" if ended else None


class Rest:
    """The runs that are still open when no limited job can start again; what they wait for is said once."""

    def __init__(self, store: Store, emit: Callable[[Event], None]) -> None:
        self._store = store
        self._emit = emit
        self._said: StillOpen | None = None

    def is_open(self, held: Iterable[str], now: Instant) -> bool:
        """Say whether a run of these jobs is open; so it is for all we know while the state is away."""
        ours = {name.casefold() for name in held}
        try:
            opened = [run for run in self._store.open_runs() if run.job.casefold() in ours]
            self._tell([self._still_open(run) for run in opened if _rests(run, now)])
        except StateError:
            return True
        return bool(opened)

    def _tell(self, resting: list[StillOpen]) -> None:
        if not resting:
            return
        first = min(resting, key=lambda one: (one.until is None, one.until or 0, one.run_id))
        first.more = len(resting) - 1
        if first != self._said:
            self._emit(first)
        self._said = first

    def _still_open(self, run: Run) -> StillOpen:
        if run.state == "pending":
            return StillOpen(run.id, run.job, (), run.effective_at, 0)
        steps = [step for step in self._store.steps(run.root_id) if step.state == "waiting"]
        until = min((step.deadline for step in steps if step.deadline is not None), default=None)
        return StillOpen(run.id, run.job, tuple(step.path for step in steps), until, 0)


def _rests(run: Run, now: Instant) -> bool:
    """Say whether nobody runs it, and it is not about to be started either."""
    about = run.started_at is not None or 0 <= now - run.effective_at < 2 * SECOND  # it goes on, or it begins
    return run.state == "waiting" or (run.state == "pending" and not about)


def check_until_done(jobs: Mapping[str, Job]) -> None:
    """Raise BadRequest when `--until-done` would wait for ever."""
    if all(job.number_of_executions is None for job in jobs.values()):
        raise BadRequest(
            "--until-done needs a job with numberOfExecutions, and there is none",
            hint='add "numberOfExecutions": 1 to a config, or use --for',
        )
