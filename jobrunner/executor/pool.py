"""The children that a node has in hand: spares, asked for ahead, that become runs.

A spare has loaded no file of the project, and is `ready` once it says so; `crew` has the rest of its life.
"""

from __future__ import annotations

import os
import selectors
from collections.abc import Mapping, Sequence
from typing import Literal

from jobrunner.clock import SECOND, Clock, SystemClock
from jobrunner.executor import ending
from jobrunner.executor.crew import Crew
from jobrunner.executor.direct import ExecLauncher
from jobrunner.executor.generations import Generations
from jobrunner.executor.happened import Starved
from jobrunner.executor.launch import Preloader, ZygoteLauncher
from jobrunner.executor.member import Member, wait_for_replies
from jobrunner.executor.plugin import Around, Launcher, Options
from jobrunner.executor.serving import Serving, ServingHook
from jobrunner.executor.supply import BackOff
from jobrunner.wire import RunSpec, WireError, encode

SPARES = 8  # children in hand at most, however many slots there are
NOTHING: Options = {}


class Pool(Crew):
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
        clock = clock or SystemClock()
        super().__init__(selector, clock, log_limit=log_limit, grace=grace)
        self._slots = slots
        self._preload = preload
        self._around = Around(
            selector=selector, environ=dict(os.environ if environ is None else environ),
            clock=clock.monotonic, project=project, lock_path=lock_path,
        )  # fmt: skip
        self._spawn = spawn
        self._zygotes = Generations(self._new_launcher, self._clock.monotonic)
        self._back_off = BackOff()
        self._starved: str | None = None  # what was told of that
        self._hook_waits = False  # for a spare: one more than there are slots
        self._lapsed = False  # nobody may act, nor be got ready
        self._ahead = False  # whether spares are made while all slots are taken

    # -- what the node calls -------------------------------------------------------------------------

    @property
    def ready(self) -> list[int]:
        """The pids of spares in hand, oldest first, as many as there are free slots."""
        spares = [one.pid for one in self._spares()]
        return spares[: max(0, self._slots - len(self._runs))]

    @property
    def skipped(self) -> Mapping[str, str]:
        """Packages that were not preloaded, and why; for `doctor`."""
        return self._zygotes.skipped

    def start(self) -> None:
        """Start the zygote, or what stands in for it, and ask for spares."""
        self._zygotes.start()
        self._back_off.lift()
        self.replenish()

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

    def run_hook(self, spec: RunSpec, number: int) -> bool:
        """Hand a hook (`spec["hook"]`) to a spare; False when none is in hand: try again later.

        It takes no slot. Its output and end are told with `number`, which the caller chooses; it has 30
        seconds, then two at most to end by itself. `close` does not wait for it.
        """
        member = self._spare()
        self._hook_waits = member is None
        if member is None:
            self.replenish()
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
        if environ is not None:
            self._around = self._around._replace(environ=dict(environ))
        self._zygotes.renew()
        self._back_off.lift()
        for member in self._members.values():
            if member.serving is None and not member.retired:
                member.retire(self._clock.monotonic())
        self.replenish()

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
            self.replenish()
        self._zygotes.tick(now, self._busy, [member.launcher for member in self._members.values()])
        for member in list(self._members.values()):
            member.tick(now)

    def live_until(self, moment: float) -> None:
        """Have all that runs killed at that second of boot time, also where this process is stopped then."""
        self._lapsed = False
        self._zygotes.live_until(moment)

    def kill_all(self) -> None:
        """Kill all, at once, and have no spares until somebody says again how long what runs may live."""
        self._lapsed = True
        super().kill_all()

    def close(self, kill: bool = True) -> None:
        """End all children, whatever they do; what was still running is canceled, reason shutdown.

        With `kill` false, runs that have replied get their two seconds to end by themselves first.
        """
        self._zygotes.pass_on()
        if not kill:
            wait_for_replies(self._selector, self._runs, self._clock.monotonic)
        self._zygotes.close()
        self._back_off.lift()
        self._end_all()

    # -- what the launcher tells ---------------------------------------------------------------------

    def forked(self, number: int, pid: int) -> None:
        """A child exists."""
        super().forked(number, pid)
        member = self._members.get(number)
        self._pressing = self._pressing or (member is not None and member.ready)

    def _gone(self, member: Member, why: str, *, served: bool) -> None:
        lost = not (served or member.ready) and member.key is None
        if lost and member.launcher is self._zygotes.current:
            self._back_off.failed(self._clock.monotonic(), why)
            self._tell_if_starved()
        self.replenish()

    def _tell_if_starved(self) -> None:
        problem = self._back_off.problem
        if (problem is None) != (self._starved is None):
            self._starved = problem
            self._tell(Starved(problem))

    def extinct(self, launcher: Launcher) -> None:
        """The zygote died: another one, at once or soon. What it had is reported one by one after this."""
        self._zygotes.extinct(launcher)

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
            self._tell_if_starved()
            member.ready, member.since = True, self._clock.monotonic()
            self._pressing = True
        else:  # its generation is over
            member.retire(self._clock.monotonic())
        self.replenish()

    def _hand_over(self, member: Member, serving: Serving, spec: RunSpec, data: bytes) -> None:
        member.key = warmth(spec)
        member.ready = False
        member.serving = serving
        member.post(data)

    # -- spares --------------------------------------------------------------------------------------

    def replenish(self, *, ahead: bool | None = None) -> None:
        """Have as many spares, ready or on their way, as there may be runs soon.

        To be called when a turn is over: while a fork is made, the bodies that it began have one processor
        less. `ahead`: more runs wait than there are slots, so whoever ends is to have somebody behind him; it
        holds until somebody says otherwise.
        """
        self._ahead = self._ahead if ahead is None else ahead
        taken = 0 if self._ahead else len(self._runs)
        wanted = min(self._slots - taken, SPARES) + self._hook_waits
        present = sum(one.spare for one in self._members.values())
        while self._may_ask and self._zygotes.current is not None and present < wanted:
            present += 1
            self._ask_for_one(self._zygotes.current)

    @property
    def _may_ask(self) -> bool:
        return not self._lapsed and self._back_off.until is None

    def _ask_for_one(self, launcher: Launcher) -> None:
        member = self._member(launcher)
        try:
            ends = member.open()
        except OSError as error:
            self._back_off.refused(self._clock.monotonic(), str(error.strerror))
            self._tell_if_starved()
            return
        self._members[member.number] = member
        launcher.launch(member.number, *ends, NOTHING)

    def _spares(self) -> list[Member]:
        """Return those in hand. A child may say that it is ready before the zygote says which pid it has."""
        return [one for one in self._members.values() if one.spare and one.ready and one.pid]

    def _spare(self, pid: int = 0) -> Member | None:
        """Return the spare `pid`, or the oldest."""
        spares = self._spares()
        return next((one for one in spares if one.pid == pid), spares[0] if spares else None)

    def _warm(self, spec: RunSpec) -> Member | None:
        key = warmth(spec)
        found = (one for one in self._members.values() if one.ready and one.key == key and not one.retired)
        return next(found, None)

    def _new_launcher(self, skipped: Mapping[str, str]) -> Preloader:
        if self._spawn == "exec":
            return ExecLauncher(self, self._around)
        return ZygoteLauncher(self, self._around, preload=self._preload, skipped=skipped)


def warmth(spec: RunSpec) -> tuple[str, str, str | None]:
    """Return what two runs must have in common for one process to serve both."""
    return spec["job"], spec["fileHash"], spec["source"]
