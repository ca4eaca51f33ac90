"""All job files at once: what the cache still vouches for is kept, the rest is read anew.

An entry holds for a file's content. To spare reading ten thousand files, a file whose inode, size, mtime
and ctime are those noted with its entry counts as unchanged, as in git: ctime cannot be set back, so an
edit that keeps size and mtime is seen. A file that changed just before it was read could change again
within the same tick of the file system's clock; its stamp is noted as zeros and holds for nothing.
"""

# ruff: noqa: PTH120  (paths are text here: pathlib costs time)

from __future__ import annotations

import json
import os
import sys
from array import array
from binascii import b2a_base64
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from jobrunner import installed
from jobrunner.clock import Clock
from jobrunner.discovery import packages
from jobrunner.discovery.cache import Cache
from jobrunner.discovery.columns import packed
from jobrunner.discovery.servicesfile import services_look
from jobrunner.discovery.summary import Summary, summaries
from jobrunner.discovery.walk import STAMP, ProblemRow, scan, stamp_of
from jobrunner.garbage import no_collector
from jobrunner.settings import Settings

if TYPE_CHECKING:
    from jobrunner.discovery.entries import Entry
    from jobrunner.discovery.whole import Whole
    from jobrunner.model import Job

JOBS, ENTRIES = "jobs.json", "entries.json"  # what `ls` needs; what a Job is built from
WORTH = 200  # files from which on a cache pays for a folder of its own
TICK = 50_000_000  # nanoseconds; file systems stamp more finely than this
NOTHING = [0] * STAMP
FILE, PATH = Summary._fields.index("file"), Summary._fields.index("path")  # neighbours


class Around(NamedTuple):
    """What a walk found beside job files: `missing` folders, how many were `found`, odd things."""

    problems: list[ProblemRow]
    missing: list[str]
    found: int


class Gathered:
    """What a Catalog is, made of entries that another process has read.

    `unread` are files whose config is computed, and that nobody has executed yet: no problems, so far.
    """

    def __init__(self, settings: Settings, entries: Sequence[Entry], around: Around) -> None:
        from jobrunner.discovery.merge import merge

        self.settings = settings
        self._entries = list(entries)
        with no_collector():
            rows, problems = merge(entries, settings)
        self.unread = frozenset(each["path"] for each in entries if each["unread"])
        self.summaries = [Summary._make(row) for row in rows]
        self.problems = [*around.problems, *(row for row in problems if row[5] not in self.unread)]
        self.missing, self.found = around.missing, around.found

    @property
    def code(self) -> list[int]:
        """Return what tells this version of ours from others."""
        return _code()

    @property
    def imported(self) -> set[str]:
        """Return the other files that configs came from."""
        return {path for entry in self._entries for path in entry["files"]}

    def entries(self) -> list[Entry]:
        """Return the entries of all files."""
        return self._entries

    def ready(self) -> list[Job] | None:
        """Return no jobs: they are to be built."""
        return None

    def jobs(self, build: Callable[[str], Job]) -> list[Job]:
        """Return the jobs of all summaries; `build` makes one."""
        return [build(each.name) for each in self.summaries]


class Catalog:
    """Every job and every problem of a project, as of one moment."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._cache = Cache(settings.project)
        self._entries: list[Entry] | None = None
        self._noted: dict[str, list[int]] = {}  # path -> the stamp that a kept entry holds for
        with no_collector():
            self._load()

    unread: frozenset[str] = frozenset()  # whoever loads a catalog waits until all is read
    summaries: list[Summary]  # sorted by name, ignoring case
    problems: list[ProblemRow]
    missing: list[str]  # folders that should hold jobs and are not there
    found: int  # folders that are there

    def entries(self) -> list[Entry]:
        """Return the entries of all files, from the cache where they are not at hand."""
        if self._entries is None:
            with no_collector():
                kept = self._kept(self._generation)
                if kept is None or list(kept) != self._scan.paths:
                    self._refresh({})
                else:
                    self._entries = list(kept.values())
        assert self._entries is not None
        return self._entries

    @property
    def around(self) -> Around:
        """Return what there is to say beside the entries of files."""
        return Around([*self._scan.problems, *_lost_packages(self._packages)], self.missing, self.found)

    @property
    def imported(self) -> set[str]:
        """Return the other files that configs came from."""
        return set(self._others)

    def ready(self) -> list[Job] | None:
        """Return the jobs of all summaries, where the cache has them as they are; else None."""
        with no_collector():
            return self._whole().ready(self.summaries)

    def jobs(self, build: Callable[[str], Job]) -> list[Job]:
        """Return the jobs of all summaries, and have them `ready` next time; `build` makes one."""
        with no_collector():
            whole, worth = self._whole(), len(self._scan.paths) >= WORTH
            found = whole.ready(self.summaries)
            return whole.jobs(self.summaries, build, worth=worth) if found is None else found

    def _whole(self) -> Whole:
        from jobrunner.discovery.whole import Whole

        return Whole(self._cache, self._key, self._generation)

    def learn(self, read: Sequence[Entry]) -> None:
        """Take entries that were read since, in the place of those of the same files; remember them."""
        new = {entry["path"]: entry for entry in read}
        with no_collector():
            self._settle([new.get(each["path"], each) for each in self.entries()], self._began)

    def _load(self) -> None:
        self._began = self._clock.now() * 1_000
        cached = self._cache.read(JOBS)
        self._places = installed.places()
        self._packages = _known_packages(cached, self._places)
        folders = [*self._settings.folders, *(each for each in self._packages.values() if each)]
        self._scan = scan(tuple(folders), self._settings.project)
        self.code = _code()
        self._key = _key(self._settings, folders, self.code)
        self.missing, self.found = self._scan.missing, len(self._scan.ends)
        if cached is None or cached.get("key") != self._key or self._plugged_anew(cached):
            self._refresh({})
        elif not self._take(cached):
            self._refresh_with(self._kept(cached.get("generation")) or {})

    def _plugged_anew(self, cached: dict[str, Any]) -> bool:
        """Whether a job names an executor that a package brings along, and packages have come or gone."""
        return bool(cached.get("plugged")) and cached.get("places") != self._places

    def _take(self, cached: dict[str, Any]) -> bool:
        """Take what the cache says if every file is as it was; return whether it was so."""
        now = self._clock.now()
        try:
            if cached["stamps"] != _sealed(self._scan.stamps) or cached["paths"] != _joined(self._scan.paths):
                return False
            if now >= (cached["expires"] or now + 1) or _stamps(cached["others"]) != cached["others"]:
                return False
            self.summaries = summaries(self._located(cached["columns"], cached["at"]), cached["count"])
            self.problems = [*self._scan.problems, *map(_problem, cached["problems"])]
            self._others, self._generation = list(cached["others"]), str(cached["generation"])
        except (KeyError, TypeError, ValueError, IndexError, AttributeError):
            return False
        return True

    def _located(self, columns: list[Any], at: list[int]) -> list[Any]:
        """Return the columns with those of file and path, which the walk has at hand."""
        inside = os.path.join(self._settings.project, "")
        found = [self._scan.paths[i] for i in at]
        files = [path.removeprefix(inside) for path in found]
        return [*columns[:FILE], files, found, *columns[FILE:]]

    def _kept(self, generation: object) -> dict[str, Entry] | None:
        """Return the cache's entries by path, or None when they do not belong to what `ls` was shown."""
        full = self._cache.read(ENTRIES)
        try:
            if full is None or full["generation"] != generation:
                return None
            kept = {each["path"]: each for each in map(json.loads, full["entries"])}
            self._noted = _by_path(list(kept), full["stamps"])
            return kept
        except (KeyError, TypeError, ValueError):
            return None

    def _refresh_with(self, kept: dict[str, Entry]) -> None:
        try:
            self._refresh(kept)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError):
            if not kept:
                raise
            self._refresh({})  # entries of a strange shape: as good as none

    def _refresh(self, kept: dict[str, Entry]) -> None:
        """Read what is not kept, put all together, and write the cache."""
        from jobrunner.discovery.refresh import Refresh

        refresh = Refresh(self._settings, self._scan, self._clock.now())
        self._settle(refresh.entries(kept, self._noted), self._began)

    def _settle(self, entries: list[Entry], began: int) -> None:
        from jobrunner.discovery.merge import merge

        rows, problems = merge(entries, self._settings)
        problems += _lost_packages(self._packages)
        self._entries = entries
        self.summaries = [Summary._make(row) for row in rows]
        self.problems = [*self._scan.problems, *problems]
        self._write(entries, rows, problems, began - TICK)

    def _write(self, entries: Sequence[Entry], rows: list[Any], problems: list[Any], sure: int) -> None:
        worth = len(entries) >= WORTH
        stamps = _sure(self._scan.stamps, sure)
        number = {path: i for i, path in enumerate(self._scan.paths)}
        generation = self._generation = os.urandom(8).hex()
        others = self._others = sorted({path for entry in entries for path in entry["files"]})
        jobs: dict[str, Any] = {
            "key": self._key, "generation": generation, "places": self._places, "packages": self._packages,
            "plugged": any(entry["plugged"] for entry in entries),
            "paths": _joined(self._scan.paths), "stamps": _sealed(stamps), "others": _stamps(others),
            "expires": min((each["expires"] for each in entries if each["expires"]), default=None),
            "at": [number[row[PATH]] for row in rows], "columns": packed([_unlocated(row) for row in rows]),
            "count": len(rows), "problems": problems,
        }  # fmt: skip
        for path, stamp in jobs["others"].items():
            jobs["others"][path] = _sure(stamp, sure)
        written = [json.dumps(each) for each in entries]
        full = {"generation": generation, "entries": written, "stamps": stamps}
        self._cache.write(ENTRIES, full, worth=worth)
        self._cache.write(JOBS, jobs, worth=worth)


def _sure(stamps: Sequence[int], before: int) -> list[int]:
    """Return stamps with zeros for files that changed at `before` (nanoseconds) or later."""
    found = list(stamps)
    for i in range(0, len(found), STAMP):
        if max(found[i + 2], found[i + 3]) >= before:
            found[i : i + STAMP] = NOTHING
    return found


def _stamps(paths: Sequence[str] | dict[str, list[int]]) -> dict[str, list[int]]:
    return {path: stamp_of(path) for path in paths}


def _by_path(paths: list[str], stamps: list[int]) -> dict[str, list[int]]:
    if len(stamps) != STAMP * len(paths):
        raise ValueError("stamps are missing")
    return {path: stamps[STAMP * i : STAMP * i + STAMP] for i, path in enumerate(paths)}


def _sealed(stamps: Sequence[int]) -> str:
    """Return stamps as one text: it is compared as a whole, so there is no need to decode it."""
    try:
        data = array("q", stamps).tobytes()
    except OverflowError:  # as in `Scan.end`
        data = repr(list(stamps)).encode()
    return b2a_base64(data, newline=False).decode()


def _joined(paths: list[str]) -> str:
    return "//".join(paths)  # which no absolute path holds


def _unlocated(row: list[Any]) -> list[Any]:
    return [*row[:FILE], *row[PATH + 1 :]]


def _problem(row: Sequence[Any]) -> ProblemRow:
    file, line, message, hint, name, path = row
    return file, line, message, hint, name, path


def _known_packages(cached: dict[str, Any] | None, places: dict[str, int]) -> dict[str, str | None]:
    if cached is not None and cached.get("places") == places and isinstance(cached.get("packages"), dict):
        found: dict[str, str | None] = cached["packages"]
        return found
    return packages.job_packages()


def _lost_packages(found: dict[str, str | None]) -> list[ProblemRow]:
    said = "an installed package says that its jobs are here, and there is no such package"
    return [
        (name, None, said, "reinstall or remove it", None, name)
        for name, folder in found.items()
        if not folder
    ]


def _key(settings: Settings, folders: Sequence[str], code: list[int]) -> list[Any]:
    """Return all that an entry depends on beside the files: as JSON gives it back, to be compared."""
    wanted = ("jobs", "executor", "executors")
    lines = [[list(path), line] for path, line in settings.lines.items() if path[0] in wanted]
    stored = str(sorted((name, sorted(keys.items())) for name, keys in settings.stored.items()))
    said = [settings.project, settings.timezone, settings.env, str(settings.overrides), stored, lines]
    said += [settings.executor, str(settings.executors)]
    return [sys.version, list(folders), said, code, services_look(settings), _added(settings)]


def _added(settings: Settings) -> list[str]:
    """Return the added jobs that jobrunner.yaml overrides: without them these names would be unknown."""
    wanted = {name.casefold() for name in settings.overrides}
    return [each.name for each in settings.added if each.name.casefold() in wanted]


def _code() -> list[int]:
    """Return (files, bytes, newest change) of our own code: another version may read files otherwise."""
    home = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    facts = [
        entry.stat()
        for folder in ("", "config", "discovery", "executor", "schedule", "settings")
        for entry in os.scandir(os.path.join(home, folder))
        if entry.name.endswith(".py")
    ]
    return [len(facts), sum(each.st_size for each in facts), max(each.st_mtime_ns for each in facts)]
