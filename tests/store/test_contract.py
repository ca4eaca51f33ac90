"""SQLite keeps the conditions that every store keeps."""

from __future__ import annotations

from pathlib import Path

from jobrunner.store import open_store
from jobrunner.store.base import Store
from jobrunner.testing import StoreContract


class TestSqlite(StoreContract):
    def make_store(self, folder: Path) -> Store:
        return open_store(f"sqlite://{folder}/state/state.db", create=True)
