"""Who lives and holds other definitions than the current ones: said once when it begins and when it ends."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from jobrunner.clock import Instant
from jobrunner.events import DefinitionsOutdated, Event
from jobrunner.facts import NodeFacts
from jobrunner.store.base import Store

FEW = 5  # jobs that a sentence names
MOST = 20  # jobs that an event or a note names
NOTED = 200  # lines of the audit trail among which a note is looked for
DIFFER, AGREE = "definitions-differ", "definitions-agree"

Drifting = list[tuple[NodeFacts, tuple[str, ...]]]


def drifting(store: Store, living: Iterable[NodeFacts]) -> Drifting:
    """Return which of these nodes hold another definition than the current one, and of which jobs."""
    workers = [node for node in living if node.works]
    if len(workers) < 2:  # what one alone holds is current
        return []
    found = store.holdings(outdated=True)
    return [
        (node, tuple(each.job for each in found.get(node.owner, ())))
        for node in workers
        if node.owner in found
    ]


def differing(node: NodeFacts, jobs: Sequence[str]) -> str:
    """Return the words for a node that holds other definitions than the current ones."""
    some = ", ".join(jobs[:FEW]) + (f" and {len(jobs) - FEW} more" if len(jobs) > FEW else "")
    who = f"node {node.node} (pid {node.pid})"
    return f"{who} holds another definition than the current one of {some}, which it does not run"


class Drift:
    """What a node has said of the others."""

    def __init__(self, store: Store, me: NodeFacts) -> None:
        self._store = store
        self._me = me
        self._said: dict[str, tuple[NodeFacts, tuple[str, ...]]] = {}

    def look(self, gone: Collection[str], now: Instant, *, changed: bool) -> list[Event]:
        """Return what is new; `gone` are owners that are dead. Looks while something differs, and where
        definitions may have `changed`."""
        if not (changed or self._said):
            return []
        living = [node for node in self._store.nodes() if node.owner not in gone]
        found = {node.owner: (node, jobs) for node, jobs in drifting(self._store, living)}
        found.pop(self._me.owner, None)  # of ourselves the scheduler tells
        before = self._said
        new = [(node, jobs) for owner, (node, jobs) in found.items() if self._jobs_of(owner) != jobs]
        over = [node for owner, (node, _) in before.items() if owner not in found]
        events = [self._differ(*each, now) for each in new] + [self._agree(node, now) for node in over]
        self._said = found  # not before: what could not be noted is said again
        return events

    def _jobs_of(self, owner: str) -> tuple[str, ...]:
        return self._said[owner][1] if owner in self._said else ()

    def _differ(self, node: NodeFacts, jobs: tuple[str, ...], now: Instant) -> Event:
        named, more = jobs[:MOST], len(jobs) - MOST
        self._note(DIFFER, node, ", ".join(named) + (f" and {more} more" if more > 0 else ""), now)
        return DefinitionsOutdated(named, node=node.node, pid=node.pid, count=len(jobs))

    def _agree(self, node: NodeFacts, now: Instant) -> Event:
        self._note(AGREE, node, "", now)
        return DefinitionsOutdated((), over=True, node=node.node, pid=node.pid)

    def _note(self, action: str, node: NodeFacts, jobs: str, now: Instant) -> None:
        """Write it down, unless another node has done so."""
        who = f"{node.node} (pid {node.pid})"
        detail = f"{who}: {jobs}" if jobs else who
        with self._store.transaction():
            notes = self._store.notes(limit=NOTED)
            about = [note for note in notes if note.action in (DIFFER, AGREE) and note.detail.startswith(who)]
            if not about or (about[0].action, about[0].detail) != (action, detail):
                self._store.note(self._me.node, action, None, detail, now)
