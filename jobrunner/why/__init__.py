"""WHY a job ran, or did not, at a moment, or when it will: one sentence, and the data it rests on.

    facts.py       what is known of a job, gathered once
    times.py       moments in the job's zone
    trail.py       what the audit trail tells of a moment
    hindrances.py  what keeps a job from running at present
    pending.py     what a run that has not started waits for
    skips.py       why an occurrence was skipped, for each reason
    lateness.py    why a run started late, where the ledger can tell
    outcomes.py    what became of an occurrence that has a row
    absent.py      what is to be said of one that has none

1. Which occurrence is meant: the last one due at or before the moment, by the ledger and by the schedule as
   it is now; or the next one, if that is less than a minute away and nearer.
2. If the ledger has it, its row tells. 3. If not, it tells why not: not due yet, not planned, not known then.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from jobrunner.clock import MINUTE, Instant, to_iso
from jobrunner.model import Run
from jobrunner.why import absent, outcomes
from jobrunner.why.facts import Answer, Facts, gather
from jobrunner.why.hindrances import Hindrance, hindrances

__all__ = ["Answer", "Facts", "Hindrance", "gather", "hindrances", "why"]

NEAR = MINUTE  # a moment this close before an occurrence may mean that one


def why(facts: Facts, at: Instant | None = None) -> Answer:
    """Answer why the job ran or did not at `at`; None: what the last occurrence came to, and what is next."""
    asked = facts.now if at is None else at
    due, row = _subject(facts, asked, near=at is not None)
    if row is not None and due is not None:
        found = outcomes.answer(facts, row, due)
    elif due is not None and due <= facts.now:
        found = absent.unrecorded(facts, due)
    else:
        found = absent.not_due(facts, due, asked)
    if at is None:
        return _with_next(facts, found)
    return _placed(facts, found, due, at)


# -- which occurrence --------------------------------------------------------------------------------------


def _subject(facts: Facts, at: Instant, *, near: bool) -> tuple[Instant | None, Run | None]:
    """Return the occurrence that a moment means, and its first attempt if the ledger has it."""
    due, row = max(_recorded(facts, at), (_scheduled(facts, at), None), key=lambda one: one[0] or 0)
    by_hand = _by_hand(facts, at, near=near)
    if by_hand is not None and (due is None or by_hand.effective_at > due):
        return by_hand.effective_at, by_hand
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


def _by_hand(facts: Facts, at: Instant, *, near: bool) -> Run | None:
    """Return the last run that no schedule asked for; `near`: only one that ran then, or just before."""
    if facts.store is None or facts.fact is None:
        return None
    run = facts.store.unscheduled_before(facts.fact.id, at)
    if run is None or not near:
        return run
    ended = run.finished_at if run.finished_at is not None else facts.now
    return run if at <= ended or at - run.effective_at < NEAR else None


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


# -- around the answer -------------------------------------------------------------------------------------


def _placed(facts: Facts, found: Answer, due: Instant | None, at: Instant) -> Answer:
    """Say that nothing was due at the very moment, where that is so, and what lies around it."""
    evidence = {"at": to_iso(at), **found.evidence}
    if due is None or abs(due - at) < NEAR or due > at:
        return replace(found, evidence=evidence)
    later, _ = _after(facts, at)
    evidence |= {"before": to_iso(due), "after": to_iso(later) if later is not None else None}
    coming = ""
    if later is not None:
        coming = f"; the next {'is' if later > facts.now else 'was'} {facts.times.clock(later)}"
    head = f"nothing was due {facts.times.at(at)}; before it, due {facts.times.at(due)},"
    said = f"{head} {found.sentence}{coming}"
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
    return replace(found, sentence=f"{found.sentence}; next {absent.clock(facts, coming)}", evidence=evidence)
