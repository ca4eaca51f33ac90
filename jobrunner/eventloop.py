"""One event loop for a run that needs one, and what SIGTERM means in and out of it."""

from __future__ import annotations

import os
import signal
import sys
import time

# that of `signal` makes enum members of numbers, which costs more than what it does
from _signal import signal as set_signal  # type: ignore[import-not-found]
from _thread import get_ident, start_new_thread
from collections.abc import Awaitable, Callable
from typing import Any

from jobrunner.effects import Effects, innermost, within
from jobrunner.errors import ResolutionError
from jobrunner.outcomes import Canceled
from jobrunner.shield import put_off

_TERM = int(signal.SIGTERM)


class _Here:
    """The alarm of this process, which is told of what it forks."""

    alarm: Alarm | None = None


_here = _Here()


class Alarm:
    """The handler of SIGTERM while a body runs: raises `Canceled`, or cancels the asyncio task.

    Disarmed outside of the user's code, so that no clean-up and no reply is cut in two. It is the run's
    alone: in what the body forks SIGTERM means what it means everywhere.
    """

    def __init__(self) -> None:
        self.armed = False
        self.rung = False
        self.cancel: Callable[[], object] | None = None
        self._owner = os.getpid()
        self._masks: dict[int, set[int]] = {}  # by thread, while it forks
        self._unraisable, sys.unraisablehook = sys.unraisablehook, self._swallowed
        _here.alarm = self

    def close(self) -> None:
        """No run follows in this process."""
        self.armed, _here.alarm = False, None
        sys.unraisablehook = self._unraisable

    def install(self) -> None:
        """Listen to SIGTERM from now on."""
        set_signal(_TERM, self._ring)
        self.armed, self.rung = True, False

    def hold(self) -> None:
        """Keep SIGTERM back: what reaches a new child before `let_go`, Python would drop for ever."""
        self._masks[get_ident()] = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

    def release(self) -> None:
        """It exists, and has let go."""
        signal.pthread_sigmask(signal.SIG_SETMASK, self._masks.pop(get_ident(), set()))

    def let_go(self) -> None:
        """In that child: SIGTERM means what it means everywhere."""
        if signal.getsignal(signal.SIGTERM) == self._ring:  # not a handler of the user's
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self.release()

    def _ring(self, *_: object) -> None:
        if os.getpid() != self._owner:  # between the fork and `let_go`, or a fork that C code made
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)
            return
        self.rung = True
        if not self.armed or put_off(self._ring):
            return
        self.armed = False  # once: what follows is the body's own clean-up
        if self.cancel is not None:
            self.cancel()
        else:
            raise Canceled("asked to end by SIGTERM")

    def _swallowed(self, lost: sys.UnraisableHookArgs) -> None:
        """Ring again for what Python threw away: the signal came while a finalizer or a callback ran."""
        if lost.exc_type is not Canceled or os.getpid() != self._owner:
            self._unraisable(lost)
            return
        self.armed = True
        start_new_thread(_ring_later, ())  # in this very hook it would be thrown away once more


def _told(what: Callable[[Alarm], None]) -> Callable[[], None]:
    """Return what tells the alarm of this process, if there is one, of a fork."""
    return lambda: None if _here.alarm is None else what(_here.alarm)


os.register_at_fork(
    before=_told(Alarm.hold), after_in_parent=_told(Alarm.release), after_in_child=_told(Alarm.let_go)
)


def _ring_later() -> None:
    time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGTERM)


class EventLoop:
    """Made when something async is first met. `drive` runs an awaitable until it is done."""

    def __init__(self, alarm: Alarm) -> None:
        self._alarm = alarm
        self._runner: Any = None
        self._thread = get_ident()

    @property
    def running(self) -> bool:
        """Whether the caller runs in an event loop."""
        return _is_running()

    def drive(self, awaitable: Awaitable[Any]) -> Any:
        """Return the awaitable's result. Raises ResolutionError inside of a running loop."""
        import asyncio

        if _is_running():
            _discard(awaitable)
            raise ResolutionError(
                "an async service was asked for in sync code: await container.resolve_async(key)"
            )
        if get_ident() != self._thread:  # our loop is another thread's
            return asyncio.run(_whole(awaitable))
        self._runner = self._runner or asyncio.Runner()
        return self._runner.run(self._attended(awaitable, innermost()))

    def close(self) -> None:
        """Cancel what the run left in the loop, and close it."""
        runner, self._runner = self._runner, None
        if runner is not None:
            runner.close()

    async def _attended(self, awaitable: Awaitable[Any], layer: Effects | None) -> Any:
        asyncio = sys.modules["asyncio"]
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        self._alarm.cancel = lambda: loop.call_soon_threadsafe(task.cancel)
        try:
            with within(layer):  # the loop's own context is of when it was made, perhaps in another step
                return await awaitable
        finally:
            self._alarm.cancel = None


def is_cancellation(error: BaseException) -> bool:
    """Say whether an exception is a cancel passing through: ours, or asyncio's."""
    asyncio = sys.modules.get("asyncio")
    return isinstance(error, Canceled) or (asyncio is not None and isinstance(error, asyncio.CancelledError))


def _is_running() -> bool:
    """Say whether a loop runs here; apart, so that its RuntimeError is the cause of nothing that follows."""
    try:
        sys.modules["asyncio"].get_running_loop()
    except (RuntimeError, KeyError):  # or there is no asyncio yet
        return False
    return True


async def _whole(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


def _discard(awaitable: object) -> None:
    close = getattr(awaitable, "close", None)
    if close is not None:
        close()
