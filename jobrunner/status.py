"""WHERE A JOB STANDS: in what state and why, who enabled it, what keeps it from running, what comes next.

The same questions for one job and for ten thousand: each takes a `Job` or its `Summary`, and a job's
`JobFacts` or `Glance`, or None for a job that the state does not know. `start --paused` is of its node
alone and no state of a job; the pause that `jobrunner pause` stores is.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from jobrunner import labels
from jobrunner.clock import Instant
from jobrunner.labels import Reach
from jobrunner.settings import Settings

if TYPE_CHECKING:
    from jobrunner.facts import Pause
    from jobrunner.model import Job, Standing

ENVIRONMENT = "environment"
VARIABLE = "JOBRUNNER_DISABLED"


class Defined(Protocol):
    """What a Job and its Summary both tell."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def schedule(self) -> object:
        """Its schedule, or what stands for one; false for a job on demand."""
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
    def runs_on(self) -> Sequence[str]:
        """The labels that a node must have."""
        ...

    @property
    def tags(self) -> Collection[str]:
        """Its tags."""
        ...

    @property
    def number_of_executions(self) -> int | None:
        """How often it starts by its schedule."""
        ...

    @property
    def end_at(self) -> Instant | None:
        """When its schedule ends."""
        ...


class Known(Protocol):
    """What JobFacts and a Glance both tell; see there."""

    @property
    def id(self) -> int:
        """Its number in the state."""
        ...

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def file(self) -> str:
        """Its file, as last registered."""
        ...

    @property
    def definition_hash(self) -> str:
        """Its current definition; "" when no node has seen it."""
        ...

    @property
    def durations(self) -> Sequence[int]:
        """How long its last successes took; of a `Glance` only while it is running."""
        ...

    @property
    def running(self) -> int:
        """How many of its runs are running or waiting."""
        ...

    @property
    def pending(self) -> int:
        """How many of its runs are pending."""
        ...

    @property
    def executions(self) -> int:
        """How often it started by its schedule."""
        ...

    @property
    def consumed(self) -> Instant | None:
        """How far its schedule is consumed."""
        ...

    @property
    def anchor(self) -> Instant | None:
        """Where its interval grids begin."""
        ...

    @property
    def schedule_key(self) -> str:
        """Which schedule that is said of."""
        ...

    @property
    def enabled_override(self) -> bool | None:
        """What people, or stopOnError, said."""
        ...

    @property
    def enabled_reason(self) -> str | None:
        """Who, and why."""
        ...

    @property
    def last_started_at(self) -> Instant | None:
        """When a run of it last started."""
        ...

    @property
    def last_finished_at(self) -> Instant | None:
        """When a run of it last ended."""
        ...

    @property
    def last_state(self) -> str | None:
        """How that run ended."""
        ...

    @property
    def overrides(self) -> Mapping[str, Any]:
        """What `set` changed."""
        ...

    @property
    def progress(self) -> Mapping[str, Any] | None:
        """How far its newest running run says that it is."""
        ...

    @property
    def running_since(self) -> Instant | None:
        """When that run started."""
        ...


J = TypeVar("J", bound=Defined)
K = TypeVar("K", bound=Known)


def fact_of(facts: Mapping[str, K], name: str, former: Collection[str]) -> K | None:
    """Return what the state knows of a job, under a former name where no node has seen the new one yet.

    `facts` go by name, case folded.
    """
    found = facts.get(name.casefold())
    if found is None and former:
        older = (facts.get(each.casefold()) for each in former)
        return next((fact for fact in older if fact is not None), None)
    return found


def state(
    job: J,
    fact: Known | None,
    settings: Settings,
    pause: Pause | None,
    coming: Callable[[J, Known | None], Instant | None],
) -> tuple[str, str | None]:
    """Return the first state that holds of a job whose file can be used, and why.

    `coming` returns its next occurrence; it is asked only where that decides.
    """
    if not job.enabled or fact is not None or settings.disabled:
        enabled, reason = enablement(job, fact, settings)
        if not enabled:
            return "disabled", _disabled(reason)
    by = excluded(job, settings)
    if by is not None:
        return "excluded", exclusion(by, settings)
    if pause is not None:
        return "paused", paused(pause)
    limit = job.number_of_executions
    if limit is not None and fact is not None and fact.executions >= limit:
        return "finished", None
    if job.end_at is not None and coming(job, fact) is None:
        return "finished", "its endAt has passed"
    return ("active" if job.schedule else "on-demand"), None


class Overruled(Protocol):
    """What `Known` and a `Footing` both tell."""

    @property
    def enabled_override(self) -> bool | None:
        """What people, or stopOnError, said."""
        ...

    @property
    def enabled_reason(self) -> str | None:
        """Why."""
        ...


def enablement(job: Defined, fact: Overruled | None, settings: Settings) -> tuple[bool, str | None]:
    """Return whether a job is enabled, and who says so if not its file: a stored override wins over that."""
    if settings.disabled and job.name in settings.disabled:
        return False, VARIABLE
    if fact is not None and fact.enabled_override is not None:
        return fact.enabled_override, fact.enabled_reason
    return job.enabled, None if job.enabled else "in its file"


def _disabled(reason: str | None) -> str | None:
    """Return the words for a job that is disabled: `disabled by ana: too slow`."""
    if reason is None:
        return None
    return f"disabled by {reason}" if reason == VARIABLE else f"disabled {reason}"


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


def exclusion(by: str, settings: Settings) -> str:
    """Return the words for what leaves a job out."""
    return f"JOBRUNNER_ENV is {settings.env or 'not set'}" if by == ENVIRONMENT else by


def paused(pause: Pause) -> str:
    """Return the words for the pause: `paused by ana: migration`."""
    return f"paused by {pause.by}" + (f": {pause.reason}" if pause.reason else "")


def overridden(job: Defined, fact: Known | None) -> str | None:
    """Return the words for what is otherwise than the file says: `overridden: schedule, timeout`."""
    if fact is None:
        return None
    said = []
    if fact.enabled_override and not job.enabled:
        said.append("enabled" + (f" {fact.enabled_reason}" if fact.enabled_reason else ""))
    if fact.overrides:
        said.append("overridden: " + ", ".join(sorted(fact.overrides)))
    return "; ".join(said) or None


def resting(
    job: Defined, fact: Known | None, settings: Settings, pause: Pause | None, reach: Reach = None
) -> str | None:
    """Return why a job does not run by its schedule at present, or None. `reach`: see `labels`."""
    enabled, reason = enablement(job, fact, settings)
    if not enabled:
        stored = fact is not None and fact.enabled_reason == reason
        return "disabled" + (f"{'' if stored else ':'} {reason}" if reason else "")
    by = excluded(job, settings)
    if by is not None:
        return f"excluded: {exclusion(by, settings)}"
    unreached = labels.unreached(job.runs_on, reach)
    if unreached is not None:
        return f"excluded: {unreached}"
    return None if pause is None else paused(pause)


def standing(job: Job, fact: Known | None, now: Instant, since: Instant | None = None) -> Standing:
    """Return where a job stands, as a node that starts now would find it: at its cursor, else now.

    With `since` what lies before is taken for consumed.
    """
    from jobrunner.model import Standing

    key = job.schedule_key
    known = fact if fact is not None and fact.schedule_key == key else None
    consumed = known.consumed if known is not None and known.consumed is not None else now
    return Standing(
        job_id=fact.id if fact else 0,
        job=job.name,
        scope="",
        schedule_key=key,
        consumed=consumed if since is None or consumed > since else since,
        anchor=known.anchor if known is not None and known.anchor is not None else now,
        executions=fact.executions + fact.pending if fact else 0,
        ended_at=fact.last_finished_at if fact else None,
    )


def starts_at_once(job: Job, fact: Known | None) -> bool:
    """Say whether a job runs as soon as a node sees it, which none has yet."""
    return job.run_on_start and is_new(fact)


def is_new(fact: Known | None) -> bool:
    """Say whether no node has seen a job; one that ran by hand alone is in the state, without definition."""
    return fact is None or not fact.definition_hash


def next_at(job: Job, fact: Known | None, now: Instant) -> Instant | None:
    """Return when a job is due next, its part of the jitter included; None when it never is."""
    from jobrunner.plan import next_due

    nominal = next_due(job, standing(job, fact, now, since=now - job.offset))
    return None if nominal is None else nominal + job.offset
