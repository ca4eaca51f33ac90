"""What a child is told: a claim and its definition as a `RunSpec`; and what tells it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

from jobrunner.executor import Happening
from jobrunner.housekeeping import folder_of, own_settings
from jobrunner.model import Chosen, Job, Run, Step
from jobrunner.settings import Settings
from jobrunner.store.base import Claim
from jobrunner.wire import HookCall, RunSpec, WireStep

StopState = Literal["canceled", "timed_out"]


class Executor(Protocol):
    """What the dispatcher needs of the thing that runs bodies."""

    @property
    def ready(self) -> Sequence[int]:
        """The pids of children in hand."""
        ...

    def run(
        self, spec: RunSpec, pid: int, timeout: int | None, runs_per_process: int, executor: Chosen
    ) -> int:
        """Hand a committed claim to a child and return its pid; an impossible start is an Ended."""
        ...

    def run_hook(self, spec: RunSpec, number: int) -> bool:
        """Hand a hook to a child; False when none is in hand."""
        ...

    def stop(self, run_id: int, state: StopState, reason: str | None) -> None:
        """Bring a run to its end: ask, then TERM, then KILL."""
        ...

    def happened(self) -> list[Happening]:
        """Return and forget what happened since the last call."""
        ...

    def answer(self, run_id: int, number: int, payload: dict[str, Any]) -> None:
        """Answer a request of a run, after the commit."""
        ...


def run_spec(
    claim: Claim, job: Job, settings: Settings, secrets: Sequence[str], source: str | None = None
) -> RunSpec:
    """Return what a child needs to know to run this claim; `source` stands in for a file that was broken."""
    return _spec(
        claim.run, job, settings, secrets, source=source,
        is_last=claim.is_last, last=claim.last, cursor=claim.cursor, steps=claim.steps, hook=None,
    )  # fmt: skip


def hook_spec(run: Run, job: Job, settings: Settings, secrets: Sequence[str], hook: HookCall) -> RunSpec:
    """Return what a child needs to know to call a hook about this run."""
    return _spec(
        run, job, settings, secrets, source=None, is_last=False, last=None, cursor=None, steps=(), hook=hook
    )


def _spec(
    run: Run, job: Job, settings: Settings, secrets: Sequence[str], *, source: str | None, is_last: bool,
    last: Mapping[str, Any] | None, cursor: Any, steps: Sequence[Step], hook: HookCall | None,
) -> RunSpec:  # fmt: skip
    return RunSpec(
        runId=run.id,
        job=run.job,
        file=job.path,
        target=job.target,
        folder=job.folder,
        root=folder_of(job, settings),
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
        delivery=run.delivery,
        steps=_wire_steps(run, steps),
        undo=run.undo,
        secrets=list(secrets),
    )


def _wire_steps(run: Run, steps: Sequence[Step]) -> list[WireStep]:
    """Return what a child is told of its chain's steps: who takes them back needs no more than that takes."""
    if not run.undo:
        return [_wire_step(step) for step in steps]
    return [_wire_step(step._replace(effects=None)) for step in steps if step.undo is not None]


def _wire_step(step: Step) -> WireStep:
    return WireStep(
        path=step.path,
        state=step.state,
        tries=step.tries,
        result=step.result,
        error=step.error,
        effects=step.effects,  # type: ignore[typeddict-item]  # stored as it was told
        undo=step.undo,
        undone=step.undone,
        undoError=step.undo_error,
    )
