"""Who is alive, on one machine: what the kernel knows, never a guess from clocks or schedules.

Each owner (one process start) holds a lock on `nodes/<owner>.lock`, and each of its zygotes a share in the
one on `nodes/<owner>.zygote.lock`, which can be taken when none of them is left. The kernel drops a lock
when its holder dies, however it dies, and keeps it while the holder is stopped or slow. An owner is dead
when both locks can be taken: then no process of it is left that could still start, finish or write
anything.

Beside them stands the doorbell `nodes/<owner>.bell`, a datagram socket: whoever changes the state rings
all of them. It is a hint that saves a second; nothing is lost if it is not heard.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from jobrunner.clock import SystemClock
from jobrunner.errors import StateError
from jobrunner.facts import NodeFacts

_LONGEST_ADDRESS = 100  # sun_path holds 108 bytes on Linux, 104 on macOS
if TYPE_CHECKING:
    from filelock import FileLock

TICK = 1_000_000_000  # nanoseconds: no file system's clock is coarser that locks can be trusted on

Stamp = tuple[int, ...]


class _Found(NamedTuple):
    """The bells of a folder that has, or had, this stamp; () is no folder's."""

    stamp: Stamp
    names: Sequence[str]


class Presence:
    """This owner's sign of life in the state's folder, and its view of the others."""

    def __init__(self, folder: Path, owner: str) -> None:
        self.folder = bells_in(folder)
        self.owner = owner
        self._bell: socket.socket | None = None

    @cached_property
    def _lock(self) -> FileLock:  # whoever only rings has none
        return _lock(self._path(self.owner, "lock"))

    @property
    def zygote_lock(self) -> str:
        """The lock file that this owner's zygote must hold."""
        return str(self._path(self.owner, "zygote.lock"))

    def announce(self) -> None:
        """Take our lock and hang up the doorbell.

        Raises StateError when the folder cannot be written.
        """
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock.acquire()
            self._bell = self._hang_bell()
        except OSError as error:
            raise StateError(
                f"cannot write in {self.folder}: {error.strerror}", hint="check its permissions and the disk"
            ) from error

    def leave(self) -> None:
        """Take everything down. Idempotent."""
        if self._bell is not None:
            self._bell.close()
            self._bell = None
        self.forget(self.owner)
        self._lock.release()

    def is_dead(self, node: NodeFacts) -> bool:
        """Say whether both of another owner's locks can be taken.

        Owners are random and never come back, so once dead is dead. A lock file that is missing proves
        nothing (somebody may have tidied up): then only a process that is gone, or another boot, does.
        """
        lock = self._path(node.owner, "lock")
        if not lock.exists():
            return has_vanished(node)
        return _takeable(lock) and _takeable(self._path(node.owner, "zygote.lock"))

    def forget(self, owner: str) -> None:
        """Remove the files of an owner whose end is recorded."""
        for suffix in ("bell", "zygote.lock", "lock"):
            self._path(owner, suffix).unlink(missing_ok=True)

    def ring_all(self) -> None:
        """Wake every other node that listens; the dead and the deaf are passed over."""
        ring(self.folder, but=f"{self.owner}.bell")

    def bell(self) -> int | None:
        """Return the doorbell's descriptor, to wait on."""
        return None if self._bell is None else self._bell.fileno()

    def hush(self) -> bool:
        """Forget all rings received so far."""
        if self._bell is not None:
            with contextlib.suppress(BlockingIOError):
                while self._bell.recv(16):
                    pass
        return True

    def _path(self, owner: str, suffix: str) -> Path:
        return self.folder / f"{owner}.{suffix}"

    def _hang_bell(self) -> socket.socket:
        bell = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        bell.setblocking(False)
        with _reachable(self.folder) as folder:
            bell.bind(f"{folder}/{self.owner}.bell")
        return bell


def bells_in(folder: Path) -> Path:
    """Return where the locks and doorbells are of a state in `folder`."""
    return folder / "nodes"


def ring(folder: Path, but: str = "") -> None:
    """Wake every node whose doorbell hangs in `folder` (a state's `nodes` folder), one of them left out."""
    with contextlib.closing(Ringer(folder, but)) as ringer:
        ringer.ring_all()


class Ringer:
    """Rings the doorbells of a folder, often: it keeps its socket, and lists what is there when that changes.

    Threads may share it, and so may a process and its forks: a socket that only sends is nobody's.
    """

    def __init__(self, folder: Path, but: str = "") -> None:
        self._folder = str(folder)
        self._but = but
        self._hand: socket.socket | None = None
        self._found = _Found((), ())

    def ring_all(self) -> None:
        """Wake every node that listens; the dead and the deaf are passed over."""
        with contextlib.suppress(OSError):
            at = os.stat(self._folder)
            stamp = at.st_dev, at.st_ino, at.st_mtime_ns
            if self._found.stamp != stamp:
                self._found = self._look(stamp)
            if self._found.names and not self._told(self._found.names):
                self._found = _Found((), ())  # what does not hear may have been taken down since

    def _look(self, stamp: Stamp) -> _Found:
        """List the bells. A folder may change twice within a tick of its clock: one that has just changed
        is listed again the next time."""
        young = abs(SystemClock().now() * 1000 - stamp[-1]) < TICK
        names = tuple(name for name in os.listdir(self._folder) if _is_other(name, self._but))
        return _Found(() if young else stamp, names)

    def _told(self, names: Sequence[str]) -> bool:
        if self._hand is None:
            self._hand = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._hand.setblocking(False)
        with _reachable(self._folder) as short:
            heard = [_heard(self._hand, f"{short}/{name}") for name in names]
        return all(heard)

    def close(self) -> None:
        """Put the socket away; another ring makes another. Idempotent."""
        hand, self._hand = self._hand, None
        if hand is not None:
            hand.close()

    __del__ = close


def _is_other(name: str, but: str) -> bool:
    return name.endswith(".bell") and name != but


def _heard(hand: socket.socket, bell: str) -> bool:
    try:
        hand.sendto(b"!", bell)
    except BlockingIOError:  # it has been rung so often that it cannot but hear
        return True
    except OSError:
        return False
    return True


def _takeable(path: Path) -> bool:
    from filelock import Timeout

    try:
        with contextlib.suppress(FileNotFoundError), _lock(path):
            return True
    except (Timeout, OSError):  # held, or no descriptor to try with: no proof of anything
        return False
    return True


def has_vanished(node: NodeFacts) -> bool:
    """Say whether the process of a node of this machine is gone for certain."""
    if node.boot_id and boot_id() and node.boot_id != boot_id():
        return True
    try:
        os.kill(node.pid, 0)
    except ProcessLookupError:
        return True
    except OSError:  # it is there, and somebody else's
        return False
    return False


def boot_id() -> str:
    """Return the kernel's id of this boot; "" where there is none: then one boot is as good as another."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""


def _lock(path: Path) -> FileLock:
    from filelock import FileLock  # a twentieth of what a command costs that only rings

    # no soft fallback: a lock that is only a file proves nothing; no singleton: two looks are two locks
    return FileLock(path, timeout=0, fallback_to_soft=False, mode=0o600)


@contextmanager
def _reachable(folder: str | Path) -> Iterator[str]:
    """Yield a name of the folder that is short enough for a socket address."""
    if len(os.fsencode(folder)) + 64 <= _LONGEST_ADDRESS or not sys.platform.startswith("linux"):
        yield str(folder)
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
