"""Vital signs of a project: which nodes live, and how long what is due has been waiting for one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from jobrunner.clock import SECOND, Instant
from jobrunner.discovery.summary import Summary
from jobrunner.discovery.upcoming import Upcoming
from jobrunner.facts import JobFacts, NodeFacts
from jobrunner.fingerprint import sha256
from jobrunner.labels import Reach
from jobrunner.model import Run
from jobrunner.presence import Presence
from jobrunner.settings import Settings
from jobrunner.store.base import Hold, Holding, Store

SILENT = 70 * SECOND  # nodes write at least each 60 s
FEW = 5  # nodes that a sentence names


class Overdue(NamedTuple):
    """An occurrence that is due and that no node has taken; `due` is when it took effect.

    `planned`: it has a row; else the schedule has not even been looked at.
    """

    job: str
    due: Instant
    planned: bool


class Sight(NamedTuple):
    """A node, how it is, and what it does: `state` is alive, silent (stopped, or not heard of) or dead.

    `held` is how many definitions it holds, `fingerprint` what tells them from others ("" of none), and
    `outdated` names the jobs of which the current definition is another.
    """

    node: NodeFacts
    state: str
    running: int
    held: int
    fingerprint: str
    outdated: tuple[str, ...]


class Nodes(NamedTuple):
    """`everyone` who joined and has not left; `dead` are the owners among them that are proven dead."""

    everyone: Sequence[NodeFacts]
    dead: frozenset[str]

    @property
    def living(self) -> list[NodeFacts]:
        """Those that are not proven dead, runs by hand among them."""
        return [node for node in self.everyone if node.owner not in self.dead]

    @property
    def starts(self) -> list[NodeFacts]:
        """The living that `start` began, those that only control among them."""
        return [node for node in self.living if node.role != "run"]

    @property
    def workers(self) -> list[NodeFacts]:
        """The living that plan and claim."""
        return [node for node in self.living if node.works]

    @property
    def reach(self) -> Reach:
        """The labels of each node that works; None while none does."""
        return [node.labels for node in self.workers] or None

    @property
    def idle(self) -> str | None:
        """The words for that nobody works though a node is running, or None."""
        if self.workers or not self.starts:
            return None
        who = " and ".join(f"node {node.node} (pid {node.pid})" for node in self.starts[:3])
        return f"nobody works: {who} only control{'' if len(self.starts) > 1 else 's'}"

    def lives(self, owner: str | None) -> bool:
        """Say whether an owner is one of the living."""
        return any(node.owner == owner for node in self.living)


def nodes_of(store: Store, settings: Settings) -> Nodes:
    """Return who has joined, and who of them lives, as of now."""
    return among(store.nodes(), settings)


def among(everyone: Sequence[NodeFacts], settings: Settings) -> Nodes:
    """Return who of these lives, as of when the store told of them: by a lease, or by locks."""
    presence = Presence(Path(settings.state_folder), "")
    dead = [node for node in everyone if (node.expired if node.lease else presence.is_dead(node))]
    return Nodes(everyone, frozenset(node.owner for node in dead))


def sights(store: Store, nodes: Nodes, stopped: Collection[str], now: Instant) -> list[Sight]:
    """Return how each node is that joined and has not left, oldest first; `stopped` are owners."""
    holdings = store.holdings()
    running = Counter(run.owner for run in store.open_runs() if run.state == "running")
    return [
        _sight(node, _how(node, nodes, stopped, now), running[node.owner], holdings.get(node.owner, ()))
        for node in nodes.everyone
    ]


def _how(node: NodeFacts, nodes: Nodes, stopped: Collection[str], now: Instant) -> str:
    if not nodes.lives(node.owner):
        return "dead"
    return "silent" if node.owner in stopped or now - node.seen_at > SILENT else "alive"


def _sight(node: NodeFacts, state: str, running: int, held: Sequence[Holding]) -> Sight:
    words = "".join(f"{each.job.casefold()} {each.hash}\n" for each in held)
    return Sight(
        node=node,
        state=state,
        running=running,
        held=len(held),
        fingerprint=sha256(words.encode("utf-8", "surrogatepass"))[:12] if held else "",
        outdated=tuple(each.job for each in held if not each.current),
    )


def disagreements(nodes: Nodes) -> list[str]:
    """Return, in words, in what the living that work differ of which schedules are made."""
    said = []
    for what, get in (("rules of time zones", _rules), ("time zones", _zone)):
        found = {f"{node.node} (pid {node.pid})": get(node) for node in nodes.workers if get(node)}
        if len(set(found.values())) > 1:
            each = ", ".join(f"{who} {value}" for who, value in list(found.items())[:FEW])
            said.append(f"nodes have different {what}: {each}")
    return said


def namesakes(nodes: Nodes) -> list[str]:
    """Return, in words, which of the living have one name: history and logs know them by it."""
    pids: dict[str, list[int]] = {}
    for node in nodes.starts:
        pids.setdefault(node.node, []).append(node.pid)
    return [
        f"{len(same)} nodes are called {name}: pid {', '.join(map(str, same[:FEW]))}"
        for name, same in pids.items()
        if len(same) > 1
    ]


def _rules(node: NodeFacts) -> str:
    return node.tzdata


def _zone(node: NodeFacts) -> str:
    return node.timezone


def underway(store: Store, nodes: Nodes) -> list[Run]:
    """Return the runs that are running, those of nodes that are proven dead left out."""
    return [run for run in store.open_runs() if run.state == "running" and run.owner not in nodes.dead]


def overdue(
    store: Store, nodes: Nodes, summaries: Iterable[Summary], upcoming: Upcoming, now: Instant
) -> list[Overdue]:
    """Return what is due and not taken, the oldest first.

    What waits for another run of its own job is not overdue, nor is what nobody may take: a paused or
    disabled job, or one that no living node holds.
    """
    facts = {fact.id: fact for fact in store.jobs()}
    owners = {node.owner for node in nodes.workers}
    held = {job for job, holds in store.holders().items() if _may_run(holds, owners)}
    paused = store.paused() is not None
    runs = store.open_runs()
    found = [] if paused else _waiting([run for run in runs if run.job_id in held], facts, now)
    busy = {run.job_id for run in runs}
    by_name = {fact.name.casefold(): fact for fact in facts.values() if fact.id in held}
    for summary in summaries:
        fact = by_name.get(summary.name.casefold())
        if fact is not None and not (summary.after_end and fact.id in busy):
            found += _unplanned(summary, fact, upcoming, now)
    return sorted(found, key=lambda one: one.due)


def _may_run(holds: Iterable[Hold], owners: set[str]) -> bool:
    return any(hold.owner in owners and hold.gate is None for hold in holds)


def _waiting(runs: Sequence[Run], facts: Mapping[int, JobFacts], now: Instant) -> list[Overdue]:
    occupied = {(run.job_id, run.scope) for run in runs if run.state != "pending" or run.attempt > 1}
    return [
        Overdue(run.job, run.effective_at, planned=True)
        for run in runs
        if run.state == "pending"
        and run.effective_at <= now
        and facts[run.job_id].enabled_override is not False
        and (run.attempt > 1 or (run.job_id, run.scope) not in occupied)
    ]


def _unplanned(summary: Summary, fact: JobFacts, upcoming: Upcoming, now: Instant) -> list[Overdue]:
    """A cursor that stands before something that is due."""
    limit = summary.number_of_executions
    if fact.consumed is None or fact.schedule_key != summary.schedule_key:
        return []
    if limit is not None and fact.executions + fact.pending >= limit:
        return []
    after, anchor = fact.consumed, fact.anchor or 0
    if summary.after_end:
        anchor = max(anchor, fact.last_finished_at or 0)
        after = max(after, anchor)
    if summary.start_at is not None:
        after = max(after, summary.start_at - 1)
    due = upcoming.next_after(summary, after, anchor)
    if due is None or (summary.end_at is not None and due > summary.end_at):
        return []
    effective = due + summary.offset
    return [Overdue(summary.name, effective, planned=False)] if effective <= now else []


def oldest(found: Sequence[Overdue]) -> Instant | None:
    """Return since when the oldest of them is due."""
    return found[0].due if found else None
