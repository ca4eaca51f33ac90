"""What the kernel offers to keep a family of processes together. Linux has it all, others have less.

Each function is best effort where the system knows no such thing (macOS): it then does nothing.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time
from _thread import RLock
from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess

LINUX = sys.platform.startswith("linux")
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_WALL = 0x40000000  # for `waitid`: children of any kind
_START, _SESSION = 19, 3  # fields of /proc/PID/stat, after the name
_PATIENCE = 1.0  # seconds that killed strangers may take to go away

# Looked up once and early: a forked child must not have to load a library to be safe.
_libc = ctypes.CDLL(None) if LINUX else None
_prctl: Callable[..., int] | None = getattr(_libc, "prctl", None)
_close_range: Callable[..., int] | None = getattr(_libc, "close_range", None)  # since glibc 2.34
_KILL = int(signal.SIGKILL)


def die_with(parent: int) -> None:
    """Have this process killed when `parent` dies; end it at once if that has happened already."""
    if _prctl is not None:
        _prctl(_PR_SET_PDEATHSIG, _KILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)


def outlive_parent() -> None:
    """Take `die_with` back; should we be stopped when the parent dies, we go on, and can clean up."""
    if _prctl is not None:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGCONT, 0, 0, 0)


def close_descriptors(first: int, last: int) -> bool:
    """Close them all at once; False where the system cannot."""
    return first > last or (_close_range is not None and _close_range(first, last, 0) == 0)


class _Adoption:
    """Who wants orphans: somebody for good, and how many for a while."""

    for_good = False
    guests = 0


_adoption = _Adoption()

_ours: set[int] = set()  # children that somebody here started and will reap
_births = RLock()  # held while a child exists that is not in `_ours` yet, and while strays are looked for


def adopt_orphans() -> bool:
    """Become the parent of descendants that lose theirs, however they hid; says whether it works here."""
    _adoption.for_good = True
    return _adopt(True)


@contextlib.contextmanager
def adopting() -> Iterator[None]:
    """Adopt orphans for a while; several threads may."""
    with _births:
        _adoption.guests += 1
        _adopt(True)
    try:
        yield
    finally:
        with _births:
            _adoption.guests -= 1
            _adopt(_adoption.for_good or _adoption.guests > 0)


def _adopt(whether: bool) -> bool:
    return _prctl is not None and _prctl(_PR_SET_CHILD_SUBREAPER, int(whether), 0, 0, 0) == 0


def bear(start: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
    """Start a child that is no stray, until it is forgotten."""
    with _births:
        child = start()
        _ours.add(child.pid)
    return child


def forget(pid: int) -> None:
    """A child that was born here is over."""
    _ours.discard(pid)


def now() -> int:
    """Return the time since the boot in the ticks in which the kernel notes the start of a process."""
    if not LINUX:
        return 0
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK")) - 1


def is_stray(pid: int, since: int) -> bool:
    """Say whether a child came to us as an orphan: not born here, and in a session that is not ours.

    All that we run on behalf of a user starts in a session of its own, and none can join ours.
    """
    try:
        fields = _stat(pid)
        alien = int(fields[_SESSION]) != os.getsid(0)
        return alien and int(fields[_START]) >= since and pid not in _ours
    except (OSError, ValueError, IndexError):
        return False


def kill_strays(since: int) -> int:
    """Kill what was left to us by others since then, and all that it has."""
    return kill_children(only=lambda pid: is_stray(pid, since))


def offer_to_oom() -> None:
    """When memory runs out, let the kernel end this process before the node and the zygote."""
    try:
        file = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
    except OSError:
        return
    os.write(file, b"500")
    os.close(file)


@contextlib.contextmanager
def data_limit(size: int) -> Iterator[None]:
    """Let this process, and what it forks, have so many bytes of data: beyond, there is a MemoryError.

    A system that does not heed it (macOS) lets the process have what it wants.
    """
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    size = size if hard == resource.RLIM_INFINITY else min(size, hard)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_DATA, (size, hard))
    try:
        yield
    finally:
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]  # the body may have lowered it
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


class _View:
    """The kernel's list of our children, held open: for a process of one thread, forked ones have none."""

    descriptor = -1
    pid = 0


def keep_children_in_view() -> None:
    """Be able to tell our children also when no more files can be opened; we must have one thread only."""
    if LINUX:
        with contextlib.suppress(OSError):
            _View.descriptor = os.open(f"/proc/self/task/{os.getpid()}/children", os.O_RDONLY)
            _View.pid = os.getpid()


def children() -> list[int]:
    """Return the pids of all children of this process, born or adopted; [] where nobody can tell."""
    if not LINUX:
        return []
    if _View.pid == os.getpid():
        return _pids_in(_View.descriptor)
    try:
        return [pid for task in os.listdir("/proc/self/task") for pid in _children_of(task)]
    except OSError:  # a kernel without CONFIG_PROC_CHILDREN, or no more files can be opened
        return _children_by_scan()


def childless() -> bool:
    """Say whether we have no child, born or adopted, at a glance; True where nobody can tell."""
    if not LINUX:
        return True
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT | _WALL)
    except OSError as error:
        return isinstance(error, ChildProcessError)
    return False


def kill_children(
    keep: Collection[int] = (),
    only: Callable[[int], bool | None] | None = None,
    also: Collection[int] = (),
) -> int:
    """Kill all children but `keep` (and those that `only` refuses) until none is left; returns how many.

    `only` says None of one that is just about to end: what it leaves behind will be ours in a moment.
    `also` are known to be children. A killed child's own children become ours if we adopt orphans, so
    this walks down whole trees. It reaps what it kills, and gives up on a process that the kernel cannot
    end within a second. The kernel's list may miss somebody while another ends: it takes two looks.
    """
    killed: set[int] = set()
    waiting = set(also)
    quiet, deadline = 0, time.monotonic() + _PATIENCE
    while quiet < 2 and time.monotonic() < deadline:
        with _births:
            verdicts = {pid: only is None or only(pid) for pid in children() if pid not in keep}
        waiting |= {pid for pid, verdict in verdicts.items() if verdict}
        for pid in waiting:
            _kill(pid)
        reaped = {pid for pid in waiting if _reap(pid)}
        killed |= waiting
        waiting -= reaped
        quiet = 0 if reaped or waiting or None in verdicts.values() else quiet + 1
        if not reaped and not quiet:
            time.sleep(0.001)
    return len(killed)


def carries(pid: int, mark: bytes) -> bool | None:
    """Say whether a process was started with `mark` in its environment; None while it is ending.

    A process loses its environment some time before its children find new parents.
    """
    try:
        with contextlib.suppress(ProcessLookupError), open(f"/proc/{pid}/environ", "rb") as file:
            environment = file.read()
            if environment:
                return mark in environment
        return False if _stat(pid)[0] == "Z" else None
    except (OSError, IndexError):  # gone, or not for us to look at
        return False


def _kill(pid: int) -> None:
    with contextlib.suppress(OSError):
        os.kill(pid, signal.SIGKILL)


def _reap(pid: int) -> bool:
    with contextlib.suppress(ChildProcessError):
        return os.waitpid(pid, os.WNOHANG)[0] != 0
    return True


def _children_of(task: str) -> list[int]:
    file = os.open(f"/proc/self/task/{task}/children", os.O_RDONLY)
    try:
        return _pids_in(file)
    finally:
        os.close(file)


def _pids_in(file: int) -> list[int]:
    # not through a file object: the zygote asks twice for each child that ends
    text = b""
    while piece := os.pread(file, 65_536, len(text)):
        text += piece
    return [int(pid) for pid in text.split()]


def _children_by_scan() -> list[int]:
    me = os.getpid()
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdigit() and _parent(name) == me]
    except OSError:
        return []


def _parent(pid: str) -> int:
    try:
        return int(_stat(pid)[1])
    except (OSError, ValueError, IndexError):
        return -1


def _stat(pid: int | str) -> list[str]:
    """Return state, parent, group, session ... of a process."""
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
        return file.read().rpartition(")")[2].split()


def limit_words(limit: int) -> str:
    """Return a memoryLimit in bytes as errors name it."""
    return f"memoryLimit is {f'{limit / 1e6:.1f}'.removesuffix('.0')} MB"
