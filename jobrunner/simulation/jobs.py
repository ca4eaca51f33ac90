"""What to simulate: the jobs of a project, or configs without files; and where they stand."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jobrunner import config
from jobrunner.clock import Instant
from jobrunner.errors import ConfigError, UnknownJob
from jobrunner.facts import JobFacts
from jobrunner.model import Job, Problem
from jobrunner.registry import Registry
from jobrunner.settings import Settings, load
from jobrunner.status import is_new
from jobrunner.store import find_store


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Jobs by name, and what the project's state knows of them, by name, case folded."""

    settings: Settings
    jobs: Mapping[str, Job]
    problems: Sequence[Problem] = ()
    facts: Mapping[str, JobFacts] = field(default_factory=dict)
    paused: bool = False  # at present; the simulation goes on as if it were not

    def fact(self, job: Job) -> JobFacts | None:
        """Return what the state knows of a job."""
        return self.facts.get(job.name.casefold())

    def cursor(self, job: Job, start: Instant) -> Instant:
        """Return how far a job's schedule is consumed when the simulation starts.

        What is due at the very start belongs to it. An interval goes on by the grid that the state knows;
        of a job that it does not know the grid begins at the start.
        """
        schedule = job.schedule
        if schedule is None or job.run_on_start or ";" in schedule.text:
            return start
        if not schedule.text.startswith("every "):
            return start - 1
        anchor = self._anchor(job, start)
        if schedule.after_end:
            due = schedule.next_after(anchor, anchor)
            return anchor if due is not None and due > start else start
        return schedule.latest(anchor, start, anchor) or anchor

    def _anchor(self, job: Job, start: Instant) -> Instant:
        fact = self.fact(job)
        if fact is None or fact.anchor is None or fact.schedule_key != job.schedule_key:
            return start
        assert job.schedule is not None
        ended = (fact.last_finished_at or 0) if job.schedule.after_end else 0
        return min(max(fact.anchor, ended), start)


What = Subject | str | os.PathLike[str] | Iterable[Job | Mapping[str, Any]]


def subject(what: What, names: Collection[str] = (), timezone: str | None = None) -> Subject:
    """Return what a caller wants to simulate: a project's folder, or jobs as configs or definitions.

    Raises ConfigError for a bad config, UnknownJob for a name that is not among them.
    """
    if isinstance(what, Subject):
        return what
    if isinstance(what, str | os.PathLike):
        options = {"project": os.fspath(what), "timezone": timezone}
        return of_project(load(options, os.environ), names)
    settings = load({"project": str(Path.cwd()), "timezone": timezone or "UTC", "slots": 4}, {})
    jobs = [each if isinstance(each, Job) else _of_config(each, settings) for each in what]
    chosen = _chosen({job.name: job for job in jobs}, names)
    return Subject(settings=_able(settings, chosen.values()), jobs=chosen)


def of_project(settings: Settings, names: Collection[str] = ()) -> Subject:
    """Return the jobs of a project as they stand: with what `set` says, enabled or not, as often as their
    count leaves. The state is only read; where there is none, nothing has run yet."""
    facts: Mapping[str, JobFacts] = {}
    paused = False
    store = find_store(settings.state, allow_network_fs=settings.allow_network_fs)
    if store is not None:
        try:
            settings = settings._replace(stored=store.overrides())
            paused = store.paused() is not None
            facts = {fact.name.casefold(): fact for fact in store.jobs()}
        finally:
            store.close()
    registry = Registry.load(settings)
    missing = registry.missing_folder
    if missing is not None:
        raise ConfigError(missing.message, hint=missing.hint)
    found = [registry.find(name) for name in names] if names else registry.jobs.values()
    jobs = {job.name: as_it_stands(job, facts.get(job.name.casefold())) for job in found}
    settings = _able(settings, jobs.values())
    return Subject(settings=settings, jobs=jobs, problems=registry.problems, facts=facts, paused=paused)


def _able(settings: Settings, jobs: Iterable[Job]) -> Settings:
    """Return the settings of a node that has whatever labels the jobs ask for: some node has, it is taken."""
    wanted = {label for job in jobs for label in job.runs_on}
    return settings._replace(labels=tuple(sorted({*settings.labels, *wanted})))


def as_it_stands(job: Job, fact: JobFacts | None) -> Job:
    """Return a job with what the state says: enabled or not, and how many of its starts are left."""
    if fact is None:
        return job
    enabled = job.enabled if fact.enabled_override is None else fact.enabled_override
    limit = job.number_of_executions
    return job._replace(
        enabled=enabled,
        run_on_start=job.run_on_start and is_new(fact),
        number_of_executions=None if limit is None else max(0, limit - fact.executions - fact.pending),
    )


def _of_config(written: Mapping[str, Any], settings: Settings) -> Job:
    place = config.Place(f"{settings.project}/{written.get('name')}.py", settings.project, "")
    job, errors = config.read(config.Written(written, "config"), place, settings.timezone)
    if job is None:
        raise errors[0]
    return job


def _chosen(jobs: Mapping[str, Job], names: Collection[str]) -> Mapping[str, Job]:
    known = {name.casefold(): name for name in jobs}
    for name in names:
        if name.casefold() not in known:
            raise UnknownJob(
                f"there is no job {name!a}", hint=f"there are {', '.join(sorted(jobs)) or 'none'}"
            )
    return {known[name.casefold()]: jobs[known[name.casefold()]] for name in names} if names else jobs
