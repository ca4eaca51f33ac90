"""What a thread has found out of jobs, and finds out again only when it may be otherwise."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from jobrunner.client import finding, orders
from jobrunner.client.desk import Counter
from jobrunner.facts import Footing
from jobrunner.model import Job
from jobrunner.registry import Lately, Registry
from jobrunner.settings import Settings
from jobrunner.store.base import Store
from jobrunner.stored import with_stored


class Sight(NamedTuple):
    """A job as it was found: on which footing, None where there was no state; and in which files, None where
    nodes hold it."""

    job: Job
    footing: Footing | None
    files: Registry | None


class Sights:
    """One thread's, of the state that it has open."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lately = Lately()
        self._counter: Counter | None = None
        self._found: dict[str, Sight] = {}

    def counter(self, store: Store) -> Counter:
        """Return where this thread changes something in a state; what it knows of another is forgotten."""
        if self._counter is None or self._counter.store is not store:
            self._counter = Counter(self._settings, store)
            self._found.clear()
        return self._counter

    def files(self, store: Store | None) -> Registry:
        """Return what the files said a second ago at most: who makes many calls reads them once."""
        return finding.completed(self._lately.load(with_stored(self._settings, store)), store)

    def wanted(self, store: Store | None, name: str) -> Sight:
        """Return a job as it was found last, or now. Whoever acts on it holds the footing against the state's
        of that moment. Raises as `orders.wanted` does."""
        found = self._found.get(name)
        if found is None or not (found.files is None or found.files is self._lately.last):
            return self.look(store, name)
        return found

    def look(self, store: Store | None, name: str) -> Sight:
        """Return a job as it is found now."""
        footing = store.footing(name) if store is not None else None
        read: list[Registry] = []
        job = orders.wanted(self._settings, store, partial(self._read, store, read), name)
        found = Sight(job, footing, self._lately.last if read else None)
        if store is not None and (found.files is not None or not read):
            self.counter(store)
            self._found[name] = found
        return found

    def _read(self, store: Store | None, read: list[Registry]) -> Registry:
        read.append(self.files(store))
        return read[0]
