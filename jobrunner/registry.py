"""WHAT WE KNOW: name -> Job, and a problem for each file or config that is none.

Nothing here executes a job file. What `ls` prints (`summaries`) comes from flat columns; a `Job`, with its
parsed schedule, is built when somebody asks for it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from jobrunner import housekeeping
from jobrunner.clock import Clock, SystemClock
from jobrunner.discovery.catalog import Catalog, Gathered
from jobrunner.discovery.summary import Summary
from jobrunner.discovery.upcoming import Upcoming
from jobrunner.discovery.walk import ProblemRow, shown_path
from jobrunner.errors import ConfigError, UnknownJob, unknown_job
from jobrunner.settings import FILE, Settings

if TYPE_CHECKING:
    from jobrunner.added import Added
    from jobrunner.discovery.entries import Entry, JobEntry, Overrides
    from jobrunner.model import Job, Problem

LATELY = 1.0  # seconds


class Registry:
    """All jobs of a project as its files are now; load another one to see changes.

    `known` are jobs that are known otherwise: they stand for what is in their files, which nobody has read.
    """

    def __init__(self, settings: Settings, catalog: Catalog | Gathered, known: Sequence[Job] = ()) -> None:
        self.settings = settings
        self._catalog = catalog
        self._known = known
        self._built: dict[str, Job] = {}

    @classmethod
    def load(cls, settings: Settings, clock: Clock | None = None) -> Registry:
        """Return the registry of a project. Broken files become `problems`; none stops the others.

        A file with a computed config may take `settings.import_limit`, but only once for its content.
        """
        return cls(settings, Catalog(settings, clock or SystemClock()))

    def with_known(self, jobs: Sequence[Job]) -> Registry:
        """Return this registry with jobs that are known otherwise; no file is read again."""
        return Registry(self.settings, self._catalog, jobs)

    @cached_property
    def summaries(self) -> list[Summary]:
        """Return what lists need of each valid job, sorted by name, ignoring case."""
        if not (self.settings.added or self._known):
            return self._catalog.summaries
        from jobrunner.discovery.summary import summarize

        others = [*(self._added.jobs.values() if self.settings.added else ()), *self._others.values()]
        return sorted(
            [*self._catalog.summaries, *map(summarize, others)], key=lambda each: each.name.casefold()
        )

    @cached_property
    def _added(self) -> Added:
        from jobrunner.added import merged

        return merged(self.settings, self._catalog.summaries, self._catalog.problems)

    @cached_property
    def _others(self) -> Mapping[str, Job]:
        """The known jobs by name, without those that files or code define."""
        here = {each.name.casefold() for each in self._catalog.summaries}
        here |= {name.casefold() for name in (self._added.jobs if self.settings.added else ())}
        return {job.name: job for job in self._known if job.name.casefold() not in here}

    @property
    def lost(self) -> Mapping[str, str]:
        """Return the added jobs whose modules cannot be found here, by name, with these modules."""
        return self._added.lost if self.settings.added else {}

    @cached_property
    def problems(self) -> list[Problem]:
        """Return why files, configs, folders or overrides cannot be used, sorted by file and line."""
        ours = self._overridden_wrongly() + (self._added.problems if self.settings.added else [])
        if not (self._catalog.problems or self._catalog.missing):
            return ours
        from jobrunner.model import Problem

        missing = [] if self.missing_folder else [self._missing(folder) for folder in self._catalog.missing]
        return [Problem(*row) for row in self._catalog.problems if not self._stood_for(row)] + missing + ours

    def _stood_for(self, row: ProblemRow) -> bool:
        """Whether all that is wrong with a file is that nobody has read it, and its jobs are known."""
        if not self._known:
            return False
        from jobrunner.discovery.files import NOT_READ

        return row[2] == NOT_READ and row[0] in {job.file for job in self._known}

    def _overridden_wrongly(self) -> list[Problem]:
        """Return what is wrong with the overrides of jobs of ours; without any there is nothing to build."""
        if not any(map(housekeeping.is_ours, self.settings.overrides)):
            return []
        from jobrunner.model import Problem

        _, errors = self._ours
        return [Problem(FILE, each.line, each.message, each.hint, housekeeping.PRUNE) for each in errors]

    @cached_property
    def _ours(self) -> tuple[dict[str, Job], list[ConfigError]]:
        return housekeeping.built_in(self.settings)

    @property
    def built_in(self) -> Mapping[str, Job]:
        """Return the jobs that come with jobrunner, by name; `jobs` and `summaries` are without them."""
        return self._ours[0]

    @cached_property
    def missing_folder(self) -> Problem | None:
        """Return what to say when there is no jobs folder at all, and so nothing to do."""
        return (
            self._missing(self._catalog.missing[0])
            if self._catalog.missing and not self._catalog.found
            else None
        )

    def _missing(self, folder: str) -> Problem:
        from jobrunner.model import Problem

        shown = shown_path(folder, os.getcwd())  # noqa: PTH109  (as people would write it here)
        if not os.path.lexists(folder):
            hint = "create it and put a job file in, or name the right folder with --jobs"
            return Problem(shown, None, f"there is no folder {shown}", hint, path=folder)
        home = os.path.dirname(shown) or "."  # noqa: PTH120
        hint = f"name the folder that it lies in, {home}"
        return Problem(shown, None, f"{shown} is a file, not a folder of job files", hint, path=folder)

    @cached_property
    def jobs(self) -> Mapping[str, Job]:
        """Return every valid job by name, sorted."""
        self._built.update((job.name, job) for job in self._catalog.jobs(self._build))
        find = self.find if self.settings.added or self._known else self._built.__getitem__
        return {summary.name: find(summary.name) for summary in self.summaries}

    @cached_property
    def _by_name(self) -> dict[str, Summary]:
        return {summary.name.casefold(): summary for summary in self.summaries}

    @cached_property
    def _entry_of(self) -> dict[str, tuple[Entry, JobEntry]]:
        entries = self._catalog.entries()
        return {job["row"][0].casefold(): (entry, job) for entry in entries for job in entry["jobs"]}

    @cached_property
    def _overrides(self) -> Overrides:
        from jobrunner.discovery.entries import Overrides

        return Overrides(self.settings)

    def imported(self) -> list[str]:
        """Return the other files that configs came from, and those of added jobs' modules, sorted."""
        found = self._catalog.imported
        return sorted(found.union(self._added.files) if self.settings.added else found)

    @property
    def unread(self) -> frozenset[str]:
        """Return the paths of files that have yet to be executed to be read; empty after `load`."""
        return self._catalog.unread

    def summary(self, name: str) -> Summary:
        """Return a job's summary, in whatever case its name is given.

        Raises UnknownJob, whose hint names near ones, or ConfigError when its file or config is broken.
        """
        found = self._by_name.get(name.casefold())
        if found is None and name.casefold() in self._built_in_names(name):
            from jobrunner.discovery.summary import summarize

            found = summarize(self.built_in[name.casefold()])
        if found is None:
            raise self._unusable(name) or self._unknown(name)
        return found

    def _built_in_names(self, name: str) -> Mapping[str, Job]:
        return self.built_in if housekeeping.is_ours(name) else {}

    def find(self, name: str) -> Job:
        """Return a job, in whatever case its name is given. Raises as `summary` does."""
        known = self.summary(name).name
        if housekeeping.is_ours(known):
            return self.built_in[known]
        if self.settings.added and known in self._added.jobs:
            return self._added.jobs[known]
        if known in self._others:
            return self._others[known]
        if not self._built:
            self._built.update((job.name, job) for job in self._catalog.ready() or ())
        if known not in self._built:
            self._built[known] = self._build(known)
        return self._built[known]

    def _build(self, name: str) -> Job:
        from jobrunner.discovery.entries import build

        return build(*self._entry_of[name.casefold()], self.settings, self._overrides)

    def _unusable(self, name: str) -> ConfigError | None:
        for each in self.problems:
            if (each.name or "").casefold() == name.casefold():
                return ConfigError(each.message, hint=each.hint, file=each.file, line=each.line)
        return None

    def renamed(self, name: str) -> str | None:
        """Return what a job is called now that had this name, which no job has any more; else None."""
        return None if name.casefold() in self._by_name else self._renamed.get(name.casefold())

    def former(self, name: str) -> Sequence[str]:
        """Return the names that a job had before this one; none where there is no such job."""
        found = self._by_name.get(name.casefold())
        return found.former if found is not None else ()

    @cached_property
    def _renamed(self) -> dict[str, str]:
        return {old.casefold(): each.name for each in self.summaries if each.former for old in each.former}

    def _unknown(self, name: str) -> UnknownJob:
        new = self.renamed(name)
        if new is not None:
            return UnknownJob(f"there is no job {name!a}", hint=f'it is called "{new}" now')
        return unknown_job(name, (each.name for each in self.summaries))

    def upcoming(self) -> Upcoming:
        """Return what knows when jobs are due next, without parsing their schedules where it can."""
        return Upcoming(self.settings.project, self._catalog.code)


class Lately:
    """The registry as it was a second ago at most: who asks many times reads the files once."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._read: tuple[float, Registry | None] = 0.0, None

    @property
    def last(self) -> Registry | None:
        """What was read a moment ago; None: that is longer ago, or never was."""
        at, files = self._read
        return files if 0 <= self._clock.monotonic() - at < LATELY else None

    def load(self, settings: Settings) -> Registry:
        """Return what `Registry.load` returned a moment ago, or does now."""
        files = self.last
        if files is None or files.settings != settings:
            now = self._clock.monotonic()
            files = Registry.load(settings, self._clock)
            self._read = now, files
        return files


def summaries(settings: Settings, clock: Clock | None = None) -> list[Summary]:
    """Return what lists need of each valid job, sorted by name, ignoring case."""
    return Registry.load(settings, clock).summaries
