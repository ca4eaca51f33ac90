"""The zygote: a lean, single-threaded process that every run is a fork of.

The node execs it; both talk in the frames that `helper` has, and these:

    node -> zygote    {"start": {"lock", "node", "preload", "runtime", "project", "packages"}}
                      {"fork": n, "command": [...]}   executes that with wire, output and parent as further
                                                      arguments, in place of being a fork
    zygote -> node    {"preloading": name}, {"preloaded": name, "problem": text or null}
                      {"threaded": name}   and it ends: forking with threads is not safe

When the node's end closes, every run and everything that a run left behind is killed, within a second.
Children inherit no descriptor but their own two; the lock stays with the zygote alone.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import os
import select
import signal
import socket
import sys
import time
from signal import set_wakeup_fd
from typing import Any, NoReturn

from jobrunner import processes
from jobrunner.child import open_streams, serve, settle_in
from jobrunner.earshot import hear_logging
from jobrunner.rehearsal import rehearse
from jobrunner.wire import LAPSED, Decoder, Frame, encode

_AT_ONCE = 65_536
BOOT = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_MOST_FDS = 64


class Zygote:
    """Forks, kills and buries. `control` is the socket to the node."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        control.set_inheritable(False)
        self._decoder = Decoder()
        self._fds: list[int] = []  # descriptors received, in order, two for each fork
        self._pids: dict[int, int] = {}  # number -> pid of the children that live
        self._lock = -1
        self._ear, self._mouth = socket.socketpair()
        self._until: float | None = None  # seconds of boot time
        self._lapsed: set[int] = set()  # the numbers of children that were killed for that

    def run(self) -> None:
        """Serve the node until it closes its end."""
        self._listen()
        node_lives = True
        while node_lives:
            heard, _, _ = select.select([self._control, self._ear], [], [], self._watch())
            if self._ear in heard:
                self._bury()
            if self._control in heard:
                node_lives = self._obey()
        self._end_all()

    def _watch(self) -> float | None:
        """Kill all that runs when nobody has told us in time that it may; returns how long to wait."""
        if self._until is None:
            return None
        left = self._until - time.clock_gettime(BOOT)
        if left <= 0:
            self._until = None
            self._lapsed.update(self._pids)
            self._kill_all()  # they are buried, and their end is told, as of any other
            return None
        return min(left, 1.0)  # a wait does not count sleep, the clock does

    def _listen(self) -> None:
        """Hear of dead children through a socket; leave signals aimed at a group to the node."""
        for end in (self._ear, self._mouth):
            end.setblocking(False)
        set_wakeup_fd(self._mouth.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)

    # -- what the node says --------------------------------------------------------------------------

    def _obey(self) -> bool:
        """Carry out what has arrived; False when the node is gone."""
        try:
            data, fds, _, _ = socket.recv_fds(self._control, _AT_ONCE, _MOST_FDS)
        except OSError:
            return False
        self._fds += fds
        for frame in self._decoder.feed(data):
            self._do(frame)
        return bool(data)

    def _do(self, frame: Frame) -> None:
        if "fork" in frame:
            self._take_in(frame["fork"], frame.get("command"))
        elif "kill" in frame:
            self._kill(frame["kill"], frame["signal"])
        elif "ping" in frame:
            self._say({"pong": frame["ping"]})
        elif "until" in frame:
            self._until = frame["until"]
        elif "start" in frame:
            self._start(frame["start"])

    def _say(self, frame: Frame) -> None:
        with contextlib.suppress(OSError):  # the node died: reading will tell
            self._control.sendall(encode(frame))

    def _start(self, how: dict[str, Any]) -> None:
        if how["lock"]:
            self._lock = take_lock(how["lock"])
        processes.adopt_orphans()
        processes.keep_children_in_view()
        if how["node"]:  # while a package is imported nobody listens to it: if it dies now, so must we
            processes.die_with(how["node"])
        for at, name in enumerate(how["preload"]):
            self._preload(name, "" if at < how["runtime"] else how["project"], how["packages"])
        processes.outlive_parent()
        if how["runtime"]:
            open_streams()
            hear_logging()
            rehearse()
        gc.collect()
        gc.disable()  # a collection in a child would copy every page that we share with it
        gc.freeze()
        self._say({"started": os.getpid()})

    def _preload(self, name: str, project: str, packages: list[str]) -> None:
        self._say({"preloading": name})
        problem = preload(name, project, packages)
        if threads() > 1:
            self._say({"threaded": name})
            os._exit(0)
        self._say({"preloaded": name, "problem": problem})

    # -- children ------------------------------------------------------------------------------------

    def _take_in(self, number: int, command: list[str] | None) -> None:
        """Have a child with the two descriptors that came; the kernel drops what we have no room for."""
        pair, self._fds = self._fds[:2], self._fds[2:]
        if len(pair) == 2:
            self._bear(number, command, *pair)
        else:
            self._say({"exit": number, "code": None, "problem": "cannot fork: no descriptors left"})
        for descriptor in pair:
            os.close(descriptor)

    def _bear(self, number: int, command: list[str] | None, wire: int, output: int) -> None:
        parent, what = os.getpid(), "fork" if command is None else f"execute {command[0]}"
        try:
            pid = os.fork() if command is None else execute(command, wire, output)
        except OSError as error:
            self._say({"exit": number, "code": None, "problem": f"cannot {what}: {error.strerror}"})
            return
        if pid == 0:
            become_spare(parent, wire, output)
        self._pids[number] = pid
        self._say({"forked": number, "pid": pid})

    def _kill(self, number: int, what: int) -> None:
        """Signal a child's group. It is ours and unburied, so its pid is nobody else's."""
        pid = self._pids.get(number)
        if pid is None:
            return
        with contextlib.suppress(OSError):
            os.killpg(pid, what)
        if what == signal.SIGKILL:  # it may not have got as far as leading a group
            with contextlib.suppress(OSError):
                os.kill(pid, what)

    def _bury(self) -> None:
        """Reap the dead; kill what they left behind before the node hears of their end."""
        with contextlib.suppress(BlockingIOError):
            while self._ear.recv(_AT_ONCE):
                pass
        gone = self._reap()
        processes.kill_children(keep=set(self._pids.values()))
        for number, code in gone:
            self._say({"exit": number, "code": code, "problem": LAPSED if number in self._lapsed else None})
            self._lapsed.discard(number)

    def _reap(self) -> list[tuple[int, int]]:
        gone = []
        for number, pid in list(self._pids.items()):
            with contextlib.suppress(ChildProcessError):
                done, status = os.waitpid(pid, os.WNOHANG)
                if done:
                    del self._pids[number]
                    gone.append((number, os.waitstatus_to_exitcode(status)))
        return gone

    def _kill_all(self) -> None:
        for number in list(self._pids):
            self._kill(number, signal.SIGKILL)

    def _end_all(self) -> None:
        self._kill_all()
        if processes.LINUX:
            processes.kill_children()


def become_spare(parent: int, wire: int, output: int) -> NoReturn:
    """Turn a fresh fork into a child that waits for a run. Never returns."""
    try:
        os.setsid()
        processes.die_with(parent)
        set_wakeup_fd(-1)
        settle_in(wire, output)
        gc.enable()
        serve(wire, rehearse)
    finally:
        os._exit(70)


def execute(command: list[str], wire: int, output: int) -> int:
    """Start a program that becomes a child; returns its pid.

    Further arguments are the numbers of its two descriptors, and our pid. What keeps it from becoming one
    is told in its output. Raises OSError when there is no such program.
    """
    for descriptor in (wire, output):
        os.set_inheritable(descriptor, True)
    streams = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        *((os.POSIX_SPAWN_DUP2, output, stream) for stream in (1, 2)),
    ]
    return os.posix_spawnp(
        command[0], [*command, str(wire), str(output), str(os.getpid())], os.environ,
        file_actions=streams, setsid=True, setsigdef=(signal.SIGINT, signal.SIGTERM, signal.SIGHUP),
    )  # fmt: skip


def take_lock(path: str) -> int:
    """Take a share in the lock file; returns its descriptor.

    Who takes it as a whole, as filelock.FileLock does (which costs 10 MB to import), thereby knows that no
    zygote of this owner lives: an old generation with its last runs, and the new one, both have a share.
    Ends the process when somebody has it as a whole: this owner is being taken for dead.
    """
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        sys.exit(f"jobrunner: {path} is locked by another process")
    return lock


def preload(name: str, project: str, packages: list[str]) -> str | None:
    """Import an installed package; returns why not, or None. What lies in the project is left alone.

    `packages` are folders of installed packages, which may well be inside the project (a .venv).
    """
    from importlib.util import find_spec

    try:
        spec = find_spec(name)
        if spec is None:
            return "not installed"
        places = [spec.origin or "", *(spec.submodule_search_locations or ())]
        if project and any(_inside(place, project, packages) for place in places):
            return "part of the project"
        __import__(name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a package may raise anything, sys.exit included
        return f"{type(error).__name__}: {error}"[:500]
    return None


def _inside(place: str, project: str, packages: list[str]) -> bool:
    place = os.path.realpath(place)
    below = [folder for folder in (project, *packages) if place.startswith(os.path.realpath(folder) + os.sep)]
    return below == [project]


def threads() -> int:
    """Return how many threads this process has, those that C code started included."""
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        threading = sys.modules.get("threading")
        return threading.active_count() if threading is not None else 1


def main() -> None:
    """Entry of `python -m jobrunner.executor.zygote FD`."""
    Zygote(socket.socket(fileno=int(sys.argv[1]))).run()
    os._exit(0)


if __name__ == "__main__":
    import jobrunner.body  # noqa: F401  (every run needs it, and the node may still read its files)

    main()
