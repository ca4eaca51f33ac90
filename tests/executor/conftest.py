from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.executor.household import Household


@pytest.fixture(params=["fork", "exec"])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Household]:
    """A pool of either kind."""
    household = Household(tmp_path, spawn=request.param)
    household.pool.start()
    yield household
    household.close()


@pytest.fixture
def zygote_house(tmp_path: Path) -> Iterator[Household]:
    """A pool with a zygote."""
    household = Household(tmp_path, lock_path=str(tmp_path / "zygote.lock"))
    household.pool.start()
    yield household
    household.close()
