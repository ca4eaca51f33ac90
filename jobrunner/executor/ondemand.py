"""The runs of an executor that comes as a plug-in: each gets a child when it is there, and none before.

Until its child says that it is ready, nothing of a run has begun: one that shall end then is killed at once.
Its time-out counts all the same, for nobody knows how long a cluster has no room.
"""

from __future__ import annotations

import contextlib
import selectors
from collections.abc import Callable

from jobrunner.clock import Clock
from jobrunner.executor import ending
from jobrunner.executor.crew import Crew
from jobrunner.executor.member import Member
from jobrunner.executor.plugin import Family, Launcher, Options
from jobrunner.executor.serving import Serving
from jobrunner.model import Outcome
from jobrunner.wire import RunSpec, WireError, encode


class OnDemand(Crew):
    """`make` returns a launcher that is not started; it may raise anything. It is made for the first run."""

    def __init__(
        self, make: Callable[[Family], Launcher], selector: selectors.BaseSelector, clock: Clock,
        *, log_limit: int, grace: int,
    ) -> None:  # fmt: skip
        super().__init__(selector, clock, log_limit=log_limit, grace=grace)
        self._make = make
        self._launcher: Launcher | None = None
        self._until: float | None = None  # seconds of boot time

    def run(self, spec: RunSpec, timeout: int | None, options: Options) -> int:
        """Have a child made for a run. Never fails: where there can be none, the run Ended."""
        try:
            data = encode({"run": spec, "again": False})
        except (TypeError, ValueError, RecursionError) as error:
            return self._refuse(spec, ending.unstorable(error))
        try:
            launcher = self._opened()
        except Exception as error:  # whatever a plug-in makes of it
            return self._refuse(spec, _unopened(error))
        member = self._member(launcher)
        try:
            ends = member.open()
        except OSError:
            return self._refuse(spec, ending.never_began())
        now, weighed = self._clock.monotonic(), not launcher.remote
        member.parcel = data
        member.serving = Serving(spec, now, timeout, self._grace, weighed=weighed)
        self._members[member.number] = self._runs[spec["runId"]] = member
        launcher.launch(member.number, *ends, options)
        return 0

    def _opened(self) -> Launcher:
        if self._launcher is None:
            launcher = self._make(self)
            launcher.start()
            self._launcher = launcher
            if self._until is not None:
                launcher.live_until(self._until)
        return self._launcher

    def live_until(self, moment: float) -> None:
        """Have all that runs killed at that second of boot time, also where this process is stopped then."""
        self._until = moment
        if self._launcher is not None:
            self._launcher.live_until(moment)

    def next_deadline(self) -> float | None:
        """Return when `tick` is needed, in monotonic seconds; None when only news can bring work."""
        times = [member.deadline for member in self._members.values()]
        times += [_ready_by(member) for member in self._members.values()]
        if self._launcher is not None:
            times.append(self._launcher.deadline(self._busy))
        return min((time for time in times if time is not None), default=None)

    def tick(self, now: float) -> None:
        """Do what is due: time-outs, the next step of each stop."""
        if self._launcher is not None:
            self._launcher.tick(now, self._busy)
        for member in list(self._members.values()):
            limit = _ready_by(member)
            if limit is not None and now >= limit:
                member.stop(ending.unprepared(member.launcher.ready_limit or 0), now, at_once=True)
            member.tick(now)

    def close(self) -> None:
        """End all children, whatever they do; what was still running is canceled, reason shutdown."""
        launcher, self._launcher = self._launcher, None
        if launcher is not None:
            with contextlib.suppress(Exception):  # a plug-in's: the node goes all the same
                launcher.close()
        self._end_all()

    def extinct(self, launcher: Launcher) -> None:
        """The launcher broke down: the next run has another made."""
        if launcher is self._launcher:
            self._launcher = None

    def _on_ready(self, member: Member) -> None:
        if member.parcel is None:
            raise WireError("it is ready out of turn")
        parcel, member.parcel = member.parcel, None
        member.post(parcel)


def _ready_by(member: Member) -> float | None:
    """Return until when its child has to be ready; None: it is, or was asked to end, or may take its time."""
    limit = member.launcher.ready_limit
    waits = member.parcel is not None and member.serving is not None and member.serving.asked is None
    return member.since + limit if waits and limit is not None else None


def _unopened(error: Exception) -> Outcome:
    message = f"its executor cannot be started: {type(error).__name__}: {error}"[:500]
    return Outcome(state="failed", error=ending.crashed(message.encode("utf-8", "replace").decode()))
