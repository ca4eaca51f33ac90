"""why: why a job ran or did not, in one sentence."""

from __future__ import annotations

from typing import Any

import click

from jobrunner import vitals
from jobrunner import why as reasons
from jobrunner.cli import out, report
from jobrunner.cli.asking import Asked, JobName, Text, Verb
from jobrunner.cli.jsonout import iso, run_object
from jobrunner.cli.moments import instant_in, time_of
from jobrunner.clock import Instant
from jobrunner.errors import ConfigError, UnknownJob
from jobrunner.model import Job, Problem
from jobrunner.registry import Registry
from jobrunner.settings import Settings
from jobrunner.store.base import Store
from jobrunner.stored import with_stored
from jobrunner.wording import one_line


@click.command(cls=Verb, epilog="jobrunner why report\njobrunner why report --at 02:30")
@click.argument("name", type=JobName())
@click.option(
    "--at",
    type=Text(),
    metavar="T",
    help="At this moment: 2026-05-01T09:30, 09:30 (today), 2h (ago); in the job's zone.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def why(asked: Asked, name: str, at: str | None, as_json: bool) -> None:
    """Say why a job ran or did not at a moment, or when it will; without --at: how it stands.

    The moment means the last occurrence that was due by then, or the next one if that is less than a
    minute away and nearer. It only reads, with or without a running node.
    """
    settings = asked.settings()
    with asked.look(settings) as store:
        settings, now = with_stored(settings, store), time_of(store)
        job, problem, real = find(settings, store, name)
        zone = job.timezone if job is not None else settings.timezone
        moment = None if at is None else instant_in(at, zone, now)
        facts = gathered(settings, store, job, problem, real, now, moment)
        answer = reasons.why(facts, moment)
    if as_json:
        out.json_document(_object(real, moment, answer))
    else:
        out.line(one_line(answer.sentence))


def _object(name: str, at: Instant | None, answer: reasons.Answer) -> dict[str, Any]:
    found = {"job": name, "at": iso(at), "code": answer.code, "sentence": answer.sentence}
    run = run_object(answer.run) if answer.run is not None else None
    return {**found, "run": run, "evidence": dict(answer.evidence)}


def find(settings: Settings, store: Store | None, name: str) -> tuple[Job | None, Problem | None, str]:
    """Return a job, else the problem of its file, and its real name. Raises UnknownJob.

    Neither is there for a job that the state knows and no file defines.
    """
    registry = Registry.load(settings)
    try:
        job = registry.find(name)
    except (UnknownJob, ConfigError):
        fact = report.fact(registry, store, name)
        problem = _problem(registry, name, fact.file if fact is not None else None)
        if fact is None and problem is None:
            raise
        real = fact.name if fact is not None else problem.name if problem is not None else None
        return None, problem, real or name
    return job, None, job.name


def _problem(registry: Registry, name: str, file: str | None) -> Problem | None:
    for each in registry.problems:
        if (each.name or "").casefold() == name.casefold() or (file is not None and each.file == file):
            return each
    return None


def gathered(
    settings: Settings,
    store: Store | None,
    job: Job | None,
    problem: Problem | None,
    name: str,
    now: Instant,
    at: Instant | None = None,
) -> reasons.Facts:
    """Return all that is known of a job."""
    former = job.former_names if job is not None else ()
    stored = next((each for each in (name, *former) if store is not None and store.job(each)), name)
    known = reasons.gather(store, stored, min(now, at or now))
    return reasons.Facts(
        name=name,
        job=job,
        problem=problem,
        settings=settings,
        now=now,
        dead=frozenset() if store is None else vitals.nodes_of(store, settings).dead,
        **known,
    )
