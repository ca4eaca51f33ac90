"""Children that serve runs: what they say, how each ends. Where they come from is a matter of the kind.

serving    `run` was a send on its own wire; `Began`, `Output`, `Asked` follow; or it does a hook
over       a complete reply decides, else its exit; `Ended` once the process is gone (two seconds after
           its reply it is killed) or says that it may serve another run of the same job
"""

from __future__ import annotations

import selectors
import signal
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from jobrunner.clock import Clock
from jobrunner.executor import ending
from jobrunner.executor.ending import Asked as AskedToEnd
from jobrunner.executor.ending import StopState
from jobrunner.executor.happened import Began, Ended, Happening
from jobrunner.executor.member import Member
from jobrunner.executor.plugin import Family, Launcher
from jobrunner.executor.serving import Serving
from jobrunner.model import Outcome
from jobrunner.wire import Frame, RunSpec, WireError


class Crew(Family):
    """Children of one node. All calls come from its one thread; nothing here blocks for long."""

    def __init__(self, selector: selectors.BaseSelector, clock: Clock, *, log_limit: int, grace: int) -> None:
        """`log_limit`: bytes of one run's output that are held until the node takes them; beyond, the run
        waits. `grace` is microseconds."""
        self._selector = selector
        self._clock = clock
        self._log_limit = log_limit
        self._grace = grace
        self._count = 0
        self._members: dict[int, Member] = {}
        self._runs: dict[int, Member] = {}
        self._events: list[Happening] = []
        self._pressing = False  # something has happened that a turn can make something of
        self._held: dict[Member, int] = {}  # output bytes that nobody has taken

    # -- what the node calls -------------------------------------------------------------------------

    @property
    def running(self) -> int:
        """How many runs are under way."""
        return len(self._runs)

    @property
    def can_wait(self) -> bool:
        """Whether nothing has happened of which anybody need hear at once: that bodies began is no hurry."""
        return not self._pressing

    def stop(self, run_id: int, state: StopState, reason: str | None, *, now: bool = False) -> None:
        """Bring a run to its end: ask, then TERM, then KILL; `now` kills at once. Idempotent.

        The first to ask decides what it is called; a reply that is complete decides before both.
        """
        member = self._runs.get(run_id)
        if member is not None:
            member.stop(AskedToEnd(state, reason), self._clock.monotonic(), at_once=now)

    def kill_all(self) -> None:
        """Kill all that runs, at once, and what has been got ready: nobody may act any more."""
        for member in list(self._members.values()):
            member.condemn()

    def answer(self, run_id: int, number: int, payload: Mapping[str, Any]) -> None:
        """Answer a request of a run, after the commit; a run that is over hears nothing."""
        if run_id in self._runs:
            self._runs[run_id].send({"answer": number, **payload})

    def happened(self) -> list[Happening]:
        """Return what happened since the last call, in order."""
        events, self._events, self._pressing = self._events, [], False
        for member in self._held:
            member.resume()
        self._held.clear()
        return events

    # -- what the launcher tells ---------------------------------------------------------------------

    def forked(self, number: int, pid: int) -> None:
        """A child exists; it is ready when it says so itself."""
        if number in self._members:
            self._members[number].pid = pid

    def exited(self, number: int, code: int | None, problem: str | None = None) -> None:
        """A child is gone: that ends its run, if it had one."""
        member = self._members.pop(number, None)
        if member is None:
            return
        member.drain()
        member.close()
        serving = member.serving
        if serving is not None:
            # What somebody asked for before counts more than what became of its parent meanwhile.
            why = member.problem or (problem if serving.asked is None else None)
            by_exit = ending.by_exit(code, serving.asked, why, begun=member.parcel is None)
            self._end(member, serving, serving.reply or by_exit)
        self._gone(member, problem or ending.exit_words(code), served=serving is not None)

    # -- what each kind has of its own ---------------------------------------------------------------

    @abstractmethod
    def live_until(self, moment: float) -> None:
        """Have all that runs killed at that second of boot time, also where this process is stopped then."""

    @abstractmethod
    def _on_ready(self, member: Member) -> None:
        """A child says that it waits for a run."""

    def _gone(self, member: Member, why: str, *, served: bool) -> None:
        """A child is gone, and so is the run that it `served`."""

    # -- what the children say -----------------------------------------------------------------------

    def _on_frame(self, member: Member, frame: Frame) -> None:
        serving = member.serving
        if "ready" in frame:
            self._on_ready(member)
        elif serving is None or serving.reply is not None:
            raise WireError("it speaks out of turn")
        elif "reply" in frame:
            serving.replied(frame["reply"], self._clock.monotonic())
        else:
            self._tell(serving.news(frame, member.pid))

    def _on_output(self, member: Member, data: bytes) -> None:
        if member.serving is None:
            return
        self._tell(member.serving.wrote(data))
        self._held[member] = self._held.get(member, 0) + len(data)
        if self._held[member] >= self._log_limit:
            member.pause()

    def _on_broken(self, member: Member, sentence: str) -> None:
        member.problem = sentence
        member.kill()

    # -- how it goes on ------------------------------------------------------------------------------

    @property
    def _busy(self) -> bool:
        return any(member.serving is not None for member in self._members.values())

    def _member(self, launcher: Launcher) -> Member:
        """Return a new one, that nobody knows of yet."""
        self._count += 1
        ears = self._on_frame, self._on_output, self._on_broken
        member = Member(self._count, launcher, self._selector, *ears)
        member.since = self._clock.monotonic()
        return member

    def _end(self, member: Member, serving: Serving, outcome: Outcome) -> None:
        if self._runs.get(serving.id) is member:
            del self._runs[serving.id]
        self._held.pop(member, None)
        member.serving = None
        self._tell(serving.ended(outcome))

    def _refuse(self, spec: RunSpec, outcome: Outcome) -> int:
        self._tell(Ended(spec["runId"], outcome, 0))
        return 0

    def _tell(self, happening: Happening | None) -> None:
        if happening is not None:
            self._events.append(happening)
            self._pressing = self._pressing or not isinstance(happening, Began)

    def _end_all(self) -> None:
        """What is left has been killed; what was still running is canceled, reason shutdown."""
        for member in list(self._members.values()):
            if member.serving is not None and member.serving.asked is None:
                member.serving.asked = AskedToEnd("canceled", "shutdown")
            self.exited(member.number, -signal.SIGKILL)
