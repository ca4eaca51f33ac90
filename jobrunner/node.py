"""A node: one thread, one loop, one transaction a turn.

turn            record, recover, plan, claim, hand out       (dispatcher)
look around     once a second: clocks, other nodes, changes made elsewhere
wait            for a child, the doorbell, a signal, or the next due moment
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from jobrunner.clock import SECOND, Clock, SystemClock
from jobrunner.clockwatch import Clocks
from jobrunner.definitions import Definitions
from jobrunner.dispatcher import Dispatcher
from jobrunner.errors import StateError
from jobrunner.events import Event, LeaseLapsed, Looked, SchedulesPaused, StoreTroubled
from jobrunner.facts import NodeFacts
from jobrunner.goal import Rest, progress
from jobrunner.joining import Joining, differences
from jobrunner.liveness import liveness_of, renew
from jobrunner.masking import masker_of
from jobrunner.patience import Patience, will_pass
from jobrunner.recovery import be_known, deaths
from jobrunner.reloading import Reloading, hooks_of, preload
from jobrunner.restoring import restored
from jobrunner.scheduler import Scheduler
from jobrunner.settings import Settings
from jobrunner.stopping import Stage, Stop
from jobrunner.store.base import Store
from jobrunner.workplace import Workplace, who_am_i

UPCOMING = 5
LOOK_EVERY = 1.0  # seconds; the longest that anything goes unnoticed


class Options(NamedTuple):
    """What one `start` asks for, beyond the settings. Durations in microseconds."""

    until_done: bool = False
    run_for: int | None = None
    exclusive: bool = False
    watch: bool = False  # take over edits of job files and settings
    live: bool = False  # somebody looks on: tell each second what is next
    follows: bool = False  # another one of this process has worked before it, and was given up


class Node:
    """One `jobrunner start` that holds these definitions."""

    def __init__(
        self, definitions: Definitions, store: Store, emit: Callable[[Event], None], options: Options, *,
        again: Callable[[], Settings] | None = None, clock: Clock | None = None,
    ) -> None:  # fmt: skip
        """`again` reads the settings anew, for a change of jobrunner.yaml; it may raise ConfigError.

        `clock` is the store's, where somebody has asked it already.
        """
        settings = definitions.settings
        self._definitions = definitions
        self._store = store
        self._emit = emit
        self._options = options
        self._clock = clock or store.clock(SystemClock())
        self.me = who_am_i(
            settings, self._clock, role=settings.role, exclusive=options.exclusive, leased=store.leased
        )
        self.place = Workplace(
            settings, liveness_of(store, settings, self.me.owner), self.me, self._clock,
            slots=self.me.slots or 1, preload=preload(definitions),
        )  # fmt: skip
        self._scheduler = Scheduler(store, self.me, definitions.jobs, settings)
        self._joining = Joining(store, self._scheduler, self.me)
        self._dispatcher = Dispatcher(
            store, self.place.pool, self._scheduler, self.me, settings, self._clock, emit,
            masker=masker_of(settings), hooks=hooks_of(settings, emit),
            restore=lambda name: restored(store, self._definitions.settings, name),
            source=lambda job: self._definitions.text_of(job),  # noqa: PLW0108  (they are replaced)
            tenure=self.place.tenure,
        )  # fmt: skip
        self._dispatcher.claiming = self.me.works
        how = {"watch": options.watch, "unread": options.follows}
        self._reloading = Reloading(definitions, self.place, again or (lambda: settings), emit, **how)
        self._new: Definitions | None = None  # what was read, and does not hold yet
        self._clocks = Clocks(self._clock, SystemClock(), self._scheduler, store, self.me, emit)
        self._dead: list[NodeFacts] = []
        self._looked_at = self._clock.monotonic() - 2 * LOOK_EVERY  # so we look at once
        self._started_at = self._clock.monotonic()
        self._patience = Patience(emit)
        self._held = True  # whether our lease was ours at the last look
        self._paused = False
        self._changed = False  # something that nodes go by, and it has not been read yet
        self._outage = False  # time has passed in which nothing could start
        self._stop = Stop(self.place, self._dispatcher, settings.grace, emit)
        self._goal_reached, self._rest = False, Rest(store, emit)
        self._timed_out = False  # it was told how long to work, and has
        self.stuck: tuple[tuple[str, str], ...] = ()

    def run(self) -> int:
        """Run until told to stop, or until what was asked for is done; returns the exit code.

        Raises StateError when the state file is replaced, deleted or damaged under our feet: then all
        runs are ended, for nobody could record how they end.
        """
        self.place.open()
        try:
            self._join_in_time()
            try:
                self._go_round()
                while not self._over():
                    self.place.wait(self._timeout(), more=self._dispatcher.backlog)
                    self._go_round()
            finally:
                self._leave()
        finally:
            self.place.close()
        if self._patience.hopeless is not None:
            raise self._patience.hopeless
        if self._stop.stage is Stage.KILLING:
            return 130
        if self._options.until_done and self._timed_out and not self._goal_reached:
            return 1
        return 1 if self.stuck and self._goal_reached else 0

    def state_of_things(self) -> tuple[Definitions, Options]:
        """Return what whoever follows this node begins with: its definitions, and the time that is left."""
        run_for = self._options.run_for
        if run_for is not None:
            run_for = max(0, run_for - round((self._clock.monotonic() - self._started_at) * SECOND))
        return self._new or self._definitions, self._options._replace(run_for=run_for, follows=True)

    # -- joining and leaving -------------------------------------------------------------------------

    def _join_in_time(self) -> None:
        """Join as soon as the state can be written; whoever asks us to stop is heard meanwhile."""
        while True:
            try:
                return self._join()
            except StateError as error:
                if not will_pass(error, follows=self._options.follows) or self.place.signals:
                    self.place.pool.close()
                    raise
                self._trouble(error)
                self.place.wait(LOOK_EVERY)
                self._check_time(self._clock.monotonic())
            except BaseException:
                self.place.pool.close()
                raise

    def _join(self) -> None:
        """Become one of the living, with our definitions; the state is asked for nothing after that."""
        self._paused = self._store.paused() is not None
        if not self._store.came_through():  # else we are one already: the commit was in doubt
            self._dead = deaths(self._store, self.place.presence, self.me)
            for event in self._joining.join(self._definitions, self._dead, self._clock.now()):
                self._dispatcher.tell(event)
        self.place.presence.ring_all()

    def _leave(self) -> None:
        self._reloading.close()
        try:
            self._stop.close()
            self._dispatcher.notice()
            self._dispatcher.claiming = False
            self._dispatcher.turn()
            self._joining.leave(self._clock.now())
        except StateError as error:  # the next node finds us gone and says what was lost
            if self._patience.hopeless is None:
                self._emit(StoreTroubled(error.message))
        self.place.presence.ring_all()

    # -- the loop ------------------------------------------------------------------------------------

    def _go_round(self) -> None:
        self._hold()
        if not self._dispatcher.in_doubt:
            leapt = self._clocks.look()
            if leapt is None and self._has_looked():
                self._hurry()
            self._look_around(leapt)
            self._reload()
        self._turn()

    def _has_looked(self) -> bool:
        """Say whether things were as they should be a moment ago: else we may have been stopped for long."""
        return self._clock.monotonic() - self._looked_at < 2 * LOOK_EVERY

    def _hurry(self) -> None:
        """What is due now, or was asked for just now, is not to wait until we have looked around."""
        if self.place.rung and self._clock.monotonic() >= self._patience.until:
            try:
                self._dispatcher.look_for_pending()
            except StateError as error:
                self._trouble(error)
        self._turn()

    def _hold(self) -> None:
        """Before anything else: see that we may still act, for we may have been stopped for long."""
        held, self._held = self._held, self.place.hold()
        if held and not self._held:
            self._emit(LeaseLapsed(len(self._dispatcher.running)))

    def _look_around(self, leapt: int | None) -> None:
        """Once a second, or when time has leapt, by so many microseconds: what no event tells."""
        monotonic = self._clock.monotonic()
        self._outage = self._outage or (leapt or 0) > 0
        self._check_time(monotonic)
        if monotonic - self._looked_at < LOOK_EVERY and not self.place.rung and leapt is None:
            return
        self._looked_at = monotonic
        self._dispatcher.check_stalls()
        self._reloading.look(monotonic)
        if self._options.live:
            self._emit(Looked(self._scheduler.upcoming(UPCOMING)))
        if monotonic < self._patience.until:  # to ask in vain takes time, in which nobody minds the runs
            return
        try:
            self._store.verify()
            self._clocks.check()
            if not self.me.lease or self._patience.is_calm(monotonic):
                self._dead = deaths(self._store, self.place.presence, self.me)
            self.place.mind_the_bell()
            self._notice_changes()
            self._check_goal()
        except StateError as error:
            self._trouble(error)

    def _notice_changes(self) -> None:
        events: list[Event] = []
        if self._store.changed() or self.place.rung:
            self._dispatcher.look_for_pending()
            self._dispatcher.heed()
        changed = self._changed = self._store.definitions_changed() or self.place.rung or self._changed
        if changed:
            be_known(self._store, self.me)
            events += self._scheduler.load(self._clock.now()) + self._check_pause()
            stored, added = self._store.overrides(), self._store.added_jobs()
            held = self._definitions.settings
            if self.me.works and (stored, added) != (held.stored, list(held.added)):
                self._reloading.ask(stored, added, self._clock.monotonic())
            self._changed = False
        self.place.rung = False
        now = self._clock.now()
        events += self._joining.look(self._definitions, self._dead, now, changed=changed)
        if self._dispatcher.claims and (self._outage or self._scheduler.may_give_up):
            events += self._scheduler.give_up(now, outage=self._outage)
            self._outage = False
        for event in events:
            self._dispatcher.tell(event)

    def _reload(self) -> None:
        """Take over what was read anew, if anything was, and the state can be written."""
        monotonic = self._clock.monotonic()
        self._new = self._reloading.turn(monotonic) or self._new
        if self._new is None or monotonic < self._patience.until:
            return
        before, new = self._definitions, self._new
        self._definitions = new
        try:
            adopted = self._joining.adopt(new, self._clock.now())
        except StateError as error:
            self._definitions = before
            self._trouble(error)
            return
        self._new = None
        self._dispatcher.backlog = True  # runs of these jobs may be pending: the next turn looks
        self._dispatcher.adopt(new.settings, hooks_of(new.settings, self._emit), masker_of(new.settings))
        if preload(before) != preload(new):
            self.place.pool.renew(preload(new))
        for event in (*differences(before, new, adopted), *adopted.events):
            self._emit(event)

    def _check_pause(self) -> list[Event]:
        before, self._paused = self._paused, self._store.paused() is not None
        return [SchedulesPaused(self._paused)] if before != self._paused else []

    def _turn(self) -> None:
        self._dispatcher.notice()
        self._stop.move_along(self._clock.monotonic())
        if self._clock.monotonic() < self._patience.until:
            return
        if not self._dead and not self._dispatcher.must_turn(self._clock.now()):
            self._dispatcher.hooks.pump()  # after a turn they come behind the runs
            return
        try:
            self._dispatcher.turn(self._dead)
            if not self._dispatcher.running:
                self._check_goal()
        except StateError as error:
            self._trouble(error)
            if error.code == "full":
                renew(self._store, self.me, self.place.tenure)
            return
        for node in self._dead:
            self.place.presence.forget(node.owner)
        self._dead = []
        self._patience.relief(self._clock.monotonic())

    def _trouble(self, error: StateError) -> None:
        self._patience.trouble(error, self._clock.monotonic())

    def _timeout(self) -> float:
        """Return how many seconds nothing needs to be done."""
        monotonic, now = self._clock.monotonic(), self._clock.now()
        look = self._looked_at + LOOK_EVERY - monotonic
        waits = [LOOK_EVERY if self._dispatcher.in_doubt else look]  # in doubt nobody looks around
        if self._patience.until > monotonic:
            waits.append(self._patience.until - monotonic)
        elif self._dispatcher.must_turn(now):
            return 0.0
        else:
            due = self._scheduler.next_due() if self._dispatcher.claims else None
            moments = (due, self._dispatcher.next_wake())
            waits += [(moment - now) / SECOND for moment in moments if moment is not None]
        waits += [moment - monotonic for moment in (self._stop.until,) if moment is not None]
        waits += [wait for wait in (self._reloading.due(monotonic),) if wait is not None]
        if self._options.run_for is not None and not self.place.signals:
            waits.append(self._started_at + self._options.run_for / SECOND - monotonic)
        return min(waits)

    # -- the end -------------------------------------------------------------------------------------

    def _check_time(self, monotonic: float) -> None:
        run_for = self._options.run_for
        late = run_for is not None and monotonic - self._started_at >= run_for / SECOND
        if late and not self.place.signals:
            self._timed_out, self.place.signals = True, 1

    def _check_goal(self) -> None:
        if self._options.until_done and not self._goal_reached:
            be_known(self._store, self.me)
            standings = self._store.standings(self.me.owner, self.me.machine)
            held = self._definitions
            so_far = progress(held.jobs.values(), standings, held.settings)
            self._goal_reached, self.stuck = so_far.reached, so_far.stuck
            self._scheduler.closed = so_far.reached

    def _over(self) -> bool:
        if self._patience.hopeless is not None:
            return True
        monotonic = self._clock.monotonic()
        if self._dispatcher.running or (self._dispatcher.busy and self._stop.hooks_may_go_on(monotonic)):
            # whoever takes over records as lost what nobody could record in all that time
            in_vain = self._patience.troubled and not self.place.pool.running
            return in_vain and self._stop.is_over(monotonic)
        if self._stop.stage is not Stage.WORKING:
            return True
        return self._goal_reached and not self._rest.is_open(self._definitions.jobs, self._clock.now())
