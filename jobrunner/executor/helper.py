"""A process that makes the children for us: it is exec'd, and the node talks with it in frames.

    node -> helper    {"start": {...}}  the first word
                      {"fork": n, ...}  with two descriptors: the child's wire, its output pipe
                      {"kill": n, "signal": s}
                      {"until": t}      what runs then, by boot time, is killed unless told again
                      {"ping": n}       is answered once all that was said before is done
    helper -> node    {"started": pid}
                      {"forked": n, "pid": pid}, {"exit": n, "code": c, "problem": text}, {"pong": n}

When the node's end closes it kills all that it has made, and ends.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import subprocess
from collections.abc import Collection, Sequence
from typing import Any

from jobrunner import processes
from jobrunner.executor import birth
from jobrunner.executor.birth import MARK
from jobrunner.executor.plugin import Around, Family, Launcher, Options
from jobrunner.executor.pulse import Pulse
from jobrunner.wire import Decoder, Frame, WireError, encode

END_LIMIT = 2.0  # seconds that a helper may take to end


class HelperLauncher(Launcher):
    """A helper and its children. `MODULE` is what it executes, `CALLED` what people are told that it is."""

    MODULE = ""
    CALLED = "its helper"
    START_LIMIT = 10.0  # seconds until it has to have started

    def __init__(self, family: Family, around: Around) -> None:
        self._family = family
        self._around = around
        self._selector = around.selector
        self._clock = around.clock
        self._mark = ""
        self._deadline: float | None = around.clock() + self.START_LIMIT
        self._decoder = Decoder()
        self._control: socket.socket | None = None
        self._helper: subprocess.Popen[bytes] | None = None
        self._pids: dict[int, int] = {}
        self._since = processes.now()
        self._pulse = Pulse(around.clock)
        self._until = 0.0

    @property
    def pid(self) -> int:
        """The helper's own pid, 0 before the start."""
        return self._helper.pid if self._helper is not None else 0

    def start(self) -> None:
        """Have the helper, and tell it where it works. Raises OSError."""
        processes.adopt_orphans()  # if the helper is killed, what its runs left behind comes to us
        helper = birth.born(self.MODULE, self._around.environ)
        try:
            self._selector.register(helper.control, selectors.EVENT_READ, self._on_news)
        except BaseException:
            helper.abandon()
            raise
        self._helper, self._control, self._mark = helper.process, helper.control, helper.mark
        self._say({"start": self._first_words()})

    def launch(self, number: int, wire: socket.socket, output: int, options: Options) -> None:
        """Have the helper make a child."""
        self._pids[number] = 0  # not known yet
        with wire:
            self._say(self._order(number, options), [wire.fileno(), output])
        os.close(output)
        self._ping()

    def signal(self, number: int, what: int) -> None:
        """Have the helper do it: it is the parent, so the pid cannot have become another's."""
        self._say({"kill": number, "signal": what})
        self._ping()

    def live_until(self, moment: float) -> None:
        """Tell the helper, ten times a second at most."""
        if moment - self._until >= 0.1:
            self._until = moment
            self._say({"until": moment})

    def deadline(self, busy: bool = False) -> float | None:
        """Return when one that does not start, or says nothing, is given up; or to ask it again."""
        return self._pulse.deadline(busy) if self._deadline is None else self._deadline

    def tick(self, now: float, busy: bool = False) -> None:
        """Give up a helper that does not start, or does not answer."""
        if self._deadline is not None:
            if now >= self._deadline:
                self._collapse(self._late())
        elif self._control is not None and self._pulse.silent(now):
            self._on_news()  # it may have answered while we did something else
            if self._pulse.silent(now):
                self._collapse(f"{self.CALLED} did not answer")
        elif busy and self._pulse.due(now):
            self._ping()

    def close(self) -> None:
        """Close our end; the helper kills everything and follows."""
        if self._let_go():
            self._bury()

    # -- what each kind of helper has of its own -----------------------------------------------------

    def _first_words(self) -> dict[str, Any]:
        return {"lock": self._around.lock_path, "node": os.getpid()}

    def _order(self, number: int, options: Options) -> Frame:
        return {"fork": number}

    def _hear_more(self, frame: Frame) -> None:
        """Take in a frame that not every helper says."""

    def _late(self) -> str | None:
        """Return what to say of one that takes too long to start."""
        return f"{self.CALLED} did not start within {self.START_LIMIT:g} s"

    def _dead(self) -> None:
        """Note that it died, or is about to be killed."""

    # -- the talk ------------------------------------------------------------------------------------

    def _ping(self) -> None:
        """Ask for a sign of life; while it starts, its deadline sees to it that there is one."""
        if self._deadline is None and not self._pulse.asked:
            self._pulse.ask()
            self._say({"ping": 1})

    def _say(self, frame: Frame, fds: Sequence[int] = ()) -> None:
        """Send; a helper that does not read is as good as dead, one that is dead is found when reading."""
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
        elif "started" in frame:
            self._deadline = None
            self._ping()
        else:
            self._hear_more(frame)

    # -- its end -------------------------------------------------------------------------------------

    def _collapse(self, problem: str | None = None) -> None:
        """The helper is dead, or has to be: make sure of it and of all that it had."""
        if not self._let_go():
            return
        self._dead()
        assert self._helper is not None
        self._helper.kill()
        self._bury()
        self._family.extinct(self)
        for number in list(self._pids):
            self._family.exited(
                number, -signal.SIGKILL, problem or f"{self.CALLED} died, and the run with it"
            )

    def _let_go(self) -> bool:
        if self._control is None:
            return False
        self._selector.unregister(self._control)
        self._control.close()
        self._control = None
        self._deadline = None
        return True

    def _bury(self) -> None:
        """Wait for the helper; then whatever of its family is left is a child of ours, or nobody's."""
        assert self._helper is not None
        try:
            self._helper.wait(END_LIMIT)
        except subprocess.TimeoutExpired:
            self._helper.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):  # the kernel cannot end it: nor can we
                self._helper.wait(END_LIMIT)
        processes.forget(self._helper.pid)
        if not processes.LINUX:
            for pid in filter(None, self._pids.values()):
                with contextlib.suppress(OSError):
                    os.killpg(pid, signal.SIGKILL)
        orderly = self._helper.returncode == 0  # then it has killed them all, by whatever they were
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
