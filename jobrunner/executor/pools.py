"""All that runs bodies on a node: the pool of processes, and one for each executor that is a plug-in.

Together they have the node's slots. A claim is made with a spare of the process pool in hand; the run of a
plug-in leaves that where it is, and its own pid is told when it begins.
"""

from __future__ import annotations

import os
import selectors
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from jobrunner import plugins
from jobrunner.clock import SECOND, Clock, SystemClock
from jobrunner.executor.ending import StopState
from jobrunner.executor.happened import Happening
from jobrunner.executor.ondemand import OnDemand
from jobrunner.executor.plugin import Around, Plugin
from jobrunner.executor.pool import Pool
from jobrunner.model import BY_PROCESS, Chosen
from jobrunner.wire import RunSpec


class Pools:
    """The executors of one node. What all have in common is as in `Pool`."""

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
        self._selector = selector
        self._slots = slots
        self._clock = clock or SystemClock()
        self._limits: Mapping[str, Any] = {"log_limit": log_limit, "grace": grace}
        self._around = Around(
            selector=selector, environ=dict(os.environ if environ is None else environ),
            clock=self._clock.monotonic, project=project, lock_path=lock_path,
        )  # fmt: skip
        self._processes = Pool(
            selector, slots=slots, preload=preload, environ=environ, lock_path=lock_path, clock=self._clock,
            project=project, spawn=spawn, **self._limits,
        )  # fmt: skip
        self._plugins: dict[str, Plugin] = {}
        self._others: dict[tuple[str, str], OnDemand] = {}
        self._until: float | None = None  # seconds of boot time

    @property
    def ready(self) -> list[int]:
        """The pids of spares in hand, as many as there are free slots."""
        ready = self._processes.ready
        if not self._others:
            return ready
        return ready[: max(0, self._slots - self.running)]

    @property
    def running(self) -> int:
        """How many runs are under way."""
        return self._processes.running + sum(pool.running for pool in self._others.values())

    @property
    def can_wait(self) -> bool:
        """Whether nothing has happened of which anybody need hear at once."""
        return all(pool.can_wait for pool in (self._processes, *self._others.values()))

    @property
    def skipped(self) -> Mapping[str, str]:
        """Packages that were not preloaded, and why."""
        return self._processes.skipped

    def start(self) -> None:
        """Start the pool of processes; the others are opened by their first runs."""
        self._processes.start()

    def run(
        self, spec: RunSpec, pid: int, timeout: int | None = None, runs_per_process: int = 1,
        executor: Chosen = BY_PROCESS,
    ) -> int:  # fmt: skip
        """Have a run done by the executor that was chosen; returns whose pid it is, 0: not known yet."""
        if executor.name == plugins.PROCESS:
            return self._processes.run(spec, pid, timeout, runs_per_process)
        return self._pool_of(executor).run(spec, timeout, executor.options)

    def _pool_of(self, executor: Chosen) -> OnDemand:
        try:
            plugin = self._plugins.get(executor.name) or plugins.load(executor.name)
            apart = plugin.apart(executor.options)
        except Exception as error:  # it is not there any more, or was never fit
            return self._failing(error)
        self._plugins[executor.name] = plugin
        key = executor.name, apart
        if key not in self._others:
            self._others[key] = OnDemand(
                lambda family: plugin.launcher(family, self._around),
                self._selector, self._clock, **self._limits,
            )  # fmt: skip
            if self._until is not None:
                self._others[key].live_until(self._until)
        return self._others[key]

    def _failing(self, error: Exception) -> OnDemand:
        """Return a pool whose runs end with this error."""

        def fail(_: object) -> Any:
            raise error

        return self._others.setdefault(("", ""), OnDemand(fail, self._selector, self._clock, **self._limits))

    def run_hook(self, spec: RunSpec, number: int) -> bool:
        """Hand a hook to a process; False when none is in hand: try again later."""
        return self._processes.run_hook(spec, number)

    def renew(self, preload: Sequence[str], environ: Mapping[str, str] | None = None) -> None:
        """Have new spares: settings, installed packages or environment have changed."""
        if environ is not None:
            self._around = self._around._replace(environ=dict(environ))
        self._processes.renew(preload, environ)

    def stop(self, run_id: int, state: StopState, reason: str | None, *, now: bool = False) -> None:
        """Bring a run to its end: ask, then TERM, then KILL; `now` kills at once. Idempotent."""
        self._processes.stop(run_id, state, reason, now=now)
        for pool in self._others.values():
            pool.stop(run_id, state, reason, now=now)

    def kill_all(self) -> None:
        """Kill all that runs, at once, and what has been got ready: nobody may act any more."""
        for pool in (self._processes, *self._others.values()):
            pool.kill_all()

    def live_until(self, moment: float) -> None:
        """Have all that runs killed at that second of boot time, also where this process is stopped then."""
        self._until = moment
        for pool in (self._processes, *self._others.values()):
            pool.live_until(moment)

    def answer(self, run_id: int, number: int, payload: Mapping[str, Any]) -> None:
        """Answer a request of a run, after the commit; a run that is over hears nothing."""
        self._processes.answer(run_id, number, payload)
        for pool in self._others.values():
            pool.answer(run_id, number, payload)

    def happened(self) -> list[Happening]:
        """Return what happened since the last call, of each run in order."""
        events = self._processes.happened()
        for pool in self._others.values():
            events += pool.happened()
        return events

    def next_deadline(self) -> float | None:
        """Return when `tick` is needed, in monotonic seconds; None when only news can bring work."""
        times = [self._processes.next_deadline(), *(pool.next_deadline() for pool in self._others.values())]
        return min((time for time in times if time is not None), default=None)

    def replenish(self, *, ahead: bool = False) -> None:
        """Have spares in place of those that were handed runs: when a turn is over."""
        self._processes.replenish(ahead=ahead)

    def tick(self, now: float) -> None:
        """Do what is due."""
        self._processes.tick(now)
        for pool in self._others.values():
            pool.tick(now)

    def close(self) -> None:
        """End all children, whatever they do; what was still running is canceled, reason shutdown."""
        for pool in self._others.values():
            pool.close()
        self._processes.close()
