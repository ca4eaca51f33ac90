"""nodes: who works, and whether all hold the same definitions."""

from __future__ import annotations

import click

from jobrunner import vitals
from jobrunner.cli import nodes as others
from jobrunner.cli import out
from jobrunner.cli.asking import Asked, Verb
from jobrunner.cli.jsonout import Object, iso
from jobrunner.cli.moments import time_of
from jobrunner.cli.render import many, table, when
from jobrunner.clock import Instant
from jobrunner.drift import differing
from jobrunner.settings import Settings
from jobrunner.store.base import Store
from jobrunner.vitals import Sight
from jobrunner.wording import one_line

HEAD = (
    "NODE", "PID", "MACHINE", "VERSION", "ROLE", "LABELS", "SLOTS", "RUNNING", "SEEN", "SINCE", "TIME ZONE",
    "DEFINITIONS", "STATE",
)  # fmt: skip


@click.command(cls=Verb, epilog="jobrunner nodes\njobrunner nodes --json")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def nodes(asked: Asked, as_json: bool) -> None:
    """List the nodes: every `start`, and runs by hand while they run. A dead one is listed until another has
    recorded what became of its runs.

    DEFINITIONS is a fingerprint of all that a node holds: equal where two hold the same, and how many of them
    are not the current ones, which it does not run.
    """
    settings = asked.settings()
    with asked.look(settings) as store:
        now = time_of(store)
        found, said = _look(settings, store, now) if store is not None else ([], [])
    if as_json:
        out.json_document([_object(each) for each in found])
        return
    if found:
        table(HEAD, [_row(each, now) for each in found])
    else:
        out.talk("no node is running; `jobrunner start` begins one")
    for words in said:
        out.talk(f"warning: {one_line(words)}")


def _look(settings: Settings, store: Store, now: Instant) -> tuple[list[Sight], list[str]]:
    """Return the nodes, and what is to be said of them together."""
    here = vitals.nodes_of(store, settings)
    found = vitals.sights(store, here, others.stopped(here.everyone, settings), now)
    drifting = [
        differing(each.node, each.outdated) for each in found if each.outdated and each.state != "dead"
    ]
    alike = [f"{said}; `start --node NAME` tells them apart" for said in vitals.namesakes(here)]
    return found, [*filter(None, [here.idle]), *drifting, *vitals.disagreements(here), *alike]


def _object(one: Sight) -> Object:
    node = one.node
    return {
        "node": node.node,
        "machine": node.machine,
        "pid": node.pid,
        "version": node.version,
        "role": node.role,
        "labels": list(node.labels),
        "slots": node.slots,
        "running": one.running,
        "startedAt": iso(node.started_at),
        "lastSeenAt": iso(node.seen_at),
        "timezone": node.timezone or None,
        "tzdata": node.tzdata or None,
        "definitions": one.held,
        "fingerprint": one.fingerprint or None,
        "current": not one.outdated,
        "outdated": list(one.outdated),
        "state": one.state,
    }


def _row(one: Sight, now: Instant) -> tuple[str, ...]:
    node = one.node
    zone = " ".join(filter(None, (node.timezone, node.tzdata)))
    return (
        one_line(node.node),
        str(node.pid),
        one_line(node.machine)[:12],
        one_line(node.version),
        one_line(node.role),
        one_line(",".join(node.labels)) or "-",
        str(node.slots),
        str(one.running),
        when(node.seen_at, now),
        when(node.started_at, now),
        one_line(zone) or "-",
        _definitions(one),
        one.state,
    )


def _definitions(one: Sight) -> str:
    """Return what it holds: `3f9a21c0d4e5`, and how much of that is not current."""
    if not one.held:
        return "-"
    other = f", {many(len(one.outdated), 'job')} not current" if one.outdated else ""
    return one.fingerprint + other
