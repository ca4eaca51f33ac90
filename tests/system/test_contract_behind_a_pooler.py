"""A store behind a pooler with two connections keeps the conditions that every store keeps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from jobrunner.store import open_store
from jobrunner.store.base import Store
from jobrunner.testing import StoreContract
from tests.postgres.server import Server
from tests.stores import Schemas
from tests.system.pooler import Pooler


class Lent(Schemas):
    """Schemas that are emptied past the pooler, and worked in behind it."""

    def __init__(self, server: Server, pooler: Pooler) -> None:
        super().__init__(server)
        self._pooler = pooler

    def _url(self, name: str) -> str:
        return self._pooler.url(name)


@pytest.fixture(scope="module")
def lent(postgres: Server) -> Iterator[Lent]:
    with Pooler(postgres, {"default_pool_size": "2"}) as pooler:
        made = Lent(postgres, pooler)
        yield made
        made.close()


@pytest.fixture(autouse=True)
def _url(request: pytest.FixtureRequest, lent: Lent) -> Iterator[None]:
    with lent.one() as request.cls.url:
        yield


class TestStore(StoreContract):
    url: str

    def make_store(self, folder: Path) -> Store:
        return open_store(self.url)
