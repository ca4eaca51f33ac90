"""What a child serves: a run, how far its end has come, and in which words the node hears of it."""

from __future__ import annotations

from typing import Any

from jobrunner.clock import SECOND
from jobrunner.executor import ending, memory
from jobrunner.executor.ending import Asked as AskedToEnd
from jobrunner.executor.happened import Asked, Began, Ended, Happening, HookEnded, HookOutput, Output
from jobrunner.executor.stopping import Escalation, Means
from jobrunner.model import Outcome
from jobrunner.wire import Frame, RunSpec

REPLY_LIMIT = 2.0  # seconds from the reply to the end of the process
HOOK_LIMIT = 30 * SECOND  # microseconds that a hook may take
HOOK_GRACE = 2 * SECOND  # microseconds that it then has at most, to end by itself


class Serving:
    """A run under way. `now` is monotonic seconds, `timeout` and `grace` are microseconds.

    `weighed`: its processes are on this machine, so that its memoryLimit can be kept.
    """

    def __init__(
        self, spec: RunSpec, now: float, timeout: int | None, grace: int, *, weighed: bool = True
    ) -> None:
        self.id = spec["runId"]
        self.asked: AskedToEnd | None = None
        self.reply: Outcome | None = None
        self.output = 0  # bytes
        self._timeout = timeout
        self._deadline = None if timeout is None else now + timeout / SECOND
        self._grace = grace
        self._escalation: Escalation | None = None
        self._over_by: float | None = None  # set with the reply: when the process has to be done
        limit = spec["memoryLimit"] if weighed else None
        self._scale = memory.Scale(limit, now) if limit is not None and memory.supported() else None

    @property
    def due(self) -> float | None:
        """When `step` is needed, in monotonic seconds."""
        if self._over_by is not None:
            return self._over_by
        step = self._escalation.due if self._escalation is not None else self._deadline
        look = self._scale.due if self._scale is not None else None
        return min((time for time in (step, look) if time is not None), default=None)

    def step(self, now: float, pid: int) -> Means | None:
        """Return what has to be done by now towards its end; `pid` is the process that does the run."""
        if self._over_by is not None:
            return self._insist(now, self._over_by)
        if self._scale is not None and (used := self._scale.excess(pid, now)) is not None:
            asked = ending.over_memory(used, self._scale.limit)
            self._scale = None
            return self.stop(asked, now, at_once=True)
        if self._escalation is not None:
            return self._escalation.next(now)
        if self._deadline is None or now < self._deadline:
            return None
        return self.stop(AskedToEnd("timed_out", None, self._timeout), now)

    def stop(self, asked: AskedToEnd, now: float, *, at_once: bool = False) -> Means | None:
        """Return what to do now that it shall end; the first to ask decides what it is called."""
        self.asked = self.asked or asked
        if self._escalation is None:
            self._escalation = Escalation(now, self._grace)
        elif not at_once:
            return None
        if at_once or self._grace <= 0:
            self._escalation.at_once(now)
        return self._escalation.next(now)

    def replied(self, reply: Any, now: float) -> None:
        """Take in its last word: its process has two seconds left. Raises WireError when it is none."""
        self.reply = ending.by_reply(reply, self.asked)
        self._over_by = now + REPLY_LIMIT

    def _insist(self, now: float, over_by: float) -> Means | None:
        if now < over_by:
            return None
        self._over_by = now + REPLY_LIMIT
        return "kill"

    # -- what the node hears -------------------------------------------------------------------------

    def news(self, frame: Frame, pid: int) -> Happening | None:
        """Return what a frame before the reply is to the node. Raises WireError for a malformed one."""
        if "began" in frame:
            return Began(self.id, pid)
        if "ask" in frame:
            asked = Asked(self.id, frame["ask"], frame["verb"], frame["payload"])
            return asked if ending.acceptable(asked) else None
        return None

    def wrote(self, data: bytes) -> Happening:
        """Return that it wrote something."""
        self.output += len(data)
        return Output(self.id, data)

    def ended(self, outcome: Outcome) -> Happening:
        """Return that it is over."""
        return Ended(self.id, outcome, self.output)


class ServingHook(Serving):
    """A hook under way: it has a number of the node's own, half a minute, and nothing to ask for."""

    def __init__(self, spec: RunSpec, now: float, grace: int, number: int) -> None:
        super().__init__(spec, now, HOOK_LIMIT, min(grace, HOOK_GRACE))
        self._number = number

    def news(self, frame: Frame, pid: int) -> Happening | None:
        """Return None: the run that it belongs to is over, and hears nothing any more."""
        return None

    def wrote(self, data: bytes) -> Happening:
        """Return that it wrote something."""
        return HookOutput(self._number, data)

    def ended(self, outcome: Outcome) -> Happening:
        """Return that it is over."""
        return HookEnded(self._number, outcome)
