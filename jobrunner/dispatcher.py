"""One turn: record what ended, recover the dead, enqueue what is due, claim, hand out.

All of it but the handing out is one transaction. If it fails nothing happened: what was to be recorded
stays in the outbox, nothing was claimed, and the next turn says it again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from jobrunner import failpoints
from jobrunner.aftermath import Aftermath
from jobrunner.clock import MILLISECOND, Clock, Instant
from jobrunner.discovery.servicesfile import has_services
from jobrunner.errors import StateError, unknown_job
from jobrunner.events import Ending, Event, Stalled, WaitedInVain
from jobrunner.executor.ending import lost
from jobrunner.facts import NodeFacts
from jobrunner.handout import Executor, StopState
from jobrunner.hearing import Hearing
from jobrunner.hooks import Hooks
from jobrunner.liveness import Tenure
from jobrunner.masking import Masker
from jobrunner.model import Job
from jobrunner.recording import Recorder
from jobrunner.recovery import fresh, given_up, recover, still_dead
from jobrunner.requests import Requests
from jobrunner.scheduler import Scheduler
from jobrunner.settings import Settings
from jobrunner.starting import Starter
from jobrunner.store.base import Claim, Store
from jobrunner.telling import Telling
from jobrunner.underway import Live, Turn, going

FLUSH_EVERY = 250 * MILLISECOND  # how stale the stored log and progress of a running run may be
ALIVE_EVERY = 60_000 * MILLISECOND


class Dispatcher:
    """Carries runs from the store to the executor and their outcomes back.

    `restore` finds the definition of a job that this node does not hold; `source` the text of a file
    that was broken since. Without `repeats` no failed run is tried again: a person is looking on.
    """

    def __init__(
        self,
        store: Store,
        executor: Executor,
        scheduler: Scheduler,
        me: NodeFacts,
        settings: Settings,
        clock: Clock,
        emit: Callable[[Event], None],
        *,
        masker: Masker | None = None,
        hooks: frozenset[str] = frozenset(),
        restore: Callable[[str], Job | None] = lambda _: None,
        source: Callable[[Job], str | None] = lambda _: None,
        repeats: bool = True,
        tenure: Tenure | None = None,
    ) -> None:
        self._store = store
        self._executor = executor
        self._scheduler = scheduler
        self._me = me
        self._clock = clock
        self._emit = emit
        self._masker = masker or Masker(())
        self._restore = restore
        self._aftermath = Aftermath(store, self._find, me.node)
        self._requests = Requests(store, self._target, clock, executor.answer, self._is_bare)
        self._recorder = Recorder(
            store, self._requests, self._aftermath, me, settings.log_limit, repeats=repeats
        )
        self._live: dict[int, Live] = {}
        self._dirty_since: Instant | None = None
        self._alive_at = clock.now()
        self._alive_every = me.lease // 4 or ALIVE_EVERY
        self._tenure = tenure or Tenure(0, clock)
        self._doubt: Turn | None = None  # one whose commit may have been heard, or not
        self._pending_at: Instant | None = None  # when the next pending run is due
        self._deadline: Instant | None = None  # of the first step that waits for an event
        self.hooks = Hooks(executor, settings, self._masker, hooks)
        self._starter = Starter(executor, self.hooks, clock, self._live, emit, source)
        self._starter.settings, self._starter.masker = settings, self._masker
        self._telling = Telling(store, self.hooks, me, self._find, emit)
        self.tell = self._telling.tell
        self._hearing = Hearing(
            executor, self._live, self._requests, self._telling, clock, emit, self._tenure,
            lambda: self._masker,
        )  # fmt: skip
        self.backlog = True  # there may be pending runs that nobody has claimed
        self.claiming = True  # off while draining

    @property
    def claims(self) -> bool:
        """Whether we plan and claim."""
        return self.claiming and not self._scheduler.astray

    @property
    def running(self) -> list[int]:
        """The ids of runs whose end is not recorded."""
        return list(self._live)

    @property
    def busy(self) -> bool:
        """Whether there is something to wait for before the node may go."""
        return bool(self._live or self._telling.pending or self.hooks.busy)

    def adopt(self, settings: Settings, hooks: frozenset[str], masker: Masker) -> None:
        """From now on hand out runs, and call hooks, by these settings."""
        self.hooks.settings = self._starter.settings = settings
        self._recorder.log_limit = settings.log_limit
        self._masker = self.hooks.masker = self._starter.masker = masker
        self.hooks.named = hooks

    def _find(self, name: str) -> Job | None:
        return self._scheduler.job(name) or self._restore(name)

    def _target(self, name: str) -> Job:
        """Return the job that a run calls. Raises UnknownJob, naming near ones."""
        job = self._find(name)
        if job is None:
            raise unknown_job(name, (each.name for each in self._scheduler.held))
        return job

    def _is_bare(self, job: Job) -> bool:
        """Say whether a job is of our project, and that has no services."""
        return self._scheduler.job(job.name) is not None and not has_services(self._starter.settings)

    def notice(self) -> None:
        """Take in what the executor saw; while a commit is in doubt it stays where it is."""
        if self._doubt is None:
            self._hearing.hear()
            if self._dirty_since is None and any(live.dirty or live.asked for live in self._live.values()):
                self._dirty_since = self._clock.now()

    # -- once a second -------------------------------------------------------------------------------

    def heed(self) -> None:
        """Bring runs of ours to their end that somebody, anywhere, has asked to end."""
        for run_id, reason in self._store.asked_to_end(self._me.owner):
            live = self._live.get(run_id)
            if live is not None and not live.stopped:
                live.stopped = True
                self._emit(Ending(run_id, live.claim.run.job, reason))
                self.stop(run_id, "canceled", None if reason == "canceled" else reason)

    def check_stalls(self) -> None:
        """Say which runs have been silent for too long."""
        for live in self._live.values():
            silent = live.silence(self._clock.monotonic())
            if silent is not None:
                self._emit(Stalled(live.claim.run.id, live.claim.run.job, silent))

    def look_for_pending(self) -> None:
        """Somebody else has written: know whether something is to be claimed, or when to wake for it."""
        now = self._clock.now()
        first = self._store.next_pending(0)
        self.backlog = self.backlog or (first is not None and first <= now)
        self._look_ahead(now)

    def _look_ahead(self, now: Instant) -> None:
        self._pending_at = self._store.next_pending(now)
        self._deadline = self._store.next_deadline()

    def next_wake(self) -> Instant | None:
        """Return when a turn is due though nothing happens: what runs have said must be stored, a pending
        run is due, or others must hear of us."""
        flush = None if self._dirty_since is None else self._dirty_since + FLUSH_EVERY
        pending = self._pending_at if self.claims else None
        sign = self._alive_at + self._alive_every if self._me.lease else None  # a lock holds by itself
        moments = flush, pending, self._deadline, self._starter.next_repeat(), sign
        return min((moment for moment in moments if moment is not None), default=None)

    # -- the turn ------------------------------------------------------------------------------------

    def must_turn(self, now: Instant) -> bool:
        """Say whether a transaction is worth its cost now."""
        due = self._scheduler.next_due()
        return (
            any(live.outcome is not None or live.talk.asks for live in self._live.values())
            or self._telling.pending
            or bool(self._doubt or self._recorder.unheld)
            or (self._deadline is not None and self._deadline <= now)
            or bool(self._starter.repeats() and self._executor.ready)
            or (self.claims and due is not None and due <= now)
            or (self.claims and self._pending_due(now) and bool(self._executor.ready))
            or self._flush_due(now)
            or not 0 <= now - self._alive_at < self._alive_every
        )

    @property
    def in_doubt(self) -> bool:
        """Whether nobody knows yet what became of our last commit; only a turn may find out."""
        return self._doubt is not None

    def turn(self, dead: Sequence[NodeFacts] = ()) -> None:
        """Do one turn. Raises StateError when the store could not take it; then nothing happened.

        With code "in-doubt" nobody knows yet; the next turn begins by finding out.
        """
        self.settle()
        turn = Turn()
        self._tenure.ask()
        try:
            with self._store.transaction():
                self._do(turn, dead)
        except StateError as error:
            if error.code == "in-doubt":
                self._doubt = turn
            else:
                self._nothing_happened()
            raise
        except BaseException:
            self._nothing_happened()
            raise
        self._go_on(turn)

    def settle(self) -> None:
        """Find out about a commit in doubt. Raises StateError, again "in-doubt", while nobody can say."""
        turn = self._doubt
        if turn is not None:
            heard = self._store.came_through()
            self._doubt = None
            if heard:
                self._go_on(turn)
            else:
                self._nothing_happened()

    def _nothing_happened(self) -> None:
        self._scheduler.stale = True
        self._requests.failed()

    def _do(self, turn: Turn, dead: Sequence[NodeFacts]) -> None:
        """What one transaction does."""
        now = self._clock.now()  # not before: the lock may have been waited for
        turn.flush = flush = self._flush_due(now)
        turn.events = self._recorder.record(self._live, now, flush=flush) + self._recover(dead, now)
        self._telling.write()
        turn.events += self._expire(now)
        failpoints.reach("before-plan")
        turn.events += self._scheduler.turn(now) if self.claims else []
        failpoints.reach("after-enqueue")
        turn.again, turn.ready, turn.claims = self._claim(now)
        self._look_ahead(now)
        if any(live.talk.answers for live in self._live.values()):
            failpoints.reach("asked")
        self._sign(turn, now, quiet=not (turn.events or turn.claims or flush))
        turn.ends = any(live.outcome is not None for live in self._live.values())
        if turn.ends:
            failpoints.reach("before-commit")

    def _go_on(self, turn: Turn) -> None:
        """What a commit has made true becomes so everywhere else."""
        if turn.ends:
            failpoints.reach("after-commit")
        if turn.signed:
            self._tenure.renewed()
        self._recorder.unheld.clear()
        self.backlog = len(turn.claims) == len(turn.ready)
        self._forget_recorded(turn.flush)
        self._starter.run_again(turn.again)
        for event in turn.events:
            self.tell(event)
        for claim in turn.claims:
            self.hand_out(claim)
        self.hooks.pump()
        if self._scheduler.replaced or self._requests.canceled:
            self.heed()
            self._scheduler.replaced = self._requests.canceled = False

    def _sign(self, turn: Turn, now: Instant, *, quiet: bool) -> None:
        """Note that we live, unless nothing else is written: idle nodes would wake each other for ever."""
        turn.signed = not quiet or not 0 <= now - self._alive_at < self._alive_every or self._tenure.lapsed
        if turn.signed:
            known = self._store.seen(self._me.owner, now)
            self._alive_at = now
        else:
            known = self._store.knows(self._me.owner)
        if not known:
            raise given_up(self._me)

    def _claim(self, now: Instant) -> tuple[list[tuple[Live, int]], Sequence[int], list[Claim]]:
        """Return which child each run gets that is to run again, and what the other children may claim."""
        again = list(zip(self._starter.repeats(), self._executor.ready, strict=False))
        able = self.claims and not self._tenure.lapsed  # else what is ready is being killed
        ready = self._executor.ready[len(again) :] if able else []
        failpoints.reach("before-claim")
        claims = fresh(self._store.claim(self._me, ready, now), going(self._live), self._me) if ready else []
        if claims:
            failpoints.reach("after-claim")
        return again, ready, claims

    def hand_out(self, claim: Claim) -> None:
        """Give a committed claim to its child."""
        job = self._scheduler.job(claim.run.job)
        if job is None:  # renamed by another node in the moment of the claim
            self._recorder.unheld.append(claim.run)
        elif self._tenure.lapsed:  # we were stopped in the very moment of the claim
            live = self._starter.take(claim, job)
            live.end(lost("no sign that the body began"), self._masker, self._clock.now())
        else:
            self._starter.start(claim, job)

    def stop(self, run_id: int, state: StopState, reason: str | None) -> None:
        """Bring a run to its end, one that waits for a child, too."""
        self._starter.stop(run_id, state, reason)

    def _recover(self, dead: Iterable[NodeFacts], now: Instant) -> list[Event]:
        found = still_dead(self._store, dead)
        return [event for node in found for event in recover(self._store, node, self._aftermath, now)]

    def _expire(self, now: Instant) -> list[Event]:
        """Let runs go on that wait for what has not come in time."""
        if self._deadline is None or self._deadline > now:
            return []
        return [WaitedInVain(run.id, run.job, path) for run, path in self._store.expire_steps(now)]

    # -- after the commit ----------------------------------------------------------------------------

    def _forget_recorded(self, flushed: bool) -> None:
        """Drop what the commit has made true from memory, and answer those who waited for it."""
        self._telling.settle()
        self._requests.committed()
        for run_id, live in list(self._live.items()):
            for number, answer in live.talk.settled():
                failpoints.reach("before-answer")
                self._executor.answer(run_id, number, answer)
            if live.outcome is not None and live.repeat is not None:
                live.begin_again(self._clock.monotonic())
            elif live.outcome is not None:
                del self._live[run_id]
                failpoints.reach("reaped")
            elif flushed:
                for number in live.settle():
                    self._executor.answer(run_id, number, {})
        if not any(live.dirty or live.asked for live in self._live.values()):
            self._dirty_since = None

    def _pending_due(self, now: Instant) -> bool:
        if self._pending_at is not None and self._pending_at <= now:
            self._pending_at, self.backlog = None, True
        return self.backlog

    def _flush_due(self, now: Instant) -> bool:
        """Short runs must not pay for this: what they say goes with their end."""
        since = self._dirty_since
        return since is not None and not 0 <= now - since < FLUSH_EVERY
