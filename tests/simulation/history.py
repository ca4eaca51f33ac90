"""One seed: its script, its world, what is done to it, and what of the contract is broken in the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from jobrunner.clock import SECOND
from jobrunner.facts import JobFacts
from jobrunner.model import Job, Standing
from jobrunner.plan import next_due, waits
from tests.simulation import contract, journal, script
from tests.simulation.actors import Trap
from tests.simulation.script import Event, Script
from tests.simulation.stage import set_up
from tests.simulation.world import Player, World

Trace = Callable[[str], None]


@dataclass(frozen=True)
class Result:
    """What became of a seed: what is broken, what has happened how often, and how long it was."""

    seed: int
    broken: tuple[str, ...]
    tally: Counter[str]
    events: int
    runs: int


def live(seed: int, folder: Path, trace: Trace | None = None, without: Collection[int] = ()) -> Result:
    """Live through one history in that folder; `without` names events, by their place, that do not happen."""
    chance = Random(seed)
    drawn = script.draw(chance)
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
    return Result(seed, tuple([*world.faults, *entries]), world.tally, len(drawn.events), len(world.witnesses))


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


def _evidence(world: World) -> contract.Evidence:
    store = world.people
    with store.reading() as reading:
        problems = list(reading.problems())
    return contract.Evidence(
        entries=journal.read(store), witnesses=world.witnesses, known=world.files.known, problems=problems,
        dead={owner: death.at for owner, death in world.deaths.items() if death.how == "killed"},
        documents={each.key: each.value for each in store.documents("count/")},
        nodes=[node.owner for node in store.nodes()], shared=world.script.shared, job_ids=_job_ids(world),
    )  # fmt: skip


def _job_ids(world: World) -> dict[str, int]:
    """Return the row's id for every name that a job ever had."""
    ids = {fact.name: fact.id for fact in world.people.jobs()}
    for job in world.files.known.values():
        if job.name in ids:
            ids |= {former: ids[job.name] for former in job.former_names if former not in ids}
    return ids


# -- what happens -----------------------------------------------------------------------------------


class Acts:
    """What each kind of event does to a world."""

    @staticmethod
    def _with(world: World, event: Event) -> Player | None:
        there = world.lively()
        return there[event.node % len(there)] if there else None

    @classmethod
    def _set_trap(cls, world: World, event: Event, action: str) -> None:
        player = cls._with(world, event)
        if player is not None:
            what = event.what
            player.actor.trap = Trap(what["kinds"], what["left"], action, what.get("time", 0))

    @staticmethod
    def passes(world: World, event: Event) -> None:
        """Time passes."""
        world.run_until(world.now + event.what["time"])

    @classmethod
    def kill(cls, world: World, event: Event) -> None:
        """A node is killed where it waits."""
        player = cls._with(world, event)
        if player is not None:
            world.kill(player)
            world.bury(player)

    @classmethod
    def kill_at(cls, world: World, event: Event) -> None:
        """A node is killed at a border."""
        cls._set_trap(world, event, "kill")

    @classmethod
    def stall_at(cls, world: World, event: Event) -> None:
        """A node is stopped at a border, and goes on later."""
        cls._set_trap(world, event, "stall")

    @classmethod
    def fault(cls, world: World, event: Event) -> None:
        """The state cannot be used once."""
        cls._set_trap(world, event, event.what["code"])

    unheard = fault

    @classmethod
    def stall(cls, world: World, event: Event) -> None:
        """A node is stopped where it waits."""
        player = cls._with(world, event)
        if player is not None:
            player.actor.stalled_until = world.now + event.what["time"]

    @classmethod
    def away(cls, world: World, event: Event) -> None:
        """A node cannot reach the database."""
        player = cls._with(world, event)
        if player is not None:
            player.away_until = world.now + event.what["time"]

    @staticmethod
    def start(world: World, event: Event) -> None:
        """Another node starts."""
        if len(world.lively()) < 4:
            world.start(event.node)

    @classmethod
    def stop(cls, world: World, event: Event) -> None:
        """A node is asked to end."""
        player = cls._with(world, event)
        if player is not None and player.place is not None:
            player.place.signals += 1
            player.actor.poke(world.now)

    @staticmethod
    def all_die(world: World, event: Event) -> None:
        """The machine is switched off, and later on again."""
        for player in world.lively():
            world.kill(player)
            world.bury(player)
        world.run_until(world.now + event.what["time"])
        for which in range(world.script.nodes):
            world.start(which)

    @staticmethod
    def clock(world: World, event: Event) -> None:
        """Somebody sets a clock. A database's is kept by people who know what they do."""
        machine = world.machines[event.node % len(world.machines)]
        machine.clock.wall += event.what["time"]

    @staticmethod
    def sleep(world: World, event: Event) -> None:
        """A machine sleeps: of one that is alone in its world all others see nothing."""
        world.suspend(event.node, event.what["time"])

    @staticmethod
    def full(world: World, event: Event) -> None:
        """The disk is full for a while."""
        world.fill_disk(event.what["time"])

    @staticmethod
    def lock(world: World, event: Event) -> None:
        """Somebody else holds the state's lock for a while."""
        def hold() -> None:
            with world.people.transaction():
                world.run_until(world.now + event.what["time"])

        world.ask(hold)

    # -- people ------------------------------------------------------------------------------------

    @staticmethod
    def edit(world: World, event: Event) -> None:
        """Somebody writes a job anew, or another one."""
        name = world.files.pick(event.what["job"]) if event.what["job"] < 4 else "job-new"
        world.files.edit(name or "job-new", event.what["config"], whole=event.what["whole"] or name is None)
        world.read_files()

    @staticmethod
    def remove(world: World, event: Event) -> None:
        """Somebody deletes a job's file."""
        name = world.files.pick(event.what["job"])
        if name is not None:
            world.files.remove(name)
            world.read_files()

    @staticmethod
    def rename(world: World, event: Event) -> None:
        """Somebody gives a job another name."""
        name = world.files.pick(event.what["job"])
        if name is not None:
            world.files.rename(name)
            world.read_files()

    @staticmethod
    def pause(world: World, event: Event) -> None:
        """All schedules stand still."""
        world.order(lambda store, now: store.pause("ana", None, now))

    @staticmethod
    def resume(world: World, event: Event) -> None:
        """They go on."""
        world.order(lambda store, now: store.resume(now))

    @classmethod
    def disable(cls, world: World, event: Event) -> None:
        """Somebody disables a job."""
        cls._of_job(world, event, lambda store, fact, now: store.set_enabled(fact.id, False, None, now))

    @classmethod
    def enable(cls, world: World, event: Event) -> None:
        """Somebody enables a job."""
        cls._of_job(world, event, lambda store, fact, now: store.set_enabled(fact.id, True, None, now))

    @classmethod
    def reset(cls, world: World, event: Event) -> None:
        """Somebody lets a job's count begin anew."""

        def ask(store: Any, fact: JobFacts, now: int) -> None:
            with store.transaction():
                store.reset(fact.id, now)
                store.note("ana", "reset", fact.name, "", now)

        cls._of_job(world, event, ask)

    @classmethod
    def trigger(cls, world: World, event: Event) -> None:
        """Somebody wants a job to run now."""
        how = event.what["how"]

        def ask(store: Any, fact: JobFacts, now: int) -> None:
            job = world.job(fact.name)
            if job is not None:
                store.trigger(
                    fact.id, job, {}, identity="ana", force=how == "force", queue=how == "queue", now=now
                )

        cls._of_job(world, event, ask)

    @staticmethod
    def cancel(world: World, event: Event) -> None:
        """Somebody cancels a run that is open."""

        def ask(store: Any, now: int) -> None:
            runs = store.open_runs()
            if runs:
                store.cancel(runs[event.what["job"] % len(runs)].id, now)

        world.order(ask)

    @staticmethod
    def _of_job(world: World, event: Event, verb: Callable[[Any, JobFacts, int], None]) -> None:
        def ask(store: Any, now: int) -> None:
            facts = store.jobs()
            if facts:
                verb(store, facts[event.what["job"] % len(facts)], now)

        world.order(ask)


# -- rest -------------------------------------------------------------------------------------------


def is_calm(world: World) -> bool:
    """Say whether nothing is left to do: what is due has been looked at, has started, and has ended."""
    rows = world.people._db.rows
    overdue = world.wall - 5 * SECOND
    if any(not player.owner for player in world.lively()):
        return False
    alive = {player.owner for player in world.lively()}
    joined = {node.owner for node in world.people.nodes()}
    if joined != alive:
        return False
    jobs = {fact.id: world.job(fact.name) for fact in world.people.jobs()}
    for job_id, state, at, trigger in rows(
        "SELECT job_id, state, effective_at, trigger FROM runs WHERE state IN ('pending', 'running')"
    ):
        if state == "running" and at < overdue:
            return False
        if state == "pending" and at < overdue and _may_start(world, jobs.get(job_id), trigger):
            return False
    return all(_is_planned(world, player) for player in world.lively())


def _may_start(world: World, job: Job | None, trigger: str) -> bool:
    if job is None:
        return False
    fact = world.people.job(job.name)
    said = None if fact is None else fact.enabled_override
    return trigger == "manual" or (job.enabled if said is None else said)


def _is_planned(world: World, player: Player) -> bool:
    """Say whether nothing is due any more that a node has not looked at."""
    late = world.wall - 5 * SECOND - round(world.script.look_every * SECOND)
    for standing in world.people.standings(player.owner, player.machine.name):
        job = world.job(standing.job)
        if job is not None and not _is_looked_at(job, standing, late):
            return False
    return True


def _is_looked_at(job: Job, standing: Standing, late: int) -> bool:
    due = next_due(job, standing)
    return due is None or due + job.offset > late or waits(job, standing)
