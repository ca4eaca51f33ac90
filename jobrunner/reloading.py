"""How new definitions come to a running node: it is told that files changed, has them read, and takes over.

A change is noticed by `watching` (or, where the system tells nothing, by a look each second), files are
read in a child, and what is known by then is handed out; a broken edit leaves its job as it was.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jobrunner.definitions import Definitions, renew
from jobrunner.discovery import hooksfile
from jobrunner.discovery.walk import scan, stamp_of
from jobrunner.discovery.warming import Warmer
from jobrunner.errors import ConfigError
from jobrunner.events import AtNextStart, Event, FileBroken
from jobrunner.model import Problem
from jobrunner.plugins import PROCESS
from jobrunner.settings import FILE, Settings
from jobrunner.store.values import AddedJob
from jobrunner.watching import Quiet, Watch
from jobrunner.workplace import Workplace

FILES = (FILE, "services.py", hooksfile.NAME)
RETRY = 5.0  # seconds until a process is asked for again
FIXED = (
    "project", "folders", "state", "slots", "node", "machine", "role", "labels", "stored", "added",
    "explicit", "grace",
)  # fmt: skip


SILENT = ("stored", "added", "explicit")  # these are not written in jobrunner.yaml


class Reloading:
    """Keeps a node's definitions what the files say. `again` reads the settings anew; it raises ConfigError.

    Without `watch` files are read only when `ask` says so.
    """

    def __init__(
        self,
        definitions: Definitions,
        place: Workplace,
        again: Callable[[], Settings],
        emit: Callable[[Event], None],
        *,
        watch: bool,
        unread: bool = False,
    ) -> None:
        """`unread`: files may have been edited since the definitions were read, so they are read again."""
        self._definitions = definitions
        self._settings = definitions.settings
        self._place = place
        self._again = again
        self._emit = emit
        self._quiet = Quiet()
        self._unread = watch and unread
        self._told: list[str] = []
        self._warmer: Warmer | None = None
        self._watch = Watch(self._settings.folders, self._files()) if watch else None
        self._stamps = self._read_stamps()
        if self._watch is not None and (descriptor := self._watch.fileno()) is not None:
            place.attend(descriptor)

    def _files(self) -> list[str]:
        return [*(os.path.join(self._settings.project, name) for name in FILES), *self._definitions.imported]

    def close(self) -> None:
        """Watch and read no more."""
        self._stop_reading()
        if self._watch is not None:
            self._watch.close()

    def ask(self, stored: Mapping[str, Mapping[str, Any]], added: Sequence[AddedJob], now: float) -> None:
        """Somebody has overridden keys of jobs, or added some: read them all with these.

        `now` is monotonic seconds.
        """
        self._settings = self._settings._replace(stored=stored, added=added)
        self._quiet.note(now)

    def look(self, now: float) -> None:
        """Once a second: notice what the system did not tell."""
        if self._unread:
            self._unread = False
            self._quiet.note(now)
        if not self._must_look:
            return
        before, self._stamps = self._stamps, self._read_stamps()
        if before != self._stamps:
            self._quiet.note(now)

    def due(self, now: float) -> float | None:
        """Return after how many seconds `turn` has something to do; None when only news can tell."""
        return self._quiet.due(now)

    def turn(self, now: float) -> Definitions | None:
        """Do what is due; returns the definitions that hold from now on when they may be others."""
        if self._watch is not None and self._watch.read():
            self._quiet.note(now)
        if self._quiet.due(now) == 0:
            self._quiet.clear()
            self._start_reading(now)
        return self._what_was_read()

    def _start_reading(self, now: float) -> None:
        self._stop_reading()
        self._settings = self._new_settings()
        warmer = Warmer()
        try:
            warmer.start(self._settings)
        except OSError as error:  # no process is to be had now: soon there may be
            self._say(f"no process to read the job files in could be started: {error.strerror}")
            self._quiet.note(now + RETRY)
            return
        self._warmer = warmer
        self._place.attend(warmer.fileno())

    def _new_settings(self) -> Settings:
        """Return what jobrunner.yaml says now; what a node cannot change while it works stays."""
        old = self._settings
        try:
            new = self._again()
        except ConfigError as error:
            self._emit(FileBroken(Problem(error.file or FILE, error.line, error.message, error.hint)))
            return old
        later = [name for name in FIXED if name not in SILENT and getattr(new, name) != getattr(old, name)]
        if later != self._told:
            self._told = later
            if later:
                self._emit(AtNextStart(tuple(later)))
        return new._replace(**{name: getattr(old, name) for name in FIXED})

    def _stop_reading(self) -> None:
        if self._warmer is not None:
            self._place.leave_alone(self._warmer.fileno())
            self._warmer.kill()
            self._warmer = None

    def _what_was_read(self) -> Definitions | None:
        warmer = self._warmer
        if warmer is None:
            return None
        descriptor = warmer.fileno()
        done = warmer.done()
        gathered = warmer.gathered()
        if done:
            self._place.leave_alone(descriptor)
            self._warmer = None
            if warmer.trouble is not None:
                self._say(f"the job files could not all be read: {warmer.trouble}")
        if gathered is None:
            return None
        self._definitions = renew(self._definitions, gathered)
        if self._watch is not None:
            self._watch.follow(self._files())
        return self._definitions

    def _say(self, trouble: str) -> None:
        """Say why definitions stay as they were; the next change of any file is read again."""
        self._emit(FileBroken(Problem("jobs", None, trouble, "all jobs go on as they were")))

    @property
    def _must_look(self) -> bool:
        """Whether edits are wanted that the system does not tell of."""
        return self._watch is not None and not self._watch.complete

    def _read_stamps(self) -> list[object]:
        if not self._must_look:
            return []
        found = scan(self._settings.folders, self._settings.project)
        return [found.paths, found.stamps, *map(stamp_of, self._files())]


def preload(definitions: Definitions) -> list[str]:
    """Return the packages that job files import, for the zygote; other executors have none of them."""
    here = (job for job in definitions.jobs.values() if job.executor.name == PROCESS)
    return sorted({name for job in here for name in job.imports})


def hooks_of(settings: Settings, emit: Callable[[Event], None]) -> frozenset[str]:
    """Return the hooks that the project's hooks.py has; of a broken one it is said."""
    found, problem = hooksfile.read(settings.project)
    if problem is not None:
        emit(FileBroken(problem))
    return found
