"""What is known of a job: its file's word, and the state's. The same questions for one job and for all."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from jobrunner import housekeeping
from jobrunner.clock import Instant
from jobrunner.errors import ConfigError, JobrunnerError, UnknownJob
from jobrunner.registry import Registry
from jobrunner.settings import Settings

if TYPE_CHECKING:
    from jobrunner.model import Job, JobFacts, Problem, Standing
    from jobrunner.store.base import Store


class Defined(Protocol):
    """What a Job and its Summary both tell."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def enabled(self) -> bool:
        """Whether its file enables it."""
        ...

    @property
    def environments(self) -> Collection[str] | None:
        """Where it may run; None: everywhere."""
        ...

    @property
    def tags(self) -> Collection[str]:
        """Its tags."""
        ...


def find(registry: Registry, name: str, state: Callable[[], Store | None]) -> Job:
    """Return a job by its name. Raises UnknownJob; of one that the state knows it says what became of it."""
    try:
        return registry.find(name)
    except UnknownJob as error:
        store = state()
        fact = store.job(name) if store is not None else None
        raise _gone(fact, registry) if fact is not None else error from None


def _gone(fact: JobFacts, registry: Registry) -> JobrunnerError:
    """Return why a job that there was cannot be used: its file is broken, or gone."""
    for problem in registry.problems:
        if problem.file == fact.file:
            return ConfigError(problem.message, hint=problem.hint, file=problem.file, line=problem.line)
    return UnknownJob(
        f'the file of job "{fact.name}" is gone: it was {fact.file}, and no other defines the job',
        hint=f"put it back; `jobrunner history {fact.name}` has what it did",
    )


def load_all(settings: Settings) -> Registry:
    """Return everything that the job files say. Raises ConfigError when there is no jobs folder."""
    registry = Registry.load(settings)
    missing = registry.missing_folder
    if missing is not None:
        raise ConfigError(missing.message, hint=MISSING_HINT)
    return registry


MISSING_HINT = "`jobrunner init` writes a project, --jobs DIR names another folder"


def names(settings: Settings) -> list[str]:
    """Return the names of all jobs whose files can be used."""
    return [summary.name for summary in Registry.load(settings).summaries]


def real_name(settings: Settings, store: Store | None, name: str) -> str:
    """Return a job's name as it is written, also of one whose file is gone. Raises UnknownJob."""
    fact = store.job(name) if store is not None else None
    return fact.name if fact is not None else Registry.load(settings).summary(name).name


def chosen(registry: Registry, settings: Settings) -> dict[str, Job]:
    """Return the jobs that --only, --except and --tag leave. Raises UnknownJob for a name in --only."""
    for name in sorted(settings.only):
        registry.summary(name)
    return {
        name: job for name, job in registry.jobs.items() if excluded(job, settings) in (None, ENVIRONMENT)
    }


def own_jobs(registry: Registry, settings: Settings) -> dict[str, Job]:
    """Return the jobs that come along with every `start`, unless --only or --tag says which are wanted."""
    if settings.only or settings.tag:
        return {name: job for name, job in registry.built_in.items() if name in settings.only}
    return {name: job for name, job in registry.built_in.items() if name not in settings.exclude}


ENVIRONMENT = "environment"


def excluded(job: Defined, settings: Settings) -> str | None:
    """Return what leaves a job out here: `--only`, `--except`, `--tag` or `environment`; or None."""
    if settings.only and job.name not in settings.only:
        return "--only"
    if settings.exclude and job.name in settings.exclude:
        return "--except"
    if settings.tag and not set(settings.tag).intersection(job.tags):
        return "--tag"
    if job.environments is not None and settings.env not in job.environments:
        return ENVIRONMENT
    return None


def enablement(job: Defined, fact: JobFacts | None, settings: Settings) -> tuple[bool, str | None]:
    """Return whether a job is enabled, and who says so if not its file: a stored override wins over that."""
    if settings.disabled and job.name in settings.disabled:
        return False, "JOBRUNNER_DISABLED"
    if fact is not None and fact.enabled_override is not None:
        return fact.enabled_override, fact.enabled_reason
    return job.enabled, None if job.enabled else "in its file"


def resting(job: Defined, fact: JobFacts | None, settings: Settings) -> str | None:
    """Return why a job does not run by its schedule at present, or None."""
    enabled, reason = enablement(job, fact, settings)
    if not enabled:
        return f"disabled: {reason}" if reason else "disabled"
    by = excluded(job, settings)
    if by is not None:
        return f"excluded: {exclusion(by, settings)}"
    return "paused" if settings.paused else None


def exclusion(by: str, settings: Settings) -> str:
    """Return the words for what leaves a job out."""
    return f"JOBRUNNER_ENV is {settings.env or 'not set'}" if by == ENVIRONMENT else by


def standing(job: Job, fact: JobFacts | None, now: Instant) -> Standing:
    """Return where a job stands, as a node that starts now would find it: at its cursor, else now."""
    from jobrunner.model import Standing

    known = fact if fact is not None and fact.schedule_key == job.schedule_key else None
    return Standing(
        job_id=fact.id if fact else 0,
        job=job.name,
        scope="",
        schedule_key=job.schedule_key,
        consumed=known.consumed if known is not None and known.consumed is not None else now,
        anchor=known.anchor if known is not None and known.anchor is not None else now,
        executions=fact.executions + fact.pending if fact else 0,
        ended_at=fact.last_finished_at if fact else None,
    )


def starts_at_once(job: Job, fact: JobFacts | None) -> bool:
    """Say whether a job runs as soon as a node sees it, which none has yet."""
    return job.run_on_start and is_new(fact)


def is_new(fact: JobFacts | None) -> bool:
    """Say whether no node has seen a job; one that ran by hand alone is in the state, without definition."""
    return fact is None or not fact.definition_hash


def next_at(job: Job, fact: JobFacts | None, now: Instant) -> Instant | None:
    """Return the next occurrence from now on; None when none comes."""
    from jobrunner.plan import next_due

    where = standing(job, fact, now)
    return next_due(job, replace(where, consumed=max(where.consumed, now)))


def words(said: str, zone: str, settings: Settings) -> str:
    """Return a schedule's words, with its zone where that is not the project's."""
    return said if zone == settings.timezone or said == "on demand" else f"{said} ({zone})"


def orphans(facts: Mapping[str, JobFacts], registry: Registry) -> list[JobFacts]:
    """Return jobs that the state knows and no file defines; a broken file still stands for its own.

    `facts` go by name, case folded.
    """
    here = {summary.name.casefold() for summary in registry.summaries} | _broken(registry.problems)
    files = {problem.file for problem in registry.problems}
    return [
        fact for key, fact in facts.items()
        if key not in here and fact.file not in files and not housekeeping.is_ours(key)
    ]  # fmt: skip


def _broken(problems: Iterable[Problem]) -> set[str]:
    return {problem.name.casefold() for problem in problems if problem.name}


def by_name(store: Store | None) -> dict[str, JobFacts]:
    """Return what the state knows of each job, by name, case folded."""
    return {fact.name.casefold(): fact for fact in store.jobs()} if store is not None else {}


def without_password(url: str) -> str:
    """Return a state's address as it may be shown."""
    return re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", url)
