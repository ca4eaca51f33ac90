from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.postgres.server import Server
from tests.system.faketime import WallClock
from tests.system.network import Network
from tests.system.pooler import Pooler


@pytest.fixture(scope="session", autouse=True)
def root() -> None:
    if os.geteuid() != 0:
        pytest.fail("The system tests need root: sudo make test-system", pytrace=False)


@pytest.fixture
def pooler(postgres: Server) -> Iterator[Pooler]:
    """Yield a pooler in transaction mode before the session's server."""
    with Pooler(postgres) as made:
        yield made


@pytest.fixture
def pooler_url(pooler: Pooler, postgres_schema: str) -> str:
    """Return the URL of a state of the test's own, through the pooler."""
    return pooler.url(postgres_schema)


@pytest.fixture
def network() -> Iterator[Network]:
    with Network() as made:
        yield made


@pytest.fixture
def wall_clock(tmp_path: Path) -> WallClock:
    return WallClock(tmp_path)
