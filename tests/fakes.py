"""Stand-ins for time and for processes; the store in tests is always a real one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jobrunner.clock import Clock, Instant, from_iso
from jobrunner.model import BY_PROCESS, Chosen, Job, Standing
from jobrunner.schedule import parse
from jobrunner.simulation import clock as simulation
from jobrunner.simulation.standins import StandIns
from jobrunner.wire import RunSpec

NOON = from_iso("2026-11-20T12:00:00Z")


class FakeClock(simulation.FakeClock):
    """A clock that stands still until told otherwise, in microseconds."""

    def __init__(self, now: Instant = NOON) -> None:
        super().__init__(now)

    def advance(self, duration: Any) -> None:
        self.pass_by(duration)


class FakeExecutor(StandIns):
    """Bodies that end when the test says so, and are remembered; nobody's hook ends."""

    def __init__(self, clock: Clock, slots: int = 4) -> None:
        super().__init__(clock, slots)
        self.started: list[RunSpec] = []
        self.hooks: list[RunSpec] = []
        self.heard: dict[tuple[int, int], dict[str, Any]] = {}
        self.stopped: list[tuple[int, str, str | None]] = []

    def run(
        self, spec: RunSpec, pid: int, timeout: int | None, runs_per_process: int,
        executor: Chosen = BY_PROCESS,
    ) -> int:  # fmt: skip
        self.started.append(spec)
        return super().run(spec, pid, timeout, runs_per_process, executor)

    def run_hook(self, spec: RunSpec, number: int) -> bool:
        self.hooks.append(spec)
        return True

    def stop(self, run_id: int, state: str, reason: str | None) -> None:
        self.stopped.append((run_id, state, reason))

    def end_all(self) -> None:
        for run_id in list(self.specs):
            self.end(run_id)

    def answer(self, run_id: int, number: int, payload: dict[str, Any]) -> None:
        self.heard[run_id, number] = payload


def a_job(name: str = "job", schedule: Any = "* * * * *", **fields: Any) -> Job:
    """Return a definition with defaults."""
    zone = fields.pop("timezone", "UTC")
    config: Mapping[str, Any] = fields.pop("config", {"name": name, "schedule": schedule})
    return Job(
        name=name,
        schedule=None if schedule is None else parse(schedule, zone),
        timezone=zone,
        file=f"jobs/{name}.py",
        path=f"/nowhere/jobs/{name}.py",
        folder="/nowhere/jobs",
        line=1,
        content_hash=fields.pop("content_hash", "c0ffee"),
        hash=fields.pop("hash", "c0ffee"),
        config=config,
        **fields,
    )


def standing(job: Job, consumed: Instant = NOON, **fields: Any) -> Standing:
    """Return where a job stands that was first seen at `consumed`."""
    return Standing(
        job_id=1,
        job=job.name,
        scope="",
        schedule_key=job.schedule_key,
        consumed=consumed,
        anchor=fields.pop("anchor", consumed),
        executions=fields.pop("executions", 0),
        **fields,
    )
