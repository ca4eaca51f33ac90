"""From event to event: time jumps to when something is due, ends, or changes; nothing happens between."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from jobrunner.clock import Instant
from jobrunner.errors import JobrunnerError
from jobrunner.executor.ending import Asked, by_exit
from jobrunner.model import Outcome
from jobrunner.simulation.clock import FakeClock
from jobrunner.simulation.node import SimulatedNode
from jobrunner.simulation.standins import Body, StandIns

Span = tuple[Instant, Instant]
Perform = Callable[[Body], tuple[int, Outcome]]  # -> how many microseconds a body takes, and how it ends

AT_ONCE = 20_000  # turns without any time between them: by then something calls itself again and again


class StandsStill(JobrunnerError):
    """Time does not go on, for what happens takes none and makes the same happen again."""


class Engine:
    """Moves one node through time. `perform` says, when a body is handed out, what will become of it."""

    def __init__(
        self,
        node: SimulatedNode,
        clock: FakeClock,
        bodies: StandIns,
        perform: Perform,
        pauses: Sequence[Span],
    ) -> None:
        self._node = node
        self._clock = clock
        self._bodies = bodies
        self._perform = perform
        self._changes = sorted({at for span in pauses for at in span})
        self._pauses = pauses

    def run(self, end: Instant) -> None:
        """Let everything happen that happens before `end`."""
        self._change_pause()
        self._happen()
        while (at := self._next()) is not None and at < end:
            self._clock.pass_by(max(0, at - self._clock.now()))
            self._change_pause()
            self._happen()
        self._clock.pass_by(max(0, end - self._clock.now()))

    def _next(self) -> Instant | None:
        moments = (
            self._node.scheduler.next_moment(),
            self._node.dispatcher.next_wake(),
            self._bodies.next_end(),
            self._node.next_grace(),
            self._changes[0] if self._changes else None,
        )
        return min((moment for moment in moments if moment is not None), default=None)

    def _happen(self) -> None:
        """Do turns until there is nothing to do at this moment."""
        node, dispatcher, turns = self._node, self._node.dispatcher, 0
        while turns < AT_ONCE:
            self._begin()
            self._bodies.settle()
            dispatcher.notice()
            if self._bodies.ended and node.scheduler.waiting:
                node.scheduler.stale = True  # somebody may wait for just that; a node would look each second
            node.give_up()
            if dispatcher.must_turn(self._clock.now()):
                dispatcher.turn()
                turns += 1
            elif not self._bodies.busy:
                return
        running = ", ".join(sorted({spec["job"] for spec in self._bodies.specs.values()}))
        raise StandsStill(
            f"time does not go on: {AT_ONCE:,} turns at the same moment, now with {running or 'nothing'}",
            hint="does a job call itself without a delay? say how long bodies take (takes=)",
        )

    def _begin(self) -> None:
        for body in self._bodies.taken():
            takes, outcome = self._perform(body)
            if body.timeout is not None and takes > body.timeout:
                takes, outcome = body.timeout, by_exit(None, Asked("timed_out", None, body.timeout))
            self._bodies.end_at(self._clock.now() + takes, body.spec["runId"], outcome)

    def _change_pause(self) -> None:
        now = self._clock.now()
        if not self._changes or self._changes[0] > now:
            return
        self._changes = [at for at in self._changes if at > now]
        if any(low <= now < high for low, high in self._pauses):
            self._node.store.pause("simulate", None, now)
        else:
            self._node.store.resume(now)
        self._node.look()
        self._node.dispatcher.look_for_pending()
