"""Where a test's state is, on whichever store; tests/stores.py makes them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobrunner.store import open_store
from jobrunner.store.base import Store


@dataclass(frozen=True)
class Place:
    """A folder, and the URL of a state."""

    folder: Path
    url: str

    def open(self, **how: Any) -> Store:
        """Return the store, made if need be."""
        return open_store(self.url, create=True, **how)


NewPlace = Callable[[], AbstractContextManager[Place]]
