"""Bodies for real, each in a process of its own; in the simulation's time they take as long as they took."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jobrunner.clock import SECOND, Clock, SystemClock
from jobrunner.executor import Ended
from jobrunner.handout import StopState
from jobrunner.model import BY_PROCESS, Chosen
from jobrunner.presence import Presence
from jobrunner.settings import Settings
from jobrunner.simulation.standins import StandIns
from jobrunner.wire import RunSpec
from jobrunner.workplace import Workplace, who_am_i

LOOK_EVERY = 1.0  # seconds
Length = Callable[[str, int], int]  # a job's name and how long its body took -> how long it takes


class Children(StandIns):
    """An `Executor` of processes. While one of them is under way time stands still: `settle` waits for it."""

    real = True

    def __init__(self, place: Workplace, clock: Clock, slots: int, length: Length) -> None:
        super().__init__(clock, slots)
        self._place = place
        self._length = length
        self._real = SystemClock()
        self._since: dict[int, float] = {}  # when bodies began that have not ended, by run

    @property
    def ready(self) -> Sequence[int]:
        """The pids of children in hand, at least one where there is a free slot."""
        free = self.slots - len(self.specs)
        while free > 0 and not self._place.pool.ready:
            self._wait()
        return self._place.pool.ready[: max(0, free)]

    def run(
        self, spec: RunSpec, pid: int, timeout: int | None, runs_per_process: int,
        executor: Chosen = BY_PROCESS,
    ) -> int:  # fmt: skip
        """Hand a body to its process."""
        self.specs[spec["runId"]] = spec
        self._since[spec["runId"]] = self._real.monotonic()
        return self._place.pool.run(spec, pid, timeout, runs_per_process, executor)

    def stop(self, run_id: int, state: StopState, reason: str | None) -> None:
        """End a body; one that has ended in real time ends in ours."""
        if run_id in self._since:
            self._place.pool.stop(run_id, state, reason)
        else:
            super().stop(run_id, state, reason)

    def answer(self, run_id: int, number: int, payload: dict[str, Any]) -> None:
        """Answer a body."""
        self._place.pool.answer(run_id, number, payload)

    @property
    def busy(self) -> bool:
        """Whether a body is under way, in real time."""
        return bool(self._since)

    def settle(self) -> None:
        """Wait until a body has something to say, or none is under way any more."""
        self._listen()
        while self._since and not self._happened:
            self._wait()

    def _wait(self) -> None:
        self._place.wait(LOOK_EVERY)
        if self._place.signals:
            raise KeyboardInterrupt
        self._listen()

    def _listen(self) -> None:
        for happening in self._place.pool.happened():
            if isinstance(happening, Ended):
                self._over(happening)
            else:
                self._happened.append(happening)

    def _over(self, ended: Ended) -> None:
        took = round((self._real.monotonic() - self._since.pop(ended.run_id)) * SECOND)
        takes = self._length(self.specs[ended.run_id]["job"], took)
        self.end_at(self._clock.now() + takes, ended.run_id, ended.outcome)


@contextmanager
def at_work(settings: Settings, slots: int, preload: Sequence[str]) -> Iterator[Workplace]:
    """Open a place for the processes, in the folder of the simulation's state."""
    clock = SystemClock()
    me = who_am_i(settings, clock, role="run")
    presence = Presence(Path(settings.state_folder), me.owner)
    place = Workplace(settings, presence, me, clock, slots=slots, preload=preload)
    place.open()
    try:
        yield place
    finally:
        place.pool.close()
        place.close()


def measured(given: Mapping[str, object], named: Callable[[str], int]) -> Length:
    """Return what says how long a body takes: as `given`, else as long as it took."""
    return lambda job, took: took if given.get(job) is None else named(job)
