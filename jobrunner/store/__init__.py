"""WHAT IS TRUE: the store, by URL. A database's library is imported only when one is opened."""

from __future__ import annotations

import os.path
from collections.abc import Callable
from typing import TYPE_CHECKING

from jobrunner.errors import StateError
from jobrunner.store.faults import fault

if TYPE_CHECKING:
    from jobrunner.store.base import Store
    from jobrunner.store.postgres import PostgresStore

PLUGINS = (
    "jobrunner.stores"  # entry points: the scheme -> open_store(url, *, create, patience, allow_network_fs)
)


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
        return _plugin(scheme)(url, create=create, patience=patience, allow_network_fs=allow_network_fs)
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


def _plugin(scheme: str) -> Callable[..., Store]:
    from importlib.metadata import entry_points

    for found in entry_points(group=PLUGINS, name=scheme):
        try:
            opener: Callable[..., Store] = found.load()
            return opener
        except Exception as error:
            raise fault("unsupported", f"the store {found.value} cannot be loaded ({error})") from error
    known = ", ".join(sorted({"sqlite", "postgresql", *entry_points(group=PLUGINS).names}))
    raise fault(
        "unsupported",
        f"no store for URLs that begin with {scheme!r}; supported: {known}",
        hint="use sqlite:///absolute/path/state.db or postgresql://user@host/database",
    )
