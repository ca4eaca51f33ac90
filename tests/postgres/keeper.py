"""Ends a server whose users are gone, however they went, and takes its folder away.

Users of a server hold a shared lock on `lease` in its folder; the system lets go of it when they die, even of
kill -9. The keeper, a process of its own, waits until nobody holds it. Who looks whether there is a server to
join holds `door` meanwhile. Run as a script, so it imports nothing of ours: `python keeper.py FOLDER` returns
when the keeper is at its post.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

PATIENCE = 10.0  # seconds that a server has to end by itself
PAUSE = 0.1
PID_FILES = ("data/postmaster.pid", "pid")  # a server's, a pooler's


def lease(folder: Path) -> int:
    """Hold the server in `folder`; return the lock's descriptor."""
    descriptor = os.open(folder / "lease", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return descriptor


def keep(folder: Path) -> None:
    """Post a keeper for the server in `folder`."""
    subprocess.run([sys.executable, "-I", "-S", __file__, str(folder)], check=True, stdin=subprocess.DEVNULL)


def postmaster(folder: Path) -> int | None:
    """Return the process of the server in `folder`, if it runs."""
    for name in PID_FILES:
        try:
            pid = int((folder / name).read_text("utf-8").split()[0])
        except (OSError, ValueError, IndexError):
            continue
        if str(folder) in _ps(pid, "command") and alive(pid):  # else the number is somebody else's by now
            return pid
    return None


def alive(pid: int) -> bool:
    """Say whether a process exists and is no zombie."""
    return _ps(pid, "stat")[:1] not in {"", "Z", "X"}


def family(pid: int) -> list[int]:
    """Return a server's process, first, and those of its connections."""
    return [pid, *(child for child, parent in _parents().items() if parent == pid)]


def tell(pids: list[int], number: int) -> None:
    """Signal processes, of which some may have ended by now."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def end(folder: Path) -> None:
    """End the server in `folder`, frozen or not, and remove the folder."""
    pid = postmaster(folder)
    if pid is not None:
        tell(family(pid), signal.SIGCONT)
        tell([pid], signal.SIGQUIT)
        if not _gone(pid):
            tell(family(pid), signal.SIGKILL)
            _gone(pid)
    shutil.rmtree(folder, ignore_errors=True)


def _gone(pid: int) -> bool:
    last = time.monotonic() + PATIENCE
    while alive(pid):
        if time.monotonic() > last:
            return False
        time.sleep(PAUSE / 10)
    return True


def _ps(pid: int, what: str) -> str:
    """Return one word of a process, the empty one when there is none. A slim Linux has no ps."""
    if not os.path.isdir("/proc/self"):
        asked = subprocess.run(
            ["ps", "-o", f"{what}=", "-p", str(pid)], capture_output=True, text=True, check=False
        )
        return asked.stdout.strip()
    try:
        if what == "command":
            return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
        return Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[0]
    except OSError:
        return ""


def _parents() -> dict[int, int]:
    if not os.path.isdir("/proc/self"):
        asked = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True)
        return {int(line.split()[0]): int(line.split()[1]) for line in asked.stdout.splitlines()}
    found = {}
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            rest = Path(f"/proc/{name}/stat").read_text("utf-8", "replace").rpartition(")")[2]
        except OSError:
            continue
        found[int(name)] = int(rest.split()[1])
    return found


def _watch(folder: Path, door: int, held: int) -> None:
    # Asked again and again: where a waiting writer keeps readers out, nobody could join any more. The door is
    # closed first: who is about to join is let in.
    while folder.exists():
        if _locked(door):
            if _locked(held):
                break
            fcntl.flock(door, fcntl.LOCK_UN)
        time.sleep(PAUSE)
    end(folder)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _main(folder: Path) -> None:
    door, held = (os.open(folder / name, os.O_RDWR | os.O_CREAT, 0o600) for name in ("door", "lease"))
    if os.fork():
        return
    os.setsid()  # Ctrl-C is for the tests
    os.chdir("/")
    nothing = os.open(os.devnull, os.O_RDWR)
    for each in (0, 1, 2):
        os.dup2(nothing, each)
    _watch(folder, door, held)


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
