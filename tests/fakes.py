"""Stand-ins for time and for processes; the store in tests is always a real one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jobrunner.clock import SECOND, Instant, from_iso
from jobrunner.executor import Ended, Happening
from jobrunner.model import Job, Outcome, Standing
from jobrunner.schedule import parse
from jobrunner.wire import RunSpec

NOON = from_iso("2026-11-20T12:00:00Z")


class FakeClock:
    """A clock that stands still until told otherwise."""

    def __init__(self, now: Instant = NOON) -> None:
        self.wall = now
        self.elapsed = 0.0

    def now(self) -> Instant:
        return self.wall

    def monotonic(self) -> float:
        return self.elapsed

    def boottime(self) -> float:
        return self.elapsed

    def advance(self, micros: int) -> None:
        self.wall += micros
        self.elapsed += micros / SECOND


class FakeExecutor:
    """Bodies that take no time, or as long as the test says."""

    def __init__(self, slots: int = 4) -> None:
        self.slots = slots
        self.specs: dict[int, RunSpec] = {}
        self.started: list[RunSpec] = []
        self.hooks: list[RunSpec] = []
        self.answers: dict[tuple[int, int], dict[str, Any]] = {}
        self.stopped: list[tuple[int, str, str | None]] = []
        self._happened: list[Happening] = []
        self._pid = 100

    @property
    def ready(self) -> Sequence[int]:
        free = self.slots - len(self.specs)
        self._pid += free
        return range(self._pid - free, self._pid)

    def run(self, spec: RunSpec, pid: int, timeout: int | None, runs_per_process: int) -> int:
        self.specs[spec["runId"]] = spec
        self.started.append(spec)
        return pid

    def run_hook(self, spec: RunSpec, number: int) -> bool:
        self.hooks.append(spec)
        return True

    def stop(self, run_id: int, state: str, reason: str | None) -> None:
        self.stopped.append((run_id, state, reason))

    def end(self, run_id: int, outcome: Outcome | None = None) -> None:
        del self.specs[run_id]
        self._happened.append(Ended(run_id, outcome or Outcome(state="succeeded"), 0))

    def end_all(self) -> None:
        for run_id in list(self.specs):
            self.end(run_id)

    def happen(self, happening: Happening) -> None:
        self._happened.append(happening)

    def happened(self) -> list[Happening]:
        happened, self._happened = self._happened, []
        return happened

    def answer(self, run_id: int, number: int, payload: dict[str, Any]) -> None:
        self.answers[run_id, number] = payload


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
