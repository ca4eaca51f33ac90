"""WHAT IS TRUE: the store, by URL. A database's library is imported only when one is opened.

open_store, find_store, exists   by URL, of whatever package has its scheme

For those who write a store (docs/stores.md); loaded when asked for:

Store           the protocol; beside it what its verbs take and give: Call, Claim, Document, Effects …
SqlStore        all verbs in the SQL that SQLite and PostgreSQL share, over a
Database        the protocol of a connection; Connection: most of one, its transactions among it
fault           a StateError by its code
steps_of        the schema as steps, and too_new for one that goes beyond ours
"""

from __future__ import annotations

import os.path
from importlib import import_module
from typing import TYPE_CHECKING, Any

from jobrunner.errors import Refused, StateError
from jobrunner.store.faults import fault

if TYPE_CHECKING:
    from jobrunner.store.base import Claim, Store
    from jobrunner.store.postgres import PostgresStore
    from jobrunner.store.schema import Step, steps_of, too_new
    from jobrunner.store.sql import SqlStore
    from jobrunner.store.sql.connection import Connection
    from jobrunner.store.sql.database import Bindings, Database, Row
    from jobrunner.store.values import (
        AddedJob,
        Call,
        Document,
        Effects,
        Figure,
        Glance,
        Hold,
        Holding,
        Keep,
        LogChunk,
        Registration,
        RunFilter,
        Write,
    )

__all__ = [
    "AddedJob", "Bindings", "Call", "Claim", "Connection", "Database", "Document", "Effects", "Figure",
    "Glance", "Hold", "Holding", "Keep", "LogChunk", "Refused", "Registration", "Row", "RunFilter",
    "SqlStore", "StateError", "Step", "Store", "Write", "exists", "fault", "find_store", "open_store",
    "steps_of", "too_new",
]  # fmt: skip

_HOMES = {
    "Bindings": "sql.database", "Claim": "base", "Connection": "sql.connection", "Database": "sql.database",
    "Row": "sql.database", "SqlStore": "sql", "Step": "schema", "Store": "base", "steps_of": "schema",
    "too_new": "schema",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES.get(name, 'values')}"), name)


def open_store(
    url: str, *, create: bool = False, patience: float = 5.0, allow_network_fs: bool = False,
    durable: bool = True,
) -> Store:  # fmt: skip
    """Open the store that `url` names; `patience` is how many seconds a locked one is waited for.

    Without `durable` a power cut may cost all of it, where SQLite gains from that: for a state that is thrown
    away. `sqlite:///abs/path` takes the path as it is, nothing in it is decoded. Raises StateError, code
    "state-missing" where there is none and `create` is False.
    """
    scheme = _scheme(url)
    if scheme in ("postgresql", "postgres"):
        return _postgres().open(url, create=create, patience=patience)
    if scheme != "sqlite":
        from jobrunner.store import plugins

        return plugins.open_store(
            scheme, url, create=create, patience=patience, allow_network_fs=allow_network_fs
        )
    from jobrunner.store.sqlite import SqliteStore

    return SqliteStore.open(
        url, _path(url), create=create, patience=patience, allow_network_fs=allow_network_fs, durable=durable
    )


def find_store(url: str, *, patience: float = 5.0, allow_network_fs: bool = False) -> Store | None:
    """Open the store that `url` names, as `open_store` does; None where there is no state yet."""
    if _scheme(url) == "sqlite" and not _is_there(url):
        return None
    try:
        return open_store(url, patience=patience, allow_network_fs=allow_network_fs)
    except StateError as error:
        if error.code != "state-missing" or _scheme(url) == "sqlite":
            raise
        return None


def version_of(url: str, *, patience: float = 5.0) -> int | None:
    """Return which version of the schema a state has, and leave it so: opening brings it up to date.

    None where only opening tells. Raises StateError, code "state-missing" where there is none, "too-new" for
    one that we may not read.
    """
    scheme = _scheme(url)
    if scheme in ("postgresql", "postgres"):
        return _postgres().version_of(url, patience=patience)
    if scheme != "sqlite":
        return None
    from jobrunner.store.sqlite import SqliteStore

    return SqliteStore.version_of(_path(url))


def exists(url: str) -> bool:
    """Say whether there is a state to open; of a database only opening tells. Raises StateError."""
    if _scheme(url) == "sqlite":
        return _is_there(url)
    found = find_store(url)
    if found is not None:
        found.close()
    return found is not None


def _is_there(url: str) -> bool:
    try:
        os.stat(_path(url))
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:  # it may well be there, and opening it says what is wrong
        return True
    return True


def _scheme(url: str) -> str:
    return url.partition(":")[0].lower()


def _path(url: str) -> str:
    path = url[len("sqlite://") :]
    if not url.lower().startswith("sqlite:///") or not path.strip("/"):
        raise fault("unsupported", f"{url} names no file", hint="write sqlite:///absolute/path/state.db")
    return "/" + path.lstrip("/")  # two slashes in front would be another path to POSIX


def _postgres() -> type[PostgresStore]:
    try:
        from jobrunner.store.postgres import PostgresStore
    except ImportError as error:
        raise fault(
            "unsupported", f"a state in PostgreSQL needs psycopg ({error})",
            hint="pip install 'jobrunner-cli[postgres]'",
        ) from error  # fmt: skip
    return PostgresStore
