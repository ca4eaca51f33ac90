"""WHY a job ran, or did not, at a moment, or when it will: one sentence, and the data it rests on.

    facts.py       what is known of a job, gathered once
    times.py       moments in the job's zone
    trail.py       what the audit trail tells of a moment
    hindrances.py  what keeps a job from running at present
    pending.py     what a run that has not started waits for
    skips.py       why an occurrence was skipped, for each reason
    outcomes.py    what became of an occurrence that has a row

1. Which occurrence is meant: the last one due at or before the moment, by the ledger and by the schedule as
   it is now; or the next one, if that is less than a minute away and nearer.
2. If the ledger has it, its row tells. 3. If not, it tells why not: not due yet, not planned, not known then.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from jobrunner.clock import MINUTE, Instant, to_iso
from jobrunner.model import Run
from jobrunner.why import outcomes
from jobrunner.why.facts import Answer, Facts, gather
from jobrunner.why.hindrances import Hindrance, hindrances

__all__ = ["Answer", "Facts", "Hindrance", "gather", "hindrances", "why"]

NEAR = MINUTE  # a moment this close before an occurrence may mean that one


def why(facts: Facts, at: Instant | None = None) -> Answer:
    """Answer why the job ran or did not at `at`; None: what the last due occurrence came to, and what is next."""
    asked = facts.now if at is None else at
    due, row = _subject(facts, asked, near=at is not None)
    if row is not None and due is not None:
        found = outcomes.answer(facts, row, due)
    elif due is not None and due <= facts.now:
        found = _unrecorded(facts, due)
    else:
        found = _not_due(facts, due, asked)
    if at is None:
        return _with_next(facts, found)
    return _placed(facts, found, due, at)


# -- which occurrence --------------------------------------------------------------------------------------


def _subject(facts: Facts, at: Instant, *, near: bool) -> tuple[Instant | None, Run | None]:
    """Return the occurrence that a moment means, and its first attempt if the ledger has it."""
    due, row = max(_recorded(facts, at), (_scheduled(facts, at), None), key=lambda one: one[0] or 0)
    later, later_row = _after(facts, at)
    if later is None or due == at:
        return (due, row) if due is not None or not near else (later, later_row)
    if near and later - at <= NEAR and (due is None or later - at < at - due):
        return later, later_row
    if due is None and at > facts.now:
        return later, later_row
    return due, row


def _recorded(facts: Facts, at: Instant) -> tuple[Instant | None, Run | None]:
    """Return the last occurrence up to a moment that has a row; of a row for many, the last one in it."""
    if facts.store is None or facts.fact is None:
        return None, None
    run = _of_this_machine(facts, facts.store.due_before(facts.fact.id, at))
    if run is None or run.scheduled_for is None:
        return None, None
    if run.last_for is None or run.count == 1:
        return run.scheduled_for, run
    if at >= run.last_for:
        return run.last_for, run
    return _scheduled(facts, at, since=run.scheduled_for) or run.scheduled_for, run


def _of_this_machine(facts: Facts, runs: Iterable[Run]) -> Run | None:
    found = list(runs)
    ours = [run for run in found if run.scope in ("", facts.settings.machine)]
    return next(iter(ours or found), None)


def _scheduled(facts: Facts, at: Instant, *, since: Instant = 0) -> Instant | None:
    """Return the last occurrence up to a moment by the schedule as it is now, since it holds."""
    job, standing = facts.job, facts.standing
    if job is None or standing is None or job.schedule is None or not facts.is_current:
        return None
    if job.schedule.after_end:
        coming = facts.next(0)
        return coming if coming is not None and coming <= at else None
    begin = max(since - 1, 0) if since else standing.anchor
    begin = max(begin, (job.start_at or 1) - 1)
    if facts.finished and not since:
        at = min(at, standing.consumed)
    end = at if job.end_at is None else min(at, job.end_at)
    return job.schedule.latest(begin, end, standing.anchor) if begin < end else None


def _after(facts: Facts, at: Instant) -> tuple[Instant | None, Run | None]:
    """Return the first occurrence after a moment, and its row if there is one."""
    coming = facts.next(at)
    if facts.store is None or facts.fact is None:
        return coming, None
    row = _of_this_machine(facts, facts.store.due_after(facts.fact.id, at))
    if row is not None and row.scheduled_for is not None and (coming is None or row.scheduled_for <= coming):
        return row.scheduled_for, row
    return coming, None


# -- what has no row ---------------------------------------------------------------------------------------


def _unrecorded(facts: Facts, due: Instant) -> Answer:
    """An occurrence that was due and left no row."""
    fact, at = facts.fact, facts.times.at(due)
    evidence = {"due": to_iso(due)}
    if fact is not None and fact.consumed is not None and due <= fact.consumed:
        said = f"{facts.name} was due {at}, and what came of it is not kept any more"
        return Answer(said, {**evidence, "consumed": to_iso(fact.consumed)}, "pruned")
    blocker = next(iter(facts.open), None)
    if facts.job is not None and facts.job.schedule is not None and facts.job.schedule.after_end and blocker:
        said = f"{facts.name} is due once run {blocker.id} has ended, which is {blocker.state}"
        return Answer(said, {**evidence, "behind": blocker.id}, "after-end")
    found = next((each for each in hindrances(facts) if each.code not in ("overlap", "group")), None)
    if found is not None:
        said = (
            f"{facts.name} is due since {facts.times.clock(due)} and has not been planned yet: {found.words}"
        )
        return Answer(said, {**evidence, **found.evidence}, found.code)
    names = ", ".join(f"{node.node} (pid {node.pid})" for node in facts.living)
    said = f"{facts.name} is due since {facts.times.clock(due)}, and node {names} has not planned it yet: it is busy"
    return Answer(said, {**evidence, "nodes": [node.node for node in facts.living]}, "not-planned")


def _not_due(facts: Facts, due: Instant | None, asked: Instant) -> Answer:
    """No occurrence was due up to the moment: it lies ahead, or there never is one."""
    strong = next((each for each in hindrances(facts) if not each.passing), None)
    evidence = {} if due is None else {"due": to_iso(due)}
    if strong is not None and (strong.code != "no-node" or facts.seen):
        came = f"will not run {facts.times.at(due)}" if due is not None else "is not due"
        return Answer(f"{facts.name} {came}: {strong.words}", {**evidence, **strong.evidence}, strong.code)
    if not facts.seen:
        said = (
            f"{facts.name} was never seen by a node: its schedule counts from the first `jobrunner start` on"
        )
        return Answer(said, evidence, "never-seen")
    due = due or facts.next(max(facts.now, asked))
    if due is None:
        return Answer(
            f"{facts.name} was not due {facts.times.at(asked)}, and nothing is known of it before",
            {},
            "nothing-due",
        )
    words = facts.job.schedule.words() if facts.job is not None and facts.job.schedule is not None else ""
    if asked < facts.now and due > facts.now:
        said = f"{facts.name} was not due {facts.times.at(asked)} or before; it is due {_clock(facts, due)}, {words}"
        return Answer(said, {"due": to_iso(due)}, "nothing-due")
    late = next((each for each in hindrances(facts) if each.code == "clock"), None)
    if late is not None:
        return Answer(
            f"{facts.name} {_is_due(facts, due)}: {late.words}",
            {"due": to_iso(due), **late.evidence},
            "clock",
        )
    return Answer(
        f"{facts.name} {_is_due(facts, due)}, by its schedule: {words}", {"due": to_iso(due)}, "not-due-yet"
    )


def _is_due(facts: Facts, due: Instant) -> str:
    return f"is not due before {_clock(facts, due)}"


def _clock(facts: Facts, due: Instant) -> str:
    return facts.times.clock(due + (facts.job.offset if facts.job is not None else 0))


# -- around the answer -------------------------------------------------------------------------------------


def _placed(facts: Facts, found: Answer, due: Instant | None, at: Instant) -> Answer:
    """Say that nothing was due at the very moment, where that is so, and what lies around it."""
    evidence = {"at": to_iso(at), **found.evidence}
    if due is None or abs(due - at) < NEAR or due > at:
        return replace(found, evidence=evidence)
    later, _ = _after(facts, at)
    evidence |= {"before": to_iso(due), "after": to_iso(later) if later is not None else None}
    coming = f"; the next was {facts.times.clock(later)}" if later is not None and later <= facts.now else ""
    coming = (
        f"; the next is {facts.times.clock(later)}" if later is not None and later > facts.now else coming
    )
    said = f"nothing was due {facts.times.at(at)}; before it, due {facts.times.at(due)}, {found.sentence}{coming}"
    return replace(found, sentence=said, evidence=evidence)


def _with_next(facts: Facts, found: Answer) -> Answer:
    """Add when the next comes, or why none will."""
    if found.run is None and found.code != "pruned":
        return found
    strong = next((each for each in hindrances(facts) if not each.passing), None)
    if strong is not None:
        said = f"{found.sentence}; no next one: {strong.words}"
        return replace(found, sentence=said, evidence={**found.evidence, "next": None, "keptBy": strong.code})
    coming = facts.next(facts.now)
    if coming is None:
        return found
    evidence = {**found.evidence, "next": to_iso(coming)}
    return replace(found, sentence=f"{found.sentence}; next {_clock(facts, coming)}", evidence=evidence)
