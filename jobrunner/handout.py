"""What a child is told: a claim and its definition as a `RunSpec`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jobrunner.housekeeping import own_settings
from jobrunner.model import Job, Run
from jobrunner.settings import Settings
from jobrunner.store.base import Claim
from jobrunner.wire import HookCall, RunSpec


def run_spec(claim: Claim, job: Job, settings: Settings, source: str | None = None) -> RunSpec:
    """Return what a child needs to know to run this claim; `source` stands in for a file that was broken."""
    return _spec(
        claim.run, job, settings, source,
        is_last=claim.is_last, last=claim.last, cursor=claim.cursor, hook=None,
    )  # fmt: skip


def hook_spec(run: Run, job: Job, settings: Settings, hook: HookCall) -> RunSpec:
    """Return what a child needs to know to call a hook about this run."""
    return _spec(run, job, settings, None, is_last=False, last=None, cursor=None, hook=hook)


def _spec(
    run: Run, job: Job, settings: Settings, source: str | None, *, is_last: bool,
    last: Mapping[str, Any] | None, cursor: Any, hook: HookCall | None,
) -> RunSpec:  # fmt: skip
    return RunSpec(
        runId=run.id,
        job=run.job,
        file=job.path,
        target=job.target,
        folder=job.folder,
        root=settings.project,
        fileHash=job.content_hash,
        config=job.config,
        params={**job.params, **run.params},
        settings=own_settings(job, settings),
        services=settings.services,
        trigger=run.trigger,
        scheduledFor=run.scheduled_for,
        startedAt=run.started_at or 0,
        attempt=run.attempt,
        rootId=run.root_id,
        node=run.node or "",
        identity=run.identity,
        fence=run.fence,
        isLast=is_last,
        last=last,
        cursor=cursor,
        memoryLimit=None if hook else job.memory_limit,
        source=source,
        hook=hook,
    )
