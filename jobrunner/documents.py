"""`state`: JSON documents by key, in the run's process; and what `ctx.once` has done once and for all.

Where a run is exactly-once its writes are gathered: it sees them, others do once it has succeeded, and only
if what it has read is still so. Else each write is a transaction of its own, made when `set` returns.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from jobrunner import terms
from jobrunner.effects import Effects, Written, current
from jobrunner.errors import BadArgument
from jobrunner.fingerprint import of_versions
from jobrunner.link import Line

LONGEST_KEY = 512  # characters
LONGEST_VALUE = 1024 * 1024  # bytes as JSON; of the result of `ctx.once` too
MOST_DOCUMENTS = 10_000  # that one run may write
MOST_BYTES = 16 * 1024 * 1024  # of all of them together


class State:
    """The document store, as a run sees it. Safe to use from threads. What it returns is the caller's own.

    A key is text of 1 to 512 characters, a value JSON of at most 1 MiB; what a run has written may be 10,000
    documents of 16 MiB together. BadArgument names what does not fit.
    """

    def __init__(self, line: Line, *, gathered: bool) -> None:
        self._line = line
        self._gathered = gathered

    def get(self, key: str, default: Any = None) -> Any:
        """Return a document's value, or `default` where there is none."""
        found = self._found(_key(key))
        return default if found.deleted else found.value

    def __contains__(self, key: str) -> bool:
        return not self._found(_key(key)).deleted

    def set(self, key: str, value: Any) -> None:
        """Write a document, whether it was there or not."""
        self._line.check()
        self._write(_key(key), *terms.plain(value, "value", LONGEST_VALUE))

    def delete(self, key: str) -> bool:
        """Delete a document; says whether there was one."""
        if self._gathered and key not in self:
            return False
        return self._write(_key(key), None, 0, deleted=True)

    def list(self, prefix: str = "") -> dict[str, Any]:
        """Return the documents whose keys begin so, by key, as of one moment; "" means all."""
        if prefix != "":
            terms.name_of(prefix, "prefix", LONGEST_KEY)
        pages = self._line.request_all("state.list", {"prefix": prefix})
        rows = [row for page in pages for row in page["documents"]]
        found = {key: value for key, value, _ in rows}
        if self._gathered:
            effects = self._effects
            effects.listed(prefix, of_versions((key, version) for key, _, version in rows))
            _overlay(found, effects.changed(prefix))
        return dict(sorted(found.items()))

    @property
    def _effects(self) -> Effects:
        return current(self._line.effects)

    def _found(self, key: str) -> Written:
        self._line.check()
        own = self._effects.written(key) if self._gathered else None
        if own is not None:
            return Written(terms.copied(own.value), own.deleted)
        answer = self._line.request("state.get", {"key": key})
        if self._gathered:
            self._effects.read(key, answer["version"])
        return Written(answer["value"], deleted=not answer["version"])

    def _write(self, key: str, value: Any, size: int, *, deleted: bool = False) -> bool:
        """Write or delete; returns whether it was there."""
        effects, size = self._effects, size + len(key.encode())
        with effects.lock:
            if self._gathered:
                self._bounded(effects, key, size)
                effects.write(key, value, deleted=deleted, size=size)
                return True
            self._bounded(None, key, size)
            effects.documents.put((None, key), size)
        answer = self._line.request("state.write", {"writes": [[key, value, deleted]]})
        return bool(answer["existed"][0])

    def _bounded(self, layer: Effects | None, key: str, size: int) -> None:
        count, together = self._effects.documents.would_be((layer, key), size)
        if count > MOST_DOCUMENTS:
            said = f"{key} would be one document more than the {MOST_DOCUMENTS:,} that a run may write"
            raise BadArgument(said, argument="key")
        if together > MOST_BYTES:
            said = f"value: this run would write {together:,} bytes in all; it may write {MOST_BYTES:,}"
            raise BadArgument(said, argument="value")


class Asker(Protocol):
    """What can ask the node."""

    def request(self, verb: str, payload: Mapping[str, Any]) -> Mapping[str, Any]:
        """Ask, and wait for the answer."""
        ...


class Loop(Protocol):
    """What runs async code for sync code."""

    @property
    def running(self) -> bool:
        """Whether this very code runs in an event loop."""
        ...

    def drive(self, awaitable: Awaitable[Any]) -> Any:
        """Run an awaitable to its end."""
        ...


def once(
    line: Asker, loop: Loop, key: str, fn: Callable[..., Any], args: Sequence[Any], named: Mapping[str, Any]
) -> Any:
    """Return what `fn` has returned when its result was recorded under `key`; call it if that never was.

    In a running event loop an async `fn` makes it something to await.
    """
    terms.name_of(key, "key", LONGEST_KEY)
    if not callable(fn):
        raise BadArgument(f"fn is {fn!r:.100}: it must be a function", argument="fn")
    if loop.running and _is_async(fn):
        return _once_async(line, key, fn, args, named)
    recorded, result = _recorded(line, key)
    if recorded:
        return result
    result = fn(*args, **named)
    if inspect.isawaitable(result):
        result = loop.drive(_awaited_by_none(result) if loop.running else result)
    return _record(line, key, result)


async def _once_async(
    line: Asker, key: str, fn: Callable[..., Any], args: Sequence[Any], named: Mapping[str, Any]
) -> Any:
    recorded, result = _recorded(line, key)
    return result if recorded else _record(line, key, await fn(*args, **named))


def _recorded(line: Asker, key: str) -> tuple[bool, Any]:
    answer = line.request("once.get", {"key": key})
    return answer["recorded"], answer["result"]


def _record(line: Asker, key: str, result: Any) -> Any:
    try:
        plain, _ = terms.plain(result, "the result of fn", LONGEST_VALUE)
    except BadArgument as error:
        said = f"{key}: fn has run, but nothing is recorded, so that it may run again: {error.message}"
        raise BadArgument(said, argument="fn", hint="return JSON of at most 1 MiB") from None
    return line.request("once.set", {"key": key, "result": plain})["result"]


def _is_async(fn: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(type(fn).__call__)


def _awaited_by_none(result: Any) -> Awaitable[Any]:
    """Raise, where a repeat would not know that there is something to await: it does not call `fn`."""
    getattr(result, "close", lambda: None)()
    raise BadArgument(
        "fn has returned something to await, but is no `async def` itself",
        argument="fn",
        hint="hand over the async function and its arguments: await ctx.once(key, fetch, url)",
    )


def _key(key: object) -> str:
    return terms.name_of(key, "key", LONGEST_KEY)


def _overlay(found: dict[str, Any], changed: Mapping[str, Written]) -> None:
    for key, one in changed.items():
        if one.deleted:
            found.pop(key, None)
        else:
            found[key] = terms.copied(one.value)
