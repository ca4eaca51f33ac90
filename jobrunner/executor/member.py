"""One child, as the node holds it: its wire, its output pipe, and the run that it serves."""

from __future__ import annotations

import contextlib
import fcntl
import os
import selectors
import signal
import socket
from collections.abc import Callable, Mapping
from typing import Any

from jobrunner import link
from jobrunner.executor.ending import Asked as AskedToEnd
from jobrunner.executor.plugin import Launcher
from jobrunner.executor.serving import REPLY_LIMIT, Serving
from jobrunner.executor.stopping import Means
from jobrunner.wire import LAPSED, LONGEST, LONGEST_WORD, Decoder, Frame, WireError, encode

PIPE = 1024 * 1024  # bytes a run may be ahead of us with its output, where the system allows it
READY_LIMIT = 30.0  # seconds that a child may take to be ready
WARM_LIMIT = 60.0  # seconds that a child which may serve more runs waits for one
AT_ONCE = 256 * 1024  # bytes taken from one descriptor in one turn of the loop
_SET_PIPE_SIZE = getattr(fcntl, "F_SETPIPE_SZ", None)


class Member:
    """A child and the two descriptors it is reached by; `on_frame` and `on_output` hear what it says."""

    def __init__(
        self,
        number: int,
        launcher: Launcher,
        selector: selectors.BaseSelector,
        on_frame: Callable[[Member, Frame], None],
        on_output: Callable[[Member, bytes], None],
        on_broken: Callable[[Member, str], None],
    ) -> None:
        self.number = number
        self.launcher = launcher
        self.pid = 0
        self.ready = False
        self.since = 0.0  # when it was asked for, or became idle
        self.serving: Serving | None = None
        self.key: tuple[str, str, str | None] | None = None  # job, file hash and source it is warm for
        self.runs_left: int | None = None  # further runs it may serve; None before its first
        self.retired = False
        self.parcel: bytes | None = None  # the first words to a child that is not there yet
        self.problem: str | None = None
        self._selector = selector
        self._on_frame, self._on_output, self._on_broken = on_frame, on_output, on_broken
        self._decoder = Decoder(LONGEST_WORD)
        self._outbox = bytearray()
        self._wire: socket.socket | None = None
        self._output = -1
        self._paused = False

    @property
    def spare(self) -> bool:
        """Whether it has not served any run, and is to serve one."""
        return self.key is None and not self.retired

    @property
    def idle_deadline(self) -> float | None:
        """When an idle child's time is up: to get ready, to be used again, or to be gone."""
        if self.retired:
            return self.since + REPLY_LIMIT
        if not self.ready:
            return self.since + READY_LIMIT
        return None if self.key is None else self.since + WARM_LIMIT

    @property
    def deadline(self) -> float | None:
        """When something has to be done about it."""
        return self.idle_deadline if self.serving is None else self.serving.due

    def tick(self, now: float) -> None:
        """Do what is due: the next step towards the end of its run, or its own end."""
        if self.serving is not None:
            self._do(self.serving.step(now, self.pid))
        elif self.idle_deadline is not None and now >= self.idle_deadline:
            if self.retired or not self.ready:  # it does not go, or never became ready
                self.kill()
            self.retire(now)

    def stop(self, asked: AskedToEnd, now: float, *, at_once: bool = False) -> None:
        """Bring its run to its end; one that has replied comes to it by itself."""
        if self.serving is not None and self.serving.reply is None:
            self._do(self.serving.stop(asked, now, at_once=at_once))

    def kill(self) -> None:
        """Kill it, and all that it has."""
        self.launcher.signal(self.number, signal.SIGKILL)

    def condemn(self) -> None:
        """Kill it, for its node may act no more; nobody is to hand it a run meanwhile."""
        self.retired, self.problem = True, LAPSED
        self.kill()

    def _do(self, means: Means | None) -> None:
        asked = self.serving.asked if self.serving is not None else None
        if means is not None and self.parcel is not None:  # nothing of it has begun
            self.kill()
        elif means == "message" and asked is not None:
            self.send({"cancel": asked.reason or asked.state})
        elif means == "term":
            self.launcher.signal(self.number, signal.SIGTERM)
        elif means == "kill":
            self.kill()

    def open(self) -> tuple[socket.socket, int]:
        """Make wire and pipe; returns the child's ends, which the caller hands over and closes.

        Raises OSError when the system has no more of them; nothing is left open then.
        """
        with contextlib.ExitStack() as undo:
            ours, theirs = (undo.enter_context(end) for end in link.pair())
            output, pipe = os.pipe()
            undo.callback(os.close, output)
            undo.callback(os.close, pipe)
            ours.setblocking(False)
            os.set_blocking(output, False)
            self._selector.register(ours, selectors.EVENT_READ, self._on_wire)
            undo.callback(self._selector.unregister, ours)
            self._selector.register(output, selectors.EVENT_READ, self._on_pipe)
            undo.pop_all()
        self._wire, self._output = ours, output
        if _SET_PIPE_SIZE is not None:
            with contextlib.suppress(OSError):  # beyond the user's limit: the default will do
                fcntl.fcntl(pipe, _SET_PIPE_SIZE, PIPE)
        return theirs, pipe

    def retire(self, now: float) -> None:
        """Send it home; it may be an idle child only."""
        self.ready, self.retired, self.since = False, True, now
        self.close()

    def close(self) -> None:
        """Let go of both descriptors; an idle child ends by that. Idempotent."""
        self._close_wire()
        self._close_output()

    def send(self, frame: Mapping[str, Any]) -> None:
        """Say something; what the child does not take at once is sent as it reads."""
        self.post(encode(frame))

    def post(self, data: bytes) -> None:
        """Send an encoded frame. Never fails."""
        if self._wire is None:
            return
        self._outbox += data
        self._flush()
        if len(self._outbox) > 2 * LONGEST:
            self._break("does not read what it asked for")

    def drain(self) -> None:
        """Take in all that an ended or replying child has said and written before."""
        while self._wire is not None and self._read_wire():
            pass
        self.drain_output()

    def drain_output(self) -> None:
        """Take in what is in the pipe now. Bounded: somebody else may still write into it."""
        for _ in range(PIPE // 4096):
            if self._output < 0 or not self._read_output():
                return

    def pause(self) -> None:
        """Take no output until `resume`; the run waits when the pipe is full."""
        if self._output >= 0 and not self._paused:
            self._selector.unregister(self._output)
            self._paused = True

    def resume(self) -> None:
        """Take output again."""
        if self._output >= 0 and self._paused:
            self._selector.register(self._output, selectors.EVENT_READ, self._on_pipe)
            self._paused = False

    # -- the wire ------------------------------------------------------------------------------------

    def _on_wire(self, *_: object) -> None:
        self._flush()
        if self._wire is not None:
            self._read_wire()

    def _read_wire(self) -> bool:
        assert self._wire is not None
        try:
            data = self._wire.recv(AT_ONCE)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            data = b""
        if not data:  # no proof of anything: the body may have closed it, a grandchild may hold it
            self._close_wire()
            return False
        try:
            for frame in self._decoder.feed(data):
                self._on_frame(self, frame)
        except (WireError, KeyError, TypeError) as error:
            self._break(f"broke the wire: {error}")
            return False
        return True

    def _flush(self) -> None:
        while self._outbox and self._wire is not None:
            try:
                sent = self._wire.send(memoryview(self._outbox)[:AT_ONCE].tobytes())
            except (BlockingIOError, InterruptedError):
                break
            except OSError:
                self._outbox.clear()
                break
            del self._outbox[:sent]
        if self._wire is not None:
            wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._outbox else 0)
            if self._selector.get_key(self._wire).events != wanted:
                self._selector.modify(self._wire, wanted, self._on_wire)

    def _break(self, sentence: str) -> None:
        self._close_wire()
        self._on_broken(self, sentence)

    def _close_wire(self) -> None:
        if self._wire is not None:
            self._selector.unregister(self._wire)
            self._wire.close()
            self._wire = None

    # -- the output ----------------------------------------------------------------------------------

    def _on_pipe(self, *_: object) -> None:
        if self._output >= 0 and not self._paused:
            self._read_output()

    def _read_output(self) -> bool:
        try:
            data = os.read(self._output, AT_ONCE)
        except (BlockingIOError, InterruptedError):
            return False
        if not data:
            self._close_output()
            return False
        self._on_output(self, data)
        return True

    def _close_output(self) -> None:
        if self._output >= 0:
            self.resume()
            self._selector.unregister(self._output)
            os.close(self._output)
            self._output = -1


def wait_for_replies(
    selector: selectors.BaseSelector, runs: Mapping[int, Member], clock: Callable[[], float]
) -> None:
    """Turn the loop until those that have replied are over, or their time is."""
    limit = clock() + REPLY_LIMIT
    while any(run.serving and run.serving.reply for run in runs.values()):
        if clock() >= limit:
            return
        for key, _ in selector.select(0.01):
            key.data(key.fileobj)
