"""Where a step is, and how it waits: a sync body really does, an async one awaits."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol

from jobrunner import effects
from jobrunner.effects import Effects
from jobrunner.errors import BadArgument

if TYPE_CHECKING:
    from jobrunner.interrupting import Guard

_SLICE = 0.1  # seconds after which a thread that sleeps hears that it shall end

_place: ContextVar[Place | None] = ContextVar("place", default=None)


class Loop(Protocol):
    """What runs async code for sync code."""

    @property
    def running(self) -> bool:
        """Whether this very code runs in an event loop."""
        ...

    def drive(self, awaitable: Awaitable[Any]) -> Any:
        """Run an awaitable to its end."""
        ...


class Place:
    """Where steps are: the run itself, or one try of a step. Each name is used once there."""

    def __init__(self, path: str = "", around: Place | None = None) -> None:
        self.path = path
        self.guard: Guard | None = None
        self._around = around
        self._used: set[str] = set()

    def take(self, name: str) -> str:
        """Return the path of a step here. Raises BadArgument when there is one of that name already."""
        path = f"{self.path}/{name}" if self.path else name
        if name in self._used:
            said = f"there is a step {path!r} already: each has a name of its own, by which it is found again"
            raise BadArgument(said, argument="name", hint=f'in a loop: f"{name}-{{i}}"')
        self._used.add(name)
        return path

    @property
    def late(self) -> bool:
        """Whether this, or something around it, has taken too long and is to end."""
        rung = self.guard is not None and self.guard.rung
        return rung or (self._around is not None and self._around.late)


class Way(Protocol):
    """How a step waits."""

    async def settle(self, awaitable: Awaitable[Any]) -> Any:
        """Return what the awaitable returns."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        ...


class Driven:
    """Of a sync body: nothing is really awaited."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop

    async def settle(self, awaitable: Awaitable[Any]) -> Any:
        """Return what the awaitable returns."""
        return self._loop.drive(_carried(awaitable, _place.get()))

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, _SLICE))


class Awaited:
    """Of an async body."""

    async def settle(self, awaitable: Awaitable[Any]) -> Any:
        """Return what the awaitable returns."""
        return await awaitable

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        import asyncio

        await asyncio.sleep(seconds)


def here() -> Place | None:
    """Return the step that this code is in, if it is in one."""
    return _place.get()


@contextmanager
def inside(place: Place, layer: Effects) -> Iterator[None]:
    """Have the block be in that place, and in that layer of effects."""
    token = _place.set(place)
    try:
        with effects.within(layer):
            yield
    finally:
        _place.reset(token)


async def _carried(awaitable: Awaitable[Any], place: Place | None) -> Any:
    """Await in the place of whoever asks: an event loop has a context of its own."""
    token = _place.set(place)
    try:
        return await awaitable
    finally:
        _place.reset(token)


def end_of(work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Return what a coroutine returns that never really waits."""
    coroutine = work()
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    coroutine.close()
    raise RuntimeError("a step of a sync body waits for a loop")
