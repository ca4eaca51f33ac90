"""A hint that files may have changed: inotify on Linux. The truth is always a scan.

An event can be missed (network file systems tell nothing) and may mean nothing; whoever watches reads the
files again, and looks once in a while without being told.
"""

# ruff: noqa: PTH112, PTH120  (paths are text here: pathlib costs time)

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

QUIET = 0.1  # seconds without an event after which one may believe that an editor or checkout is ready
LONGEST = 0.5  # seconds after which nobody waits for more quiet

_CLOSE_WRITE, _MOVED_FROM, _MOVED_TO, _CREATE, _DELETE = 0x8, 0x40, 0x80, 0x100, 0x200
_ATTRIB, _DELETE_SELF, _MOVE_SELF = 0x4, 0x400, 0x800
_OVERFLOW, _IGNORED, _ISDIR, _ONLYDIR = 0x4000, 0x8000, 0x40000000, 0x01000000
_MASK = (
    _CLOSE_WRITE | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE | _ATTRIB | _DELETE_SELF | _MOVE_SELF
    | _ONLYDIR
)  # fmt: skip
_HEAD = struct.Struct("iIII")


class Quiet:
    """When to act on hints: soon after the last one, and not too long after the first. Times in seconds."""

    def __init__(self) -> None:
        self._first: float | None = None
        self._last = 0.0

    def note(self, now: float) -> None:
        """Something happened."""
        self._first = now if self._first is None else self._first
        self._last = now

    def due(self, now: float) -> float | None:
        """Return the seconds to wait, 0 when the time has come; None when nothing happened."""
        if self._first is None:
            return None
        return max(0.0, min(self._last + QUIET, self._first + LONGEST) - now)

    def clear(self) -> None:
        """All that happened has been acted on."""
        self._first = None


class _Event(NamedTuple):
    watch: int
    mask: int
    name: str


class Watch:
    """Watches jobs folders with all below them, and single files, which need not be there.

    `complete` is false where the system cannot tell of all of them: then one has to look.
    """

    def __init__(self, folders: Iterable[str], files: Iterable[str] = ()) -> None:
        self.complete = True
        self._folders = tuple(folders)
        self._files = set(files)
        self._trees: dict[int, str] = {}  # watch -> a folder in which every Python file counts
        self._homes: dict[int, str] = {}  # watch -> a folder in which single files or a jobs folder appear
        self._add = _adder()
        self._descriptor = _opened() if self._add is not None else None
        self._watch_all()

    def fileno(self) -> int | None:
        """Return what becomes readable when something happens; None: the system tells nothing."""
        return self._descriptor

    def close(self) -> None:
        """Watch no longer."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def follow(self, files: Iterable[str]) -> None:
        """Watch these files too."""
        new = set(files) - self._files
        self._files |= new
        for folder in {os.path.dirname(path) for path in new}:
            self._watch(folder, self._homes)

    def read(self) -> bool:
        """Take all that has happened, without waiting; return whether anything of it counts."""
        found = False
        for event in self._events():
            found = self._counts(event) or found
        return found

    # -- what is watched ---------------------------------------------------------------------------

    def _watch_all(self) -> None:
        for folder in self._folders:
            self._watch(os.path.dirname(folder), self._homes)
            self._watch_tree(folder)
        for folder in {os.path.dirname(path) for path in self._files}:
            self._watch(folder, self._homes)

    def _watch_tree(self, top: str) -> None:
        todo = [top]
        while todo:
            folder = todo.pop()
            self._watch(folder, self._trees)
            todo += _folders_in(folder)

    def _watch(self, folder: str, kind: dict[int, str]) -> None:
        if self._add is None or self._descriptor is None:
            self.complete = False
            return
        watch = self._add(self._descriptor, os.fsencode(folder), _MASK)
        if watch >= 0:
            kind[watch] = folder
        elif os.path.isdir(folder):  # the user's watches are used up, or it is not ours to read
            self.complete = False

    # -- what happens ------------------------------------------------------------------------------

    def _events(self) -> Iterator[_Event]:
        while self._descriptor is not None:
            try:
                data = os.read(self._descriptor, 1 << 16)
            except BlockingIOError:
                return
            yield from _decoded(data)

    def _counts(self, event: _Event) -> bool:
        if event.mask & _OVERFLOW:
            self._watch_all()
            return True
        if event.mask & _IGNORED:
            self._trees.pop(event.watch, None)
            if self._homes.pop(event.watch, None) is not None:
                self.complete = False  # what comes back in its place would not be seen
            return False
        in_tree = event.watch in self._trees and self._counts_in_tree(self._trees[event.watch], event)
        at_home = event.watch in self._homes and self._counts_at_home(self._homes[event.watch], event)
        return in_tree or at_home

    def _counts_in_tree(self, folder: str, event: _Event) -> bool:
        if event.mask & _ISDIR:
            if _is_passed_over(event.name):
                return False
            self._watch_tree(os.path.join(folder, event.name))
            return True
        return not event.name or _is_source(event.name)

    def _counts_at_home(self, folder: str, event: _Event) -> bool:
        path = os.path.join(folder, event.name)
        if path in self._folders:
            self._watch_tree(path)
            return True
        return path in self._files or (bool(event.name) and _is_source(event.name))


def _is_passed_over(name: str) -> bool:
    return name.startswith(".") or name in ("__pycache__", "tests")


def _is_source(name: str) -> bool:
    return name.endswith(".py") and not name.startswith(".")


def _folders_in(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as found:
            return [
                each.path for each in found
                if each.is_dir(follow_symlinks=False) and not _is_passed_over(each.name)
            ]  # fmt: skip
    except OSError:
        return []


def _decoded(data: bytes) -> Iterator[_Event]:
    at = 0
    while at < len(data):
        watch, mask, _, length = _HEAD.unpack_from(data, at)
        at += _HEAD.size + length
        yield _Event(watch, mask, os.fsdecode(data[at - length : at].rstrip(b"\0")))


def _opened() -> int | None:
    """Return a new descriptor; None when the user has too many of them."""
    found = ctypes.CDLL(None).inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    return int(found) if found >= 0 else None


def _adder() -> ctypes._NamedFuncPointer | None:
    return getattr(ctypes.CDLL(None), "inotify_add_watch", None)
