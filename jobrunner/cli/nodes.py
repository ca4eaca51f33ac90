"""Other nodes: those that want to be alone, and those that hold their lock and jobs but are stopped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from jobrunner.cli import out
from jobrunner.clock import SECOND, Instant
from jobrunner.errors import Refused
from jobrunner.facts import NodeFacts
from jobrunner.wording import one_line

if TYPE_CHECKING:
    from jobrunner.model import Run
    from jobrunner.settings import Settings
    from jobrunner.store.base import Store

SILENT = 70 * SECOND  # as in `vitals`, which `ls` need not import


def refuse_company(store: Store, settings: Settings) -> None:
    """Raise Refused while another start lives and one of the two is exclusive.

    The node asks again, in the transaction that joins it; this is for saying so before anything else.
    """
    from jobrunner import vitals

    for node in vitals.nodes_of(store, settings).starts:
        if node.exclusive or settings.exclusive:
            raise Refused(
                f"another start (pid {node.pid}) works on this state, and one of the two is exclusive",
                hint="stop it first, or leave --exclusive out on both",
            )


def namesake(store: Store, settings: Settings) -> str | None:
    """Return the words for that another node has our name and lives, as far as we know, or None."""
    from jobrunner import vitals
    from jobrunner.presence import has_vanished

    for node in vitals.nodes_of(store, settings).starts:
        gone = node.machine == settings.machine and has_vanished(node)  # its lease goes on for a while
        if node.node == settings.node and not gone:
            who = f"node {node.node} (pid {node.pid}) has the name of this one"
            return f"{who}: `--node NAME` tells them apart, in history and logs"
    return None


def warn_of_company(store: Store, settings: Settings, everyone: Sequence[NodeFacts]) -> None:
    """Say that nobody works though nodes run, and who holds other definitions than the current ones."""
    starts = [node for node in everyone if node.role != "run"]
    if len(starts) < 2 and all(node.works for node in starts):
        return
    from jobrunner import vitals
    from jobrunner.drift import differing, drifting

    here = vitals.among(everyone, settings)
    if here.idle is not None:
        out.talk(f"warning: {one_line(here.idle)}")
    for node, jobs in drifting(store, here.living):
        out.talk(f"warning: {one_line(differing(node, jobs))}")


def stopped(nodes: Iterable[NodeFacts], settings: Settings) -> frozenset[str]:
    """Return the owners of those on this machine that somebody has stopped."""
    here = [node for node in nodes if node.machine == settings.machine]
    return frozenset(node.owner for node in here if process_state(node.pid) == "T")


def warn(nodes: Iterable[NodeFacts], now: Instant) -> None:
    """Name the processes on this machine that are stopped, or have not written for long."""
    for node in nodes:
        if not is_ours(node.pid):
            continue
        who = f"node {one_line(node.node)} (pid {node.pid})"
        silent = now - node.seen_at
        if process_state(node.pid) == "T":
            out.talk(f"warning: {who} is stopped; `kill -CONT {node.pid}` wakes it")
        elif silent > SILENT:
            out.talk(f"warning: {who} has not been heard of for {silent // SECOND} s")


def forsaken(store: Store, settings: Settings, runs: Iterable[Run]) -> dict[int, str]:
    """Return, by id, the words for each running run whose node is dead, so that it neither runs nor ends."""
    running = [run for run in runs if run.state == "running"]
    if not running:
        return {}
    from jobrunner import vitals

    nodes = vitals.nodes_of(store, settings)
    then = "another node" if nodes.starts else "the next start"
    return {
        run.id: f"its node {run.node} is dead; {then} records it as lost"
        for run in running
        if not nodes.lives(run.owner)
    }


def is_left(store: Store, settings: Settings, run: Run) -> bool:
    """Say whether nobody lives who could record the end of a running run: not its node, and no start."""
    if run.state != "running":
        return False
    from jobrunner import vitals

    nodes = vitals.nodes_of(store, settings)
    return not nodes.lives(run.owner) and not nodes.starts


def is_ours(pid: int) -> bool:
    """Say whether a process is a jobrunner: a number may have gone to another program since."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return b"jobrunner" in file.read()
    except OSError:
        return False


def process_state(pid: int) -> str:
    """Return the kernel's letter for a process's state, "" when nobody can tell."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""
