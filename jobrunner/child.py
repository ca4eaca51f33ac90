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
from _signal import getsignal  # type: ignore[import-not-found]
from _signal import signal as set_signal
from collections.abc import Callable
from typing import Any, NoReturn

from jobrunner import processes
from jobrunner.earshot import hear_logging
from jobrunner.link import Link

_SIGNALS = tuple(map(int, signal.valid_signals()))
_SOON = 0.01  # seconds; where runs come thick and fast, each is begun by a child that has just been born
_DEFAULT = int(signal.SIG_DFL)
_DEFAULTS = tuple(
    getattr(signal, name)
    for name in ("SIGTERM", "SIGHUP", "SIGCHLD", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGQUIT")
)


def settle_in(wire: int, output: int) -> None:
    """Make the process a run's own: its streams, signals, orphans; nothing inherited but the wire."""
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    _close_all_but(wire)
    for number in _DEFAULTS:
        if getsignal(number) != _DEFAULT:
            set_signal(number, _DEFAULT)
    set_signal(signal.SIGINT, signal.default_int_handler)
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
    link.send({"ready": True})
    if meanwhile is not None and not link.arrived(_SOON):
        meanwhile()
    shop: Any = None
    while (frame := link.wait()) is not None:
        from jobrunner.body import Run

        shop = shop or _open_shop()
        again = bool(frame.get("again"))
        before = Surroundings() if again else None
        reply = Run(frame["run"], link, shop, last=not again).perform()
        _flush()
        if before is None:
            _answer(link, {"reply": reply})
            _end()
        before.restore()
        words: list[dict[str, Any]] = [{"reply": reply}, {"ready": True}]
        if processes.children():  # to end them takes time; else in one piece: the node wakes up once
            _answer(link, words.pop(0))
        processes.kill_children()
        _answer(link, *words)
    if shop is not None:
        shop.close()
    _end()


class Surroundings:
    """What a run may change in its process and the next run must not see."""

    def __init__(self) -> None:
        self._folder = os.getcwd()  # noqa: PTH109
        self._environment = _raw_environment().copy()
        self._umask = os.umask(0)
        os.umask(self._umask)
        self._path = list(sys.path)
        self._argv = list(sys.argv)
        self._streams = sys.stdin, sys.stdout, sys.stderr
        self._signals = {number: getsignal(number) for number in _SIGNALS}

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
        for number, handler in self._signals.items():
            if handler is not None and getsignal(number) != handler:
                with contextlib.suppress(OSError, ValueError):
                    signal.signal(number, handler)


def _raw_environment() -> dict[bytes, bytes]:
    """Return the bytes behind `os.environ`: to have all of them decoded would cost more than a short body."""
    raw: dict[bytes, bytes] = vars(os.environ)["_data"]
    return raw


def _open_shop() -> Any:
    from jobrunner.body import Workshop

    hear_logging()
    return Workshop()


def _answer(link: Link, *frames: dict[str, Any]) -> None:
    try:
        link.send(*frames)
    except (OSError, ValueError, TypeError):  # the body closed the wire: our exit is all we can say
        os._exit(70)


def _end() -> NoReturn:
    """End without waiting for threads that the body left running."""
    with contextlib.suppress(BaseException):
        atexit._run_exitfuncs()
    _flush()
    os._exit(0)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # closed, replaced, or gone
            stream.flush()


def open_streams() -> None:
    """Lines reach the log as they are printed, and nothing that is printed can fail to be encoded."""
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    for name in ("stdout", "stderr"):
        number = 1 if name == "stdout" else 2
        stream = open(number, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)  # noqa: SIM115
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _close_all_but(wire: int) -> None:
    try:
        found = [int(name) for name in os.listdir("/dev/fd")]
    except OSError:
        found = list(range(3, 1024))
    for descriptor in found:
        if descriptor > 2 and descriptor != wire:
            with contextlib.suppress(OSError):
                os.close(descriptor)


def main() -> None:
    """Entry of `python -m jobrunner.child WIRE OUTPUT PARENT`."""
    wire, output, parent = map(int, sys.argv[1:])
    processes.die_with(parent)
    settle_in(wire, output)
    open_streams()
    serve(wire)


if __name__ == "__main__":
    main()
