"""What became of an occurrence that has a row: the sentence for each state that a chain can be in."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from jobrunner.clock import SECOND, Instant, to_iso
from jobrunner.facts import Note
from jobrunner.masking import masker_of
from jobrunner.model import OPEN, Run
from jobrunner.pace import length
from jobrunner.why.facts import Answer, Facts
from jobrunner.why.hindrances import described
from jobrunner.why.lateness import held_up
from jobrunner.why.pending import waiting_for
from jobrunner.why.skips import Told, skipped

CANCELED = ("cancel-asked", "canceled")  # of a run that ran, of one that waited; once both were the latter
ENDS = {"timed_out": "took too long", "lost": "was lost", "canceled": "was canceled"}
LATE = SECOND  # a start later than this is worth a word


@dataclass(frozen=True, slots=True)
class Chain:
    """An occurrence with its attempts, the first one first; `due` is the moment asked about.

    `cause` has the words for what kept the first attempt waiting, where that is known.
    """

    runs: Sequence[Run]
    due: Instant
    cause: str = ""

    @property
    def last(self) -> Run:
        """The newest attempt."""
        return self.runs[-1]

    @property
    def late(self) -> int:
        """How much later than due the first attempt started."""
        first = self.runs[0]
        return 0 if first.started_at is None else max(0, first.started_at - first.effective_at)

    @property
    def delay(self) -> str:
        """The words for a late start; "" for one in time."""
        since = f" since {self.cause}" if self.cause else ""
        return f", {length(self.late)} late{since}" if self.late >= LATE else ""


def answer(facts: Facts, first: Run, due: Instant) -> Answer:
    """Return what became of the occurrence whose first attempt this is."""
    assert facts.store is not None
    attempts = facts.store.chain(first.root_id) or [first]
    bodies = [run for run in attempts if not run.undo] or attempts
    chain = Chain(bodies, due)
    cause, others = held_up(facts, chain.runs[0]) if chain.late >= LATE else ("", ())
    chain = replace(chain, cause=cause)
    run = chain.last
    clause, evidence = STATES[run.state](facts, chain)
    if run.state in ("canceled", "lost", "skipped") and len(chain.runs) > 1:
        before, rests_on = _before(facts, chain.runs[-2])
        clause, evidence = f"{clause}; {before}", {**evidence, "before": rests_on}
    if attempts[-1].undo and attempts != bodies:
        said, rests_on = _taken_back(attempts[-1])
        clause, evidence = f"{clause}; {said}", {**evidence, "compensation": rests_on}
    if others:
        evidence = {**evidence, "behind": list(others)}
    code = run.reason or run.state if run.state == "skipped" else run.state
    return Answer(f"{facts.name} {clause}", {**_common(chain), **evidence}, code, run)


def _common(chain: Chain) -> dict[str, Any]:
    run = chain.last
    took = run.finished_at - run.started_at if run.finished_at and run.started_at else None
    return {
        "due": to_iso(chain.due),
        "run": run.id,
        "state": run.state,
        "reason": run.reason,
        "node": run.node,
        "attempts": len(chain.runs),
        "startedAt": to_iso(run.started_at) if run.started_at is not None else None,
        "finishedAt": to_iso(run.finished_at) if run.finished_at is not None else None,
        "tookSeconds": took / SECOND if took is not None else None,
        "lateSeconds": chain.late / SECOND,
    }


def _before(facts: Facts, run: Run) -> Told:
    """Return what became of the attempt before the last one."""
    at = run.finished_at or run.effective_at
    evidence = {"run": run.id, "attempt": run.attempt, "state": run.state, "finishedAt": to_iso(at)}
    said = f"attempt {run.attempt} {ENDS.get(run.state, run.state)} {facts.times.at(at)}"
    if run.state != "failed":
        return said, evidence
    error = brief_error(run)
    return f"{said}: {error}", {**evidence, "error": error}


def _taken_back(undo: Run) -> Told:
    """Return what became of the steps that the attempts have done, from the last attempt that undoes them."""
    evidence = {"run": undo.id, "state": undo.state, "reason": undo.reason}
    if undo.reason == "compensated":
        return "its steps were taken back", evidence
    if undo.state in OPEN:
        return f"its steps are being taken back, as run {undo.id}", evidence
    error = brief_error(undo)
    return f"its steps could not all be taken back: {error}", {**evidence, "error": error}


def _ran(facts: Facts, chain: Chain) -> str:
    """Return `ran at 08:00, 2 min late,`: when the last attempt began."""
    run = chain.last
    late = f"{chain.delay}," if chain.delay else ""
    by_hand = " by hand" if run.trigger == "manual" else ""
    return f"ran{by_hand} {facts.times.at(run.started_at or run.effective_at)}{late}"


def _after(run: Run) -> str:
    return f"after {length((run.finished_at or 0) - (run.started_at or run.finished_at or 0))}"


def _tries(facts: Facts, chain: Chain) -> str:
    """Return which attempt it was, of how many that `retries` allows."""
    if len(chain.runs) == 1:
        return ""
    most = facts.job.retries.max if facts.job is not None else 0
    return f" at attempt {len(chain.runs)}" + (f" of {max(most + 1, len(chain.runs))}" if most else "")


def _succeeded(facts: Facts, chain: Chain) -> Told:
    return f"{_ran(facts, chain)} and succeeded {_after(chain.last)}{_tries(facts, chain)}", {}


def _failed(facts: Facts, chain: Chain) -> Told:
    run = chain.last
    if run.reason == "conflict":
        return f"{_ran(facts, chain)} and failed: others changed what it had read, at each try to commit", {}
    error = brief_error(run)
    retries = facts.job.retries.max if facts.job is not None else 0
    used = f"; {_all(retries)} used" if retries and len(chain.runs) > retries else ""
    evidence = {"error": error, "retries": retries, "attempts": len(chain.runs)}
    return f"{_ran(facts, chain)} and failed {_after(run)}{_tries(facts, chain)}: {error}{used}", evidence


def _all(retries: int) -> str:
    return "its one retry was" if retries == 1 else f"all {retries} retries were"


def _timed_out(facts: Facts, chain: Chain) -> Told:
    limit = facts.job.timeout if facts.job is not None else None
    allowed = f"; its timeout is {length(limit)}" if limit is not None else ""
    after = f"{_after(chain.last)}{_tries(facts, chain)}"
    return f"{_ran(facts, chain)} and was ended {after}: it took too long{allowed}", {"timeout": limit}


def _lost(facts: Facts, chain: Chain) -> Told:
    run = chain.last
    note = facts.trail.last(("node-died",), run.finished_at or facts.now, None)
    sign = (
        f"its body had begun {facts.times.at(run.began_at)}"
        if run.began_at is not None
        else "there is no sign that its body began"
    )
    said = f"{_ran(facts, chain)} and was lost: node {run.node} died meanwhile; {sign}"
    began = to_iso(run.began_at) if run.began_at is not None else None
    return said, {"bodyBegan": began, "node": run.node, "died": described(note)}


def _canceled(facts: Facts, chain: Chain) -> Told:
    run = chain.last
    began = _ran(facts, chain) if run.started_at is not None else f"was due {facts.times.at(chain.due)}"
    if run.reason == "shutdown":
        return f"{began} and was canceled: node {run.node} was shut down", {}
    if run.reason == "replaced":
        return f"{began} and was canceled: a newer occurrence took its place", {}
    if run.reason == "disabled":
        return f"{began} and was canceled: the job was disabled", {}
    note = _who_canceled(facts, run)
    by = f" by {note.actor} {facts.times.at(note.at)}" if note is not None else ""
    why = f": {run.reason}" if run.reason and run.reason != "canceled" else ""
    return f"{began} and was canceled{by}{why}", {"canceled": described(note)}


def _who_canceled(facts: Facts, run: Run) -> Note | None:
    """Return the note that names the run, else the last one about the job before its end."""
    end = run.finished_at or facts.now
    said = facts.trail.between(CANCELED, run.created_at, end)
    notes = [note for note in said if note.job is not None]
    named = [note for note in notes if str(run.id) in re.findall(r"\d+", note.detail)]
    return next(reversed(named or notes), None)


def _skipped(facts: Facts, chain: Chain) -> Told:
    clause, evidence = skipped(facts, chain.last, chain.due)
    if chain.last.reason == "body":
        return f"{_ran(facts, chain)} and was skipped: {clause}", evidence
    return f"was skipped {facts.times.at(chain.due)}: {clause}", evidence


def _running(facts: Facts, chain: Chain) -> Told:
    run = chain.last
    asked = f"; it was asked to end ({run.asked})" if run.asked else ""
    silent = "; nothing is heard of it (stallAfter)" if run.stalled else ""
    since = facts.times.clock(run.started_at or run.effective_at)
    where = f" on node {run.node}" if run.node else ""
    evidence = {"asked": run.asked, "stalled": run.stalled, "progress": run.progress, "pid": run.pid}
    return (
        f"is running since {since}{chain.delay}{where}, as run {run.id}{_tries(facts, chain)}{asked}{silent}",
        evidence,
    )


def _pending(facts: Facts, chain: Chain) -> Told:
    clause, evidence = waiting_for(facts, chain.last)
    if len(chain.runs) > 1:
        before = chain.runs[-2]
        evidence |= {"error": brief_error(before)}
        ended = before.state.replace("_", " ")
        return f"{_ran(facts, replace(chain, runs=chain.runs[:-1]))} and {ended}: {clause}", evidence
    return f"is due since {facts.times.clock(chain.runs[0].effective_at)} and waits: {clause}", evidence


def _waiting(facts: Facts, chain: Chain) -> Told:
    assert facts.store is not None
    steps = [step for step in facts.store.steps(chain.last.root_id) if step.state == "waiting"]
    paths = [masker_of(facts.settings).text(step.path) for step in steps]
    names = " and ".join(paths) or "an event"
    until = min((step.deadline for step in steps if step.deadline is not None), default=None)
    since = f" since {facts.times.clock(max(step.started_at for step in steps))}" if steps else ""
    ends = f", until {facts.times.clock(until)}" if until is not None else ""
    evidence = {"waitsFor": "event", "steps": paths, "until": until and to_iso(until)}
    return f"{_ran(facts, chain)} and waits for {names}{since}{ends}, as run {chain.last.id}", evidence


def brief_error(run: Run) -> str:
    """Return a run's error in one short line."""
    error = run.error or {}
    kind, message = str(error.get("type") or ""), str(error.get("message") or "")
    line = f"{kind}: {message}" if kind and message else kind or message or "no error was recorded"
    return line.partition("\n")[0][:300]


STATES: dict[str, Callable[[Facts, Chain], Told]] = {
    "succeeded": _succeeded, "failed": _failed, "timed_out": _timed_out, "lost": _lost,
    "canceled": _canceled, "skipped": _skipped, "running": _running, "pending": _pending,
    "waiting": _waiting,
}  # fmt: skip
