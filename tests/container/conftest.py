from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.container.fakenode import FakeNode


@pytest.fixture
def node() -> Iterator[FakeNode]:
    """A node that answers a run of this process."""
    fake = FakeNode()
    yield fake
    fake.close()
