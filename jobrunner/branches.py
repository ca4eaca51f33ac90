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


class _Worker(threading.Thread):
    """A thread that says when it is over: a `join` that a signal interrupts takes the thread for ended."""

    def __init__(self, work: Callable[[], None]) -> None:
        super().__init__(daemon=True, name="jobrunner-step")
        self.over = threading.Event()
        self._work = work

    def run(self) -> None:
        """Work, to the end or until it is canceled."""
        try:
            with suppress(Canceled):
                self._work()
        finally:
            self.over.set()


def in_threads(works: Sequence[Callable[[], Any]], limit: int | None) -> list[Ended]:
    """Call each in a thread, at most `limit` at once, each in a copy of the caller's context.

    When the caller itself is interrupted the branches are, too, and have a few seconds to end.
    """
    ended: list[Ended] = [Ended(error=Canceled("it never began"))] * len(works)
    waiting = deque((at, contextvars.copy_context(), work) for at, work in enumerate(works))

    def work_off() -> None:
        with suppress(IndexError):
            while True:
                at, context, work = waiting.popleft()
                ended[at] = _attempt(context, work)

    workers = [_Worker(work_off) for _ in range(min(limit or len(works), len(works)))]
    try:
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.over.wait()
    except BaseException:
        waiting.clear()
        _cancel(workers)
        raise
    return ended


async def in_tasks(works: Sequence[Callable[[], Coroutine[Any, Any, Any]]], limit: int | None) -> list[Ended]:
    """Await each in a task, at most `limit` at once."""
    import asyncio

    gate = asyncio.Semaphore(limit or max(1, len(works)))

    async def attempt(work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        async with gate:
            return await work()

    found = await asyncio.gather(*map(attempt, works), return_exceptions=True)
    return [Ended(error=one) if isinstance(one, BaseException) else Ended(one) for one in found]


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


def _cancel(workers: Sequence[_Worker]) -> None:
    running = [worker for worker in workers if worker.ident is not None and not worker.over.is_set()]
    for worker in running:
        raise_in(worker.ident or 0, Canceled)
    limit = time.monotonic() + GRACE
    for worker in running:
        worker.over.wait(max(0.0, limit - time.monotonic()))
