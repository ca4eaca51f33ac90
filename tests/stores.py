"""On which stores a test runs, and the states of its own that it gets there.

    store_kind  "sqlite" or "postgres": who asks for it, or for one of those below, runs once on each
    place       a `Place`: a folder, and a state that is there and empty
    new_place   more of them: `with new_place() as place:`
    unmade      a place whose state is not there yet

The environment variable JOBRUNNER_TEST_STORES=sqlite,postgres chooses. A test that is about the file of a
state is marked `sqlite`, one about a database `postgres`; so are parameters that cost more on one of them
than they prove. At the end of a session it is told how many tests ran on each.
"""

from __future__ import annotations

import os
import secrets
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest

from jobrunner.store import open_store
from jobrunner.store.postgres.dialect import TABLES
from tests.place import NewPlace, Place
from tests.postgres.server import Server

CHOICE = "JOBRUNNER_TEST_STORES"
KINDS = ("sqlite", "postgres")
MADE = ("id", "state_id", "version", "min_reader", "created_at")  # in `meta`, with the state


# -- which ------------------------------------------------------------------------------------------


def pytest_configure(config: pytest.Config) -> None:
    """Make the marks known."""
    config.addinivalue_line("markers", "sqlite: about the file of a state")
    config.addinivalue_line("markers", "postgres: about a database")
    config.addinivalue_line("markers", "stateless: begins without a state")
    chosen()


def chosen() -> list[str]:
    """Return the stores of this session."""
    said = os.environ.get(CHOICE) or ",".join(KINDS)
    found = [each.strip() for each in said.split(",")]
    unknown = set(found) - set(KINDS)
    if unknown:
        raise pytest.UsageError(f"{CHOICE} names {', '.join(sorted(unknown))}: say {','.join(KINDS)}")
    return found


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Let a test run on each of them."""
    if "store_kind" in metafunc.fixturenames:
        marked = [kind for kind in KINDS if metafunc.definition.get_closest_marker(kind)]
        metafunc.parametrize("store_kind", marked or chosen())


# -- where ------------------------------------------------------------------------------------------


class Schemas:
    """Schemas with a state that is empty. Making one costs a hundred times as much as emptying it."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._free: list[str] = []
        self._connection = psycopg.connect(server.dsn(), autocommit=True)

    @contextmanager
    def one(self) -> Iterator[str]:
        """Lend one, as a URL."""
        name = self._free.pop() if self._free else None
        if name is None or not self._emptied(name):
            name = self._made()
        yield self._url(name)
        self._free.append(name)

    def close(self) -> None:
        """Let go of the server, who forgets them all."""
        self._connection.close()

    def _url(self, name: str) -> str:
        return self._server.url(name) + f"&application_name={name}"

    def _made(self) -> str:
        name = f"test_{secrets.token_hex(6)}"
        open_store(self._url(name), create=True).close()
        return name

    def _emptied(self, name: str) -> bool:
        """Say whether it is empty now; not while somebody may still write there."""
        others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s"
        if self._connection.execute(others, [name]).fetchall():
            return False
        deletes = "; ".join(f"DELETE FROM {name}.{table}" for table in reversed(TABLES) if table != "meta")
        numbers = ", ".join(
            f"setval('{name}.{table}_id_seq', 1, false)" for table in ("runs", "jobs", "audit")
        )
        again = ", ".join(f"{column} = DEFAULT" for column in self._columns(name))
        self._connection.execute(f"""
            BEGIN; {deletes}; SELECT {numbers};
            UPDATE {name}.meta SET {again}, state_id = '{secrets.token_hex(16)}';
            COMMIT""".encode())  # fmt: skip
        return True

    def _columns(self, name: str) -> list[str]:
        """Return the columns of `meta` that change while one works."""
        asked = "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0"
        found = [column for (column,) in self._connection.execute(asked, [f"{name}.meta"])]
        return [column for column in found if column not in MADE]


@pytest.fixture(scope="session")
def schemas(postgres: Server) -> Iterator[Schemas]:
    """Yield this worker's schemas."""
    made = Schemas(postgres)
    yield made
    made.close()


@pytest.fixture
def new_place(store_kind: str, request: pytest.FixtureRequest) -> NewPlace:
    """Return what makes a place, which is gone afterwards."""
    schemas: Schemas | None = request.getfixturevalue("schemas") if store_kind == "postgres" else None

    @contextmanager
    def make() -> Iterator[Place]:
        with TemporaryDirectory() as folder:
            if schemas is None:
                yield Place(Path(folder), _file(folder))
            else:
                with schemas.one() as url:
                    yield Place(Path(folder), url)

    return make


@pytest.fixture
def place(store_kind: str, tmp_path: Path, new_place: NewPlace) -> Iterator[Place]:
    """Yield a place in the test's own folder."""
    with new_place() as made:
        yield Place(tmp_path, _file(tmp_path) if store_kind == "sqlite" else made.url)


@pytest.fixture
def unmade(store_kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> Place:
    """Return a place whose state is not there yet."""
    if store_kind == "postgres":
        return Place(tmp_path, request.getfixturevalue("postgres_url"))
    return Place(tmp_path, _file(tmp_path))


def _file(folder: Path | str) -> str:
    return f"sqlite:///{folder}/s/state.db"


# -- how many ---------------------------------------------------------------------------------------


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Note the store of each test, for the reports to carry; leave out those of others than were chosen."""
    kinds = {item: _kind(item) for item in items}
    others = [item for item in items if kinds[item] not in (None, *chosen()) or _is_spared(item, kinds[item])]
    if others:
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item not in set(others)]
    for item in items:
        if kinds[item] is not None:
            item.user_properties.append(("store", kinds[item]))


def _is_spared(item: pytest.Item, kind: str | None) -> bool:
    """Say whether one of a test's parameters is marked for another store."""
    marked = [each for each in KINDS if item.get_closest_marker(each) is not None]
    return kind is not None and bool(marked) and kind not in marked


def _kind(item: pytest.Item) -> str | None:
    if not isinstance(item, pytest.Function):
        return None
    if hasattr(item, "callspec") and "store_kind" in item.callspec.params:
        return str(item.callspec.params["store_kind"])
    for kind in KINDS:
        if item.get_closest_marker(kind) is not None:
            return kind
    return "postgres" if any(name.startswith("postgres") for name in item.fixturenames) else None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell how many tests ran on each store."""
    ran: Counter[str] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", None) == "call":
                ran.update(kind for name, kind in report.user_properties if name == "store")
    if ran:
        terminalreporter.write_line("stores: " + ", ".join(f"{kind} {ran[kind]}" for kind in KINDS))
