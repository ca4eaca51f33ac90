"""One seed: its script, its world, what is done to it, and what of the contract is broken in the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from random import Random

from jobrunner.clock import SECOND
from tests.simulation import contract, journal, script
from tests.simulation.acts import Acts
from tests.simulation.bodies import Witness
from tests.simulation.evidence import Evidence
from tests.simulation.rest import is_calm
from tests.simulation.script import Event, Script
from tests.simulation.stage import set_up
from tests.simulation.world import World

Trace = Callable[[str], None]


@dataclass(frozen=True)
class Result:
    """What became of a seed: what is broken, what has happened how often, and how long it was."""

    seed: int
    broken: tuple[str, ...]
    tally: Counter[str]
    events: int
    bodies: int


def live(
    seed: int, folder: Path, trace: Trace | None = None, without: Collection[int] = (),
    written: Script | None = None,
) -> Result:  # fmt: skip
    """Live through one history in that folder: the one that the seed draws, or one that somebody has written.

    `without` names events, by their place, that do not happen.
    """
    chance = Random(seed)
    drawn = written or script.draw(chance)
    if trace is not None:
        trace(_told(drawn))
    world = World(drawn, chance, folder, trace)
    try:
        with set_up(world, drawn.look_every):
            entries = _live(world, [each for at, each in enumerate(drawn.events) if at not in without])
    finally:
        world.close()
        for left in folder.glob("state.db*"):
            left.unlink()
    return Result(seed, (*world.faults, *entries), world.tally, len(drawn.events), len(world.witnesses))


def _told(drawn: Script) -> str:
    jobs = "\n".join(f"    {each}" for each in drawn.jobs)
    where = "a database" if drawn.shared else "a file"
    return f"{drawn.nodes} nodes on {', '.join(drawn.machines)}, the state in {where}\n{jobs}"


def _live(world: World, events: list[Event]) -> list[str]:
    for which in range(world.script.nodes):
        world.start(which)
    world.run_until(world.now + SECOND)
    for event in events:
        world.run_until(world.now + event.after)
        world.note(f"event: {event}")
        world.tally[event.kind] += 1
        act: Callable[[World, Event], None] = getattr(Acts, event.kind)
        act(world, event)
    world.note("event: all is well again")
    world.settle(lambda: is_calm(world))
    return contract.broken(_evidence(world))


def _evidence(world: World) -> Evidence:
    store = world.people
    with store.reading() as reading:
        problems = list(reading.problems())
    witnesses, forgotten = _told_apart(world)
    return Evidence(
        entries=journal.read(store), witnesses=witnesses, forgotten=forgotten, known=world.files.known,
        problems=problems,
        dead={owner: death.at for owner, death in world.deaths.items() if death.how == "killed"},
        gone={owner: death.at for owner, death in world.deaths.items()},
        documents={each.key: each.value for each in store.documents("count/")},
        nodes=[node.owner for node in store.nodes()], shared=world.script.shared, job_ids=_job_ids(world),
    )  # fmt: skip


def _told_apart(world: World) -> tuple[list[Witness], list[Witness]]:
    """Return the bodies that the state can know of, and those of claims that it has forgotten."""
    told: tuple[list[Witness], list[Witness]] = [], []
    for body in world.witnesses:
        told[(body.run_id, body.fence, body.owner) in world.forgotten].append(body)
    return told


def _job_ids(world: World) -> dict[str, int]:
    """Return the row's id for every name that a job ever had."""
    ids = {fact.name: fact.id for fact in world.people.jobs()}
    for job in world.files.known.values():
        if job.name in ids:
            ids |= {former: ids[job.name] for former in job.former_names if former not in ids}
    return ids
