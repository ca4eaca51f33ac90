"""The launcher for where there is no fork to rely on: each child is a new interpreter.

The node is the parent, so it reaps by itself: told by a pidfd on Linux, by looking every 20 ms elsewhere.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import subprocess
import sys

from jobrunner import processes
from jobrunner.executor.birth import MARK
from jobrunner.executor.helper import END_LIMIT, kill_family
from jobrunner.executor.launch import Preloader
from jobrunner.executor.plugin import Around, Family, Options

_LOOK_EVERY = 0.02  # seconds


class ExecLauncher(Preloader):
    """Execs a child for each call of `launch`."""

    def __init__(self, family: Family, around: Around) -> None:
        self._family = family
        self._selector = around.selector
        self._mark = os.urandom(16).hex()
        self._environ = {**around.environ, MARK: self._mark}
        self._clock = around.clock
        self._since = processes.now()
        self._children: dict[int, subprocess.Popen[bytes]] = {}
        self._pidfds: dict[int, int] = {}
        self.skipped: dict[str, str] = {}

    def start(self) -> None:
        """Become the parent of what the runs leave behind."""
        processes.adopt_orphans()

    def launch(self, number: int, wire: socket.socket, output: int, options: Options) -> None:
        """Start an interpreter that becomes a child."""
        command = [sys.executable, "-P", "-m", "jobrunner.child"]
        try:
            child = processes.bear(lambda: subprocess.Popen(
                [*command, str(wire.fileno()), str(output), str(os.getpid())],
                pass_fds=[wire.fileno(), output], env=self._environ, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            ))  # fmt: skip
        except OSError as error:
            self._family.exited(number, None, f"cannot start {sys.executable}: {error.strerror}")
            return
        finally:
            wire.close()
            os.close(output)
        self._children[number] = child
        self._watch(number, child.pid)
        self._family.forked(number, child.pid)

    def signal(self, number: int, what: int) -> None:
        """Signal the group of a child that has not been reaped."""
        child = self._children.get(number)
        if child is None or child.poll() is not None:
            return
        with contextlib.suppress(OSError):
            os.killpg(child.pid, what)

    def live_until(self, moment: float) -> None:
        """Nobody but the node could see to it."""

    def deadline(self, busy: bool = False) -> float | None:
        """Return when to look again, where nothing tells us."""
        unwatched = len(self._pidfds) < len(self._children)
        return self._clock() + _LOOK_EVERY if unwatched else None

    def tick(self, now: float, busy: bool = False) -> None:
        """Look who is gone."""
        for number in [one for one in self._children if one not in self._pidfds]:
            self._look(number)

    def close(self) -> None:
        """Kill all."""
        for child in self._children.values():
            with contextlib.suppress(OSError):
                os.killpg(child.pid, signal.SIGKILL)
        for number, child in list(self._children.items()):
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(END_LIMIT)
            self._unwatch(number)
            processes.forget(child.pid)
        self._children.clear()
        kill_family(self._mark, self._since)

    def _watch(self, number: int, pid: int) -> None:
        if not hasattr(os, "pidfd_open"):
            return
        with contextlib.suppress(OSError):
            pidfd = os.pidfd_open(pid)
            try:
                self._selector.register(pidfd, selectors.EVENT_READ, lambda *_: self._look(number))
            except OSError:
                os.close(pidfd)
            else:
                self._pidfds[number] = pidfd

    def _unwatch(self, number: int) -> None:
        pidfd = self._pidfds.pop(number, None)
        if pidfd is not None:
            self._selector.unregister(pidfd)
            os.close(pidfd)

    def _look(self, number: int) -> None:
        code = self._children[number].poll()
        if code is None:
            return
        self._unwatch(number)
        with contextlib.suppress(OSError):
            # Its group, while anybody is left in it; the number cannot have become another's before that.
            os.killpg(self._children[number].pid, signal.SIGKILL)
        processes.forget(self._children.pop(number).pid)
        kill_family(self._mark, self._since, keep=[child.pid for child in self._children.values()])
        self._family.exited(number, code)
