"""What becomes of the dead: who is proven to be, and what their runs are from then on."""

from __future__ import annotations

from collections.abc import Container, Iterable

from jobrunner import failpoints
from jobrunner.aftermath import Aftermath
from jobrunner.clock import Instant, to_iso
from jobrunner.errors import StateError
from jobrunner.events import Event, Lost, NodeDied
from jobrunner.facts import NodeFacts
from jobrunner.liveness import Liveness
from jobrunner.model import Claim, Outcome, Run
from jobrunner.store.base import Store


def recover(store: Store, node: NodeFacts, aftermath: Aftermath, now: Instant) -> list[Event]:
    """Take a dead node's runs over, inside the caller's transaction: each is lost, and tried again or not."""
    lost: list[Run] = store.recover(node.owner, now)
    if node.role != "run":
        store.note(node.node, "node-died", None, f"{to_iso(node.seen_at)} pid {node.pid}", now)
    events: list[Event] = [NodeDied(node.node, node.pid)]
    for run in lost:
        events.append(Lost(run.id, run.job, node.node, run.began_at is not None))
        outcome = Outcome(state="lost", error=run.error)
        last = run.asked is not None or node.role == "run"  # by hand: whoever ran it saw it die
        events += aftermath.settle(run, outcome, now, last=last)
    return events


def deaths(store: Store, presence: Liveness, me: NodeFacts) -> list[NodeFacts]:
    """Return the other nodes that are proven dead."""
    found = [node for node in store.nodes() if node.owner != me.owner and presence.is_dead(node)]
    if found:
        failpoints.reach("found-dead")
    return found


def still_dead(store: Store, dead: Iterable[NodeFacts]) -> list[NodeFacts]:
    """Return, inside the caller's transaction, those that are dead: one that was only slow to renew its lease
    may have been heard since somebody looked, and may have started something."""
    found = list(dead)
    if not any(node.lease for node in found):
        return found
    expired = {node.owner for node in store.nodes() if node.expired}
    return [node for node in found if node.owner in expired]


def given_up(me: NodeFacts) -> StateError:
    """Return what a node says that others took for dead: it must not go on, its runs are lost already."""
    why = "was it cut off for longer than its lease?" if me.lease else "were its lock files removed?"
    error = StateError(
        f"this node (pid {me.pid}) was given up by another, which has recorded its runs as lost",
        hint=f"{why} Start it again",
    )
    error.code = "given-up"
    return error


def fresh(claims: list[Claim], held: Container[int], me: NodeFacts) -> list[Claim]:
    """Return the claims. Raises StateError where one is of a run that we have: the state has forgotten that
    it gave it to us. It ends with us, for another body would be beside it, and their ends be mixed up."""
    if not any(claim.run.id in held for claim in claims):
        return claims
    error = StateError(
        f"this node (pid {me.pid}) was given a run that it has",
        hint="has a standby taken over that had not heard of the last commits? Start it again",
    )
    error.code = "given-up"
    raise error


def be_known(store: Store, me: NodeFacts) -> None:
    """Raise StateError where others took us for dead: what we held went with our recovery."""
    if me.lease and not store.knows(me.owner):
        raise given_up(me)
