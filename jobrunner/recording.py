"""What has become of our runs, put into the store: what they said and asked for, and how they ended."""

from __future__ import annotations

from collections.abc import Mapping

from jobrunner import compensation
from jobrunner.aftermath import Aftermath
from jobrunner.clock import Instant
from jobrunner.errors import BadRequest, JobrunnerError, StateError
from jobrunner.events import ChainEnded, ClaimLost, Conflicted, Event, Finished, Suspended
from jobrunner.facts import NodeFacts
from jobrunner.model import OPEN, Claim, Outcome, Run, Step
from jobrunner.requests import POISON, Requests
from jobrunner.store.base import Effects, Store
from jobrunner.underway import Live

MOST_CONFLICTS = 20
NOTHING = Effects()
NOT_HELD = Outcome(
    state="failed",
    error={
        "type": "NotHeld",
        "message": "this node knows no such job any more",
        "traceback": "",
        "phase": "import",
    },
)


class Recorder:
    """Writes inside the caller's transaction; what it returns is true once that is committed.

    `log_limit` is how many bytes of a run's output are kept. Without `repeats` no failed run is tried again.
    """

    def __init__(
        self, store: Store, requests: Requests, aftermath: Aftermath, me: NodeFacts, log_limit: int, *,
        repeats: bool,
    ) -> None:  # fmt: skip
        self._store = store
        self._requests = requests
        self._aftermath = aftermath
        self._me = me
        self.log_limit = log_limit
        self._repeats = repeats
        self.unheld: list[Run] = []  # claimed, and we know no such job any more; until that is committed

    def record(self, lives: Mapping[int, Live], now: Instant, *, flush: bool) -> list[Event]:
        """Write what is new about these runs; with `flush` also what may wait. Raises StateError."""
        events = self._give_back(now)
        self._hear_who_shall_end(lives)
        for live in lives.values():
            try:
                if live.talk.asks:
                    live.sign_of_life(self._store, self._me.owner)
                    self._requests.write(live.talk, now)
                if live.outcome is not None or (flush and live.dirty):
                    live.write(self._store, self._me.owner, now)
                if live.outcome is not None:
                    events += self._end(live, live.outcome, now)
            except StateError as error:
                if error.code in POISON and live.outcome is not None:
                    live.spoil(error, self.log_limit)  # else this one would fail every turn to come
                raise
        return events

    def _hear_who_shall_end(self, lives: Mapping[int, Live]) -> None:
        """A run that ends before we have heard that somebody asked it to is not to be tried again either."""
        if any(live.outcome is not None for live in lives.values()):
            for run_id, _ in self._store.asked_to_end(self._me.owner):
                if (live := lives.get(run_id)) is not None and live.outcome is not None:
                    live.stopped = True

    def _give_back(self, now: Instant) -> list[Event]:
        """End claimed runs that we cannot start; nothing of them has begun."""
        events: list[Event] = []
        for run in self.unheld:
            self._store.finish(run, NOT_HELD, 0, now)
            events += self._aftermath.settle(run, NOT_HELD, now)
        return events

    # -- how a run ends ------------------------------------------------------------------------------

    def _end(self, live: Live, outcome: Outcome, now: Instant) -> list[Event]:
        live.repeat = None
        if outcome.state == "waiting":
            live.sign_of_life(self._store, self._me.owner)
            return self._suspend(live)
        try:
            effects = self._requests.effects(live.talk) if live.talk.told else NOTHING
        except Exception as error:  # what a run has said must not end its node
            return self._finish(live, unfit(error))
        # Who has only read, and done well, meets nobody.
        counts = effects.changes or outcome.state == "failed"
        if not counts or not self._store.stale(effects):
            return self._finish(live, outcome, effects)
        if live.stopped:  # it was asked to end, and cannot be repeated: nothing of it has happened
            return self._finish(live, Outcome(state="canceled", file_hash=outcome.file_hash))
        return self._conflict(live, outcome, now)

    def _finish(
        self, live: Live, said: Outcome, effects: Effects = NOTHING, run: Run | None = None
    ) -> list[Event]:
        """End a run; `run` is it with its newest fence, where that is not in memory yet."""
        run = run or live.claim.run
        outcome = compensation.verdict(self._store, run, said) if run.undo else said
        if not self._store.finish(run, outcome, live.log.total, live.ended_at, begun=live.untold):
            return [ClaimLost(run.id, run.job)]
        if said.state == "succeeded" and effects.changes:  # what it has read was looked at before
            self._store.commit_effects(run, effects._replace(reads={}, prefixes={}), live.ended_at)
        if live.stopped and outcome.state == "canceled":
            self._store.cancel(run.id, live.ended_at)  # the calls, too, that it has made since it was asked
        took = live.ended_at - (run.started_at or live.ended_at)
        ended: Event = Finished(run.id, run.job, outcome, took)
        last = live.stopped or not self._repeats
        whole = run._replace(log_bytes=live.log.total)
        return [ended, *self._aftermath.settle(whole, outcome, live.ended_at, last=last)]

    def _suspend(self, live: Live) -> list[Event]:
        run = live.claim.run
        steps = self._store.steps(run.root_id)
        if not any(step.state == "waiting" or step.run_id == 0 for step in steps):
            return self._finish(live, unfit(BadRequest("it went to wait, and there is nothing to wait for")))
        if not self._store.suspend(run, live.log.total, live.ended_at):
            return [ClaimLost(run.id, run.job)]
        if live.stopped:
            return self._ended_instead(live)
        waiting = [step.path for step in steps if step.state == "waiting"]
        return [Suspended(run.id, run.job, tuple(waiting))]

    def _ended_instead(self, live: Live) -> list[Event]:
        """Return what is to be said of a run that was asked to end when it went to wait: it was canceled."""
        rows = self._store.chain(live.claim.run.root_id)
        outcome = Outcome(state="canceled")
        events: list[Event] = [Finished(live.claim.run.id, live.claim.run.job, outcome, 0)]
        if not any(row.state in OPEN for row in rows):
            events.append(ChainEnded(live.claim.run._replace(finished_at=live.ended_at), outcome))
        return events

    def _conflict(self, live: Live, outcome: Outcome, now: Instant) -> list[Event]:
        """Let the body run once more: what it has decided rests on what is no longer so."""
        live.sign_of_life(self._store, self._me.owner)
        run = self._store.repeat(live.claim.run, now)
        if run is None:
            return [ClaimLost(live.claim.run.id, live.claim.run.job)]
        if run.conflicts >= MOST_CONFLICTS:
            return self._finish(live, given_up(outcome), run=run)
        steps = self._steps_to_hand_back(run)
        live.repeat = Claim(run, live.claim.is_last, live.claim.last, live.claim.cursor, steps)
        return [Conflicted(run.id, run.job, run.conflicts)]

    def _steps_to_hand_back(self, run: Run) -> tuple[Step, ...]:
        """Return the steps of a run that runs again; one that rests on what has changed since, read in it or
        before it, is outdated from now on."""
        steps = self._store.steps(run.root_id)
        outdated = [step for step in steps if step.state == "done" and self._store.stale(_read_by(step))]
        for step in outdated:
            self._store.redo_step(run, step.path)
        return tuple(self._store.steps(run.root_id) if outdated else steps)


def _read_by(step: Step) -> Effects:
    told = step.effects or {}
    return Effects(reads=told.get("reads", {}), prefixes=told.get("prefixes", {}))


def given_up(outcome: Outcome) -> Outcome:
    """Return how a run ends that has met too many conflicts."""
    said = f"what it had read had changed before its commit, {MOST_CONFLICTS} times in a row"
    error = {"type": "Conflict", "message": said, "traceback": "", "phase": "commit"}
    return Outcome(
        state="failed", reason="conflict", error=outcome.error or error, file_hash=outcome.file_hash
    )


def unfit(error: Exception) -> Outcome:
    """Return how a run ends whose effects cannot be applied."""
    message = error.message if isinstance(error, JobrunnerError) else f"{error!r:.200}"
    told = {"type": type(error).__name__, "message": message, "traceback": "", "phase": "commit"}
    return Outcome(state="failed", error=told)
