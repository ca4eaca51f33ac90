"""Which files are job files: a sorted walk that follows no link and opens nothing.

With thousands of files this loop and the cache's decoding are most of what `ls` does, hence flat lists
instead of objects: four numbers in `stamps` for each of `paths`.
"""

# ruff: noqa: PTH112, PTH113  (paths are text here: pathlib costs time)

from __future__ import annotations

import os
from array import array
from collections.abc import Sequence
from operator import attrgetter
from stat import S_ISREG

from jobrunner.errors import escaped

STAMP = 4  # inode, size, mtime and ctime in nanoseconds
ProblemRow = tuple[str, int | None, str, str | None, str | None, str]  # the fields of model.Problem
_name = attrgetter("name")


class Scan:
    """What a walk over all jobs folders found.

    `paths[i]` is absolute, `stamps[4 * i : 4 * i + 4]` its stamp; `ends` pairs a folder with the end of
    its part of `paths`. `problems` are entries that look like job files and cannot be read as such.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self.paths: list[str] = []
        self.stamps: Sequence[int] = []
        self.ends: list[tuple[str, int]] = []
        self.problems: list[ProblemRow] = []
        self.missing: list[str] = []
        self._links: list[str] = []
        self._found: list[int] = []  # the stamps

    def walk(self, folder: str) -> None:
        """Add the job files below an absolute folder, or note that it is missing."""
        if not os.path.isdir(folder):
            self.missing.append(folder)
            return
        before = set(self.paths) if self.paths else set()
        start = len(self.paths)
        todo = [folder]
        while todo:
            todo += self._list(todo.pop())
        self._follow(folder, start)
        if before:
            self._drop(before, start)
        self.ends.append((folder, len(self.paths)))

    def _list(self, here: str) -> list[str]:
        """Add one folder's files; return its folders, last one first."""
        try:
            descriptor = os.open(here, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            self._odd(
                here, f"the folder cannot be read: {error.strerror}", "give yourself the right to read it"
            )
            return []
        try:
            with os.scandir(descriptor) as found:
                return self._entries(os.path.join(here, ""), sorted(found, key=_name))
        finally:
            os.close(descriptor)

    def _entries(self, here: str, entries: list[os.DirEntry[str]]) -> list[str]:
        """Add files, by a descriptor of their folder: the kernel need not walk the whole path each time."""
        paths, stamps, folders = self.paths, self._found, []
        for entry in entries:
            name = entry.name
            if name[0] in "._" or name.startswith("test_"):
                continue
            if not name.endswith(".py"):
                if name != "tests" and self._is_folder(here + name, entry):
                    folders.append(here + name)
                continue
            if name.endswith("_test.py") or name == "conftest.py":
                continue
            try:
                facts = entry.stat(follow_symlinks=False)
            except OSError:
                continue  # it went away since the folder was listed
            if S_ISREG(facts.st_mode):
                paths.append(here + name)
                stamps += facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns
            else:
                folders += self._irregular(here + name, entry)
        return folders[::-1]

    def _is_folder(self, path: str, entry: os.DirEntry[str]) -> bool:
        if entry.is_symlink() and entry.is_dir():
            self._odd(
                path, "a link to a folder is not followed",
                "name that folder under jobs: in jobrunner.yaml, or move it here",
            )  # fmt: skip
        return entry.is_dir(follow_symlinks=False)

    def _irregular(self, path: str, entry: os.DirEntry[str]) -> list[str]:
        if entry.is_dir(follow_symlinks=False):
            return [path]
        if entry.is_symlink():
            self._links.append(path)
        else:
            self._odd(path, "it is a pipe, socket or device, not a regular file", "move it out of the folder")
        return []

    def _follow(self, folder: str, start: int) -> None:
        """Add links that lead to a file inside the project, unless that file was found by itself."""
        links, self._links = self._links, []
        if not links:
            return
        known = {os.path.realpath(path) for path in self.paths[start:]}
        for link in links:
            target = os.path.realpath(link)
            problem = self._bad_link(link, target, folder)
            if problem is not None:
                self._odd(link, *problem)
            elif target not in known and (facts := _facts(target)) is not None:
                known.add(target)
                self.paths.append(link)
                self._found += facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns

    def _bad_link(self, link: str, target: str, folder: str) -> tuple[str, str] | None:
        if not os.path.exists(link):
            return "it is a link that leads nowhere", "remove the link, or restore what it points to"
        if not os.path.isfile(link):
            return "it is a link to something that is no regular file", "remove the link"
        homes = (os.path.realpath(folder), os.path.realpath(self.root))
        if not any(target.startswith(home + os.sep) for home in homes):
            return (
                "it is a link that leads out of the project",
                "copy the file here, or name its folder under jobs:",
            )
        return None

    def _drop(self, before: set[str], start: int) -> None:
        """Forget files that an overlapping folder has already brought."""
        kept = [i for i in range(start, len(self.paths)) if self.paths[i] not in before]
        stamps = [number for i in kept for number in self._found[STAMP * i : STAMP * i + STAMP]]
        self.paths[start:] = [self.paths[i] for i in kept]
        self._found[STAMP * start :] = stamps

    def end(self) -> None:
        """Keep the stamps in little room."""
        try:
            self.stamps = array("q", self._found)
        except OverflowError:  # inode numbers of some file systems use the highest bit
            self.stamps = self._found
        self._found = []

    def _odd(self, path: str, message: str, hint: str) -> None:
        self.problems.append((shown_path(path, self.root), None, message, hint, None, path))


def _facts(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except OSError:
        return None


def stamp_of(path: str) -> list[int]:
    """Return the stamp of one file; all of it is -1 where there is none."""
    facts = _facts(path)
    if facts is None:
        return [-1] * STAMP
    return [facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns]


def scan(folders: tuple[str, ...], root: str) -> Scan:
    """Return what all the folders hold, each file once; `root` is the project's."""
    found = Scan(root)
    for folder in dict.fromkeys(folders):
        found.walk(folder)
    found.end()
    return found


def shown_path(path: str, root: str) -> str:
    """Return a path as people are shown it: relative where it lies below the root, escaped if unprintable."""
    prefix = root if root.endswith(os.sep) else root + os.sep
    return escaped(path.removeprefix(prefix))
