"""The jobs that come with jobrunner: hidden, and otherwise like any other.

`jobrunner.prune` deletes what nobody needs any more, in a run of its own: it opens the state itself, so
that nodes wait for one small transaction at a time. What it needs to know travels with the run, see
`own_settings`, and is never stored: the state's address may hold a password.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from jobrunner.clock import Clock, Instant, SystemClock
from jobrunner.settings import Settings

if TYPE_CHECKING:
    from jobrunner.errors import ConfigError
    from jobrunner.model import Job
    from jobrunner.store.base import Keep, Store

PRUNE = "jobrunner.prune"
TARGET = "jobrunner.housekeeping:prune"
CONFIG: Mapping[str, Any] = {
    "schedule": "every 1h",
    "description": "Delete runs that are older than the settings' retention.",
    "hidden": True,
    "timeout": "10m",
}
BATCH = 500  # rows a transaction
SLOW = 0.1  # seconds that a transaction may take before the next ones are made smaller
REST = 0.05  # seconds between two transactions, in which nodes get the lock
ALL = 1 << 62  # rows: more than any job has


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
    }


# -- in the run's own process ------------------------------------------------------------------------------


def prune(ctx: Any, settings: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, Any]:
    """Delete what the settings do not keep; with the param `dryRun` only say how much that is at most."""
    from jobrunner.store import open_store

    keep = keeps(settings, SystemClock().now())
    store = open_store(settings["state"], patience=30.0, allow_network_fs=settings["allow_network_fs"])
    try:
        if params.get("dryRun"):
            return {"deleted": 0, "wouldDelete": store.prunable(keep)}
        return {"deleted": delete(store, keep, ctx)}
    finally:
        store.close()


def keeps(settings: Mapping[str, Any], now: Instant) -> Keep:
    """Return what to keep; a setting of 0 keeps for ever."""
    from jobrunner.store.base import Keep

    ended, failed = settings["retention"], settings["retention_failed"]
    return Keep(
        ended_since=now - ended if ended else 0,
        failed_since=now - failed if failed else 0,
        rows=settings["retention_rows"] or ALL,
    )


def delete(store: Store, keep: Keep, ctx: Any, clock: Clock | None = None) -> int:
    """Delete in small transactions until nothing is left to delete, or the run is asked to end."""
    clock = clock or SystemClock()
    deleted, batch = 0, BATCH
    while not ctx.cancelled:
        began = clock.monotonic()
        found = store.prune(keep, batch)
        deleted += found
        ctx.progress(deleted, message="rows deleted")
        if found < batch:
            break
        batch = max(10, batch // 2) if clock.monotonic() - began > SLOW else batch  # rows with large logs
        time.sleep(REST)
    return deleted
