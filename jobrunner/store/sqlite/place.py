"""The file's place: its folder, its file system, how a new one appears, and whether it is still there."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

from jobrunner.store.faults import fault

# Locks or shared memory between processes do not work, or not always, on these.
NETWORK = frozenset(
    {"nfs", "nfs4", "cifs", "smb2", "smb3", "smbfs", "9p", "virtiofs", "afs", "ceph", "lustre"}
)

Identity = tuple[int, int]


def prepare_folder(folder: Path) -> None:
    """Make the folder, for its owner only, if there is none; git ignores what we made.

    A folder that was there keeps its mode, and its git rules too unless it is plainly ours.
    """
    made = not folder.is_dir()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    ignore = folder / ".gitignore"
    if (made or folder.name == ".jobrunner") and not ignore.exists():
        ignore.write_text("*\n", encoding="ascii")


def identity(path: str) -> tuple[Identity | None, int]:
    """Return (device, inode) of what the path names now, None for nothing, and its length in bytes."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None, 0
    return (found.st_dev, found.st_ino), found.st_size


def refuse_second_name(path: str) -> None:
    """Raise StateError for a file with several names: SQLite would keep a journal for each of them.

    A file just made has two for an instant (`publish`), so it is looked at again.
    """
    for pause in (0.0, 0.05, 0.5):
        time.sleep(pause)
        if os.stat(path).st_nlink == 1:
            return
    raise fault(
        "hard-link", f"{path} has a second name (a hard link)", hint="remove the link; a symbolic one is fine"
    )


def refuse_network(folder: Path) -> None:
    """Raise StateError when the folder lies on a file system that two processes cannot share safely."""
    kind = file_system(str(folder.resolve()), mounts())
    if kind in NETWORK or kind.startswith("fuse"):
        raise fault(
            "network-fs",
            f"{folder} is on {kind}, where SQLite's locks cannot be relied upon",
            hint="put the state on a local disk, use PostgreSQL, or pass --allow-network-fs at your own risk",
        )


def mounts() -> str:
    """Return Linux's table of mounts; elsewhere nothing, so nothing is refused."""
    try:
        return Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape")
    except OSError:
        return ""


def file_system(path: str, table: str) -> str:
    """Return the type of the mount that holds an absolute path: of the longest mount point, the last."""
    best, kind = -1, ""
    for line in table.splitlines():
        point, found = _mount(line)
        if len(point) >= best and (path + "/").startswith(point.rstrip("/") + "/"):
            best, kind = len(point), found
    return kind


def _mount(line: str) -> tuple[str, str]:
    before, _, after = line.partition(" - ")
    point = re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), before.split(" ")[4])
    return point, after.split(" ")[0]


def publish(made: Path, path: Path) -> None:
    """Give a finished new file its name; if another process was quicker, theirs stays.

    So the name never stands for a file half made: an empty one was truncated, and is not made anew.
    """
    try:
        path.hardlink_to(made)
    except FileExistsError:
        pass
    except OSError:  # a file system without hard links
        if not path.exists():
            made.rename(path)
            return
    made.unlink()
