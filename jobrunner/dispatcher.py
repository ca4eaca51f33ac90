"""One turn: record what ended, recover the dead, enqueue what is due, claim, hand out.

All of it but the handing out is one transaction. If it fails nothing happened: what was to be recorded
stays in the outbox, nothing was claimed, and the next turn says it again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from jobrunner import failpoints
from jobrunner.aftermath import Aftermath
from jobrunner.clock import MILLISECOND, Clock, Instant
from jobrunner.discovery.servicesfile import has_services
from jobrunner.errors import BadRequest, unknown_job
from jobrunner.events import Ending, Event, Output, Progressed, Stalled, WaitedInVain
from jobrunner.executor import Asked, Began, Ended, HookEnded, HookOutput
from jobrunner.executor import Output as RunOutput
from jobrunner.facts import NodeFacts
from jobrunner.handout import Executor, StopState
from jobrunner.hooks import Hooks
from jobrunner.masking import Masker
from jobrunner.model import Job, Outcome
from jobrunner.recording import Recorder
from jobrunner.recovery import given_up, recover
from jobrunner.requests import Requests, refusal
from jobrunner.scheduler import Scheduler
from jobrunner.settings import Settings
from jobrunner.starting import Starter
from jobrunner.store.base import Claim, Store
from jobrunner.telling import Telling
from jobrunner.underway import Live

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
        self._pending_at: Instant | None = None  # when the next pending run is due
        self._deadline: Instant | None = None  # of the first step that waits for an event
        self.hooks = Hooks(executor, settings, self._masker, hooks)
        self._starter = Starter(executor, self.hooks, clock, self._live, emit, source)
        self._starter.settings, self._starter.masker = settings, self._masker
        self._telling = Telling(store, self.hooks, me, self._find, emit)
        self.tell = self._telling.tell
        self.backlog = True  # there may be pending runs that nobody has claimed
        self.claiming = True  # off while draining

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

    # -- what the executor saw -----------------------------------------------------------------------

    def notice(self) -> None:
        """Take in what the executor saw."""
        for happening in self._executor.happened():
            if isinstance(happening, HookOutput | HookEnded):
                self._telling.hear(happening, self._live)
            elif (live := self._live.get(happening.run_id)) is not None:
                self._notice(live, happening)
        if self._dirty_since is None and any(live.dirty or live.asked for live in self._live.values()):
            self._dirty_since = self._clock.now()

    def _notice(self, live: Live, happening: Began | RunOutput | Asked | Ended) -> None:
        match happening:
            case Began(pid=pid):
                live.began, live.pid = True, pid
                failpoints.reach("body")
            case RunOutput(run_id=run_id, data=data):
                self._emit(Output(run_id, live.hear(data)))
            case Asked(number=number, verb=verb, payload=payload):
                self._asked(live, number, verb, payload)
            case Ended(outcome=outcome):
                rest = live.end(outcome, self._masker, self._clock.now())
                if rest:
                    self._emit(Output(live.claim.run.id, rest))
                failpoints.reach("after-reply")

    def _asked(self, live: Live, number: int, verb: str, payload: Mapping[str, Any]) -> None:
        run = live.claim.run
        if self._requests.knows(verb):
            live.heard_at = self._clock.monotonic()
            self._requests.hear(live.talk, number, verb, payload)
            return
        if verb not in ("progress", "heartbeat"):
            said = BadRequest(f"this version knows no request {verb!r:.50}")
            self._executor.answer(run.id, number, refusal(said))
            return
        if verb == "progress":
            live.progress = self._masker.data(dict(payload))
            self._emit(Progressed(run.id, run.job, live.progress or {}))
        live.sign(self._clock.monotonic())
        live.asked.append(number)

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
        """Return when a turn is due though nothing happens: what runs have said must be stored, or a
        pending run is due."""
        flush = None if self._dirty_since is None else self._dirty_since + FLUSH_EVERY
        pending = self._pending_at if self.claiming else None
        moments = flush, pending, self._deadline, self._starter.next_repeat()
        return min((moment for moment in moments if moment is not None), default=None)

    # -- the turn ------------------------------------------------------------------------------------

    def must_turn(self, now: Instant) -> bool:
        """Say whether a transaction is worth its cost now."""
        due = self._scheduler.next_due()
        return (
            any(live.outcome is not None or live.talk.asks for live in self._live.values())
            or self._telling.pending
            or (self._deadline is not None and self._deadline <= now)
            or bool(self._starter.repeats() and self._executor.ready)
            or (self.claiming and due is not None and due <= now)
            or (self.claiming and self._pending_due(now) and bool(self._executor.ready))
            or self._flush_due(now)
            or not 0 <= now - self._alive_at < ALIVE_EVERY
        )

    def turn(self, dead: Sequence[NodeFacts] = ()) -> None:
        """Do one turn. Raises StateError when the store could not take it; then nothing happened."""
        try:
            with self._store.transaction():
                now = self._clock.now()  # not before: the lock may have been waited for
                flush = self._flush_due(now)
                events = self._recorder.record(self._live, now, flush=flush) + self._recover(dead, now)
                self._telling.write()
                events += self._expire(now)
                failpoints.reach("before-plan")
                events += self._scheduler.turn(now) if self.claiming else []
                failpoints.reach("after-enqueue")
                again, ready, claims = self._claim(now)
                self._look_ahead(now)
                if any(live.talk.answers for live in self._live.values()):
                    failpoints.reach("asked")
                self._sign(now, quiet=not (events or claims or flush))
                ends = any(live.outcome is not None for live in self._live.values())
                if ends:
                    failpoints.reach("before-commit")
        except BaseException:
            self._scheduler.stale = True
            self._requests.failed()
            raise
        if ends:
            failpoints.reach("after-commit")
        self.backlog = len(claims) == len(ready)
        self._forget_recorded(flush)
        self._starter.run_again(again)
        for event in events:
            self.tell(event)
        for claim in claims:
            self.hand_out(claim)
        self.hooks.pump()
        if self._scheduler.replaced or self._requests.canceled:
            self.heed()
            self._scheduler.replaced = self._requests.canceled = False

    def _sign(self, now: Instant, *, quiet: bool) -> None:
        """Note that we live, unless nothing else is written: idle nodes would wake each other for ever."""
        if quiet and 0 <= now - self._alive_at < ALIVE_EVERY:
            known = self._store.knows(self._me.owner)
        else:
            known = self._store.seen(self._me.owner, now)
            self._alive_at = now
        if not known:
            raise given_up(self._me)

    def _claim(self, now: Instant) -> tuple[list[tuple[Live, int]], Sequence[int], list[Claim]]:
        """Return which child each run gets that is to run again, and what the other children may claim."""
        again = list(zip(self._starter.repeats(), self._executor.ready, strict=False))
        ready = self._executor.ready[len(again) :] if self.claiming else []
        failpoints.reach("before-claim")
        claims = self._store.claim(self._me, ready, now) if ready else []
        if claims:
            failpoints.reach("after-claim")
        return again, ready, claims

    def hand_out(self, claim: Claim) -> None:
        """Give a committed claim to its child."""
        job = self._scheduler.job(claim.run.job)
        if job is None:  # renamed by another node in the moment of the claim
            self._give_back(claim)
        else:
            self._starter.start(claim, job)

    def stop(self, run_id: int, state: StopState, reason: str | None) -> None:
        """Bring a run to its end, one that waits for a child, too."""
        self._starter.stop(run_id, state, reason)

    def _give_back(self, claim: Claim) -> None:
        """End a run that we cannot start, before anything of it has begun."""
        error = {"type": "NotHeld", "message": "this node knows no such job any more", "traceback": ""}
        outcome = Outcome(state="failed", error={**error, "phase": "import"})
        now = self._clock.now()
        with self._store.transaction():
            self._store.finish(claim.run, outcome, 0, now)
            events = self._aftermath.settle(claim.run, outcome, now)
        for event in events:
            self.tell(event)

    def _recover(self, dead: Iterable[NodeFacts], now: Instant) -> list[Event]:
        return [event for node in dead for event in recover(self._store, node, self._aftermath, now)]

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
