"""`run NAME`: one run here and now, through the same store, executor and record as any other.

It is a node of its own for that long: it holds locks, so when it is killed, others see its run as lost.
It counts in no limit, moves no cursor and arms nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from jobrunner.aftermath import Aftermath
from jobrunner.clock import SECOND, Clock, SystemClock
from jobrunner.discovery import hooksfile
from jobrunner.dispatcher import Dispatcher
from jobrunner.errors import JobrunnerError, StateError
from jobrunner.events import Draining, Event
from jobrunner.liveness import liveness_of
from jobrunner.masking import masker_of
from jobrunner.model import Job, Run
from jobrunner.patience import HOPELESS
from jobrunner.recovery import deaths, recover
from jobrunner.registry import Lately, Registry
from jobrunner.restoring import restored
from jobrunner.scheduler import Scheduler
from jobrunner.settings import Settings
from jobrunner.store.base import Claim, Store
from jobrunner.workplace import Workplace, who_am_i

LOOK_EVERY = 1.0  # seconds


class Once:
    """One run by hand. `timeout` in microseconds overrides the job's."""

    def __init__(
        self,
        settings: Settings,
        job: Job,
        store: Store,
        emit: Callable[[Event], None],
        *,
        timeout: int | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._settings = settings
        self._job = job._replace(timeout=timeout if timeout is not None else job.timeout)
        self._store = store
        self._clock = clock or store.clock(SystemClock())
        self.me = who_am_i(settings, self._clock, role="run", leased=store.leased)
        presence = liveness_of(store, settings, self.me.owner)
        self.place = Workplace(settings, presence, self.me, self._clock, slots=1, preload=())
        scheduler = Scheduler(store, self.me, {job.name: self._job}, settings)
        found, _ = hooksfile.read(settings.project)
        self._dispatcher = Dispatcher(
            store, self.place.pool, scheduler, self.me, settings, self._clock, emit,
            masker=masker_of(settings), hooks=found,
            restore=self._restore, repeats=False, tenure=self.place.tenure,
        )  # fmt: skip
        self._dispatcher.claiming = False
        self._aftermath = Aftermath(store, self._restore, self.me.node)
        self._lately = Lately(self._clock)
        self._emit = emit
        self._heard = 0  # how many of the signals have been acted upon

    def run(self, params: Mapping[str, Any], *, identity: str = "system", force: bool = False) -> Run:
        """Run it and return the run as the store has it.

        Raises Refused while the job is occupied, unless `force`; StateError when the state cannot be used.
        """
        self.place.open()
        try:
            doubt = False
            try:
                claim = self._claim(params, identity, force)
                self._see_through(claim)
                while (undoing := self._compensation(claim.run)) is not None:
                    self._see_through(undoing)
            except StateError as error:
                doubt = error.code == "in-doubt"  # then whoever finds our lease ended sees to our run
                raise
            finally:
                self.place.pool.close()
                with suppress(StateError):  # whoever looks next finds us gone
                    if not doubt:
                        self._store.leave(self.me.owner)
        finally:
            self.place.close()
        run = self._store.run(claim.run.id)
        assert run is not None
        return run

    def _see_through(self, claim: Claim) -> None:
        self._dispatcher.hand_out(claim)
        while self._dispatcher.running or (self._dispatcher.busy and self._heard < 2):
            self._turn()

    def _compensation(self, run: Run) -> Claim | None:
        """Claim the attempt that takes back what the body has done before it failed; None: there is none.

        After a second Ctrl-C it is left to a node.
        """
        waiting = [each for each in self._store.chain(run.root_id) if each.state == "pending" and each.undo]
        if not waiting or self._heard > 1:
            return None
        pid = self._child()
        return self._store.start(waiting[0].id, self.me, pid, self._clock.now()) if pid else None

    def _child(self) -> int:
        """Return the pid of a child in hand; 0 where we were asked to stop before there was one."""
        while not (self.place.pool.ready or self.place.signals > self._heard):
            self.place.wait(LOOK_EVERY)
        return next(iter(self.place.pool.ready), 0)

    @property
    def interrupted(self) -> bool:
        """Whether somebody asked us to stop."""
        return self.place.signals > 0

    def _restore(self, name: str) -> Job | None:
        """Return another job, which this run may call: as nodes hold it, or where none ever did, its file."""
        return restored(self._store, self._settings, name) or self._in_files(name)

    def _in_files(self, name: str) -> Job | None:
        for load in (self._lately.load, Registry.load):  # what was written just now is there, too
            with suppress(JobrunnerError):
                return load(self._settings).find(name)
        return None

    def _claim(self, params: Mapping[str, Any], identity: str, force: bool) -> Claim:
        """A child first, then the claim: what was claimed can be started."""
        pid = self._child()
        if not pid:
            raise KeyboardInterrupt
        now, events = self._clock.now(), list[Event]()
        with self._store.transaction():
            dead = deaths(self._store, self.place.presence, self.me)
            for node in dead:  # it may be all that keeps the job occupied
                events += recover(self._store, node, self._aftermath, now)
            self._store.join(self.me)
            job_id = self._store.enroll(self._job, now)
            claim = self._store.run_here(
                job_id, self._job, self.me, pid, params,
                identity=identity, force=force, now=now,
            )  # fmt: skip
        for node in dead:
            self.place.presence.forget(node.owner)
        for event in events:
            self._dispatcher.tell(event)
        return claim

    def _turn(self) -> None:
        self.place.hold()
        self._dispatcher.notice()
        if self.place.signals > self._heard:
            self._stop()
        self._look()
        now, wake = self._clock.now(), self._dispatcher.next_wake()
        wait = LOOK_EVERY if wake is None else min(LOOK_EVERY, (wake - now) / SECOND)
        if self._dispatcher.must_turn(now):
            try:
                self._dispatcher.turn()
                wait = 0.0
            except StateError as error:  # the run goes on; its end is written as soon as it can be
                if error.code in HOPELESS:
                    raise
                wait = 0.1
        self._dispatcher.hooks.pump()
        if self._dispatcher.busy:
            self.place.wait(wait)

    def _look(self) -> None:
        """Others may ask this run to end, too."""
        self._dispatcher.check_stalls()
        self.place.rung = False
        with suppress(StateError):
            if self._store.changed():
                self._dispatcher.heed()

    def _stop(self) -> None:
        if not self._heard:
            self._emit(Draining(1))
        self._heard = self.place.signals
        for run_id in self._dispatcher.running:
            self._dispatcher.stop(run_id, "canceled", "shutdown")
            if self._heard > 1:
                self.place.pool.stop(run_id, "canceled", "shutdown", now=True)
