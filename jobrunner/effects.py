"""What a run has read, and would have its commit change, gathered in the run's own process.

A step gathers its own: what it has changed joins the run's when it ends well, and is saved with its result,
so that a run that goes on without repeating the step takes it over (`take`). What was read counts in any
case: whatever the body has decided by it must still be true when the run commits.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from jobrunner.wire import WireEffects


class Written(NamedTuple):
    """What this run has made of a document."""

    value: Any
    deleted: bool


class Effects:
    """One layer of effects; `around` is the layer of the step, or run, that this one is part of."""

    def __init__(self, around: Effects | None = None) -> None:
        self.around = around
        self.reads: dict[str, int] = {}
        self.prefixes: dict[str, str] = {}
        self.writes: dict[str, Written] = {}
        self.calls: dict[int, list[Any]] = {}  # by the id that was reserved
        self.cancels: list[int] = []

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
        for layer in reversed(list(self.layers())):
            found.update((key, one) for key, one in layer.writes.items() if key.startswith(prefix))
        return found

    def read(self, key: str, version: int) -> None:
        """Note what was read. The first time counts: if it has changed since, the commit will not do."""
        if not any(key in layer.reads for layer in self.layers()):
            self.reads[key] = version

    def listed(self, prefix: str, digest: str) -> None:
        """Note which keys, and in which versions, began so."""
        if not any(prefix in layer.prefixes for layer in self.layers()):
            self.prefixes[prefix] = digest

    # -- what is to be ------------------------------------------------------------------------------

    def write(self, key: str, value: Any, *, deleted: bool = False) -> None:
        """Have a document written, or deleted."""
        self.writes[key] = Written(value, deleted)

    def call(self, number: int, *call: Any) -> None:
        """Have a call made: (job, at, params, identity), under the id that was reserved for it."""
        self.calls[number] = [number, *call]

    def cancel(self, number: int) -> bool:
        """Have a run canceled; True when it was a call of our own, which is then not made at all."""
        for layer in self.layers():
            if layer.calls.pop(number, None) is not None:
                return True
        self.cancels.append(number)
        return False

    # -- to keep, and to take over -------------------------------------------------------------------

    def told(self) -> WireEffects:
        """Return all of it as JSON; what is empty is left out."""
        told = WireEffects()
        if self.reads:
            told["reads"] = self.reads
        if self.prefixes:
            told["prefixes"] = self.prefixes
        if self.writes:
            told["writes"] = [[key, one.value, one.deleted] for key, one in self.writes.items()]
        if self.calls:
            told["calls"] = list(self.calls.values())
        if self.cancels:
            told["cancels"] = self.cancels
        return told

    def take(self, told: WireEffects) -> None:
        """Take over what a step has told before."""
        for key, version in told.get("reads", {}).items():
            self.read(key, version)
        for prefix, digest in told.get("prefixes", {}).items():
            self.listed(prefix, digest)
        for key, value, deleted in told.get("writes", []):
            self.write(key, value, deleted=deleted)
        for number, *call in told.get("calls", []):
            self.call(number, *call)
        self.cancels += told.get("cancels", [])

    def close(self, *, well: bool) -> None:
        """Join the layer around: all of it when the step ended `well`, else what it has read."""
        if self.around is None:
            return
        told = self.told()
        self.around.take(told if well else WireEffects(reads=self.reads, prefixes=self.prefixes))
