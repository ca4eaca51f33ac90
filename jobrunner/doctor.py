"""What is wrong with a project, or with one job: findings, each with what to do about it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from jobrunner import __version__, labels
from jobrunner.clock import MINUTE, SECOND, Instant
from jobrunner.clockwatch import APART, ASTRAY
from jobrunner.discovery.summary import Summary
from jobrunner.drift import Drifting, differing
from jobrunner.errors import JobrunnerError
from jobrunner.exposure import exposures
from jobrunner.facts import JobFacts, NodeFacts
from jobrunner.labels import Reach
from jobrunner.masking import without_passwords
from jobrunner.model import Problem, Run
from jobrunner.pace import Pace, length, overdue, too_fast, too_long
from jobrunner.settings import Settings, zonerules
from jobrunner.store.base import Store
from jobrunner.vitals import SILENT, Nodes, Overdue, disagreements, namesakes
from jobrunner.why import Facts, hindrances

Level = Literal["ok", "warning", "error"]
AHEAD = MINUTE  # a cursor this far in the future tells of a clock that was wrong
EARLIEST = 1_767_225_600 * SECOND  # 2026-01-01: a clock before it is not set
LITTLE = 100_000_000  # bytes on the disk


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: how it is, in words, and what to do if it is not well."""

    what: str
    level: Level
    said: str
    hint: str | None = None


def of_versions(zone: str) -> Iterator[Finding]:
    """Say what this installation consists of."""
    python = ".".join(map(str, sys.version_info[:3]))
    yield Finding("version", "ok", f"jobrunner {__version__}, Python {python}, {sys.platform}")
    yield Finding("tzdata", "ok", f"rules of time zones of tzdata {zonerules.version(zone) or '(unknown)'}")


def of_state(store: Store) -> Iterator[Finding]:
    """Look at the state: is it whole, is there room to grow."""
    info = store.info()
    kind = f"{info['library']}, schema {info['version']}"
    if info.get("journal_mode"):
        kind += f", journal {info['journal_mode']}"
    place = without_passwords(str(info["path"]))
    yield Finding("state", "ok", f"{place}: {_size(info['bytes'])}, {kind}")
    said = store.healthy()
    if said == "ok":
        yield Finding("integrity", "ok", "the state is whole")
    else:
        yield Finding("integrity", "error", f"the state is damaged: {said}", "restore a copy")
    if Path(place).is_file():  # a database has a disk of its own, elsewhere
        yield _disk(str(Path(place).resolve().parent))


def _disk(folder: str) -> Finding:
    try:
        facts = os.statvfs(folder)
    except OSError as error:
        return Finding("disk", "warning", f"{folder} cannot be looked at: {error.strerror}")
    free = facts.f_bavail * facts.f_frsize
    if free < LITTLE:
        return Finding("disk", "warning", f"{_size(free)} are free for the state", "free some space")
    return Finding("disk", "ok", f"{_size(free)} are free for the state")


def of_nodes(
    nodes: Sequence[NodeFacts], dead: frozenset[str], stopped: frozenset[str], now: Instant
) -> Iterator[Finding]:
    """Look at every node that joined and has not left; `dead` and `stopped` are owners."""
    starts = [node for node in nodes if node.role != "run"]
    for node in starts:
        yield _node(node, dead, stopped, now)
    here = Nodes(nodes, dead)
    if not here.starts:
        yield Finding(
            "node", "error", "no node is running: nothing is planned and nothing starts", "`jobrunner start`"
        )
    elif here.idle is not None:
        yield Finding("role", "error", here.idle, "`jobrunner start`, without --role control")
    for said in disagreements(here):
        yield Finding("node", "warning", said, "give them the same, and start them again")
    for said in namesakes(here):
        yield Finding("node", "warning", said, "`start --node NAME` tells them apart")


def of_definitions(drifting: Drifting) -> Iterator[Finding]:
    """Name the nodes that live and hold other definitions than the current ones."""
    for node, jobs in drifting:
        yield Finding(
            "definitions", "warning", differing(node, jobs), "give it the same files, and start it again"
        )


def of_labels(jobs: Iterable[Summary], reach: Reach) -> Iterator[Finding]:
    """Name the jobs whose labels no node has that works."""
    for job in jobs:
        unreached = labels.unreached(job.runs_on, reach)
        if unreached is not None:
            hint = f"`jobrunner why {job.name}`; start a node with --label, or change runsOn"
            yield Finding("labels", "error", f"{job.name} cannot run: {unreached}", hint)


def _node(node: NodeFacts, dead: frozenset[str], stopped: frozenset[str], now: Instant) -> Finding:
    who, silent = f"node {node.node} (pid {node.pid})", now - node.seen_at
    if node.owner in dead:
        return Finding(
            "node", "warning", f"{who} died; the next start takes over its runs", "`jobrunner start`"
        )
    if node.owner in stopped:
        return Finding("node", "error", f"{who} is stopped", f"`kill -CONT {node.pid}` wakes it")
    if silent > SILENT:
        hint = "it may be stopped, or wait for the disk; end it if it does not come back"
        return Finding("node", "error", f"{who} has not been heard of for {length(silent)}", hint)
    slots = f"{node.slots} slot" + ("" if node.slots == 1 else "s")
    return Finding("node", "ok", f"{who} is alive: version {node.version}, {slots}, role {node.role}")


def of_clock(facts: Iterable[JobFacts], settings: Settings, now: Instant) -> Iterator[Finding]:
    """Look at the clock, which nothing but what was planned by another clock can contradict."""
    if now < EARLIEST:
        yield Finding("clock", "error", "the clock is not set: nothing is planned", "set it")
    ahead = [fact for fact in facts if fact.consumed is not None and fact.consumed > now + AHEAD]
    for fact in ahead:
        away = length((fact.consumed or now) - now)
        said = f"{fact.name} is planned {away} ahead already: a clock was wrong; it waits until then"
        yield Finding(
            "clock", "warning", said, f"`jobrunner reset {fact.name} --schedule` starts it from now"
        )
    if now >= EARLIEST and not ahead:
        yield Finding("clock", "ok", f"the clock is set; time zone {settings.timezone}")


def of_machine(apart: int) -> Iterator[Finding]:
    """Look at this machine's clock, by how many microseconds it is ahead of the database's."""
    if abs(apart) <= APART:
        return
    side = "ahead of" if apart > 0 else "behind"
    said = f"this machine's clock is {length(round(abs(apart) / SECOND) * SECOND)} {side} the database's"
    if abs(apart) > ASTRAY:
        yield Finding("clock", "error", f"{said}: a node here plans and claims nothing", "set it")
    else:
        yield Finding("clock", "warning", f"{said}; what is due goes by the database's", "set it")


def of_files(problems: Iterable[Problem], orphans: Iterable[JobFacts]) -> Iterator[Finding]:
    """Look at job files: broken ones, and lost ones."""
    for problem in problems:
        where = f"{problem.file}:{problem.line}" if problem.line else problem.file
        yield Finding("file", "error", f"{where}: {problem.message}", problem.hint)
    for fact in orphans:
        said = f"{fact.name} is an orphan: {fact.file}, which defined it, does not any more"
        yield Finding("orphan", "warning", said, f"put it back, or `jobrunner forget {fact.name}`")


def of_rights(settings: Settings, jobs: Iterable[Summary]) -> Iterator[Finding]:
    """Say who else may change what is run."""
    for each in exposures(settings, (job.path for job in jobs)):
        yield Finding("rights", "warning", each.said, each.hint)


def of_runs(runs: Iterable[Run], facts: Iterable[JobFacts], now: Instant) -> Iterator[Finding]:
    """Look at what is running: is it silent, does it take too long."""
    known = list(facts)
    paces = {fact.id: Pace(fact.durations) for fact in known}
    for fact in known:
        *before, took = fact.durations or (0,)
        said = too_fast(Pace(before), took) or too_long(Pace(before), took, ended=True)
        if said is not None and fact.last_state == "succeeded":
            yield Finding(
                "run", "warning", f"{fact.name}: its last run {said}", f"`jobrunner show {fact.name}`"
            )
    for run in runs:
        if run.state != "running":
            continue
        hint = f"`jobrunner logs {run.id}`, `jobrunner cancel {run.id}`"
        if run.stalled:
            yield Finding("run", "warning", f"{run.job} #{run.id} has said nothing for its stallAfter", hint)
        slow = too_long(paces.get(run.job_id, Pace(())), now - (run.started_at or now))
        if slow is not None:
            yield Finding("run", "warning", f"{run.job} #{run.id} {slow}", hint)


def of_lag(found: Iterable[Overdue], now: Instant) -> Iterator[Finding]:
    """Name what is due for more than a minute."""
    for each in found:
        said = overdue(each.due, now)
        if said is not None:
            yield Finding("lag", "error", f"{each.job} is {said}", f"`jobrunner why {each.job}`")


def of_job(facts: Facts) -> Iterator[Finding]:
    """Say all that keeps one job from running, the strongest reason first; or that nothing does."""
    strong = False
    for found in hindrances(facts):
        strong = strong or not found.passing
        level: Level = "warning" if found.passing or found.code in _CHOSEN else "error"
        yield Finding(found.code, level, f"{facts.name}: {found.words}", found.hint)
    if not strong:
        coming = facts.next(facts.now)
        after = f"; next {facts.times.clock(coming)}" if coming is not None else ""
        yield Finding("job", "ok", f"nothing keeps {facts.name} from running{after}")


_CHOSEN = (
    "disabled",
    "paused",
    "environment",
    "limit",
    "ended",
    "on-demand",
    "orphan",
)  # as somebody wants it


def unusable(error: JobrunnerError) -> Finding:
    """Return the finding that something cannot be used at all."""
    return Finding(error.code, "error", error.message, error.hint)


def _size(count: int) -> str:
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"
