"""The body of jobrunner.prune: it deletes what nobody needs any more, in the process of its run.

It opens the state itself and deletes in small transactions, so that nodes never wait long for the lock.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from jobrunner.clock import Clock, Instant, SystemClock
from jobrunner.store import open_store
from jobrunner.store.base import Keep, Store

BATCH = 500  # rows a transaction
SLOW = 0.1  # seconds that a transaction may take before the next ones are made smaller
REST = 0.05  # seconds between two transactions, in which nodes get the lock
ALL = 1 << 62  # rows: more than any job has


def prune(ctx: Any, settings: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, Any]:
    """Delete what the settings do not keep; with the param `dryRun` only say how much that is at most."""
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
    ended, failed, calls = (settings[f"retention{each}"] for each in ("", "_failed", "_calls"))
    return Keep(
        ended_since=now - ended if ended else 0,
        failed_since=now - failed if failed else 0,
        rows=settings["retention_rows"] or ALL,
        calls_since=now - calls if calls else 0,
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
