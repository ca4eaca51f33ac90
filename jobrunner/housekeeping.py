"""The jobs that come with jobrunner: hidden, and otherwise like any other.

What `jobrunner.prune` needs to know travels with the run, see `own_settings`, and is never stored: the
state's address may hold a password.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from jobrunner.settings import Settings

if TYPE_CHECKING:
    from jobrunner.errors import ConfigError
    from jobrunner.model import Job

PRUNE = "jobrunner.prune"
TARGET = "jobrunner.pruning:prune"
CONFIG: Mapping[str, Any] = {
    "schedule": "every 1h after end",  # after a long sleep one is late, and none was missed
    "description": "Delete runs that are older than the settings' retention.",
    "hidden": True,
    "timeout": "10m",
}


def is_ours(name: str) -> bool:
    """Say whether a name is that of a job that comes with jobrunner."""
    return name.casefold() == PRUNE


def prune_job(settings: Settings) -> Job:
    """Return `jobrunner.prune` as jobrunner.yaml changes it. Raises ConfigError for a key that cannot be."""
    from jobrunner.config import Place, Written, read
    from jobrunner.discovery.entries import Overrides

    short = PRUNE.rpartition(".")[2]  # a reader refuses the whole name, to keep it for us
    written = Written({"name": short, **CONFIG}, PRUNE)
    job, errors = read(written, Place("", "", ""), settings.timezone, Overrides(settings).of(PRUNE))
    if job is None:
        raise errors[0]
    return replace(job, name=PRUNE, file="", target=TARGET, config={**job.config, "name": PRUNE})


def built_in(settings: Settings) -> tuple[dict[str, Job], list[ConfigError]]:
    """Return the jobs that come with jobrunner, by name, and what is wrong with their overrides."""
    from jobrunner.errors import ConfigError

    try:
        return {PRUNE: prune_job(settings)}, []
    except ConfigError as error:
        return {}, [error]


def own_settings(job: Job, settings: Settings) -> Mapping[str, Any]:
    """Return what a run finds as `settings`: the project's section, or what a job of ours needs."""
    if job.target != TARGET:
        return settings.settings
    return {
        "state": settings.state,
        "allow_network_fs": settings.allow_network_fs,
        "retention": settings.retention,
        "retention_failed": settings.retention_failed,
        "retention_rows": settings.retention_rows,
        "retention_calls": settings.retention_calls,
    }
