"""Several steps at a time: threads in a sync body, tasks in an async one. All run to their end."""

from __future__ import annotations

import contextvars
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from jobrunner.failure import in_short
from jobrunner.interrupting import GRACE, raise_in
from jobrunner.outcomes import Canceled, Suspended


class Ended(NamedTuple):
    """How one branch ended: with a value, or an error."""

    value: Any = None
    error: BaseException | None = None


def in_threads(works: Sequence[Callable[[], Any]], limit: int | None) -> list[Ended]:
    """Call each in a thread, at most `limit` at once, each in a copy of the caller's context.

    When the caller itself is interrupted the branches are, too, and have a few seconds to end.
    """
    ended: list[Ended] = [Ended(error=Canceled("it never began"))] * len(works)
    waiting = deque((at, contextvars.copy_context(), work) for at, work in enumerate(works))

    def work_off() -> None:
        with suppress(IndexError, Canceled):
            while True:
                at, context, work = waiting.popleft()
                ended[at] = _attempt(context, work)

    count = min(limit or len(works), len(works))
    threads = [threading.Thread(target=work_off, daemon=True, name="jobrunner-step") for _ in range(count)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    except BaseException:
        waiting.clear()
        _cancel([thread for thread in threads if thread.is_alive()])
        raise
    return ended


async def in_tasks(works: Sequence[Callable[[], Coroutine[Any, Any, Any]]], limit: int | None) -> list[Ended]:
    """Await each in a task, at most `limit` at once."""
    import asyncio

    gate = asyncio.Semaphore(limit or max(1, len(works)))

    async def attempt(work: Callable[[], Coroutine[Any, Any, Any]]) -> Ended:
        async with gate:
            try:
                return Ended(await work())
            except asyncio.CancelledError:
                raise
            except BaseException as error:
                return Ended(error=error)

    return list(await asyncio.gather(*map(attempt, works)))


def values(names: Sequence[str], ended: Sequence[Ended]) -> list[Any]:
    """Return what the branches returned, in their order. Raises the first error; a note names the others.

    What fails goes before what waits: `Suspended` is raised when there is nothing else.
    """
    failed = [(name, one.error) for name, one in zip(names, ended, strict=True) if one.error is not None]
    failed.sort(key=lambda one: (isinstance(one[1], Suspended), isinstance(one[1], Exception)))
    if not failed:
        return [one.value for one in ended]
    first = failed[0][1]
    others = [f"{name} ({in_short(error)})" for name, error in failed[1:] if isinstance(error, Exception)]
    if others:
        first.add_note(f"Other steps at the same time failed, too: {', '.join(others)}")
    raise first


def _attempt(context: contextvars.Context, work: Callable[[], Any]) -> Ended:
    try:
        return Ended(context.run(work))
    except BaseException as error:
        return Ended(error=error)


def _cancel(threads: Sequence[threading.Thread]) -> None:
    for thread in threads:
        if thread.ident is not None:
            raise_in(thread.ident, Canceled)
    limit = time.monotonic() + GRACE
    for thread in threads:
        thread.join(max(0.0, limit - time.monotonic()))
