"""What a run has read, and would have its commit change, gathered in the run's own process.

A step gathers its own: what it has changed joins the run's when it ends well, and is saved with its result,
so that a run that goes on without repeating the step takes it over (`take`). What was read counts in any
case: whatever the body has decided by it must still be true when the run commits. And a step rests on all
that was read before its end, wherever in the run: so that is saved with it, too (`kept`).
"""

from __future__ import annotations

import json
from _thread import RLock
from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple, TypeVar, cast

from jobrunner.wire import WireEffects

PIECE = 4 * 1024 * 1024  # characters of JSON, about, that go as one frame
TWICE = -1  # the version of what was read in two: no document ever has it
T = TypeVar("T")
_innermost: ContextVar[Effects | None] = ContextVar("effects", default=None)


class Written(NamedTuple):
    """What this run has made of a document."""

    value: Any
    deleted: bool


class Load:
    """What something amounts to that is bounded: how many, and how many bytes of JSON together."""

    def __init__(self) -> None:
        self._sizes: dict[Hashable, int] = {}
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._sizes)

    def put(self, one: Hashable, size: int) -> None:
        """Count something; what was counted before counts as it is now."""
        self.drop(one)
        self._sizes[one] = size
        self.bytes += size

    def drop(self, one: Hashable) -> None:
        """Count something no more."""
        self.bytes -= self._sizes.pop(one, 0)

    def would_be(self, one: Hashable, size: int) -> tuple[int, int]:
        """Return (how many, how many bytes) it would be with this one."""
        return len(self._sizes) + (one not in self._sizes), self.bytes + size - self._sizes.get(one, 0)


class Effects:
    """One layer of effects; `around` is the layer of the step, or run, that this one is part of.

    Threads may share it. `documents` and `called` are the run's: what all its open layers amount to.
    """

    def __init__(self, around: Effects | None = None) -> None:
        self.around = around
        self.reads: dict[str, int] = {}
        self.prefixes: dict[str, str] = {}
        self.writes: dict[str, Written] = {}
        self.calls: dict[int, list[Any]] = {}  # by the id that was reserved
        self.cancels: list[int] = []
        self.lock: RLock = around.lock if around is not None else RLock()
        self.documents: Load = around.documents if around is not None else Load()
        self.called: Load = around.called if around is not None else Load()

    @property
    def changes(self) -> bool:
        """Whether there is anything to apply."""
        return bool(self.writes or self.calls or self.cancels)

    def layers(self) -> Iterator[Effects]:
        """Yield this layer and those around it, innermost first."""
        layer: Effects | None = self
        while layer is not None:
            yield layer
            layer = layer.around

    # -- what was read -------------------------------------------------------------------------------

    def written(self, key: str) -> Written | None:
        """Return what this run has made of a document; None: nothing."""
        return next((layer.writes[key] for layer in self.layers() if key in layer.writes), None)

    def changed(self, prefix: str) -> dict[str, Written]:
        """Return what this run has made of the documents whose keys begin so."""
        found: dict[str, Written] = {}
        with self.lock:
            for layer in reversed(list(self.layers())):
                found.update((key, one) for key, one in layer.writes.items() if key.startswith(prefix))
        return found

    def read(self, key: str, version: int) -> None:
        """Note what was read. What is no longer so when the run commits, or was not when it was read again,
        repeats the run."""
        with self.lock:
            reads = next((layer.reads for layer in self.layers() if key in layer.reads), self.reads)
            _agree(reads, key, version, TWICE)

    def listed(self, prefix: str, digest: str) -> None:
        """Note which keys, and in which versions, began so."""
        with self.lock:
            known = (layer.prefixes for layer in self.layers() if prefix in layer.prefixes)
            _agree(next(known, self.prefixes), prefix, digest, "")

    # -- what is to be ------------------------------------------------------------------------------

    def write(self, key: str, value: Any, *, deleted: bool = False, size: int | None = None) -> None:
        """Have a document written, or deleted; `size` is that of the value as JSON, where it is known."""
        with self.lock:
            self.writes[key] = Written(value, deleted)
            self.documents.put((self, key), size_of(value) if size is None else size)

    def call(self, number: int, *call: Any) -> None:
        """Have a call made: (job, at, params, identity), under the id that was reserved for it."""
        with self.lock:
            self.calls[number] = [number, *call]
            self.called.put((self, number), size_of(call[2]))

    def cancel(self, number: int) -> None:
        """Have a run canceled; a call of this layer is then not made at all."""
        with self.lock:
            if self.calls.pop(number, None) is None:
                self.cancels.append(number)
            self.called.drop((self, number))

    # -- to keep, and to take over -------------------------------------------------------------------

    def told(self) -> WireEffects:
        """Return all of it as JSON; what is empty is left out."""
        with self.lock:
            told = _read(self.reads, self.prefixes)
            if self.writes:
                told["writes"] = [[key, one.value, one.deleted] for key, one in self.writes.items()]
            if self.calls:
                told["calls"] = list(self.calls.values())
            if self.cancels:
                told["cancels"] = list(self.cancels)
        return told

    def kept(self) -> WireEffects:
        """Return what a step keeps: its own changes, and all that it rests on, read here or around it."""
        reads: dict[str, int] = {}
        prefixes: dict[str, str] = {}
        with self.lock:
            for layer in self.layers():
                for key, version in layer.reads.items():
                    _agree(reads, key, version, TWICE)
                for prefix, digest in layer.prefixes.items():
                    _agree(prefixes, prefix, digest, "")
            return self.told() | _read(reads, prefixes)

    def pieces(self, *, well: bool) -> Iterator[WireEffects]:
        """Yield what `told` returns in pieces fit for a frame; only what was read, unless it ended `well`."""
        told: Mapping[str, Any] = self.told()
        wanted = ("reads", "prefixes", "writes", "calls", "cancels") if well else ("reads", "prefixes")
        piece: dict[str, Any] = {}
        room = PIECE
        for part in (part for part in wanted if part in told):
            for one in told[part].items() if isinstance(told[part], dict) else told[part]:
                size = size_of(one)
                if piece and size > room:
                    yield _piece(piece)
                    piece, room = {}, PIECE
                piece.setdefault(part, []).append(one)
                room -= size
        if piece:
            yield _piece(piece)

    def take(self, told: WireEffects) -> None:
        """Take over what a step has told before. What it has read in one version and this run in another
        is then of none: such a run can never be committed, and its node has the step done again."""
        with self.lock:
            for key, version in told.get("reads", {}).items():
                self.read(key, version)
            for prefix, digest in told.get("prefixes", {}).items():
                self.listed(prefix, digest)
            for key, value, deleted in told.get("writes", []):
                self.write(key, value, deleted=deleted)
            for number, *call in told.get("calls", []):
                self.call(number, *call)
            for number in told.get("cancels", []):
                self.cancel(number)

    def close(self, *, well: bool) -> None:
        """Join the layer around: all of it when the step ended `well`, else what it has read."""
        if self.around is None:
            return
        with self.lock:
            told = self.told()
            for key in self.writes:
                self.documents.drop((self, key))
            for number in self.calls:
                self.called.drop((self, number))
            self.around.take(told if well else _read(self.reads, self.prefixes))


def size_of(value: Any) -> int:
    """Return how many bytes of a frame a value takes."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return len(text.encode("utf-8", "backslashreplace"))


def innermost() -> Effects | None:
    """Return the layer of the step that this code is in, if it is in one."""
    return _innermost.get()


def current(outermost: Effects) -> Effects:
    """Return the layer that this code is in: a step's, or that of the whole run.

    A thread that does not run in the context of the one that started it is in the run's.
    """
    return _innermost.get() or outermost


@contextmanager
def layer(outermost: Effects) -> Iterator[Effects]:
    """A layer for the block; it joins the one around when the block has ended well, else its reads do."""
    inner = Effects(current(outermost))
    well = False
    try:
        with within(inner):
            yield inner
        well = True
    finally:
        inner.close(well=well)


@contextmanager
def within(one: Effects | None) -> Iterator[None]:
    """Have the block be in that layer."""
    token = _innermost.set(one)
    try:
        yield
    finally:
        _innermost.reset(token)


def _piece(lists: Mapping[str, list[Any]]) -> WireEffects:
    piece: Any = {part: dict(one) if part in ("reads", "prefixes") else one for part, one in lists.items()}
    return cast("WireEffects", piece)


def _read(reads: Mapping[str, int], prefixes: Mapping[str, str]) -> WireEffects:
    told = WireEffects()
    if reads:
        told["reads"] = dict(reads)
    if prefixes:
        told["prefixes"] = dict(prefixes)
    return told


def _agree(known: dict[str, T], name: str, found: T, neither: T) -> None:
    """Note what was found, or `neither` where something else was known."""
    known[name] = found if known.get(name, found) == found else neither
