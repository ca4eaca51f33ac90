"""The file's place: its folder, its file system, how a new one appears, and whether it is still there."""

# ruff: noqa: PTH103, PTH104, PTH108, PTH112, PTH119  (paths are text here: pathlib costs time)

from __future__ import annotations

import os
import re
import stat
import time

from jobrunner.store.faults import fault

# Locks or shared memory between processes do not work, or not always, on these.
NETWORK = frozenset(
    {"nfs", "nfs4", "cifs", "smb2", "smb3", "smbfs", "9p", "virtiofs", "afs", "ceph", "lustre"}
)

Identity = tuple[int, int]


def prepare_folder(folder: str) -> None:
    """Make the folder, for its owner only, if there is none; git ignores what we made.

    A folder that was there keeps its mode, and its git rules too unless it is plainly ours.
    """
    made = not os.path.isdir(folder)
    os.makedirs(folder, 0o700, exist_ok=True)
    ignore = os.path.join(folder, ".gitignore")
    if (made or os.path.basename(folder) == ".jobrunner") and not os.path.exists(ignore):
        with open(ignore, "w", encoding="ascii") as file:
            file.write("*\n")


def is_there(path: str) -> bool:
    """Say whether a file is there. Raises OSError where nobody can tell, as in somebody else's folder."""
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def identity(path: str) -> tuple[Identity | None, int]:
    """Return (device, inode) of what the path names now, None for nothing, and its length in bytes."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None, 0
    return (found.st_dev, found.st_ino), found.st_size


def refuse_what_is_no_file(path: str) -> None:
    """Raise StateError for a folder, a pipe or a device, and call it what it is."""
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode):
        what = "a folder" if stat.S_ISDIR(mode) else "no regular file"
        raise fault("not-a-database", f"{path} is {what}", hint="move it away, or name another file")


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


def refuse_network(folder: str) -> None:
    """Raise StateError when the folder lies on a file system that two processes cannot share safely."""
    kind = file_system(os.path.realpath(folder), mounts())
    if kind in NETWORK or kind.startswith("fuse"):
        raise fault(
            "network-fs",
            f"{folder} is on {kind}, where SQLite's locks cannot be relied upon",
            hint="put the state on a local disk, use PostgreSQL, or pass --allow-network-fs at your own risk",
        )


def mounts() -> str:
    """Return Linux's table of mounts; elsewhere nothing, so nothing is refused."""
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
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


def publish(made: str, path: str) -> None:
    """Give a finished new file its name; if another process was quicker, theirs stays.

    So the name never stands for a file half made: an empty one was truncated, and is not made anew.
    """
    try:
        os.link(made, path)
    except FileExistsError:
        pass
    except OSError:  # a file system without hard links
        if not os.path.exists(path):
            os.rename(made, path)
            return
    os.unlink(made)
