"""The store keeps the conditions that every store keeps."""

from __future__ import annotations

from pathlib import Path

from jobrunner.store import Store, open_store
from jobrunner.testing import StoreContract


class TestPlainStore(StoreContract):
    def make_store(self, folder: Path) -> Store:
        return open_store(f"plainsqlite://{folder}/state.db", create=True)
