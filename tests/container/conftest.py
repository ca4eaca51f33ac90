from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.container.chain import Chain
from tests.container.fakenode import FakeNode


@pytest.fixture
def node() -> Iterator[FakeNode]:
    """A node that answers a run of this process."""
    fake = FakeNode()
    yield fake
    fake.close()


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[Chain]:
    """A chain of attempts in a child process."""
    one = Chain(tmp_path)
    one.pool.start()
    yield one
    one.close()
