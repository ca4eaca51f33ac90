"""What tests ask for.

    postgres        the session's `Server`, shared by all workers: not to be stopped, frozen or changed
    postgres_url    a URL with a schema of the test's own, which is dropped afterwards
    postgres_own    makes servers for this test alone: `postgres_own(fsync=False, ...)`, started
    postgres_cut    a `Cut` before the session's server

A test that asks for one while no server can be had fails, and says what to install.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.postgres import keeper, shared
from tests.postgres.binaries import NoServer
from tests.postgres.cut import Cut
from tests.postgres.server import Server

PLACE = pytest.StashKey[Path]()


def pytest_configure(config: pytest.Config) -> None:
    """Choose the shared server's place; xdist's workers are told the controller's."""
    told = getattr(config, "workerinput", {}).get("postgres_place")
    config.stash[PLACE] = Path(told) if told else shared.place()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of xdist the place."""
    node.workerinput["postgres_place"] = str(node.config.stash[PLACE])


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the shared server with the session."""
    if not hasattr(config, "workerinput") and PLACE in config.stash:
        keeper.end(config.stash[PLACE])


@pytest.fixture(scope="session")
def postgres(pytestconfig: pytest.Config) -> Iterator[Server]:
    """Yield the session's server."""
    try:
        server = shared.join(pytestconfig.stash[PLACE])
    except NoServer as error:
        pytest.fail(str(error), pytrace=False)
    yield server
    server.leave()


@pytest.fixture
def postgres_schema(postgres: Server) -> Iterator[str]:
    """Yield the name of a schema that no other test has; it does not exist yet."""
    name = f"test_{secrets.token_hex(6)}"
    yield name
    postgres.drop(name)


@pytest.fixture
def postgres_url(postgres: Server, postgres_schema: str) -> str:
    """Return the URL of a state of the test's own."""
    return postgres.url(postgres_schema)


@pytest.fixture
def postgres_own() -> Iterator[Callable[..., Server]]:
    """Yield what starts a server for this test."""
    with ExitStack() as stack:

        def make(**options: Any) -> Server:
            try:
                return stack.enter_context(Server(**options))
            except NoServer as error:
                pytest.fail(str(error), pytrace=False)

        yield make


@pytest.fixture
def postgres_cut(postgres: Server) -> Iterator[Cut]:
    """Yield a proxy before the session's server."""
    with Cut(postgres) as cut:
        yield cut
