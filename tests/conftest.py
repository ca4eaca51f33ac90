from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.desk import House
from tests.place import Place

pytest_plugins = ["tests.postgres.fixtures", "tests.stores"]

LONGEST = ("rolling_upgrade", "storm", "machines", "bank", "whole_ledger", "hung_job", "lifecycle/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that at the end no worker is left alone with it."""
    items.sort(
        key=lambda item: next((at for at, name in enumerate(LONGEST) if name in item.nodeid), len(LONGEST))
    )


@pytest.fixture
def house(place: Place) -> Iterator[House]:
    made = House(place)
    yield made
    made.close()
