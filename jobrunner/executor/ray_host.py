"""A run on a machine of a Ray cluster: the process of a worker that has a child and passes on what both say.

It is sent to the cluster as it is, so that a worker needs nothing to load it, and is self-contained. There
it starts a zygote, as a node does, and has that fork one child: when the worker goes, in whatever way, the
zygote notices and kills all that the run has. It is no child of the worker, for Ray kills these, and nobody
would be left to do it. The node's words go to the child, its words and output back.

Every call is numbered, and repeating one does no harm: Ray repeats a call whose answer got lost.
"""

# ruff: noqa: PTH113, PTH120  (paths are text here)

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import selectors
import socket
import subprocess
import sys
import threading
import time
from importlib.util import find_spec
from typing import Any

AT_ONCE = 1024 * 1024  # bytes of one kind that are kept until somebody takes them
SOME = 256 * 1024  # bytes read from one descriptor at a time
BIRTH = 60.0  # seconds that a zygote may take to have a child
MOST = 64 * SOME  # bytes of each kind that are taken after the end
_LENGTH = 4  # bytes of a frame's length
_BOOT = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
Taken = tuple[
    bytes, bytes, "dict[str, Any] | None"
]  # words, output; with the last of it, how the child ended


class Host:
    """One run. `start` once; then `feed` and `take` in turn, `signal` and `live_for` at any time."""

    def __init__(self, package: str, version: str) -> None:
        """`package` is our folder where it lies on the node's machine, `version` is ours."""
        self._package = _package(package, version)
        self._news = threading.Condition()
        self._words = bytearray()
        self._output = bytearray()
        self._heard = bytearray()  # of the zygote, and no whole frame yet
        self._gone = False  # the child is
        self._over = False  # and all that it said is kept
        self._end: dict[str, Any] = {"code": None, "problem": None}
        self._started = False
        self._pid = 0
        self._fed = self._taken = 0
        self._last: Taken = b"", b"", None

    def start(self, seconds: float) -> int:
        """Have a child that lives for so long, unless told again; returns its pid, 0 where it cannot be."""
        if self._started:
            return self._pid
        self._started = True
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._wire, wire = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._pipe, output = os.pipe()
        for descriptor in (self._pipe, self._control.fileno(), self._wire.fileno()):
            os.set_blocking(descriptor, False)
        bootstrap = os.path.join(self._package, "executor", "bootstrap.py")
        with theirs, wire:
            subprocess.run(
                [sys.executable, bootstrap, "zygote", str(theirs.fileno())],
                pass_fds=[theirs.fileno()], start_new_session=True, check=False,
                stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            )  # fmt: skip
            self._say({"start": self._first_words()})
            self.live_for(seconds + BIRTH)
            socket.send_fds(self._control, [_encoded({"fork": 1})], [wire.fileno(), output])
        os.close(output)
        threading.Thread(target=self._listen, daemon=True).start()
        with self._news:
            self._news.wait_for(lambda: self._pid or self._over)
        self.live_for(seconds)
        return self._pid

    @staticmethod
    def _first_words() -> dict[str, Any]:
        runtime = ["jobrunner.body", "jobrunner.logger"]
        return {
            "lock": "", "node": 0, "preload": runtime, "runtime": len(runtime), "project": "",
            "packages": [],
        }  # fmt: skip

    def feed(self, number: int, data: bytes) -> None:
        """Pass on what the node says to the child; nothing means that it says no more."""
        if number <= self._fed:
            return
        self._fed = number
        with contextlib.suppress(OSError):  # it has ended: `take` tells
            if not data:
                self._wire.shutdown(socket.SHUT_WR)
            while data:
                select.select([], [self._wire], [])
                data = data[self._wire.send(data) :]

    def take(self, number: int, patience: float) -> Taken:
        """Return what the child has said since; waits until there is something, or for so many seconds."""
        if number <= self._taken:
            return self._last
        with self._news:
            self._news.wait_for(lambda: self._words or self._output or self._over, patience)
            words, output = bytes(self._words), bytes(self._output)
            self._words.clear()
            self._output.clear()
            self._taken, self._last = number, (words, output, self._end if self._over else None)
            self._news.notify_all()
        return self._last

    def signal(self, what: int) -> None:
        """Signal the child's group; KILL goes to all that it has."""
        self._say({"kill": 1, "signal": what})

    def live_for(self, seconds: float) -> None:
        """Kill the child after so long, unless told again: nobody beyond reach may be taken for dead."""
        self._say({"until": time.clock_gettime(_BOOT) + seconds})

    def close(self) -> None:
        """Let go of it: the zygote kills what there is. The end of the process does the same."""
        self._wire.close()
        self._control.close()
        os.close(self._pipe)

    def _say(self, frame: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):  # the zygote died: listening tells
            self._control.send(_encoded(frame))

    # -- what comes from the child, in a thread of its own -------------------------------------------

    def _listen(self) -> None:
        """Take in what comes until the child is gone, and then what is left."""
        control, words, output = self._control.fileno(), self._wire.fileno(), self._pipe
        with selectors.DefaultSelector() as selector:
            for descriptor in (control, words, output):
                selector.register(descriptor, selectors.EVENT_READ)
            while not self._gone:
                for key, _ in selector.select():
                    if not self._read(key.fd):
                        selector.unregister(key.fd)
        for descriptor in (words, output):
            for _ in range(MOST // SOME):  # somebody who got away may write for ever
                if not self._read(descriptor):
                    break
        with self._news:
            self._over = True
            self._news.notify_all()

    def _read(self, descriptor: int) -> bool:
        """Take in what is there; returns False when there will be no more."""
        try:
            data = os.read(descriptor, SOME)
        except BlockingIOError:
            return not self._gone
        except OSError:
            data = b""
        if descriptor == self._control.fileno():
            self._hear(data)
        else:
            self._keep(data, self._words if descriptor == self._wire.fileno() else self._output)
        return bool(data)

    def _keep(self, data: bytes, kind: bytearray) -> None:
        """Keep it until somebody takes it; with enough of it, wait for that: then the child waits, too."""
        with self._news:
            kind += data
            self._news.notify_all()
            self._news.wait_for(lambda: len(kind) < AT_ONCE)

    def _hear(self, data: bytes) -> None:
        """Take in what the zygote says; without a word more the child is gone, nobody knows how."""
        self._gone = not data
        self._heard += data
        while len(self._heard) >= _LENGTH:
            end = _LENGTH + int.from_bytes(self._heard[:_LENGTH], "big")
            if len(self._heard) < end:
                break
            frame = json.loads(self._heard[_LENGTH:end])
            del self._heard[:end]
            if "exit" in frame:
                self._gone = True
                self._end = {"code": frame["code"], "problem": frame.get("problem")}
            with self._news:
                self._pid = frame.get("pid", self._pid)
                self._news.notify_all()


def _encoded(frame: dict[str, Any]) -> bytes:
    data = json.dumps(frame).encode()
    return len(data).to_bytes(_LENGTH, "big") + data


def _package(path: str, version: str) -> str:
    """Return where jobrunner is: where it is for the node, else where it is installed here.

    Raises LookupError when it is neither, or another version.
    """
    init = os.path.join(path, "__init__.py")
    if not os.path.isfile(init):
        spec = find_spec("jobrunner")
        init = (spec.origin if spec is not None else None) or init
    try:
        with open(init, encoding="utf-8") as file:
            found = re.search(r'^__version__ = "(.+)"$', file.read(), re.MULTILINE)
    except OSError:
        said = f"{os.uname().nodename} has no jobrunner: it is not at {path}, and not installed"
        raise LookupError(said) from None
    if found is None or found[1] != version:
        other = found[1] if found is not None else "unknown"
        raise LookupError(f"jobrunner is version {other} on {os.uname().nodename}, here {version}")
    return os.path.dirname(init)
