"""What keeps a job from running at present, the strongest reason first."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from jobrunner import labels
from jobrunner.added import is_added, module_file
from jobrunner.clock import MINUTE, Instant, to_iso
from jobrunner.facts import Note
from jobrunner.pace import length
from jobrunner.why.facts import Evidence, Facts

AHEAD = MINUTE  # a cursor this far in the future tells of a clock that was wrong


@dataclass(frozen=True, slots=True)
class Hindrance:
    """Why nothing runs: a stable word, the words behind the job's name, what to do, and the data.

    `passing`: it ends by itself.
    """

    code: str
    words: str
    hint: str
    evidence: Evidence = field(default_factory=dict)
    passing: bool = False


def hindrances(facts: Facts) -> Iterator[Hindrance]:
    """Yield everything that keeps the job from running by its schedule now."""
    for look in _LOOKS:
        found = look(facts)
        if found is not None:
            yield found


def described(note: Note | None) -> Evidence:
    """Return a note as evidence."""
    if note is None:
        return {}
    return {"by": note.actor, "at": to_iso(note.at), "action": note.action, "detail": note.detail}


def disabled_words(facts: Facts, until: Instant) -> tuple[str, Evidence]:
    """Return how to say that a job was disabled at a moment: by whom, since when and why."""
    if facts.job is not None and facts.job.name in facts.settings.disabled:
        return "it is disabled by JOBRUNNER_DISABLED", {"by": "JOBRUNNER_DISABLED"}
    note = facts.trail.last(("disabled", "enabled"), until, facts.name)
    if note is not None and note.action == "disabled":
        why = f": {note.detail}" if note.detail else ""
        return f"it was disabled by {note.actor} {facts.times.at(note.at)}{why}", described(note)
    fact = facts.fact
    if fact is not None and fact.enabled_override is False:
        return "it is disabled" + (f": {fact.enabled_reason}" if fact.enabled_reason else ""), {}
    return "its file says that it is not enabled", {"by": "file"}


def paused_words(facts: Facts, until: Instant) -> tuple[str, Evidence]:
    """Return how to say that all schedules stood still at a moment."""
    note = facts.trail.last(("paused", "resumed"), until, None)
    if note is not None and note.action == "paused":
        why = f": {note.detail}" if note.detail else ""
        return f"all was paused by {note.actor} {facts.times.at(note.at)}{why}", described(note)
    pause = facts.pause
    if pause is not None and pause.at <= until:
        why = f": {pause.reason}" if pause.reason else ""
        evidence = {"by": pause.by, "at": to_iso(pause.at), "detail": pause.reason}
        return f"all was paused by {pause.by} {facts.times.at(pause.at)}{why}", evidence
    return "its node was started with --paused", {"by": "--paused"}


def _enabled(facts: Facts) -> bool:
    if facts.job is None:
        return True
    if facts.job.name in facts.settings.disabled:
        return False
    said = facts.fact.enabled_override if facts.fact is not None else None
    return facts.job.enabled if said is None else said


def _broken(facts: Facts) -> Hindrance | None:
    problem = facts.problem
    if problem is None:
        return None
    where = f"{problem.file}:{problem.line}" if problem.line else problem.file
    evidence = {"file": problem.file, "line": problem.line, "message": problem.message}
    return Hindrance(
        "broken-file", f"its file is broken: {where}: {problem.message}", problem.hint or "mend it", evidence
    )


def _orphan(facts: Facts) -> Hindrance | None:
    if facts.job is not None or facts.problem is not None or facts.fact is None:
        return None
    if not facts.fact.file:
        words = "nothing defines it any more: code had added it, and it was removed"
        return Hindrance("orphan", words, "add it again, or `jobrunner forget` the job", {"file": ""})
    words = f"no file defines it any more: it was {facts.fact.file}"
    return Hindrance(
        "orphan", words, "put the file back, or `jobrunner forget` the job", {"file": facts.fact.file}
    )


def _disabled(facts: Facts) -> Hindrance | None:
    if _enabled(facts):
        return None
    words, evidence = disabled_words(facts, facts.now)
    return Hindrance("disabled", words, f"`jobrunner enable {facts.name}`", evidence)


def _paused(facts: Facts) -> Hindrance | None:
    if facts.pause is None and not facts.settings.paused:
        return None
    words, evidence = paused_words(facts, facts.now)
    return Hindrance("paused", words.replace("was paused", "is paused"), "`jobrunner resume`", evidence)


def _environment(facts: Facts) -> Hindrance | None:
    job, here = facts.job, facts.settings.env
    if job is None or job.environments is None or here in job.environments:
        return None
    wanted = ", ".join(job.environments)
    words = f"it runs in {wanted or 'no environment'} only, and JOBRUNNER_ENV is {here or 'not set'}"
    evidence = {"environments": list(job.environments), "env": here}
    return Hindrance("environment", words, "set JOBRUNNER_ENV for the node, or change environments", evidence)


def _labels(facts: Facts) -> Hindrance | None:
    job = facts.job
    reach = [node.labels for node in facts.living]
    unreached = labels.unreached(job.runs_on, reach) if job is not None else None
    if job is None or unreached is None:
        return None
    missing = labels.nowhere(job.runs_on, reach)
    words = f"its runsOn asks for {', '.join(job.runs_on)}, and {unreached}"
    hint = f"`jobrunner start{''.join(f' --label {label}' for label in job.runs_on)}`, or change runsOn"
    has = [{"node": node.node, "pid": node.pid, "labels": list(node.labels)} for node in facts.living]
    return Hindrance(
        "labels", words, hint, {"runsOn": list(job.runs_on), "missing": list(missing), "nodes": has}
    )


def _limit(facts: Facts) -> Hindrance | None:
    job, fact = facts.job, facts.fact
    if job is None or fact is None or not facts.finished:
        return None
    at = facts.times.at(fact.last_started_at) if fact.last_started_at else ""
    if fact.executions == 1:
        words = f"it has had its one scheduled run {at}".rstrip()
    else:
        words = f"it has had all its {fact.executions} scheduled runs" + (f", the last {at}" if at else "")
    evidence = {"executions": fact.executions, "numberOfExecutions": job.number_of_executions}
    return Hindrance("limit", words, f"raise numberOfExecutions, or `jobrunner reset {facts.name}`", evidence)


def _ended(facts: Facts) -> Hindrance | None:
    job = facts.job
    if job is None or job.schedule is None or facts.finished or facts.next(facts.now) is not None:
        return None
    if facts.open and job.schedule.after_end:
        return None
    ended = job.end_at is not None and job.end_at <= facts.now
    words = "its endAt has passed" if ended else "its schedule has no further moment"
    return Hindrance("ended", words, "change its schedule, startAt or endAt")


def _on_demand(facts: Facts) -> Hindrance | None:
    if facts.job is None or facts.job.schedule is not None:
        return None
    return Hindrance(
        "on-demand", "it has no schedule and runs on demand only", f"`jobrunner run {facts.name}`"
    )


def _group(facts: Facts) -> Hindrance | None:
    job = facts.job
    if job is None or job.group is None or job.group_limit is None or facts.store is None:
        return None
    running = [run.id for run in facts.store.open_runs() if run.group == job.group and run.state == "running"]
    if len(running) < job.group_limit:
        return None
    words = f"its group {job.group} is full: {len(running)} of {job.group_limit} run ({listed(running)})"
    return Hindrance(
        "group", words, "wait for one of them, or raise groupLimit", {"running": running}, passing=True
    )


def _overlap(facts: Facts) -> Hindrance | None:
    if facts.job is None or facts.job.concurrency == "allow":
        return None
    busy = [run for run in facts.open if run.state != "pending" or run.attempt > 1]
    if not busy:
        return None
    run = busy[0]
    since = facts.times.clock(run.started_at or run.effective_at)
    state = "waits to be tried again" if run.state == "pending" else f"is {run.state}"
    words = f"its run {run.id} {state} since {since}, and concurrency is {facts.job.concurrency}"
    hint = f"wait for its end, or `jobrunner cancel {run.id}`"
    return Hindrance("overlap", words, hint, {"run": run.id, "state": run.state}, passing=True)


def _no_node(facts: Facts) -> Hindrance | None:
    if facts.living or facts.controls:
        return None
    gap = facts.trail.gap(facts.now) or (None, None)
    since = f" since {facts.times.clock(gap[0])}" if gap[0] is not None else ""
    evidence = {"since": to_iso(gap[0]) if gap[0] is not None else None}
    return Hindrance("no-node", f"no node is running{since}", "`jobrunner start`", evidence)


def _unheld(facts: Facts) -> Hindrance | None:
    owners = {node.owner for node in facts.living}
    held = [hold for hold in facts.holds if hold.owner in owners]
    if not owners or facts.job is None or any(hold.gate is None for hold in held):
        return None
    if held:
        gates = sorted({str(hold.gate) for hold in held} - {"labels"})
        if not gates:
            return None
        return Hindrance(
            "gate", f"no running node may run it: {', '.join(gates)}", "change that, or start another node"
        )
    if (lost := _lost_module(facts)) is not None:
        return lost
    words = "no running node holds it: it was left out there, or the node has not read the file yet"
    return Hindrance("not-held", words, "start a node without --only, --except, --tag; or start it again")


def _lost_module(facts: Facts) -> Hindrance | None:
    """Return why nodes like this process cannot hold an added job."""
    if facts.job is None or not is_added(facts.job):
        return None
    module = facts.job.target.partition(":")[0]
    if module_file(facts.job.target, facts.settings.project) is not None:
        return None
    words = f"no running node holds it: its module {module} cannot be found here"
    hint = "put it in the project, or install it where a node runs; then start the node again"
    return Hindrance("no-module", words, hint, {"module": module})


def _roles(facts: Facts) -> Hindrance | None:
    if facts.living or not facts.controls:
        return None
    node = facts.controls[0]
    words = f"no running node works: node {node.node} (pid {node.pid}) only controls"
    return Hindrance("role", words, "`jobrunner start`, without --role control", {"node": node.node})


def _ahead(facts: Facts) -> Hindrance | None:
    fact = facts.fact
    if fact is None or not facts.is_current or fact.consumed is None or fact.consumed <= facts.now + AHEAD:
        return None
    away = length(fact.consumed - facts.now)
    words = f"it is planned until {facts.times.clock(fact.consumed)} already, {away} ahead: a clock was wrong"
    hint = f"set the clock right; `jobrunner reset {facts.name} --schedule` starts it from now"
    return Hindrance("clock", words, hint, {"consumed": to_iso(fact.consumed)}, passing=True)


def _memory(facts: Facts) -> Hindrance | None:
    if facts.job is None or facts.job.memory_limit is None or sys.platform.startswith("linux"):
        return None
    words = "its memoryLimit is not kept on this system"
    return Hindrance("memory-limit", words, "run it on Linux, or take memoryLimit out")


def listed(runs: Sequence[int]) -> str:
    """Return the first few of some runs by their numbers."""
    return ", ".join(f"run {run}" for run in runs[:5])


_LOOKS: tuple[Callable[[Facts], Hindrance | None], ...] = (
    _broken, _orphan, _disabled, _paused, _environment, _labels, _limit, _ended, _on_demand, _group,
    _overlap, _no_node, _unheld, _roles, _ahead, _memory,
)  # fmt: skip
