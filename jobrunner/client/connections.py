"""One store a thread: a store belongs to the thread that opened it, and is never carried over a fork."""

from __future__ import annotations

import os
import threading
from typing import Any, TypeVar
from weakref import WeakSet

from jobrunner.errors import StateError
from jobrunner.settings import Settings
from jobrunner.store import find_store, open_store
from jobrunner.store.base import Store

S = TypeVar("S", Store, Store | None)

PATIENCE = 10.0  # seconds that a locked state is waited for

_inherited: list[object] = []  # what a fork has copied: to close it would touch files of the other process


class Connections:
    """The stores of one state, opened as threads ask for them and closed together.

    One that another thread has opened may be garbage by now, with that thread.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._closed = False
        self._lock = threading.Lock()
        self._forget()

    def _forget(self) -> None:
        self._pid = os.getpid()
        self._mine = threading.local()
        self._all: WeakSet[Store] = WeakSet()

    def existing(self) -> Store | None:
        """Return this thread's store; None while there is no state."""
        found = self._kept()
        return found or self._keep(find_store(self.settings.state, **self._how))

    def store(self) -> Store:
        """Return this thread's store; the state is made if need be."""
        return self._kept() or self._keep(open_store(self.settings.state, create=True, **self._how))

    def _kept(self) -> Store | None:
        """Return what this thread has open, unless the state was deleted or replaced meanwhile."""
        if self._closed:
            raise StateError("this client is closed", hint="connect() opens another")
        if self._pid != os.getpid():
            _inherited.append((self._mine, list(self._all)))
            self._lock = threading.Lock()
            self._forget()
        found: Store | None = getattr(self._mine, "store", None)
        if found is None:
            return None
        try:
            found.verify()
        except StateError:
            self._mine.store = None
            found.close()
            return None
        return found

    @property
    def _how(self) -> dict[str, Any]:
        return {"patience": PATIENCE, "allow_network_fs": self.settings.allow_network_fs}

    def _keep(self, store: S) -> S:
        if store is None:
            return store
        with self._lock:
            self._mine.store = store
            self._all.add(store)
        return store

    def close(self) -> None:
        """Close what this process has open; nobody may be using it. Idempotent."""
        with self._lock:
            self._closed = True
            stores = list(self._all) if self._pid == os.getpid() else []
            self._all.clear()
        for store in stores:
            store.close()
