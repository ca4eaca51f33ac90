"""Bodies that do nothing: each is under way until somebody says how it ends, or until its time has come."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jobrunner.clock import Clock, Instant
from jobrunner.executor import Ended, Happening, HookEnded
from jobrunner.handout import StopState
from jobrunner.model import BY_PROCESS, Chosen, Outcome
from jobrunner.wire import RunSpec

GOOD = Outcome(state="succeeded")


@dataclass(frozen=True, slots=True)
class Body:
    """A body that has just been handed out. `timeout` in microseconds."""

    spec: RunSpec
    timeout: int | None


class StandIns:
    """An `Executor` without processes. Hooks are called by nobody, and have always gone well."""

    real = False  # whether bodies come to their end by themselves

    def __init__(self, clock: Clock, slots: int) -> None:
        self._clock = clock
        self.slots = slots
        self.specs: dict[int, RunSpec] = {}  # of what is under way, by run
        self._new: list[Body] = []
        self._ends: list[tuple[Instant, int, Outcome]] = []
        self._happened: list[Happening] = []
        self._answers: dict[int, dict[int, list[dict[str, Any]]]] = {}  # by run and request
        self.ended = False  # whether a body has ended since the last call of `happened`, or in it

    # -- what the dispatcher calls -------------------------------------------------------------------

    @property
    def ready(self) -> Sequence[int]:
        """As many pids as there are free slots."""
        return range(1, 1 + self.slots - len(self.specs))

    def run(
        self, spec: RunSpec, pid: int, timeout: int | None, runs_per_process: int,
        executor: Chosen = BY_PROCESS,
    ) -> int:  # fmt: skip
        """Have a body under way."""
        self.specs[spec["runId"]] = spec
        self._new.append(Body(spec, timeout))
        return pid

    def run_hook(self, spec: RunSpec, number: int) -> bool:
        """Have a hook be over."""
        self._happened.append(HookEnded(number, GOOD))
        return True

    def stop(self, run_id: int, state: StopState, reason: str | None) -> None:
        """End a body at once: it has nothing to clean up."""
        if run_id in self.specs:
            self.end(run_id, Outcome(state=state, reason=reason))

    def happened(self) -> list[Happening]:
        """Return and forget what happened, with the ends whose time has come."""
        now = self._clock.now()
        self.ended = any(isinstance(one, Ended) for one in self._happened)
        while self._ends and self._ends[0][0] <= now:
            _, run_id, outcome = heapq.heappop(self._ends)
            if run_id in self.specs:
                self.end(run_id, outcome)
                self.ended = True
        happened, self._happened = self._happened, []
        return happened

    def answer(self, run_id: int, number: int, payload: dict[str, Any]) -> None:
        """Keep the answer for whoever asked."""
        if run_id in self.specs:
            self._answers.setdefault(run_id, {}).setdefault(number, []).append(payload)

    # -- what moves it -------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether something happens in real time."""
        return False

    def settle(self) -> None:
        """Wait for what happens in real time: nothing."""

    def taken(self) -> list[Body]:
        """Return and forget what was handed out since the last call."""
        new, self._new = self._new, []
        return new

    def answers(self, run_id: int, number: int) -> list[dict[str, Any]]:
        """Return and forget what a request was answered."""
        return self._answers.get(run_id, {}).pop(number, [])

    def end(self, run_id: int, outcome: Outcome = GOOD) -> None:
        """End a body now."""
        del self.specs[run_id]
        self._answers.pop(run_id, None)
        self._happened.append(Ended(run_id, outcome, 0))

    def end_at(self, at: Instant, run_id: int, outcome: Outcome) -> None:
        """End a body then, unless it has ended before."""
        heapq.heappush(self._ends, (at, run_id, outcome))

    def happen(self, happening: Happening) -> None:
        """Tell the node of something else."""
        self._happened.append(happening)

    def next_end(self) -> Instant | None:
        """Return when the first of them ends, or None."""
        while self._ends and self._ends[0][1] not in self.specs:
            heapq.heappop(self._ends)
        return self._ends[0][0] if self._ends else None
