"""Finding jobs by what they are called, in the files and in the state; what the state says of them all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from jobrunner import housekeeping
from jobrunner.clock import Instant
from jobrunner.discovery.catalog import Around, Gathered
from jobrunner.errors import ConfigError, JobrunnerError, UnknownJob
from jobrunner.registry import Registry
from jobrunner.settings import Settings
from jobrunner.status import Known
from jobrunner.stored import with_added

if TYPE_CHECKING:
    from jobrunner.facts import Definition, JobFacts, NodeFacts, Pause
    from jobrunner.labels import Reach
    from jobrunner.model import Job, Run
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
    if not fact.file:
        hint = f"`jobrunner history {fact.name}` has what it did"
        return UnknownJob(f'the job "{fact.name}" was removed: code had added it', hint=hint)
    return UnknownJob(
        f'the file of job "{fact.name}" is gone: it was {fact.file}, and no other defines the job',
        hint=f"put it back; `jobrunner history {fact.name}` has what it did",
    )


def real_name(settings: Settings, store: Store | None, name: str) -> str:
    """Return the name under which the state knows a job, also one whose file is gone. Raises UnknownJob."""
    registry = Registry.load(with_added(settings, store))
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
    nodes: Sequence[NodeFacts] = ()  # who joined and has not left
    waiting: Mapping[int, Instant] = MappingProxyType(
        {}
    )  # jobs of which no run runs and one waits: since when


def seen(store: Store | None, *, whole: bool = True) -> Seen:
    """Return what the state says; with `whole` all of it, else what a table shows."""
    if store is None:
        return Seen({}, None, {})
    facts: Sequence[Known] = store.jobs() if whole else store.glance()
    counts = store.machine_counts() if whole else {}
    nodes = store.nodes()
    alone = not any(node.works for node in nodes)
    found = {fact.name.casefold(): fact for fact in facts}
    return Seen(found, store.paused(), counts, alone, nodes, _waiting(store, facts))


def reach(nodes: Sequence[NodeFacts], settings: Settings) -> Reach:
    """Return the labels of each of these nodes that works, and is not proven dead."""
    if not nodes:
        return None
    from jobrunner import vitals

    return vitals.among(nodes, settings).reach


def _waiting(store: Store, facts: Iterable[Known]) -> dict[int, Instant]:
    """Return since when the newest run of each job waits whose runs all do."""
    ids = {fact.id for fact in facts if fact.running and fact.running_since is None}
    runs = [run for run in store.open_runs() if run.state == "waiting" and run.job_id in ids] if ids else []
    newest = {run.job_id: run for run in runs}
    return {job_id: _since(store, run) for job_id, run in newest.items()}


def _since(store: Store, run: Run) -> Instant:
    began = [step.started_at for step in store.steps(run.root_id) if step.state == "waiting"]
    return max(began, default=run.started_at or run.effective_at)


def registry(settings: Settings, store: Store | None) -> Registry:
    """Return what the files say; where there is no jobs folder, what nodes have registered last."""
    files = Registry.load(settings)
    if store is None:
        return files
    if files.missing_folder is None:
        return completed(files, store)
    added = {each.name.casefold() for each in settings.added}
    held = [each for each in store.definitions() if each.name.casefold() not in added]
    return Registry(settings, Gathered(settings, [], Around([], [], 1)), _restored(held, store, settings))


def completed(files: Registry, store: Store | None) -> Registry:
    """Return what the files say, and for those that nobody has executed to be read what nodes registered."""
    from jobrunner.discovery.files import NOT_READ

    unread = {problem.file for problem in files.problems if problem.message == NOT_READ}
    if store is None or not unread:
        return files
    held = [each for each in store.definitions() if each.file in unread]
    return files.with_known(_restored(held, store, files.settings))


def _restored(held: Iterable[Definition], store: Store, settings: Settings) -> list[Job]:
    """Return jobs as they were registered, in the zone of the node that did it: their cursors remember it."""
    from jobrunner.definitions import restore

    keys = {fact.id: fact.schedule_key for fact in store.glance()}
    jobs = []
    for each in held:
        _, _, zone = keys.get(each.job_id, "").partition("|")
        there = settings._replace(timezone=zone.partition("|")[0] or settings.timezone)
        job = restore(each.name, each.config, each.file, each.hash, there)
        jobs += [] if job is None else [job._replace(parameters=each.parameters)]
    return jobs
