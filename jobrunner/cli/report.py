"""Finding jobs, and the words in which commands speak of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from jobrunner import housekeeping
from jobrunner.errors import ConfigError, JobrunnerError, UnknownJob
from jobrunner.registry import Registry
from jobrunner.settings import Settings
from jobrunner.status import Known

if TYPE_CHECKING:
    from jobrunner.facts import JobFacts, Pause
    from jobrunner.model import Job
    from jobrunner.store.base import Store


def find(registry: Registry, name: str, state: Callable[[], Store | None]) -> Job:
    """Return a job by its name. Raises UnknownJob; of one that the state knows it says what became of it."""
    try:
        return registry.find(name)
    except UnknownJob as error:
        store = state() if registry.renamed(name) is None else None
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
    """Return the name under which the state knows a job, also one whose file is gone. Raises UnknownJob."""
    registry = Registry.load(settings)
    found = fact(registry, store, name)
    return found.name if found is not None else registry.summary(name).name


def fact(registry: Registry, store: Store | None, name: str) -> JobFacts | None:
    """Return what the state knows of a job, under a former name where no node has seen the new one yet.

    Raises UnknownJob for a name that a job has no more.
    """
    new = registry.renamed(name)
    if new is None:
        known = registry.former(name)
        looked = (store.job(each) for each in (name, *known)) if store is not None else iter(())
        return next((each for each in looked if each is not None), None)
    old = store.job(name) if store is not None else None
    if old is None or store is None or store.job(new) is None:
        registry.summary(name)  # raises, and names the new one
    return old  # another job, which had that name before


def words(said: str, zone: str, settings: Settings) -> str:
    """Return a schedule's words, with its zone where that is not the project's."""
    return said if zone == settings.timezone or said == "on demand" else f"{said} ({zone})"


F = TypeVar("F", bound=Known)


def orphans(facts: Mapping[str, F], registry: Registry) -> list[F]:
    """Return jobs that the state knows and no file defines; a broken file still stands for its own.

    `facts` go by name, case folded.
    """
    files = {problem.file for problem in registry.problems}
    return [fact for fact in unplaced(facts, registry) if fact.file not in files]


def unplaced(facts: Mapping[str, F], registry: Registry) -> list[F]:
    """Return jobs that the state knows, and no file defines or names in what is wrong with it."""
    here = {problem.name.casefold() for problem in registry.problems if problem.name}
    here |= {summary.name.casefold() for summary in registry.summaries}
    renamed = [each for each in registry.summaries if each.former and each.name.casefold() not in facts]
    here |= {former.casefold() for each in renamed for former in each.former}
    return [fact for key, fact in facts.items() if key not in here and not housekeeping.is_ours(key)]


def by_name(store: Store | None) -> dict[str, JobFacts]:
    """Return what the state knows of each job, by name, case folded."""
    return {fact.name.casefold(): fact for fact in store.jobs()} if store is not None else {}


class Seen(NamedTuple):
    """What the state says about all jobs, at one moment; `facts` go by name, case folded."""

    facts: Mapping[str, Known]
    pause: Pause | None
    counts: Mapping[int, Mapping[str, int]]
    alone: bool = False  # there is a state, and no `start` that works on it


def seen(store: Store | None, *, whole: bool = True) -> Seen:
    """Return what the state says; with `whole` all of it, else what a table shows."""
    if store is None:
        return Seen({}, None, {})
    facts: Iterable[Known] = store.jobs() if whole else store.glance()
    counts = store.machine_counts() if whole else {}
    alone = all(node.role == "run" for node in store.nodes())
    return Seen({fact.name.casefold(): fact for fact in facts}, store.paused(), counts, alone)


def without_password(url: str) -> str:
    """Return a state's address as it may be shown."""
    return re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", url)
