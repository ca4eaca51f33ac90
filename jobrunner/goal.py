"""When `start --until-done` may end: every job with a limit has finished, and nothing is pending."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from jobrunner.errors import BadRequest
from jobrunner.model import Job, Standing
from jobrunner.plan import exhausted, next_due
from jobrunner.scheduler import gate, shut
from jobrunner.settings import Settings


@dataclass(frozen=True, slots=True)
class Progress:
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
        return {"environment": "not in this environment"}.get(reason, reason)
    if job.schedule is None:
        return "it has no schedule"
    ended = next_due(job, standing) is None and not standing.open
    return "its schedule has no further occurrence" if ended else None


def check_until_done(jobs: Mapping[str, Job]) -> None:
    """Raise BadRequest when `--until-done` would wait for ever."""
    if all(job.number_of_executions is None for job in jobs.values()):
        raise BadRequest(
            "--until-done needs a job with numberOfExecutions, and there is none",
            hint='add "numberOfExecutions": 1 to a config, or use --for',
        )
