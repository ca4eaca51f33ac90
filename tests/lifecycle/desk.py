"""What people do to running nodes from another process: cancel, pause, disable, set, reset, forget."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jobrunner.clock import SystemClock
from jobrunner.presence import ring
from jobrunner.store import open_store
from jobrunner.store.base import Store
from tests.lifecycle.project import Project

BY = "tester"


class Desk:
    """The verbs of control, on the state of a project."""

    def __init__(self, project: Project) -> None:
        self._folder = project.root / ".jobrunner"

    @contextmanager
    def _store(self) -> Iterator[Store]:
        store = open_store(f"sqlite:///{self._folder / 'state.db'}")
        try:
            yield store
        finally:
            store.close()
        ring(Path(self._folder))

    def _now(self) -> int:
        return SystemClock().now()

    def _id(self, store: Store, name: str) -> int:
        job = store.job(name)
        assert job is not None
        return job.id

    def cancel(self, run_id: int) -> None:
        with self._store() as store:
            assert store.cancel(run_id, self._now()) is not None

    def cancel_job(self, name: str) -> None:
        with self._store() as store:
            for run in store.open_runs():
                if run.job == name:
                    store.cancel(run.id, self._now())

    def cancel_all(self) -> None:
        with self._store() as store:
            for run in store.open_runs():
                store.cancel(run.id, self._now())

    def pause(self) -> None:
        with self._store() as store:
            store.pause(BY, None, self._now())

    def resume(self) -> None:
        with self._store() as store:
            store.resume(self._now())

    def disable(self, name: str) -> None:
        with self._store() as store:
            store.set_enabled(self._id(store, name), False, f"by {BY}", self._now())

    def enable(self, name: str) -> None:
        with self._store() as store:
            store.set_enabled(self._id(store, name), True, f"by {BY}", self._now())

    def set(self, name: str, **keys: Any) -> None:
        """Override exactly these keys; none: what the file says holds again."""
        with self._store() as store:
            store.override(self._id(store, name), keys, self._now())

    def reset(self, name: str) -> None:
        with self._store() as store:
            store.reset(self._id(store, name), self._now())

    def forget(self, name: str) -> None:
        with self._store() as store:
            store.forget(self._id(store, name))
