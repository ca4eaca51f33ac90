"""The stores that come along keep the conditions that every store keeps."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobrunner.store.base import Store
from jobrunner.testing import StoreContract
from tests.place import Place


@pytest.fixture(autouse=True)
def _place(request: pytest.FixtureRequest, place: Place) -> None:
    request.cls.place = place


class TestStore(StoreContract):
    place: Place

    def make_store(self, folder: Path) -> Store:
        return self.place.open()
