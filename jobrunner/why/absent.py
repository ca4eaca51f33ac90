"""What is to be said of an occurrence that left no row: not planned yet, not kept any more, not due yet."""

from __future__ import annotations

from jobrunner.clock import Instant, to_iso
from jobrunner.why.facts import Answer, Facts
from jobrunner.why.hindrances import Hindrance, hindrances

BUSY = ("overlap", "group")  # these do not keep a node from writing down what is due


def unrecorded(facts: Facts, due: Instant) -> Answer:
    """Answer for an occurrence that was due and has no row."""
    fact, evidence = facts.fact, {"due": to_iso(due)}
    if fact is not None and fact.consumed is not None and due <= fact.consumed:
        said = f"{facts.name} was due {facts.times.at(due)}, and what came of it is not kept any more"
        return Answer(said, {**evidence, "consumed": to_iso(fact.consumed)}, "pruned")
    blocker = next(iter(facts.open), None)
    if facts.job is not None and facts.job.schedule is not None and facts.job.schedule.after_end and blocker:
        said = f"{facts.name} is due once run {blocker.id} has ended, which is {blocker.state}"
        return Answer(said, {**evidence, "behind": blocker.id}, "after-end")
    return _unplanned(facts, due)


def _unplanned(facts: Facts, due: Instant) -> Answer:
    """A node writes down within a second what is due, whatever becomes of it: so none could."""
    said = f"{facts.name} is due since {facts.times.clock(due)} and has not been planned yet"
    found = next((each for each in hindrances(facts) if each.code not in BUSY), None)
    if found is not None:
        return Answer(f"{said}: {found.words}", {"due": to_iso(due), **found.evidence}, found.code)
    names = ", ".join(f"{node.node} (pid {node.pid})" for node in facts.living)
    evidence = {"due": to_iso(due), "nodes": [node.node for node in facts.living]}
    return Answer(f"{said}: node {names} is busy or stopped", evidence, "not-planned")


def not_due(facts: Facts, due: Instant | None, asked: Instant) -> Answer:
    """Answer where no occurrence was due up to the moment: it lies ahead, or there never is one."""
    if not facts.seen and facts.job is not None and not _strong(facts, "no-node", "not-held"):
        said = (
            f"{facts.name} was never seen by a node: its schedule counts from the first `jobrunner start` on"
        )
        return Answer(said, {}, "never-seen")
    if asked < facts.now and facts.seen:
        return _before_all(facts, due, asked)
    kept = _strong(facts)
    if kept is not None:
        evidence = {} if due is None else {"due": to_iso(due)}
        came = "is not due" if due is None else f"is due {clock(facts, due)} and will not run"
        return Answer(f"{facts.name} {came}: {kept.words}", {**evidence, **kept.evidence}, kept.code)
    coming = due or facts.next(max(facts.now, asked))
    if coming is None:
        blocker = next(iter(facts.open), None)
        after = f": it counts from the end of run {blocker.id}" if blocker is not None else ""
        return Answer(f"{facts.name} has no moment to come{after}", {}, "nothing-due")
    return _coming(facts, coming)


def _strong(facts: Facts, *but: str) -> Hindrance | None:
    return next((each for each in hindrances(facts) if not each.passing and each.code not in but), None)


def _before_all(facts: Facts, due: Instant | None, asked: Instant) -> Answer:
    """The moment lies before everything that is known."""
    first = facts.fact.first_seen_at if facts.fact is not None else None
    seen = f": a node first saw it {facts.times.at(first)}" if first is not None and first > asked else ""
    coming = due or facts.next(facts.now)
    after = "" if coming is None else f"; the first after it is {clock(facts, coming)}"
    evidence = {"firstSeenAt": to_iso(first) if first is not None else None,
                "after": to_iso(coming) if coming is not None else None}  # fmt: skip
    said = f"nothing of {facts.name} was due {facts.times.at(asked)} or before{seen}{after}"
    return Answer(said, evidence, "nothing-due")


def _coming(facts: Facts, due: Instant) -> Answer:
    said, evidence = f"{facts.name} is not due before {clock(facts, due)}", {"due": to_iso(due)}
    ahead = next((each for each in hindrances(facts) if each.code == "clock"), None)
    if ahead is not None:
        return Answer(f"{said}: {ahead.words}", {**evidence, **ahead.evidence}, "clock")
    schedule = facts.job.schedule if facts.job is not None else None
    words = schedule.words() if schedule is not None else ""
    return Answer(f"{said}, by its schedule: {words}", {**evidence, "schedule": words}, "not-due-yet")


def clock(facts: Facts, due: Instant) -> str:
    """Return when an occurrence takes effect: its own part of the jitter later."""
    return facts.times.clock(due + (facts.job.offset if facts.job is not None else 0))
