"""health: for probes of containers and supervisors. As little as can tell, since it runs often."""

from __future__ import annotations

from typing import Any

import click

from jobrunner.cli import out
from jobrunner.cli.asking import Asked, Length, Verb
from jobrunner.cli.jsonout import iso
from jobrunner.cli.moments import time_of
from jobrunner.cli.render import many
from jobrunner.clock import SECOND
from jobrunner.errors import StateError
from jobrunner.stored import with_stored

PATIENCE = 2.0  # seconds that a locked state is waited for: a probe has a time-out of its own


@click.command(cls=Verb, epilog="jobrunner health\njobrunner health --max-lag 60s --json")
@click.option(
    "--max-lag",
    type=Length(),
    default="300s",
    show_default=True,
    metavar="D",
    help="How long something may be due and not taken.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def health(asked: Asked, max_lag: int, as_json: bool) -> int:
    """Tell a probe whether jobs are run in time.

    \b
    Exit code: 0 a node lives and takes what is due in time, paused or not; 1 it does not, or the state
    cannot be read.
    """
    found = _look(asked)
    lag = found["lagSeconds"]
    problem = found["problem"] or (
        f"{found['oldest']} is due for {lag:.0f} s and no node has taken it"
        if lag > max_lag / SECOND
        else None
    )
    healthy = problem is None
    if as_json:
        out.json_document({"healthy": healthy, **found, "problem": problem})
    else:
        out.line(("healthy" if healthy else f"unhealthy: {problem}") + _details(found))
    return 0 if healthy else 1


def _details(found: dict[str, Any]) -> str:
    paused = ", paused" if found["paused"] else ""
    nodes = many(found["nodes"], "node")
    return f" ({nodes}, {found['running']} running, lag {found['lagSeconds']:.1f} s{paused})"


def _look(asked: Asked) -> dict[str, Any]:
    from jobrunner.store import exists

    settings = asked.settings()
    found: dict[str, Any] = {
        "problem": "there is no state yet: `jobrunner start` has not run here", "nodes": 0, "running": 0,
        "lagSeconds": 0.0, "oldest": None, "since": None, "paused": False,
    }  # fmt: skip
    if not exists(settings.state):
        return found
    from jobrunner import vitals
    from jobrunner.registry import Registry

    try:
        store = asked.open(settings, create=False, patience=PATIENCE)
    except StateError as error:
        return {**found, "problem": error.message}
    try:
        nodes, now = vitals.nodes_of(store, settings), time_of(store)
        running, paused = len(vitals.underway(store, nodes)), store.paused() is not None
        found |= {"nodes": len(nodes.starts), "paused": paused, "running": running}
        if not nodes.starts:
            return {**found, "problem": "no node is running"}
        if nodes.idle is not None:
            return {**found, "problem": nodes.idle}
        registry = Registry.load(with_stored(settings, store))
        late = vitals.overdue(store, nodes, registry.summaries, registry.upcoming(), now)
        if late:
            first = late[0]
            found |= {"oldest": first.job, "since": iso(first.due), "lagSeconds": (now - first.due) / SECOND}
        return {**found, "problem": None}
    except StateError as error:
        return {**found, "problem": error.message}
    finally:
        store.close()
