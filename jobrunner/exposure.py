"""Who else may write what is executed here: whoever can change a job file runs what they like as us."""

from __future__ import annotations

import os
import stat
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from shlex import quote
from typing import NamedTuple

from jobrunner.settings import FILE, Settings

BESIDE = (FILE, "services.py", "hooks.py")  # in the project
NAMED = 3  # so many paths are named
# What these say of modes and owners is how they were mounted, not who may write.
WITHOUT_MODES = frozenset(
    {"vfat", "msdos", "exfat", "ntfs", "ntfs3", "hfsplus", "9p", "cifs", "smb3", "smbfs"}
)


class Exposure(NamedTuple):
    """What others may write, in a sentence, and what to do about it."""

    path: str  # the first
    said: str
    hint: str


def exposures(settings: Settings, files: Iterable[str]) -> list[Exposure]:
    """Return what others than the owner may write of a project with these job files; links are followed."""
    if not hasattr(os, "geteuid"):
        return []
    found: dict[tuple[str, str, int], list[str]] = defaultdict(list)
    mounted: dict[str, bool] = {}  # by folder
    for path in _paths(settings, files):
        how = _exposed(path)
        if how is not None and _tells_modes(path, mounted):
            found[how].append(path)
    return [_told(how, paths) for how, paths in found.items()]


def _paths(settings: Settings, files: Iterable[str]) -> Iterator[str]:
    known = [path for path in files if path]
    yield from sorted(_folders(settings, known))
    yield from known
    yield from (str(Path(settings.project, name)) for name in BESIDE)


def _folders(settings: Settings, files: Iterable[str]) -> set[str]:
    """Return those that job files lie in, up to the project: who may write one may put another in the place
    of all that is below it, and into the project what is run beside the jobs."""
    found = {settings.project, *settings.folders}
    inside = tuple(os.path.join(each, "") for each in found)
    for folder in {os.path.dirname(path) for path in files}:  # noqa: PTH120  (of ten thousand)
        while folder not in found and folder.startswith(inside):
            found.add(folder)
            folder = os.path.dirname(folder)  # noqa: PLW2901, PTH120
        found.add(folder)
    return found


def _exposed(path: str) -> tuple[str, str, int] | None:
    """Return (how, to whom, with which mode), or None."""
    try:
        facts = os.stat(path)
    except OSError:
        return None
    me, mode = os.geteuid(), stat.S_IMODE(facts.st_mode)
    if mode & stat.S_IWOTH:
        return "written", "everybody on this machine", mode
    if mode & stat.S_IWGRP and facts.st_gid != _private_group(me):
        return "written", f"the group {_group(facts.st_gid)}", mode
    return ("owned", _user(facts.st_uid), mode) if facts.st_uid not in (0, me) else None


def _told(how: tuple[str, str, int], paths: list[str]) -> Exposure:
    way, who, mode = how
    rest = len(paths) - NAMED
    names = ", ".join(paths[:NAMED]) + (f" and {rest} more" if rest > 0 else "")
    these = " ".join(map(quote, paths[:NAMED])) + (" …" if rest > 0 else "")
    if way == "owned":
        said = (
            f"{who}, who is neither you nor root, owns {names} (mode {mode:04o}), and what is in there is run"
        )
        return Exposure(paths[0], said, f"chown {_user(os.geteuid())} {these}")
    said = f"{who} may write {names} (mode {mode:04o}), and what is in there is run"
    return Exposure(paths[0], said, f"chmod go-w {these}")


@cache
def _private_group(uid: int) -> int:
    """Return a user's primary group where it is theirs alone, as its name says, else -1."""
    import grp
    import pwd

    try:
        me = pwd.getpwuid(uid)
        return me.pw_gid if grp.getgrgid(me.pw_gid).gr_name == me.pw_name else -1
    except KeyError:
        return -1


@cache
def _user(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


@cache
def _group(gid: int) -> str:
    import grp

    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def _tells_modes(path: str, known: dict[str, bool]) -> bool:
    folder = os.path.dirname(path)  # noqa: PTH120
    if folder not in known:
        from jobrunner.store.sqlite.place import file_system, mounts

        kind = file_system(os.path.realpath(folder), mounts())
        known[folder] = kind not in WITHOUT_MODES and not kind.startswith("fuse")
    return known[folder]
