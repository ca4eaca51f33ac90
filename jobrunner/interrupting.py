"""Ends what takes too long, as far as Python can: in the main thread by a signal, in others by an exception
that Python raises there, in a loop by a cancel. What goes on all the same is given up, and the run with it.

The signal is SIGURG: where it comes too late nobody hears it, and nobody else uses it.
"""

from __future__ import annotations

import inspect
import signal
import threading
from collections.abc import Awaitable, Callable
from typing import Any

from jobrunner import durations
from jobrunner.shield import put_off

GRACE = 5.0  # seconds that something has to end in, once it was interrupted

Settle = Callable[[Awaitable[Any]], Awaitable[Any]]
GiveUp = Callable[[str, int], object]

_lock = threading.Lock()
_armed: dict[int, list[Guard]] = {}  # by thread: what may be interrupted there, outermost first


class Guard:
    """Watches one call for `timeout` microseconds; `what` names it.

    `give_up` is called, in a thread of its own, with a sentence and the thread that hangs.
    """

    def __init__(self, what: str, timeout: int, give_up: GiveUp) -> None:
        self._limit = timeout / durations.MICROS["s"]
        self._said = f"{what} took longer than {durations.text(timeout)}"
        self._give_up = give_up
        self._thread = threading.get_ident()
        self._over = threading.Event()
        self._due = False
        self.rung = False

    async def call(self, function: Callable[[], Any], settle: Settle) -> Any:
        """Return what `function` returns, awaited where it is awaitable. Raises TimeoutError once it was
        interrupted, whatever it made of that."""
        threading.Thread(target=self._watch, daemon=True, name="jobrunner-timeout").start()
        try:
            try:
                result = self._interruptible(function)
                if inspect.isawaitable(result):
                    result = await settle(self._awaited(result))
            finally:
                self._over.set()
        except Exception as error:
            if self.rung and str(error) != self._said:
                raise TimeoutError(self._said) from error
            raise
        finally:
            self._over.set()  # again: an exception may have come just before the first
        if self.rung:
            raise TimeoutError(self._said)
        return result

    def _interruptible(self, function: Callable[[], Any]) -> Any:
        main = threading.get_ident() == threading.main_thread().ident
        if main and signal.getsignal(signal.SIGURG) is not _heard:
            signal.signal(signal.SIGURG, _heard)
        stack = _armed.setdefault(self._thread, [])
        depth = len(stack)
        stack.append(self)
        try:
            try:
                return function()
            finally:
                self._disarm(stack, depth)
        finally:
            self._disarm(stack, depth)  # again: the exception may have come in the middle of the first

    def _disarm(self, stack: list[Guard], depth: int) -> None:
        with _lock:
            del stack[depth:]  # with it the inner ones that an exception has left there
            if self.rung and self._thread != threading.main_thread().ident:
                raise_in(self._thread, None)  # what has not come yet shall not come later

    async def _awaited(self, awaitable: Awaitable[Any]) -> Any:
        import asyncio

        try:
            async with asyncio.timeout(self._limit) as scope:
                return await awaitable
        finally:
            self.rung = self.rung or scope.expired()

    def _watch(self) -> None:
        if self._over.wait(self._limit):
            return
        self._interrupt()
        if not self._over.wait(GRACE):
            self._give_up(f"{self._said}, and did not end when it was interrupted", self._thread)

    def _interrupt(self) -> None:
        with _lock:
            if self not in _armed.get(self._thread, ()):
                return  # it awaits something: the loop sees to it
            self._due = True
            if self._thread == threading.main_thread().ident:
                signal.pthread_kill(self._thread, signal.SIGURG)
            else:
                self.rung = True
                raise_in(self._thread, _saying(self._said))

    def ring(self) -> None:
        """Interrupt the main thread, where it is time to."""
        if self._due and not self.rung:
            self.rung = True
            raise TimeoutError(self._said)


def raise_in(thread: int, error: type[BaseException] | None) -> None:
    """Have Python raise an exception in a thread as soon as that executes Python code; None: no more."""
    import ctypes

    told = ctypes.py_object(error) if error is not None else None
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), told)


def _heard(*_: object) -> None:
    if put_off(_heard):
        return
    for guard in tuple(_armed.get(threading.get_ident(), ())):
        guard.ring()


def _saying(said: str) -> type[BaseException]:
    """Return a TimeoutError whose message is given: Python makes the exception in the other thread itself."""
    return type("TimeoutError", (TimeoutError,), {"__str__": lambda _: said, "__module__": "builtins"})
