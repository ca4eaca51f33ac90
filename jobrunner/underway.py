"""The runs of ours whose end is not recorded: what they have said, and what of it is in the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jobrunner.clock import SECOND, Instant
from jobrunner.errors import StateError
from jobrunner.events import Event
from jobrunner.executor import LogWindow
from jobrunner.masking import Masker, Stream
from jobrunner.model import Claim, Job, Outcome, Run, State
from jobrunner.requests import Talk
from jobrunner.store.base import LogChunk, Store


@dataclass(slots=True)
class Live:
    """A run that has not been recorded as ended. `heard_at` is monotonic seconds: the last sign of life."""

    claim: Claim
    job: Job
    log: LogWindow
    stream: Stream
    heard_at: float
    talk: Talk
    begun: tuple[int, Instant] | None = None  # in which process the body has begun, and when
    begun_stored: bool = False
    progress: dict[str, Any] | None = None
    stalled: bool = False
    stalled_stored: bool = False
    stopped: bool = False  # somebody asked it to end
    asked: list[int] = field(default_factory=list)
    outcome: Outcome | None = None
    ended_at: Instant = 0
    repeat: Claim | None = None  # its body is to run again, by this claim
    repeat_at: float = 0.0  # monotonic seconds; not before

    def hear(self, data: bytes) -> bytes:
        """Take in output; returns what of it may be shown."""
        shown = self.stream.feed(data)
        self.log.feed(shown)
        return shown

    def sign(self, monotonic: float) -> None:
        """Note a sign of life that counts against stallAfter."""
        self.heard_at, self.stalled = monotonic, False

    def silence(self, monotonic: float) -> int | None:
        """Return for how many microseconds it has said nothing, when that has just become too long."""
        limit = self.job.stall_after
        silent = round((monotonic - self.heard_at) * SECOND)
        if limit is None or self.stalled or self.outcome is not None or silent <= limit:
            return None
        self.stalled = True
        return silent

    def end(self, outcome: Outcome, masker: Masker, now: Instant) -> bytes:
        """Note how it ended; returns the last of its output that may be shown."""
        kept = {name: masker.data(getattr(outcome, name)) for name in ("result", "error", "cursor")}
        self.outcome = outcome._replace(**kept)
        self.ended_at = now
        rest = self.stream.end()
        self.log.feed(rest)
        return rest

    def spoil(self, error: StateError, log_limit: int) -> None:
        """Keep of it only what can surely be stored: how it ended, and why the rest is missing."""
        self.log, self.progress = LogWindow(log_limit), None
        if self.outcome is not None:
            told = {"type": "Unstorable", "message": error.message, "traceback": "", "phase": "result"}
            state: State = "failed" if self.talk.told else self.outcome.state  # what it was to apply is not
            self.outcome = Outcome(state=state, reason=self.outcome.reason, error=told)
            self.talk.told.clear()

    def begin_again(self, monotonic: float) -> None:
        """Its commit met a conflict: nothing of what it asked for or did has been, but for its output."""
        assert self.repeat is not None
        self.claim = self.repeat
        self.talk = Talk(self.repeat.run)
        self.outcome, self.progress, self.asked = None, None, []
        self.begun, self.begun_stored = None, False  # another process is to be known by
        self.repeat_at = monotonic + back_off(self.claim.run)

    @property
    def dirty(self) -> bool:
        """Whether something of it is not in the store yet."""
        told = self.untold is not None or self.stalled != self.stalled_stored
        return told or self.progress is not None or self.log.pending > 0

    @property
    def untold(self) -> tuple[int, Instant] | None:
        """How the body has begun, as far as the store does not know it yet."""
        return None if self.begun_stored else self.begun

    def sign_of_life(self, store: Store, owner: str) -> None:
        """Write down that the body has begun: whatever it has asked for is a sign of that."""
        if self.untold is not None:
            store.begun(self.claim.run.id, owner, *self.untold)

    def write(self, store: Store, owner: str, now: Instant) -> None:
        """Put what is new into the store, in the caller's transaction; that it began comes with its end."""
        run = self.claim.run
        if self.outcome is None:
            self.sign_of_life(store, owner)
        if self.progress is not None:
            store.progress(run.id, owner, run.attempt, self.progress, now)
        if self.stalled != self.stalled_stored:
            store.stall(run.id, owner, self.stalled)
        chunks, cut = self.log.peek()
        if chunks or cut:
            store.append_log(run.id, owner, [LogChunk(at, data) for at, data in chunks], cut)

    def settle(self) -> list[int]:
        """What `write` wrote is committed: keep it no longer; returns the requests that wait for that."""
        self.begun_stored = self.begun is not None
        self.stalled_stored = self.stalled
        self.progress = None
        self.log.commit()
        asked, self.asked = self.asked, []
        return asked


def going(lives: Mapping[int, Live]) -> set[int]:
    """Return those of these runs whose end has not come. One that has gone to wait may be given to us again
    in the turn in which that is written."""
    return {run_id for run_id, live in lives.items() if live.outcome is None}


def back_off(run: Run) -> float:
    """Return how many seconds a run waits after a conflict: those that met need not meet again."""
    most = min(1 << run.conflicts, 128)  # milliseconds
    return (run.fence * 7919 % most) / 1000


@dataclass(slots=True)
class Turn:
    """What one transaction has done, to be made true elsewhere once it is committed."""

    flush: bool = False
    ends: bool = False  # whether runs of ours have ended in it
    signed: bool = False  # whether it has renewed our lease
    events: list[Event] = field(default_factory=list)
    again: list[tuple[Live, int]] = field(default_factory=list)
    ready: Sequence[int] = ()
    claims: list[Claim] = field(default_factory=list)
