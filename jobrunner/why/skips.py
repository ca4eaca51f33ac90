"""Why an occurrence was skipped: the clause behind `report was skipped at 08:00: `, one for each reason."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jobrunner.clock import Instant, to_iso
from jobrunner.model import Reason, Run
from jobrunner.pace import length
from jobrunner.plan import MISSED_AFTER
from jobrunner.why.facts import Facts
from jobrunner.why.hindrances import described, disabled_words, paused_words

Told = tuple[str, dict[str, Any]]  # a clause, and what it rests on


def skipped(facts: Facts, run: Run, due: Instant) -> Told:
    """Return why a row was skipped; `due` is the occurrence asked about, of a row for many."""
    tell = REASONS.get(run.reason or "")  # type: ignore[call-overload]
    clause, evidence = tell(facts, run, due) if tell is not None else (str(run.reason), {})
    if run.count > 1 and run.scheduled_for is not None and run.last_for is not None:
        span = f"between {facts.times.clock(run.scheduled_for)} and {facts.times.clock(run.last_for)}"
        clause += f"; it is one of {run.count} skipped {span} for the same reason"
        evidence |= {
            "count": run.count,
            "firstFor": to_iso(run.scheduled_for),
            "lastFor": to_iso(run.last_for),
        }
    return clause, evidence


def _overlap(facts: Facts, run: Run, due: Instant) -> Told:
    if run.blocked_by is None:
        return "another run of it was not over", {}
    blocker = facts.store.run(run.blocked_by) if facts.store is not None else None
    if blocker is None:
        return f"run {run.blocked_by} was not over", {"blockedBy": {"run": run.blocked_by}}
    evidence = {"run": blocker.id, "state": blocker.state, "startedAt": _iso(blocker.started_at),
                "finishedAt": _iso(blocker.finished_at)}  # fmt: skip
    if blocker.started_at is None or blocker.started_at > run.created_at:
        words = f"run {blocker.id} was still waiting, since {facts.times.clock(blocker.effective_at)}"
    else:
        words = f"run {blocker.id} was still running, since {facts.times.clock(blocker.started_at)}"
    until = f" (until {facts.times.clock(blocker.finished_at)})" if blocker.finished_at is not None else ""
    return words + until, {"blockedBy": evidence}


def _replaced(facts: Facts, run: Run, due: Instant) -> Told:
    at = f" {facts.times.at(run.finished_at)}" if run.finished_at is not None else ""
    return f"it still waited when a newer occurrence took its place{at}", {
        "replacedAt": _iso(run.finished_at)
    }


def _missed(facts: Facts, run: Run, due: Instant) -> Told:
    gap = facts.trail.gap(due + _offset(run))
    if gap is not None:
        span = facts.times.span(*gap)
        words = f"no node was running {span}".rstrip()
        return words, {"noNode": {"from": _iso(gap[0]), "until": _iso(gap[1])}}
    return _looked_late(facts, run)


def _looked_late(facts: Facts, run: Run) -> Told:
    """A node lived, and came too late: it was busy, stopped, or the state was locked."""
    looked = run.finished_at if run.count > 1 else run.created_at
    late = (looked or run.created_at) - run.effective_at
    evidence = {"node": run.node, "lateBy": late}
    who = f"node {run.node}" if run.node else "the node"
    if late <= MISSED_AFTER:
        return "a later occurrence was due already when it was looked at", evidence
    return f"{who} was there, but {length(late)} late", evidence


def _asleep(facts: Facts, run: Run, due: Instant) -> Told:
    nap = facts.trail.nap(due + _offset(run))
    if nap is None:
        return "the machine slept", {}
    evidence = {"slept": {"from": to_iso(nap[0]), "until": to_iso(nap[1])}}
    return f"the machine slept {facts.times.span(*nap)}", evidence


def _grace(facts: Facts, run: Run, due: Instant) -> Told:
    late = max(0, (run.finished_at or run.created_at) - run.effective_at)
    grace = facts.job.misfire_grace if facts.job is not None else None
    allowed = f"; its misfireGrace is {length(grace)}" if grace is not None else ""
    gap = facts.trail.gap(due + _offset(run))
    absent = f", since no node was running {facts.times.span(*gap)}".rstrip() if gap is not None else ""
    evidence: dict[str, Any] = {"lateBy": late, "misfireGrace": grace}
    if gap is not None:
        evidence["noNode"] = {"from": _iso(gap[0]), "until": _iso(gap[1])}
    return f"it could have started only {length(late)} late{absent}{allowed}", evidence


def _paused(facts: Facts, run: Run, due: Instant) -> Told:
    words, evidence = paused_words(facts, run.created_at)
    return words, {"paused": dict(evidence)}


def _disabled(facts: Facts, run: Run, due: Instant) -> Told:
    words, evidence = disabled_words(facts, run.created_at)
    return words, {"disabled": dict(evidence)}


def _environment(facts: Facts, run: Run, due: Instant) -> Told:
    wanted = facts.job.environments if facts.job is not None else None
    which = f" {', '.join(wanted)}" if wanted else " another environment"
    where = f" of node {run.node}" if run.node else ""
    words = f"it runs in{which} only, and the environment{where} was not that"
    return words, {"environments": list(wanted or ()), "env": facts.settings.env, "node": run.node}


def _labels(facts: Facts, run: Run, due: Instant) -> Told:
    wanted = facts.job.runs_on if facts.job is not None else ()
    which = ", ".join(wanted) or "other labels"
    words = f"its runsOn asked for {which}, and no running node had that"
    return words, {"runsOn": list(wanted), "node": run.node}


def _limit(facts: Facts, run: Run, due: Instant) -> Told:
    limit = facts.job.number_of_executions if facts.job is not None else None
    its = {None: "all its scheduled runs", 1: "its one scheduled run"}
    words = f"it had had {its.get(limit, f'all its {limit} scheduled runs')}"
    return words, {"numberOfExecutions": limit}


def _broken(facts: Facts, run: Run, due: Instant) -> Told:
    note = facts.trail.last(("file-broken",), run.created_at, facts.name)
    problem = f": {note.detail}" if note is not None and note.detail else ""
    file = facts.fact.file if facts.fact is not None else ""
    return f"its file{f' {file}' if file else ''} was broken{problem}", {"file": file, **described(note)}


def _orphan(facts: Facts, run: Run, due: Instant) -> Told:
    note = facts.trail.last(("job-orphaned",), run.created_at, facts.name)
    file = facts.fact.file if facts.fact is not None else ""
    return f"no file defined it any more: it was {file or 'deleted'}", {"file": file, **described(note)}


def _calendar(facts: Facts, run: Run, due: Instant) -> Told:
    return "its calendar leaves that day out", {}


def _dst(facts: Facts, run: Run, due: Instant) -> Told:
    zone = facts.job.timezone if facts.job is not None else facts.settings.timezone
    return f"that local time did not exist on that night: the clocks of {zone} were set forward", {
        "timezone": zone
    }


def _body(facts: Facts, run: Run, due: Instant) -> Told:
    words = run.result if isinstance(run.result, str) and run.result else None
    said = f"its body chose not to run: {words}" if words else "its body chose not to run"
    return said, {"said": words, "startedAt": _iso(run.started_at)}


def _shutdown(facts: Facts, run: Run, due: Instant) -> Told:
    return f"node {run.node or 'unknown'} was shutting down", {"node": run.node}


def _conflict(facts: Facts, run: Run, due: Instant) -> Told:
    return "others changed what it had read, at each of its tries to commit", {}


REASONS: dict[Reason, Callable[[Facts, Run, Instant], Told]] = {
    "overlap": _overlap, "replaced": _replaced, "missed": _missed, "asleep": _asleep, "grace": _grace,
    "paused": _paused, "disabled": _disabled, "environment": _environment, "labels": _labels, "limit": _limit,
    "broken-file": _broken, "orphan": _orphan, "calendar": _calendar, "dst": _dst, "body": _body,
    "shutdown": _shutdown, "conflict": _conflict,
}  # fmt: skip


def _offset(run: Run) -> int:
    return run.effective_at - run.scheduled_for if run.scheduled_for is not None else 0


def _iso(instant: Instant | None) -> str | None:
    return None if instant is None else to_iso(instant)
