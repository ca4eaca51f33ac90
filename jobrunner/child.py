"""The process of a run: settles in, waits for a spec, runs it, replies, ends.

It is a fork of the zygote, or (`python -m jobrunner.child WIRE OUTPUT PARENT`) a new interpreter. It knows
neither store nor schedule: all it has is the wire, and the user's files. Its working folder is the
project root, its stdin is empty, its stdout and stderr are the run's log.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
import time

# those of `signal` make enum members of numbers, which costs more than what they do
from _signal import default_int_handler, getsignal  # type: ignore[import-not-found]
from _signal import signal as set_signal
from collections.abc import Callable
from typing import Any, NoReturn

from jobrunner import processes
from jobrunner.earshot import hear_logging
from jobrunner.link import Link
from jobrunner.wire import LONGEST_WORD, READY, Reply, encode

# numbers, not members of an enum: see above
_SIGNALS = tuple(map(int, signal.valid_signals()))
_LAST = 2**31 - 1  # descriptor that there can be
_SOON = 0.05  # seconds; where runs come thick and fast, each is begun by a child that has just been born
_DEFAULT = int(signal.SIG_DFL)
_INT = int(signal.SIGINT)
_DEFAULTS = tuple(
    int(getattr(signal, name))
    for name in ("SIGTERM", "SIGHUP", "SIGCHLD", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGQUIT")
)


def settle_in(wire: int, output: int) -> None:
    """Make the process a run's own: its output, signals, orphans; nothing inherited but the wire."""
    os.dup2(output, 1)
    os.dup2(output, 2)
    _close_all_but(wire)
    for number in _DEFAULTS:
        if getsignal(number) != _DEFAULT:
            set_signal(number, _DEFAULT)
    set_signal(_INT, default_int_handler)
    processes.adopt_orphans()
    processes.offer_to_oom()
    atexit._clear()  # what the zygote's packages wanted to do at its end is not ours to do
    numpy = sys.modules.get("numpy.random")  # `random` reseeds itself after a fork
    if numpy is not None:
        numpy.seed()


def serve(wire: int, meanwhile: Callable[[], None] | None = None) -> NoReturn:
    """Wait for specs and run them, one after another while the node says so. Never returns.

    `meanwhile` is done once if no spec has come soon.
    """
    link = Link(wire)
    link.post(READY)
    if meanwhile is not None and not link.arrived(_SOON):
        meanwhile()
    shop: Any = None
    before: Surroundings | None = None
    while (frame := link.wait()) is not None:
        shop = shop or _open_shop()
        again = bool(frame.get("again"))
        if again and before is None:
            before = Surroundings()
        words = _words(shop.perform(frame["run"], link, last=not again))
        _flush()
        if not again or before is None:
            _say(link, words)
            _end()
        before.restore()
        if not processes.childless():  # to end them takes time; else in one piece: the node wakes up once
            _say(link, words)
            words = b""
            processes.kill_children()
        _say(link, words + READY)
    if shop is not None:
        shop.close()
    _flush()
    _end()


class Surroundings:
    """What a run may change in its process and the next run must not see; as it was before all of them."""

    def __init__(self) -> None:
        self._folder = os.getcwd()  # noqa: PTH109
        self._environment = _raw_environment().copy()
        self._umask = os.umask(0)
        os.umask(self._umask)
        self._path = list(sys.path)
        self._argv = list(sys.argv)
        self._streams = sys.stdin, sys.stdout, sys.stderr
        self._handlers = list(map(getsignal, _SIGNALS))

    def restore(self) -> None:
        """Put everything back."""
        os.chdir(self._folder)
        os.umask(self._umask)
        if _raw_environment() != self._environment:
            os.environ.clear()
            os.environb.update(self._environment)
        time.tzset()
        sys.path[:], sys.argv[:] = self._path, self._argv
        sys.stdin, sys.stdout, sys.stderr = self._streams
        for number, handler in zip(_SIGNALS, self._handlers, strict=True):
            if getsignal(number) != handler and handler is not None:
                with contextlib.suppress(OSError, ValueError):
                    set_signal(number, handler)


def _raw_environment() -> dict[bytes, bytes]:
    """Return the bytes behind `os.environ`: to have all of them decoded would cost more than a short body."""
    raw: dict[bytes, bytes] = vars(os.environ)["_data"]
    return raw


def _open_shop() -> Any:
    from jobrunner.body import Workshop

    return Workshop()


def _words(reply: Reply) -> bytes:
    try:
        return encode({"reply": reply}, LONGEST_WORD)
    except (ValueError, TypeError):  # our exit is all we can say
        os._exit(70)


def _say(link: Link, words: bytes) -> None:
    try:
        link.post(words)
    except OSError:  # the body closed the wire
        os._exit(70)


def _end() -> NoReturn:
    """End without waiting for threads that the body left running."""
    if atexit._ncallbacks():
        with contextlib.suppress(BaseException):
            atexit._run_exitfuncs()
        _flush()
    os._exit(0)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:  # noqa: SIM105  (each run does it)
            stream.flush()
        except Exception:  # noqa: S110  (closed, replaced, or gone)
            pass


def open_streams() -> None:
    """Lines reach the log as they are printed, and nothing that is printed can fail to be encoded. Stdin is
    empty."""
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    for name in ("stdout", "stderr"):
        number = 1 if name == "stdout" else 2
        stream = open(number, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)  # noqa: SIM115
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _close_all_but(wire: int) -> None:
    if processes.close_descriptors(3, wire - 1) and processes.close_descriptors(wire + 1, _LAST):
        return
    try:
        last = max(map(int, os.listdir("/dev/fd")))
    except OSError:
        last = 1023
    os.closerange(3, wire)
    os.closerange(wire + 1, last + 1)


def main() -> None:
    """Entry of `python -m jobrunner.child WIRE OUTPUT PARENT`."""
    wire, output, parent = map(int, sys.argv[1:])
    processes.die_with(parent)
    settle_in(wire, output)
    open_streams()
    hear_logging()
    serve(wire)


if __name__ == "__main__":
    main()
