"""When a world is at rest: what is due has been looked at, has started, and has ended."""

from __future__ import annotations

from jobrunner.clock import DAY, SECOND
from jobrunner.model import Job, Standing
from jobrunner.plan import next_due, waits
from tests.simulation.player import Player
from tests.simulation.world import World


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
        if standing.consumed - world.wall > DAY:  # a wrong clock has led it there, and it is to be set back
            return False
        if job is not None and not _is_looked_at(job, standing, late):
            return False
    return True


def _is_looked_at(job: Job, standing: Standing, late: int) -> bool:
    due = next_due(job, standing)
    return due is None or due + job.offset > late or waits(job, standing)
