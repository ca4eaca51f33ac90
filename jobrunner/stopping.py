"""How a node comes to its end: a signal, a second one, the end of the grace, a state file that is gone."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum

from jobrunner.clock import SECOND
from jobrunner.dispatcher import Dispatcher
from jobrunner.events import Draining, Event
from jobrunner.workplace import Workplace

LAST_HOOKS = 2.0  # seconds for hooks once the grace is over


class Stage(IntEnum):
    """How far a stop has come."""

    WORKING = 0
    DRAINING = 1  # nothing new starts; what runs may end
    STOPPING = 2  # the grace is over: runs are asked to end, then made to
    KILLING = 3  # a second signal: at once


class Stop:
    """Moves from stage to stage, each once. `grace` in microseconds."""

    def __init__(
        self, place: Workplace, dispatcher: Dispatcher, grace: int, emit: Callable[[Event], None]
    ) -> None:
        self._place = place
        self._dispatcher = dispatcher
        self._grace = grace
        self._emit = emit
        self.stage = Stage.WORKING
        self.until: float | None = None  # monotonic; when the grace is over
        self._ended_at = 0.0  # monotonic; when runs were asked to end

    def move_along(self, monotonic: float) -> None:
        """Do what the signals so far and the time ask for."""
        if self._place.signals and self.stage is Stage.WORKING:
            self._drain(monotonic)
        if self.until is not None and monotonic >= self.until:
            self._end_runs(Stage.STOPPING, monotonic)
        if self._place.signals > 1 and self.stage is not Stage.KILLING:
            self._end_runs(Stage.KILLING, monotonic)

    def _drain(self, monotonic: float) -> None:
        self.stage = Stage.DRAINING
        self._dispatcher.claiming = False
        self.until = monotonic + self._grace / SECOND
        self._emit(Draining(len(self._dispatcher.running)))

    def hooks_may_go_on(self, monotonic: float) -> bool:
        """Say whether hooks are still waited for: through the grace, and a moment for those of its end."""
        if self.stage is Stage.STOPPING:
            return monotonic - self._ended_at < LAST_HOOKS
        return self.stage is not Stage.KILLING

    def is_over(self, monotonic: float) -> bool:
        """Say whether all has been asked for, and waited for long enough."""
        late = self.stage is Stage.STOPPING and monotonic - self._ended_at >= LAST_HOOKS
        return late or self.stage is Stage.KILLING

    def close(self) -> None:
        """End all at once; what a commit in doubt turns out to have begun, too. Raises StateError."""
        try:
            self._dispatcher.settle()
        finally:
            self._place.pool.close()

    def _end_runs(self, stage: Stage, monotonic: float) -> None:
        self.stage, self.until, self._ended_at = stage, None, monotonic
        self._dispatcher.hooks.drop()
        for run_id in self._dispatcher.running:
            self._dispatcher.stop(run_id, "canceled", "shutdown")
            if stage is Stage.KILLING:
                self._place.pool.stop(run_id, "canceled", "shutdown", now=True)
