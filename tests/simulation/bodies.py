"""Processes that the seed moves: they begin, speak, read, end well or badly, crash, hang, and die with nodes.

`Bodies` is what a node takes for its pool of processes. What really happened is kept in `Witness`es: the
ledger must agree with these, whatever became of the node that should have told it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from jobrunner.clock import MILLISECOND, SECOND
from jobrunner.executor import Asked, Began, Ended, Happening, HookEnded, Output, ending
from jobrunner.handout import StopState
from jobrunner.model import BY_PROCESS, Chosen, Outcome
from jobrunner.wire import LAPSED, RunSpec

GOOD = Outcome(state="succeeded")
ERROR = {"type": "ValueError", "message": "no", "traceback": "at line 1", "phase": "body"}
BAD = Outcome(state="failed", error=ERROR)
PERMANENT = BAD._replace(error={**ERROR, "permanent": True})
SKIP = Outcome(state="skipped", reason="body")
CRASH = ending.by_exit(-11, None)
NEVER = 1 << 62
READ, TELL = 1, 2  # numbers of requests


@dataclass(slots=True)
class Witness:
    """One body as it really was, in the world's time. `how` is its outcome's state, or what ended it."""

    run_id: int
    fence: int
    attempt: int
    root_id: int
    job: str
    owner: str
    handed_at: int
    began_at: int | None = None
    ended_at: int | None = None
    how: str = ""
    counted: bool = False  # it has told its node to add one to its job's document

    @property
    def over_at(self) -> int:
        """When it was over."""
        return NEVER if self.ended_at is None else self.ended_at


@dataclass(slots=True)
class Body:
    """One process. Moments are the world's time."""

    spec: RunSpec
    witness: Witness
    begins_at: int
    ends_at: int
    outcome: Outcome
    obeys: int  # microseconds from being asked to end until it does
    speaks_at: int = NEVER
    timeout_at: int = NEVER
    asked: ending.Asked | None = None
    read: Mapping[str, Any] | None = None

    @property
    def next(self) -> int:
        """When something happens to it."""
        if self.witness.began_at is None:
            return min(self.begins_at, self.timeout_at)
        return min(self.speaks_at, self.ends_at, self.timeout_at)


@dataclass(slots=True)
class Habits:
    """What bodies do in one history: lengths in microseconds, chances of 100."""

    lengths: Sequence[int]
    bad: int
    crash: int
    hang: int
    skip: int
    calm: bool = False  # all is to end now, and well


class Bodies:
    """The executors of one node, as `Pools` has them."""

    def __init__(self, chance: Random, habits: Habits, seen: list[Witness], owner: str, slots: int) -> None:
        self._chance = chance
        self._habits = habits
        self._seen = seen
        self._owner = owner
        self._slots = slots
        self._happened: list[Happening] = []
        self._read = 0  # how much of that its node has read; while a commit is in doubt it hears none of it
        self._pids = 100
        self._closed = False
        self.under_way: dict[int, Body] = {}
        self.now = 0  # the world's time, as of the last `move`
        self.until: float | None = None  # boot time at which all are to be dead

    # -- what a node calls ---------------------------------------------------------------------------

    @property
    def ready(self) -> Sequence[int]:
        """Pids of spares."""
        free = self._slots - len(self.under_way)
        return range(self._pids, self._pids + max(0, free))

    @property
    def running(self) -> int:
        """How many are under way."""
        return len(self.under_way)

    def start(self) -> None:
        """Nothing is to be started."""

    def renew(self, preload: Sequence[str]) -> None:
        """All spares are alike."""

    def next_deadline(self) -> float | None:
        """The world knows."""
        return None

    def run(
        self, spec: RunSpec, pid: int, timeout: int | None, runs_per_process: int = 1,
        executor: Chosen = BY_PROCESS,
    ) -> int:  # fmt: skip
        """Have a body under way; what becomes of it is drawn now. Where all has ended there is no child."""
        if self._closed:
            self._happened.append(Ended(spec["runId"], ending.never_began(), 0))
            return 0
        self._pids += 1
        witness = Witness(
            spec["runId"], spec["fence"], spec["attempt"], spec["rootId"], spec["job"], self._owner, self.now
        )
        self._seen.append(witness)
        self.under_way[spec["runId"]] = self._drawn(spec, witness, timeout)
        return pid

    def _drawn(self, spec: RunSpec, witness: Witness, timeout: int | None) -> Body:
        chance, habits = self._chance, self._habits
        begins = self.now + chance.choice((0, 300, 5 * MILLISECOND))
        length = 0 if habits.calm else chance.choice(habits.lengths)
        body = Body(spec, witness, begins, begins + length, self._outcome(), chance.choice((0, 5 * SECOND)))
        if chance.random() < 0.3:
            body.speaks_at = begins + length // 2
        if body.outcome is SKIP and spec["undo"]:
            body.outcome = GOOD
        if not habits.calm and chance.randrange(100) < habits.hang:
            body.ends_at = NEVER
        body.timeout_at = NEVER if timeout is None else self.now + timeout
        return body

    def _outcome(self) -> Outcome:
        habits, drawn = self._habits, self._chance.randrange(100)
        if habits.calm or drawn >= habits.bad + habits.crash + habits.skip:
            return GOOD
        if drawn < habits.bad:
            return PERMANENT if drawn == 0 else BAD
        return CRASH if drawn < habits.bad + habits.crash else SKIP

    def run_hook(self, spec: RunSpec, number: int) -> bool:
        """Have a hook be over."""
        self._happened.append(HookEnded(number, GOOD))
        return True

    def stop(self, run_id: int, state: StopState, reason: str | None, *, now: bool = False) -> None:
        """Ask a body to end, or kill it."""
        body = self.under_way.get(run_id)
        if body is not None:
            body.asked = body.asked or ending.Asked(state, reason)
            body.timeout_at = min(body.timeout_at, self.now + (0 if now else body.obeys))

    def kill_all(self) -> None:
        """Kill all that runs: our lease has lapsed."""
        for body in list(self.under_way.values()):
            self._end(body, ending.by_exit(-9, body.asked, LAPSED), "lapsed")

    def live_until(self, moment: float) -> None:
        """Be dead by then, in seconds of boot time."""
        self.until = moment

    def close(self) -> None:
        """End all."""
        self._closed = True
        for body in list(self.under_way.values()):
            outcome = ending.by_exit(-9, body.asked or ending.Asked("canceled", "shutdown"))
            self._end(body, outcome, "killed")

    def happened(self) -> list[Happening]:
        """Return and forget what happened."""
        happened, self._happened, self._read = self._happened, [], 0
        return happened

    def answer(self, run_id: int, number: int, payload: Mapping[str, Any]) -> None:
        """Let a body know what it has read."""
        body = self.under_way.get(run_id)
        if body is not None and number == READ and "version" in payload:
            body.read = payload

    # -- what the world calls ------------------------------------------------------------------------

    @property
    def pending(self) -> bool:
        """Whether there is something to read for the node, which wakes it."""
        return len(self._happened) > self._read

    def read(self) -> None:
        """The node has waited, and read what there was."""
        self._read = len(self._happened)

    def next(self) -> int:
        """Return when something happens next."""
        return min((body.next for body in self.under_way.values()), default=NEVER)

    def move(self, now: int) -> bool:
        """Let all happen that is due; says whether anything has."""
        self.now = now
        moved = False
        while (due := min(self.under_way.values(), key=_next, default=None)) is not None and due.next <= now:
            self._step(due)
            moved = True
        return moved

    def _step(self, body: Body) -> None:
        run_id, witness = body.spec["runId"], body.witness
        if body.timeout_at <= self.now and not body.ends_at <= self.now:
            begun = witness.began_at is not None
            asked = body.asked or ending.Asked("timed_out", None, 1)
            self._end(body, ending.by_exit(None, asked, begun=begun), asked.state)
        elif witness.began_at is None:
            witness.began_at = self.now
            self._happened.append(Began(run_id, 1))
            if body.spec["delivery"] == "exactly-once":
                self._happened.append(Asked(run_id, READ, "state.get", {"key": key(witness.job)}))
        elif body.speaks_at <= self.now and body.speaks_at <= body.ends_at:
            body.speaks_at = NEVER
            self._happened.append(Output(run_id, b"working\n"))
        else:
            self._reply(body)

    def _reply(self, body: Body) -> None:
        if body.outcome is GOOD and body.spec["delivery"] == "exactly-once":
            if body.read is None:  # it waits for the answer
                body.ends_at = self.now + 500 * MILLISECOND
                return
            self._tell(body, body.read)
        self._end(body, body.outcome, _how(body.outcome))

    def _tell(self, body: Body, read: Mapping[str, Any]) -> None:
        name = key(body.witness.job)
        effects = {
            "reads": {name: read["version"]},
            "writes": [[name, (read["value"] or 0) + 1, False]],
        }
        body.witness.counted = True
        self._happened.append(Asked(body.spec["runId"], TELL, "effects", effects))

    def _end(self, body: Body, outcome: Outcome, how: str) -> None:
        del self.under_way[body.spec["runId"]]
        body.witness.ended_at, body.witness.how = self.now, how
        self._happened.append(Ended(body.spec["runId"], outcome, 0))

    def vanish(self, at: int) -> None:
        """The node was killed, and they with it; on a machine that slept they had ended before, in effect."""
        for body in self.under_way.values():
            body.witness.ended_at, body.witness.how = at, "vanished"
        self.under_way.clear()

    def lapse(self, at: int) -> None:
        """The time is over until which they may live: the zygote kills them, whatever their node does.

        That was `at`; on a machine that slept nothing has happened since. Whoever was handed out later still
        was under way for a moment: where all were stopped, a node may go on before its zygote does.
        """
        for body in list(self.under_way.values()):
            why = LAPSED if body.asked is None else None  # what somebody asked for counts more
            self._end(body, ending.by_exit(-9, body.asked, why), "lapsed")
            body.witness.ended_at = max(at, body.witness.handed_at)

    def calm(self) -> None:
        """Bring all to their end soon, and well."""
        for body in self.under_way.values():
            body.ends_at = min(body.ends_at, max(self.now, body.begins_at))
            body.outcome = GOOD


def key(job: str) -> str:
    """Return the document in which an exactly-once job counts its successes."""
    return f"count/{job}"


def _next(body: Body) -> int:
    return body.next


def _how(outcome: Outcome) -> str:
    return "crashed" if outcome is CRASH else outcome.state
