"""How the pool gets children: the seam, and the launcher that has a zygote fork them."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from jobrunner import processes
from jobrunner.executor.pulse import Pulse
from jobrunner.wire import Decoder, Frame, WireError, encode

MARK = "JOBRUNNER_FAMILY"  # in the environment of every child: tells our orphans from strangers
PRELOAD_LIMIT = 5.0  # seconds that one package may take to import
END_LIMIT = 2.0  # seconds that a zygote may take to end
RUNTIME = ("jobrunner.body", "jobrunner.logger")  # what every run needs, imported before the fork


class Family(Protocol):
    """Who hears of the children."""

    def forked(self, number: int, pid: int) -> None:
        """A child exists."""
        ...

    def exited(self, number: int, code: int | None, problem: str | None = None) -> None:
        """A child is gone and reaped, and what it left behind is dead."""
        ...

    def extinct(self, launcher: Launcher) -> None:
        """The launcher broke down; its children are dead, and `exited` follows for each of them."""
        ...


class Launcher(Protocol):
    """Makes, signals and reaps children."""

    skipped: dict[str, str]

    def start(self) -> None:
        """Get ready; returns before it is."""
        ...

    def launch(self, number: int, wire: socket.socket, output: int) -> None:
        """Make a child with these two descriptors, and close them here."""
        ...

    def signal(self, number: int, what: int) -> None:
        """Signal a child's process group, unless it is gone; KILL goes to all that descends from it."""
        ...

    def live_until(self, moment: float) -> None:
        """Kill all children at that second of boot time, unless told again; where we can without the node."""
        ...

    def deadline(self, busy: bool = False) -> float | None:
        """Return when `tick` is needed, in monotonic seconds; `busy` while there are runs."""
        ...

    def tick(self, now: float, busy: bool = False) -> None:
        """Do what is due."""
        ...

    def close(self) -> None:
        """Kill every child and everything that they left behind; wait for it, two seconds at most."""
        ...


class ZygoteLauncher:
    """A zygote and its children. `clock` is monotonic; `project` is what is never preloaded."""

    def __init__(
        self,
        family: Family,
        selector: selectors.BaseSelector,
        *,
        environ: Mapping[str, str],
        preload: Sequence[str],
        skipped: Mapping[str, str],
        project: str,
        lock_path: str,
        clock: Callable[[], float],
        runtime: Sequence[str] = RUNTIME,
    ) -> None:
        self._family = family
        self._selector = selector
        self._mark = os.urandom(16).hex()
        self._environ = {**environ, MARK: self._mark}
        self._lock_path = lock_path
        self._project = project
        self._preload = [*runtime, *(name for name in preload if name not in skipped)]
        self._runtime = len(runtime)
        self._importing: str | None = None
        self._deadline: float | None = clock() + 2 * PRELOAD_LIMIT  # the interpreter starts too
        self._clock = clock
        self._decoder = Decoder()
        self._control: socket.socket | None = None
        self._zygote: subprocess.Popen[bytes] | None = None
        self._pids: dict[int, int] = {}
        self._since = processes.now()
        self._pulse = Pulse(clock)
        self._until = 0.0
        self.skipped = dict(skipped)

    @property
    def pid(self) -> int:
        """The zygote's own pid, 0 before the start."""
        return self._zygote.pid if self._zygote is not None else 0

    def start(self) -> None:
        """Exec the zygote in a session of its own: the terminal's Ctrl-C is for the node alone."""
        processes.adopt_orphans()  # if the zygote is killed, what its runs left behind comes to us
        with contextlib.ExitStack() as undo:
            pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
            ours, theirs = (undo.enter_context(end) for end in pair)
            ours.setblocking(False)
            self._selector.register(ours, selectors.EVENT_READ, self._on_news)
            undo.callback(self._selector.unregister, ours)
            self._zygote = processes.bear(lambda: self._exec(theirs.fileno()))
            undo.pop_all()
        theirs.close()
        self._control = ours
        self._say({"start": self._first_words()})

    def launch(self, number: int, wire: socket.socket, output: int) -> None:
        """Have the zygote fork a child."""
        self._pids[number] = 0  # not known yet
        with wire:
            self._say({"fork": number}, [wire.fileno(), output])
        os.close(output)
        self._ping()

    def signal(self, number: int, what: int) -> None:
        """Have the zygote do it: it is the parent, so the pid cannot have become another's."""
        self._say({"kill": number, "signal": what})
        self._ping()

    def live_until(self, moment: float) -> None:
        """Tell the zygote, ten times a second at most."""
        if moment - self._until >= 0.1:
            self._until = moment
            self._say({"until": moment})

    def deadline(self, busy: bool = False) -> float | None:
        """Return when a hanging import, or a zygote that says nothing, is given up; or to ask it again."""
        return self._pulse.deadline(busy) if self._deadline is None else self._deadline

    def tick(self, now: float, busy: bool = False) -> None:
        """Give up a zygote that hangs while importing, or does not answer."""
        if self._deadline is not None:
            if now >= self._deadline:
                self._blame(f"takes longer than {PRELOAD_LIMIT:g} s to import")
                self._collapse()
        elif self._control is not None and self._pulse.silent(now):
            self._on_news()  # it may have answered while we did something else
            if self._pulse.silent(now):
                self._collapse("its zygote did not answer")
        elif busy and self._pulse.due(now):
            self._ping()

    def _ping(self) -> None:
        """Ask for a sign of life; while it imports, its deadline sees to it that there is one."""
        if self._deadline is None and not self._pulse.asked:
            self._pulse.ask()
            self._say({"ping": 1})

    def _exec(self, control: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "jobrunner.executor.zygote", str(control)],
            pass_fds=[control], env=self._environ, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=_stderr(),
        )  # fmt: skip

    def close(self) -> None:
        """Close our end; the zygote kills everything and follows."""
        if self._let_go():
            self._bury()

    def _first_words(self) -> dict[str, object]:
        paths = sysconfig.get_paths()
        return {
            "lock": self._lock_path,
            "node": os.getpid(),
            "preload": self._preload,
            "runtime": self._runtime,
            "project": self._project,
            "packages": sorted({sys.prefix, *(paths[name] for name in ("purelib", "platlib", "stdlib"))}),
        }

    def _say(self, frame: Frame, fds: Sequence[int] = ()) -> None:
        """Send; a zygote that does not read is as good as dead, one that is dead is found when reading."""
        if self._control is None:
            return
        try:
            if fds:
                socket.send_fds(self._control, [encode(frame)], fds)
            else:
                self._control.send(encode(frame))
        except BlockingIOError:
            self._collapse()
        except OSError:
            pass

    def _on_news(self, *_: object) -> None:
        data = b""
        if self._control is None:  # it collapsed while the loop dealt with other news
            return
        try:
            data = self._control.recv(65_536)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            pass
        if not data:
            self._collapse()
            return
        with contextlib.suppress(WireError):
            for frame in self._decoder.feed(data):
                self._hear(frame)

    def _hear(self, frame: Frame) -> None:
        if "exit" in frame:
            self._pids.pop(frame["exit"], None)
            self._family.exited(frame["exit"], frame["code"], frame.get("problem"))
        elif "forked" in frame:
            self._pids[frame["forked"]] = frame["pid"]
            self._family.forked(frame["forked"], frame["pid"])
        elif "pong" in frame:
            self._pulse.heard()
        else:
            self._hear_of_preload(frame)

    def _hear_of_preload(self, frame: Frame) -> None:
        if "preloading" in frame:
            self._importing = frame["preloading"]
            self._deadline = self._clock() + PRELOAD_LIMIT
        elif "preloaded" in frame:
            if frame["problem"]:
                self._blame(frame["problem"])
            self._importing = None
        elif "threaded" in frame:
            self._blame("starts a thread when it is imported")
        elif "started" in frame:
            self._deadline = None
            self._ping()

    def _blame(self, problem: str) -> None:
        if self._importing is not None:
            self.skipped[self._importing] = problem
            self._importing = None

    def _collapse(self, problem: str = "its zygote died, and the run with it") -> None:
        """The zygote is dead, or has to be: make sure of it and of all that it had."""
        if not self._let_go():
            return
        self._blame("kills the process that imports it")
        assert self._zygote is not None
        self._zygote.kill()
        self._bury()
        self._family.extinct(self)
        for number in list(self._pids):
            self._family.exited(number, -signal.SIGKILL, problem)

    def _let_go(self) -> bool:
        if self._control is None:
            return False
        self._selector.unregister(self._control)
        self._control.close()
        self._control = None
        self._deadline = None
        return True

    def _bury(self) -> None:
        """Wait for the zygote; then whatever of its family is left is a child of ours, or nobody's."""
        assert self._zygote is not None
        try:
            self._zygote.wait(END_LIMIT)
        except subprocess.TimeoutExpired:
            self._zygote.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):  # the kernel cannot end it: nor can we
                self._zygote.wait(END_LIMIT)
        processes.forget(self._zygote.pid)
        if not processes.LINUX:
            for pid in filter(None, self._pids.values()):
                with contextlib.suppress(OSError):
                    os.killpg(pid, signal.SIGKILL)
        orderly = self._zygote.returncode == 0  # then it has killed them all, by whatever they were
        kill_family(self._mark, None if orderly else self._since, known=self._pids.values())


def kill_family(mark: str, since: int | None, known: Collection[int] = (), keep: Collection[int] = ()) -> int:
    """Kill and reap our children that are `known`, strays `since`, or marked; returns how many.

    The mark alone will not do: a run may start a program with an empty environment.
    """
    sign = f"{MARK}={mark}".encode()

    def condemned(pid: int) -> bool | None:
        stray = since is not None and processes.is_stray(pid, since)
        return stray or processes.carries(pid, sign)

    return processes.kill_children(keep, condemned, set(known) - {0})


def _stderr() -> int:
    """Return where a preloaded package may print: not to our stdout, which is for data."""
    try:
        os.fstat(2)
    except OSError:
        return subprocess.DEVNULL
    return 2
