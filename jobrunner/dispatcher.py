"""One turn: record what ended, recover the dead, enqueue what is due, claim, hand out.

All of it but the handing out is one transaction. If it fails nothing happened: what was to be recorded
stays in the outbox, nothing was claimed, and the next turn says it again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from jobrunner.clock import MILLISECOND, Clock, Instant
from jobrunner.errors import StateError
from jobrunner.events import ClaimLost, Event, Finished, JobFinished, Lost, NodeDied, Output, Started
from jobrunner.executor import Asked, Began, Ended, Happening, HookEnded, HookOutput, LogWindow
from jobrunner.executor import Output as RunOutput
from jobrunner.model import Job, NodeFacts, Outcome, Run
from jobrunner.presence import Presence
from jobrunner.scheduler import Scheduler
from jobrunner.settings import Settings
from jobrunner.store.base import Claim, LogChunk, Store
from jobrunner.wire import RunSpec

FLUSH_EVERY = 250 * MILLISECOND  # how stale the stored log and progress of a running run may be
POISON = {"rule", "unstorable"}  # what no later try can store
ALIVE_EVERY = 60_000 * MILLISECOND


class Executor(Protocol):
    """What the dispatcher needs of the thing that runs bodies."""

    @property
    def ready(self) -> Sequence[int]:
        """The pids of children in hand."""
        ...

    def run(self, spec: RunSpec, pid: int, timeout: int | None, runs_per_process: int) -> int:
        """Hand a committed claim to a child and return its pid; an impossible start is an Ended."""
        ...

    def happened(self) -> list[Happening]:
        """Return and forget what happened since the last call."""
        ...

    def answer(self, run_id: int, number: int, payload: dict[str, Any]) -> None:
        """Answer a request of a run, after the commit."""
        ...


@dataclass(slots=True)
class Live:
    """A run of ours that has not been recorded as ended."""

    claim: Claim
    log: LogWindow
    pid: int = 0
    began: bool = False
    began_stored: bool = False
    progress: dict[str, Any] | None = None
    asked: list[int] = field(default_factory=list)
    outcome: Outcome | None = None
    ended_at: Instant = 0

    def spoil(self, error: StateError, log_limit: int) -> None:
        """Keep of it only what can surely be stored: how it ended, and why the rest is missing."""
        self.log, self.progress = LogWindow(log_limit), None
        if self.outcome is not None:
            told = {"type": "Unstorable", "message": error.message, "traceback": "", "phase": "result"}
            self.outcome = Outcome(state=self.outcome.state, reason=self.outcome.reason, error=told)

    @property
    def dirty(self) -> bool:
        """Whether something of it is not in the store yet."""
        return (self.began and not self.began_stored) or self.progress is not None or self.log.pending > 0


class Dispatcher:
    """Carries runs from the store to the executor and their outcomes back."""

    def __init__(
        self,
        store: Store,
        executor: Executor,
        scheduler: Scheduler,
        me: NodeFacts,
        settings: Settings,
        clock: Clock,
        emit: Callable[[Event], None],
    ) -> None:
        self._store = store
        self._executor = executor
        self._scheduler = scheduler
        self._me = me
        self._settings = settings
        self._clock = clock
        self._emit = emit
        self._live: dict[int, Live] = {}
        self._dirty_since: Instant | None = None
        self._alive_at = clock.now()
        self.backlog = True  # there may be pending runs that nobody has claimed
        self.claiming = True  # off while draining

    @property
    def running(self) -> list[int]:
        """The ids of runs whose end is not recorded."""
        return list(self._live)

    def notice(self) -> None:
        """Take in what the executor saw."""
        for happening in self._executor.happened():
            if isinstance(happening, HookOutput | HookEnded):
                continue  # this node starts none
            live = self._live.get(happening.run_id)
            if live is not None:
                self._notice(live, happening)
        if self._dirty_since is None and any(live.dirty or live.asked for live in self._live.values()):
            self._dirty_since = self._clock.now()

    def _notice(self, live: Live, happening: Happening) -> None:
        match happening:
            case Began(pid=pid):
                live.began, live.pid = True, pid
            case RunOutput(run_id=run_id, data=data):
                live.log.feed(data)
                self._emit(Output(run_id, data))
            case Asked(number=number, verb=verb, payload=payload):
                self._asked(live, number, verb, payload)
            case Ended(outcome=outcome):
                live.outcome, live.ended_at = outcome, self._clock.now()

    def _asked(self, live: Live, number: int, verb: str, payload: Mapping[str, Any]) -> None:
        if verb not in ("progress", "heartbeat"):
            refusal = {"error": f"this version knows no request {verb!r}"}
            self._executor.answer(live.claim.run.id, number, refusal)
            return
        if verb == "progress":
            live.progress = dict(payload)
        live.asked.append(number)

    def next_flush(self) -> Instant | None:
        """Return when what running runs have said must be in the store; None when it is."""
        return None if self._dirty_since is None else self._dirty_since + FLUSH_EVERY

    def must_turn(self, now: Instant) -> bool:
        """Say whether a transaction is worth its cost now."""
        due = self._scheduler.next_due()
        return (
            any(live.outcome is not None for live in self._live.values())
            or (self.claiming and due is not None and due <= now)
            or (self.claiming and self.backlog and bool(self._executor.ready))
            or self._flush_due(now)
            or not 0 <= now - self._alive_at < ALIVE_EVERY
        )

    def turn(self, dead: Sequence[NodeFacts] = ()) -> None:
        """Do one turn. Raises StateError when the store could not take it; then nothing happened."""
        try:
            with self._store.transaction():
                now = self._clock.now()  # not before: the lock may have been waited for
                flush = self._flush_due(now)
                events = self._record(now, flush) + self._recover(dead, now)
                ready = self._executor.ready if self.claiming else []
                events += self._scheduler.turn(now) if self.claiming else []
                claims = self._store.claim(self._me, ready, now) if ready else []
                if not self._store.seen(self._me.owner, now):
                    raise given_up(self._me)
        except BaseException:
            self._scheduler.stale = True
            raise
        self._alive_at = now
        self.backlog = len(claims) == len(ready) and (bool(ready) or self.backlog)
        self._forget_recorded(flush)
        for event in events:
            self._emit(event)
        for claim in claims:
            self.hand_out(claim)

    def hand_out(self, claim: Claim) -> None:
        """Give a committed claim to its child."""
        run, job = claim.run, self._scheduler.job(claim.run.job)
        self._live[run.id] = Live(claim, LogWindow(self._settings.log_limit))
        self._executor.run(
            run_spec(claim, job, self._settings), run.pid or 0, job.timeout, job.runs_per_process
        )
        late = None if run.scheduled_for is None else (run.started_at or 0) - run.effective_at
        self._emit(Started(run.id, run.job, run.attempt, late))
        if claim.is_last and run.trigger == "schedule":
            self._emit(JobFinished(run.job, job.number_of_executions or 0))

    # -- what goes into the transaction --------------------------------------------------------------

    def _record(self, now: Instant, flush: bool) -> list[Event]:
        events: list[Event] = []
        for live in self._live.values():
            try:
                if live.outcome is not None or (flush and live.dirty):
                    self._write(live, now)
                if live.outcome is not None:
                    events.append(self._finish(live, live.outcome))
            except StateError as error:
                if error.code in POISON:  # else this one would fail every turn to come
                    live.spoil(error, self._settings.log_limit)
                raise
        return events

    def _write(self, live: Live, now: Instant) -> None:
        run = live.claim.run
        if live.began and not live.began_stored:
            self._store.begun(run.id, self._me.owner, live.pid, now)
        if live.progress is not None:
            self._store.progress(run.id, self._me.owner, run.attempt, live.progress, now)
        chunks, cut = live.log.peek()
        if chunks or cut:
            self._store.append_log(run.id, self._me.owner, [LogChunk(at, data) for at, data in chunks], cut)

    def _finish(self, live: Live, outcome: Outcome) -> Event:
        run = live.claim.run
        if not self._store.finish(run, outcome, live.log.total, live.ended_at):
            return ClaimLost(run.id, run.job)
        return Finished(run.id, run.job, outcome, live.ended_at - (run.started_at or live.ended_at))

    def _recover(self, dead: Iterable[NodeFacts], now: Instant) -> list[Event]:
        events: list[Event] = []
        for node in dead:
            lost = self._store.recover(node.owner, now)
            events.append(NodeDied(node.node, node.pid))
            events += [Lost(run.id, run.job, node.node, run.began_at is not None) for run in lost]
        return events

    # -- after the commit ----------------------------------------------------------------------------

    def _forget_recorded(self, flushed: bool) -> None:
        """Drop what the commit has made true from memory, and answer those who waited for it."""
        for run_id, live in list(self._live.items()):
            if live.outcome is not None:
                del self._live[run_id]
            elif flushed:
                self._settle(run_id, live)
        if flushed:
            self._dirty_since = None

    def _settle(self, run_id: int, live: Live) -> None:
        live.began_stored = live.began
        live.progress = None
        live.log.commit()
        for number in live.asked:
            self._executor.answer(run_id, number, {})
        live.asked.clear()

    def _flush_due(self, now: Instant) -> bool:
        """Short runs must not pay for this: what they say goes with their end."""
        since = self._dirty_since
        return since is not None and not 0 <= now - since < FLUSH_EVERY


def run_spec(claim: Claim, job: Job, settings: Settings) -> RunSpec:
    """Return what a child needs to know to run this claim."""
    run: Run = claim.run
    return RunSpec(
        runId=run.id,
        job=run.job,
        file=job.path,
        target=job.target,
        folder=job.folder,
        root=settings.project,
        fileHash=job.content_hash,
        config=job.config,
        params={**job.params, **run.params},
        settings=settings.settings,
        services=settings.services,
        trigger=run.trigger,
        scheduledFor=run.scheduled_for,
        startedAt=run.started_at or 0,
        attempt=run.attempt,
        rootId=run.root_id,
        node=run.node or "",
        identity=run.identity,
        fence=run.fence,
        isLast=claim.is_last,
        last=claim.last,
        cursor=claim.cursor,
        memoryLimit=None,
        source=None,
        hook=None,
    )


def deaths(store: Store, presence: Presence, me: NodeFacts) -> list[NodeFacts]:
    """Return the other nodes that are proven dead."""
    return [node for node in store.nodes() if node.owner != me.owner and presence.is_dead(node)]


def given_up(me: NodeFacts) -> StateError:
    """Return what a node says that others took for dead: it must not go on, its runs are lost already."""
    error = StateError(
        f"this node (pid {me.pid}) was given up by another, which has recorded its runs as lost",
        hint="were its lock files in the folder nodes removed? start it again",
    )
    error.code = "given-up"
    return error
