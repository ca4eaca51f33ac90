"""WHAT A NODE HOLDS at one moment: its jobs, and the text of those whose edited file is broken.

A job whose file cannot be used any more stays as it was, code and all, until the file is whole again; so
does one whose edited file has yet to be executed to be read. A job whose file is gone goes, too.
"""

# ruff: noqa: PTH112, PTH120  (paths are text here: pathlib costs time)

from __future__ import annotations

import os
import tokenize
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from io import BytesIO
from typing import NamedTuple

from jobrunner.added import is_added, place
from jobrunner.clock import Clock
from jobrunner.discovery.catalog import Gathered
from jobrunner.discovery.files import digest, read_source
from jobrunner.discovery.summary import Summary
from jobrunner.errors import ConfigError
from jobrunner.fingerprint import sha256
from jobrunner.housekeeping import is_ours
from jobrunner.model import Job, Problem
from jobrunner.registry import Registry
from jobrunner.settings import Settings

Filter = Callable[[Job], bool]


class Definitions(NamedTuple):
    """The jobs by name, sorted, and why other files are none.

    `sources` are texts by content hash: to be run instead of the files that jobs were once read from.
    `kept` names the jobs that are here although their file has a problem. `imported` are other files of
    the project that computed configs came from, or that added jobs are in. `lost` are added jobs that are
    not among `jobs`, with their modules: those cannot be found here.
    """

    jobs: Mapping[str, Job]
    problems: Sequence[Problem]
    settings: Settings
    sources: Mapping[str, str] = {}
    kept: tuple[str, ...] = ()
    imported: tuple[str, ...] = ()
    lost: Mapping[str, str] = {}
    only: Filter | None = None
    texts: Mapping[str, str] | None = None  # of all job files, by content hash; None: not asked for

    @property
    def listed(self) -> Mapping[str, Job]:
        """The jobs without those of our own."""
        return {name: job for name, job in self.jobs.items() if not is_ours(name)}

    def source_of(self, job: Job) -> str | None:
        """Return the text that a job runs instead of its file; None: the file is what it was read from."""
        return self.sources.get(job.content_hash)

    def text_of(self, job: Job) -> str | None:
        """Return the text that a job was read from, where texts are kept.

        A run executes it even if the file is whole: between an edit and its discovery lies half a second
        in which it may be half written.
        """
        return (self.texts or {}).get(job.content_hash)


def load(
    settings: Settings, clock: Clock | None = None, only: Filter | None = None, *, keep_sources: bool = False
) -> Definitions:
    """Return what there is at the start; as `Registry.load`, it may wait for files that are executed.

    `only` says which jobs to hold, here and at each reload. Without `keep_sources` an edited file that is
    broken takes its jobs with it.
    """
    return of_registry(Registry.load(settings, clock), only, keep_sources=keep_sources)


def of_registry(registry: Registry, only: Filter | None = None, *, keep_sources: bool = False) -> Definitions:
    """Return the definitions of a registry that somebody has loaded."""
    found = registry.jobs
    jobs = _filtered((found[each.name] for each in _here(registry)), only)
    return Definitions(
        jobs={**jobs, **_own(registry)},
        problems=_problems(registry),
        imported=tuple(registry.imported()),
        lost=registry.lost,
        settings=registry.settings,
        only=only,
        texts=_texts(jobs.values(), {}) if keep_sources else None,
    )


def reload(before: Definitions, settings: Settings, clock: Clock | None = None) -> Definitions:
    """Return what holds now, with all that stays as it was taken from `before`; may wait as `load` does."""
    return _Reload(before, Registry.load(settings, clock)).definitions()


def renew(before: Definitions, gathered: Gathered) -> Definitions:
    """As `reload`, but of what a `Warmer` has read, under the settings that it was started with: at once."""
    return _Reload(before, Registry(gathered.settings, gathered)).definitions()


class _Reload:
    """One step from what was held to what the files say now."""

    def __init__(self, before: Definitions, registry: Registry) -> None:
        self._before = before
        self._registry = registry
        self._problems = [
            *_problems(registry), *(each for each in before.problems if each.path in registry.unread)
        ]  # fmt: skip
        self._troubled = {each.path for each in self._problems}
        new, old = registry.settings, before.settings
        self._same_places = (new.project, new.folders) == (old.project, old.folders)

    def definitions(self) -> Definitions:
        before = self._before
        new = _filtered(map(self._job, _here(self._registry)), before.only)
        texts = None if before.texts is None else _texts(new.values(), before.texts)
        late = {name for name, job in new.items() if self._is_late(job, texts)}
        held = self._held(late)
        jobs = {**{name: job for name, job in new.items() if name not in late}, **held}
        return before._replace(
            jobs={**dict(sorted(jobs.items(), key=lambda pair: pair[0].casefold())), **_own(self._registry)},
            problems=self._problems,
            sources=_of(held.values(), before.texts or {}),
            kept=tuple(name for name, job in held.items() if is_added(job) or self._is_troubled(job.path)),
            imported=tuple(self._registry.imported()),
            lost=self._registry.lost,
            settings=self._registry.settings,
            texts=None if texts is None else _of(jobs.values(), {**(before.texts or {}), **texts}),
        )

    def _job(self, summary: Summary) -> Job:
        """Return the job as it was held, if it is still the same; to build thousands anew takes a while."""
        old = self._before.jobs.get(summary.name)
        if old is not None and self._same_places:
            facts = summary.hash, summary.path, summary.line, tuple(summary.overridden)
            if facts == (old.hash, old.path, old.line, old.overridden):
                return old
        return self._registry.find(summary.name)

    def _is_late(self, job: Job, texts: Mapping[str, str] | None) -> bool:
        """Whether a text changed before it was read, or an unread file may yet have an added job's name."""
        if not is_added(job):
            return texts is not None and job.content_hash not in texts
        old = self._before.jobs.get(job.name)
        return old is not None and old.path in self._registry.unread

    def _held(self, late: Collection[str]) -> dict[str, Job]:
        """Return the jobs that stay as they were; `late` ones cannot be taken over yet."""
        told = {each.name for each in self._registry.summaries} - set(late)
        names = {name.casefold() for name in told}
        return {
            name: job for name, job in self._before.jobs.items()
            if name.casefold() not in names and self._stays(job, late) and self._can_run(job)
        }  # fmt: skip

    def _stays(self, job: Job, late: Collection[str]) -> bool:
        if is_added(job):
            return place(job.name) in self._troubled and self._unclaimed(job)
        return job.name in late or job.path in self._registry.unread or self._is_troubled(job.path)

    def _is_troubled(self, path: str) -> bool:
        """Whether a file has a problem, or lies in a folder that is there and cannot be read."""
        if path in self._troubled:
            return True
        folder = os.path.dirname(path)
        return folder != path and self._is_troubled(folder) and os.path.isdir(folder)

    def _unclaimed(self, job: Job) -> bool:
        """Whether what is wrong with an added job is its own config, and no file wants its name."""
        return any(each.name == job.name and each.path == place(job.name) for each in self._problems)

    def _can_run(self, job: Job) -> bool:
        if is_added(job):
            return True  # its module is imported by each run
        return job.content_hash in (self._before.texts or {}) or digest(job.path) == job.content_hash


def _here(registry: Registry) -> list[Summary]:
    """Return the jobs that this process could run: of added ones those whose modules can be found."""
    return [each for each in registry.summaries if each.name not in registry.lost]


def _own(registry: Registry) -> dict[str, Job]:
    """Return the jobs that come along with every `start`, unless --only or --tag says which are wanted."""
    settings, found = registry.settings, registry.built_in
    if settings.only or settings.tag:
        return {name: job for name, job in found.items() if name in settings.only}
    return {name: job for name, job in found.items() if name not in settings.exclude}


def _filtered(jobs: Iterable[Job], only: Filter | None) -> dict[str, Job]:
    return {job.name: job for job in jobs if only is None or only(job)}


def _problems(registry: Registry) -> list[Problem]:
    missing = registry.missing_folder
    return [*registry.problems, *([missing] if missing is not None else [])]


# --- texts ------------------------------------------------------------------------------------


def _of(jobs: Iterable[Job], texts: Mapping[str, str]) -> dict[str, str]:
    return {job.content_hash: texts[job.content_hash] for job in jobs if job.content_hash in texts}


def _texts(jobs: Iterable[Job], known: Mapping[str, str]) -> dict[str, str]:
    """Return the texts of job files by content hash; one that has changed since it was read has none."""
    found: dict[str, str] = {}
    for job in jobs:
        if job.path and job.content_hash not in found:
            text = known.get(job.content_hash) or _text(job)
            if text is not None:
                found[job.content_hash] = text
    return found


def _text(job: Job) -> str | None:
    """Return what a file says, as Python decodes it, if it is still the file that the job was made of."""
    try:
        data = read_source(job.path)
    except ConfigError:
        return None
    return _decoded(data) if sha256(data) == job.content_hash else None


def _decoded(data: bytes) -> str:
    try:
        encoding, _ = tokenize.detect_encoding(BytesIO(data).readline)
    except SyntaxError:
        encoding = "utf-8"
    return data.decode(encoding, "replace")  # Python lets odd bytes in a comment pass
