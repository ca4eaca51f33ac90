"""WHAT THE STATE REMEMBERS of a job: as it was registered, whatever its file says now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from jobrunner import config as configs
from jobrunner.model import Job
from jobrunner.settings import Settings

if TYPE_CHECKING:
    from jobrunner.store.base import Store


def restore(name: str, config: Mapping[str, Any], file: str, hash_: str, settings: Settings) -> Job | None:
    """Return a job as it was registered, for planning only: its file is broken or gone, and so `path` is "".

    `config` is what was stored, overrides included; `file` and `hash_` are taken over. None when this
    version cannot make a job of it; never raises.
    """
    try:
        written = configs.Written({**config, "name": name}, file)
        job, _ = configs.read(written, configs.Place("", "", ""), settings.timezone)
    except Exception:  # another version may have stored anything
        return None
    return None if job is None else job._replace(hash=hash_)


def restored(store: Store, settings: Settings, name: str, *, held: bool = False) -> Job | None:
    """Return a job as the store knows it: for the policy of runs whose job this node does not hold.

    With `held` only where some node does.
    """
    found = store.definition(name, held=held)
    if found is None:
        return None
    job = restore(found.name, found.config, found.file, found.hash, settings)
    return None if job is None else job._replace(parameters=found.parameters)
