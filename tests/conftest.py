from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.desk import House
from tests.place import Place

pytest_plugins = ["tests.postgres.fixtures", "tests.stores"]


@pytest.fixture
def house(place: Place) -> Iterator[House]:
    made = House(place)
    yield made
    made.close()
