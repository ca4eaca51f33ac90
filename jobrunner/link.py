"""A run's end of the wire: says its frames, hears whether it should end."""

from __future__ import annotations

import os
import select
import signal
import socket
from _thread import RLock
from collections import deque
from collections.abc import Mapping
from typing import Any

from jobrunner.wire import Decoder, Frame, encode

_AT_ONCE = 65_536


class Link:
    """The socket to the node, in the run's process and in no other.

    `canceled` is the reason of a cancel frame once one was read, else None. Safe to use from threads.
    """

    def __init__(self, descriptor: int) -> None:
        os.set_inheritable(descriptor, False)
        self._fd = descriptor
        self._identity = _identity(descriptor)
        self._owner = os.getpid()
        self._decoder = Decoder()
        self._heard: deque[Frame] = deque()
        self._lock = RLock()
        self._asked = 0
        self._open = True
        self.canceled: str | None = None
        os.register_at_fork(after_in_child=self._let_go)

    @property
    def mine(self) -> bool:
        """Whether this is still the run's own process, not a fork that the body made of it."""
        return os.getpid() == self._owner

    def send(self, frame: Mapping[str, Any]) -> None:
        """Send a frame whole. Raises OSError when the wire is gone, TypeError or ValueError for no JSON."""
        data = encode(frame)
        with self._lock:
            self._check()
            # A handler that raises in the middle would leave half a frame on the wire.
            before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
            try:
                self._send_all(data)
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def ask(self, verb: str, payload: Mapping[str, Any]) -> int:
        """Ask the node for something without waiting; returns the number of the request."""
        with self._lock:
            self._asked += 1
            self.send({"ask": self._asked, "verb": verb, "payload": payload})
            return self._asked

    def poll(self) -> None:
        """Read what has arrived, without waiting; never raises: a broken wire is found when replying."""
        with self._lock:
            try:
                self._check()
                while select.select([self._fd], [], [], 0)[0] and self._read():
                    pass
            except (OSError, ValueError):
                self._open = False

    def wait(self) -> Frame | None:
        """Wait for the next frame that starts a run; None when there will be none."""
        while not self._heard:
            if not self._read():
                return None
        return self._heard.popleft()

    def _read(self) -> bool:
        data = os.read(self._fd, _AT_ONCE)
        for frame in self._decoder.feed(data):
            if "run" in frame:
                self._heard.append(frame)
                self.canceled = None
            elif "cancel" in frame:
                self.canceled = str(frame["cancel"] or "")
        return bool(data)

    def _send_all(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._fd, rest) :]

    def _check(self) -> None:
        # The body may have closed every descriptor and opened a file that now has our number.
        if not self._open or not self.mine or _identity(self._fd) != self._identity:
            raise OSError("the wire to the node is gone")

    def _let_go(self) -> None:
        """In a fork that the body makes: the wire is not its own."""
        if self._open and _identity_or_none(self._fd) == self._identity:
            os.close(self._fd)
        self._open = False


def pair() -> tuple[socket.socket, socket.socket]:
    """Return (the node's end, the run's end) of a new wire."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)


def _identity(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


def _identity_or_none(descriptor: int) -> tuple[int, int] | None:
    try:
        return _identity(descriptor)
    except OSError:
        return None
