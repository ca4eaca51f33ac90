"""The node's side: spares in hand, runs under way, and how each of them ends.

spare      asked for ahead, has loaded no file of the project; `ready` once it says so
serving    `run` was a send on its own wire; `Began`, `Output`, `Asked` follow; or it does a hook
over       a complete reply decides, else its exit; `Ended` once the process is gone (two seconds after
           its reply it is killed) or says that it may serve another run of the same job
"""

from __future__ import annotations

import os
import selectors
import signal
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from jobrunner.clock import SECOND, Clock, SystemClock
from jobrunner.executor import ending
from jobrunner.executor.direct import ExecLauncher
from jobrunner.executor.ending import Asked as AskedToEnd
from jobrunner.executor.ending import StopState
from jobrunner.executor.generations import Generations
from jobrunner.executor.happened import Ended, Happening
from jobrunner.executor.launch import Launcher, ZygoteLauncher
from jobrunner.executor.member import Member, wait_for_replies
from jobrunner.executor.serving import Serving, ServingHook
from jobrunner.executor.supply import BackOff
from jobrunner.model import Outcome
from jobrunner.wire import Frame, RunSpec, WireError, encode

SPARES = 8  # children in hand at most, however many slots there are


class Pool:
    """Children of one node. All calls come from its one thread; nothing here blocks for long."""

    def __init__(
        self,
        selector: selectors.BaseSelector,
        *,
        slots: int,
        preload: Sequence[str] = (),
        environ: Mapping[str, str] | None = None,
        lock_path: str = "",
        log_limit: int = 1024 * 1024,
        grace: int = 10 * SECOND,
        clock: Clock | None = None,
        project: str = "",
        spawn: Literal["fork", "exec"] = "fork",
    ) -> None:
        """`environ` is the children's whole environment (default: ours), `grace` microseconds.

        `log_limit`: bytes of one run's output that are held until the node takes them; beyond, the run
        waits. `preload` names packages to import before the fork; what lies in `project` never is.
        """
        self._selector = selector
        self._slots = slots
        self._preload = preload
        self._environ = dict(os.environ if environ is None else environ)
        self._lock_path = lock_path
        self._log_limit = log_limit
        self._grace = grace
        self._clock = clock or SystemClock()
        self._project = project
        self._spawn = spawn
        self._zygotes = Generations(self._new_launcher, self._clock.monotonic)
        self._back_off = BackOff()
        self._count = 0
        self._members: dict[int, Member] = {}
        self._runs: dict[int, Member] = {}
        self._events: list[Happening] = []
        self._held: dict[Member, int] = {}  # output bytes that nobody has taken
        self._hook_waits = False  # for a spare: one more than there are slots

    # -- what the node calls -------------------------------------------------------------------------

    @property
    def ready(self) -> list[int]:
        """The pids of spares in hand, oldest first, as many as there are free slots."""
        spares = [one.pid for one in self._members.values() if one.spare and one.ready]
        return spares[: max(0, self._slots - len(self._runs))]

    @property
    def skipped(self) -> Mapping[str, str]:
        """Packages that were not preloaded, and why; for `doctor`."""
        return self._zygotes.skipped

    def start(self) -> None:
        """Start the zygote, or what stands in for it, and ask for spares."""
        self._zygotes.start()
        self._back_off.lift()
        self._replenish()

    def run(self, spec: RunSpec, pid: int, timeout: int | None = None, runs_per_process: int = 1) -> int:
        """Hand a run to the spare `pid`, or to a child that is warm for this job; returns whose pid it is.

        Never fails: where no child can take it, it Ended without having begun. `timeout` is in
        microseconds from now.
        """
        member = self._warm(spec) or self._spare(pid)
        left = (runs_per_process if member is None or member.runs_left is None else member.runs_left) - 1
        try:
            data = encode({"run": spec, "again": left > 0})
        except (TypeError, ValueError, RecursionError) as error:
            return self._refuse(spec, ending.unstorable(error))
        if member is None:
            return self._refuse(spec, ending.never_began())
        member.runs_left = left
        self._runs[spec["runId"]] = member
        self._hand_over(member, Serving(spec, self._clock.monotonic(), timeout, self._grace), spec, data)
        return member.pid

    def _refuse(self, spec: RunSpec, outcome: Outcome) -> int:
        self._events.append(Ended(spec["runId"], outcome, 0))
        return 0

    def run_hook(self, spec: RunSpec, number: int) -> bool:
        """Hand a hook (`spec["hook"]`) to a spare; False when none is in hand: try again later.

        It takes no slot. Its output and end are told with `number`, which the caller chooses; it has 30
        seconds, then two at most to end by itself. `close` does not wait for it.
        """
        member = self._spare()
        self._hook_waits = member is None
        if member is None:
            self._replenish()
            return False
        serving = ServingHook(spec, self._clock.monotonic(), self._grace, number)
        try:
            data = encode({"run": spec, "again": False})
        except (TypeError, ValueError, RecursionError) as error:
            self._tell(serving.ended(ending.unstorable(error)))
            return True
        member.runs_left = 0
        self._hand_over(member, serving, spec, data)
        return True

    def renew(self, preload: Sequence[str], environ: Mapping[str, str] | None = None) -> None:
        """Have new spares from a new zygote: settings, installed packages or environment have changed.

        Spares of the old one are sent home at once; runs under way finish in it, and it ends when the last
        of them has. Without `environ` the environment stays as it was.
        """
        self._preload = preload
        self._environ = self._environ if environ is None else dict(environ)
        self._zygotes.renew()
        self._back_off.lift()
        for member in self._members.values():
            if member.serving is None and not member.retired:
                member.retire(self._clock.monotonic())
        self._replenish()

    def stop(self, run_id: int, state: StopState, reason: str | None, *, now: bool = False) -> None:
        """Bring a run to its end: ask, then TERM, then KILL; `now` kills at once. Idempotent.

        The first to ask decides what it is called; a reply that is complete decides before both.
        """
        member = self._runs.get(run_id)
        if member is not None:
            member.stop(AskedToEnd(state, reason), self._clock.monotonic(), at_once=now)

    def answer(self, run_id: int, number: int, payload: Mapping[str, Any]) -> None:
        """Answer a request of a run, after the commit; a run that is over hears nothing."""
        if run_id in self._runs:
            self._runs[run_id].send({"answer": number, **payload})

    def happened(self) -> list[Happening]:
        """Return what happened since the last call, in order."""
        events, self._events = self._events, []
        for member in self._held:
            member.resume()
        self._held.clear()
        return events

    def next_deadline(self) -> float | None:
        """Return when `tick` is needed, in monotonic seconds; None when only news can bring work."""
        times = [self._zygotes.deadline(self._busy), self._back_off.until]
        times += [member.deadline for member in self._members.values()]
        return min((time for time in times if time is not None), default=None)

    def tick(self, now: float) -> None:
        """Do what is due: time-outs, the next step of each stop, restarts."""
        restarted = self._zygotes.restart(now)
        if restarted or self._back_off.over(now):
            self._back_off.lift()
            self._replenish()
        self._zygotes.tick(now, self._busy, [member.launcher for member in self._members.values()])
        for member in list(self._members.values()):
            member.tick(now)

    def kill_all(self) -> None:
        """Kill all that runs, at once, and what has been got ready: nobody may act any more."""
        for member in list(self._members.values()):
            member.kill()

    def live_until(self, moment: float) -> None:
        """Have all that runs killed at that second of boot time, also where this process is stopped then."""
        self._zygotes.live_until(moment)

    def close(self, kill: bool = True) -> None:
        """End all children, whatever they do; what was still running is canceled, reason shutdown.

        With `kill` false, runs that have replied get their two seconds to end by themselves first.
        """
        self._zygotes.pass_on()
        if not kill:
            wait_for_replies(self._selector, self._runs, self._clock.monotonic)
        self._zygotes.close()
        self._back_off.lift()
        for member in list(self._members.values()):
            if member.serving is not None and member.serving.asked is None:
                member.serving.asked = AskedToEnd("canceled", "shutdown")
            self.exited(member.number, -signal.SIGKILL)

    # -- what the launcher tells ---------------------------------------------------------------------

    def forked(self, number: int, pid: int) -> None:
        """A child exists; it is ready when it says so itself."""
        if number in self._members:
            self._members[number].pid = pid

    def exited(self, number: int, code: int | None, problem: str | None = None) -> None:
        """A child is gone: what it said last counts, then how it ended."""
        member = self._members.pop(number, None)
        if member is None:
            return
        member.drain()
        member.close()
        serving = member.serving
        if serving is not None:
            # What somebody asked for before counts more than what became of the zygote meanwhile.
            why = member.problem or (problem if serving.asked is None else None)
            self._end(member, serving, serving.reply or ending.by_exit(code, serving.asked, why))
        elif not member.ready and member.key is None and member.launcher is self._zygotes.current:
            self._back_off.failed(self._clock.monotonic())
        self._replenish()

    def extinct(self, launcher: Launcher) -> None:
        """The zygote died: another one, at once or soon. What it had is reported one by one after this."""
        self._zygotes.extinct(launcher)

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

    def _on_ready(self, member: Member) -> None:
        """A spare is ready, or a child has put its things in order after a run."""
        serving = member.serving
        if serving is not None:
            if serving.reply is None or not member.runs_left:
                raise WireError("it is ready out of turn")
            member.drain_output()
            self._end(member, serving, serving.reply)
        if member.launcher is self._zygotes.current:
            self._back_off.succeeded()
            member.ready, member.since = True, self._clock.monotonic()
        else:  # its generation is over
            member.retire(self._clock.monotonic())
        self._replenish()

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

    def _hand_over(self, member: Member, serving: Serving, spec: RunSpec, data: bytes) -> None:
        member.key = warmth(spec)
        member.ready = False
        member.serving = serving
        member.post(data)
        self._replenish()

    def _end(self, member: Member, serving: Serving, outcome: Outcome) -> None:
        if self._runs.get(serving.id) is member:
            del self._runs[serving.id]
        self._held.pop(member, None)
        member.serving = None
        self._tell(serving.ended(outcome))

    def _tell(self, happening: Happening | None) -> None:
        if happening is not None:
            self._events.append(happening)

    # -- spares --------------------------------------------------------------------------------------

    def _replenish(self) -> None:
        """Have as many spares, ready or on their way, as there may be runs soon."""
        wanted = min(self._slots - len(self._runs), SPARES) + self._hook_waits
        present = sum(one.spare for one in self._members.values())
        while self._zygotes.current is not None and self._back_off.until is None and present < wanted:
            present += 1
            self._ask_for_one(self._zygotes.current)

    def _ask_for_one(self, launcher: Launcher) -> None:
        self._count += 1
        ears = self._on_frame, self._on_output, self._on_broken
        member = Member(self._count, launcher, self._selector, *ears)
        member.since = self._clock.monotonic()
        try:
            ends = member.open()
        except OSError:
            self._back_off.refused(self._clock.monotonic())
            return
        self._members[member.number] = member
        launcher.launch(member.number, *ends)

    def _spare(self, pid: int = 0) -> Member | None:
        """Return the spare `pid`, or the oldest."""
        spares = [one for one in self._members.values() if one.spare and one.ready]
        return next((one for one in spares if one.pid == pid), spares[0] if spares else None)

    def _warm(self, spec: RunSpec) -> Member | None:
        key = warmth(spec)
        return next((one for one in self._members.values() if one.ready and one.key == key), None)

    def _new_launcher(self, skipped: Mapping[str, str]) -> Launcher:
        clock = self._clock.monotonic
        if self._spawn == "exec":
            return ExecLauncher(self, self._selector, environ=self._environ, clock=clock)
        return ZygoteLauncher(
            self, self._selector, environ=self._environ, preload=self._preload, skipped=skipped,
            project=self._project, lock_path=self._lock_path, clock=clock,
        )  # fmt: skip


def warmth(spec: RunSpec) -> tuple[str, str, str | None]:
    """Return what two runs must have in common for one process to serve both."""
    return spec["job"], spec["fileHash"], spec["source"]
