"""What each kind of event does to a world."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jobrunner.cli.control import reset_detail
from jobrunner.facts import JobFacts
from tests.simulation.actors import Trap
from tests.simulation.player import Player
from tests.simulation.script import Event
from tests.simulation.world import World


class Acts:
    """One method for each kind."""

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
        """The state cannot be used once. A database that cannot read its disk is away, for us."""
        code = event.what["code"]
        cls._set_trap(world, event, "away" if world.script.shared and code == "io" else code)

    unheard = fault

    @classmethod
    def takeover(cls, world: World, event: Event) -> None:
        """A standby takes over that has not heard of the last commit, by which somebody began something."""
        cls._set_trap(world, event, "forgotten")
        world.run_until(world.now + event.what["time"])

    @classmethod
    def stall(cls, world: World, event: Event) -> None:
        """A node is stopped where it waits."""
        player = cls._with(world, event)
        if player is not None:
            player.actor.stalled_until = world.now + event.what["time"]

    @classmethod
    def freeze(cls, world: World, event: Event) -> None:
        """A node is stopped at a border, and all others go on until it does, too."""
        cls._set_trap(world, event, "stall")
        world.run_until(world.now + 2 * event.what["time"])

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
        _to_a_file(world, event, world.files.remove)

    @staticmethod
    def rename(world: World, event: Event) -> None:
        """Somebody gives a job another name."""
        _to_a_file(world, event, world.files.rename)

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
                store.note("ana", "reset", fact.name, reset_detail(store), now)

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


def _to_a_file(world: World, event: Event, do: Callable[[str], object]) -> None:
    """Do something to the file of a job, if there is one."""
    name = world.files.pick(event.what["job"])
    if name is not None:
        do(name)
        world.read_files()
