"""Why a run that is written has not started: the first reason that holds."""

from __future__ import annotations

from typing import Any

from jobrunner.clock import to_iso
from jobrunner.model import Run
from jobrunner.why.facts import Facts
from jobrunner.why.hindrances import hindrances

Told = tuple[str, dict[str, Any]]
SHUT = (
    "broken-file",
    "disabled",
    "paused",
    "environment",
    "labels",
    "gate",
    "not-held",
    "no-module",
    "role",
    "no-node",
)


def waiting_for(facts: Facts, run: Run) -> Told:
    """Return what a pending run waits for."""
    for look in (_its_time, _behind, _shut, _group, _slots):
        found = look(facts, run)
        if found is not None:
            return found
    return "a node takes it within a second", {"waitsFor": "node"}


def _its_time(facts: Facts, run: Run) -> Told | None:
    if run.effective_at <= facts.now:
        return None
    at, evidence = facts.times.at(run.effective_at), {"waitsFor": "time", "until": to_iso(run.effective_at)}
    if run.attempt > 1:
        return f"it is tried again {at}, attempt {run.attempt}", evidence
    return f"it starts {at}", evidence


def _behind(facts: Facts, run: Run) -> Told | None:
    """Another chain of the job occupies it."""
    others = [each for each in facts.open if each.root_id != run.root_id and each.scope == run.scope]
    active = [each for each in others if each.state != "pending" or each.attempt > 1]
    alone = facts.job is None or facts.job.concurrency != "allow"
    if not active or not alone:
        return None
    first = active[0]
    since = facts.times.clock(first.started_at or first.effective_at)
    state = "waits to be tried again" if first.state == "pending" else f"is {first.state} since {since}"
    return f"it is behind run {first.id}, which {state}", {"waitsFor": "run", "behind": first.id}


def _shut(facts: Facts, run: Run) -> Told | None:
    for found in hindrances(facts):
        if found.code in SHUT:
            return found.words, {"waitsFor": found.code, **found.evidence}
    return None


def _group(facts: Facts, run: Run) -> Told | None:
    for found in hindrances(facts):
        if found.code == "group":
            return found.words, {"waitsFor": "group", **found.evidence}
    return None


def _slots(facts: Facts, run: Run) -> Told | None:
    slots = sum(node.slots for node in facts.living)
    if facts.store is None:
        return None
    owners = {node.owner for node in facts.living}
    running = sum(1 for each in facts.store.open_runs() if each.state == "running" and each.owner in owners)
    if running < slots:
        return None
    words = "the one slot is taken" if slots == 1 else f"all {slots} slots are taken"
    return words, {"waitsFor": "slots", "slots": slots, "running": running}
