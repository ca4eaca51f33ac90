"""One node: the real store, scheduler and dispatcher; its executor and its clock are the caller's."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from jobrunner.clock import Clock, Instant
from jobrunner.definitions import Definitions
from jobrunner.dispatcher import Dispatcher
from jobrunner.events import Event
from jobrunner.facts import NodeFacts
from jobrunner.handout import Executor
from jobrunner.joining import Joining
from jobrunner.masking import Masker
from jobrunner.model import Job
from jobrunner.restoring import restored
from jobrunner.scheduler import Scheduler
from jobrunner.store.base import Store


class SimulatedNode:
    """A node that does what it is told to: `jobrunner.node.Node` without processes, signals and locks."""

    def __init__(
        self, store: Store, definitions: Definitions, executor: Executor, clock: Clock,
        emit: Callable[[Event], None], *, owner: str = "simulation", slots: int = 4,
        dead: Sequence[NodeFacts] = (), masker: Masker | None = None,
        role: str = "all", repeats: bool = True, restore: Callable[[str], Job | None] | None = None,
    ) -> None:  # fmt: skip
        self.settings = definitions.settings
        self.store = store
        self.clock = clock
        self._emit = emit
        self.me = NodeFacts(
            owner=owner, node=self.settings.node, machine=self.settings.machine, boot_id="b", pid=1,
            version="0", slots=slots, exclusive=False, started_at=clock.now(), seen_at=clock.now(),
            role=role, labels=self.settings.labels,
        )  # fmt: skip
        self.scheduler = Scheduler(store, self.me, definitions.jobs, self.settings)
        self.joining = Joining(store, self.scheduler, self.me)
        self.dispatcher = Dispatcher(
            store, executor, self.scheduler, self.me, self.settings, clock, emit, masker=masker,
            repeats=repeats,
            restore=restore or (lambda name: restored(store, self.settings, name)),
        )  # fmt: skip
        self.dispatcher.claiming = self.me.works
        for event in self.joining.join(definitions, dead, clock.now()):
            emit(event)
        self.dispatcher.look_for_pending()
        self._dead = tuple(dead)

    def look(self) -> None:
        """Do what a node does once a second."""
        if self.store.changed():
            self.dispatcher.look_for_pending()
            self.dispatcher.heed()
        if self.store.definitions_changed():
            for event in self.scheduler.load(self.clock.now()):
                self._emit(event)
        self.give_up()

    def give_up(self) -> None:
        """Let pending runs end that must not start any more."""
        if self.scheduler.may_give_up:
            for event in self.scheduler.give_up(self.clock.now(), outage=False):
                self.dispatcher.tell(event)

    def next_grace(self) -> Instant | None:
        """Return when the first pending run will be too late to start, or None."""
        if not self.scheduler.may_give_up:
            return None
        now, ends = self.clock.now(), []
        for run in self.store.waiting_runs():
            job = self.scheduler.job(run.job)
            if job is not None and job.misfire_grace is not None and run.attempt == 1:
                ends.append(run.effective_at + job.misfire_grace + 1)
        return min((at for at in ends if at > now), default=None)

    def tick(self) -> None:
        """Look around, and do a turn if there is a reason to."""
        self.dispatcher.notice()
        self.look()
        if self._dead or self.dispatcher.must_turn(self.clock.now()):
            self.dispatcher.turn(self._dead)
            self._dead = ()
        self.dispatcher.hooks.pump()

    def hold(self, definitions: Definitions) -> None:
        """Files were edited: these are the jobs now."""
        for event in self.joining.adopt(definitions, self.clock.now()).events:
            self._emit(event)
        self.dispatcher.look_for_pending()

    def leave(self) -> None:
        """Go in good order."""
        self.joining.leave(self.clock.now())
        self.store.close()
