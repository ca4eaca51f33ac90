"""Tells when clocks part: the machine slept, or somebody set the time; and what a node does about it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from jobrunner.clock import SECOND, Clock, to_iso
from jobrunner.errors import StateError
from jobrunner.events import ClockApart, ClockJumped, ClockNotSet, Event, Slept
from jobrunner.facts import NodeFacts
from jobrunner.scheduler import Scheduler
from jobrunner.store.base import Store

EARLIEST = 1_767_225_600 * SECOND  # 2026-01-01: a clock before it is simply not set
JUMP = 2.0  # seconds by which clocks may disagree before it is called a step
APART = 2 * SECOND  # by which a machine's wall clock may differ from the database's before it is said
ASTRAY = 60 * SECOND  # … before the node claims nothing


class ClockWatch:
    """Compares the clocks of one look with those of the last.

    Waits are short and instants absolute, so a step needs no repair of the node's, only a word.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last = self._read()

    def look(self) -> list[Slept | ClockJumped]:
        """Return what happened to the clocks since the last look."""
        before, self._last = self._last, self._read()
        wall, monotonic, boot = (new - old for new, old in zip(self._last, before, strict=True))
        events: list[Slept | ClockJumped] = []
        if boot - monotonic > JUMP:
            since, until = (round(clocks[0] * SECOND) for clocks in (before, self._last))
            events.append(Slept(round((boot - monotonic) * SECOND), since, until))
        if abs(wall - boot) > JUMP:
            events.append(ClockJumped(round((wall - boot) * SECOND)))
        return events

    def _read(self) -> tuple[float, float, float]:
        return self._clock.now() / SECOND, self._clock.monotonic(), self._clock.boottime()


def told(event: Slept | ClockJumped | ClockApart) -> tuple[str, None, str]:
    """Return what the audit trail keeps of it: action, no job, detail."""
    if isinstance(event, ClockApart):
        return "clock-apart", None, f"{event.micros / SECOND:+.0f} s"
    if isinstance(event, Slept):
        return "slept", None, f"{to_iso(event.since)}/{to_iso(event.until)}"
    return "clock-set", None, f"{event.micros / SECOND:+.0f} s"


class Clocks:
    """What a node does when its clocks part: `clock` is the store's, `local` the machine's own.

    All that is due goes by the store's. But bodies ask their machine for the time, and logs tell it: so one
    whose clock is wrong is told, and where it is far off nothing starts.
    """

    def __init__(
        self, clock: Clock, local: Clock, scheduler: Scheduler, store: Store, me: NodeFacts,
        emit: Callable[[Event], None],
    ) -> None:  # fmt: skip
        self._clock = clock
        self._local = local
        self._unset = False
        self._apart = 0  # microseconds, as they were said last; 0: there was nothing to say
        self._watch = ClockWatch(clock)
        self._scheduler = scheduler
        self._store = store
        self._me = me
        self._emit = emit

    def look(self) -> int | None:
        """Say by how many microseconds time has leapt, None if it has not.

        To be called before each turn, for what was due in a sleep is planned at once when it is over.
        """
        events = self._watch.look()
        for event in events:
            self._emit(event)
            self._scheduler.stale = True
            if isinstance(event, Slept):
                self._scheduler.slept = event.since, event.until
            self._keep(event)
        return max((event.micros for event in events), default=None)

    def check(self) -> None:
        """Without a clock nothing is due; what runs may end, and its end is recorded."""
        unset = self._clock.now() < EARLIEST
        if unset and not self._unset:
            self._emit(ClockNotSet(self._clock.now()))
        self._unset = unset
        self._compare()
        self._scheduler.halted = unset or self._scheduler.astray

    def _compare(self) -> None:
        """Say how far the clocks are apart, once until that changes; less than a second is no change."""
        apart, before = self._local.now() - self._clock.now(), self._apart
        if _grade(apart) <= _grade(before) and (not before or abs(apart - before) <= SECOND):
            return
        self._apart = apart if _grade(apart) else 0
        self._scheduler.astray = _grade(apart) > 1
        event = ClockApart(self._apart, self._scheduler.astray)
        self._emit(event)
        self._keep(event)

    def _keep(self, event: Slept | ClockJumped | ClockApart) -> None:
        with suppress(StateError):  # it is kept for `why` and `audit`; nothing depends on that
            self._store.note(self._me.node, *told(event), self._clock.now())


def _grade(apart: int) -> int:
    """Return 0 where clocks agree, 1 where they do not, 2 where they are far apart."""
    return (abs(apart) > APART) + (abs(apart) > ASTRAY)
