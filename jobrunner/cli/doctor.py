"""doctor: what keeps jobs, or one job, from running, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

from jobrunner import doctor as checks
from jobrunner import vitals
from jobrunner.cli import nodes, out, report
from jobrunner.cli.asking import Asked, JobName, Verb
from jobrunner.cli.moments import time_of
from jobrunner.cli.why import find, gathered
from jobrunner.clock import Instant, SystemClock
from jobrunner.doctor import Finding
from jobrunner.drift import drifting
from jobrunner.errors import JobrunnerError, StateError
from jobrunner.registry import Registry
from jobrunner.settings import Settings
from jobrunner.store.base import Store
from jobrunner.stored import with_stored
from jobrunner.wording import one_line


@click.command(cls=Verb, epilog="jobrunner doctor\njobrunner doctor report --json")
@click.argument("name", required=False, type=JobName())
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def doctor(asked: Asked, name: str | None, as_json: bool) -> int:
    """Find what keeps jobs from running; with NAME everything that keeps that one, in order.

    Exit code: 0 nothing is wrong, though there may be warnings; 1 something is.
    """
    found = list(_of_all(asked) if name is None else _of_one(asked, name))
    if as_json:
        out.json_document([_object(one) for one in found])
    else:
        _print(found)
    return 1 if any(one.level == "error" for one in found) else 0


def _object(one: Finding) -> dict[str, str | None]:
    return {"level": one.level, "what": one.what, "message": one.said, "hint": one.hint}


def _print(found: Sequence[Finding]) -> None:
    for one in found:
        hint = f" ({one.hint})" if one.hint else ""
        out.line(one_line(f"{one.level + ':':<9}{one.said}{hint}"))


def _of_one(asked: Asked, name: str) -> Iterator[Finding]:
    settings = asked.settings()
    with asked.look(settings) as store:
        settings, now = with_stored(settings, store), time_of(store)
        job, problem, real = find(settings, store, name)
        yield from checks.of_job(gathered(settings, store, job, problem, real, now))


def _of_all(asked: Asked) -> Iterator[Finding]:
    settings = asked.settings()
    yield from checks.of_versions(settings.timezone)
    try:
        store = asked.state(settings)
    except StateError as error:
        yield checks.unusable(error)
        return
    if store is None:
        said = "there is no state yet: no node has run here"
        yield Finding("state", "error", said, "`jobrunner start` makes it")
        yield from checks.of_files(Registry.load(settings).problems, (), settings.folders)
        return
    try:
        now = time_of(store)
        yield from checks.of_machine(SystemClock().now() - now)
        yield from _of_state(settings, store, now)
    except JobrunnerError as error:
        yield checks.unusable(error)
    finally:
        store.close()


def _of_state(settings: Settings, store: Store, now: Instant) -> Iterator[Finding]:
    registry = Registry.load(with_stored(settings, store))
    facts, here = store.jobs(), vitals.nodes_of(store, settings)
    yield from checks.of_state(store)
    yield from checks.of_nodes(here.everyone, here.dead, nodes.stopped(here.everyone, settings), now)
    yield from checks.of_definitions(drifting(store, here.living))
    yield from checks.of_labels(registry.summaries, here.reach)
    yield from checks.of_clock(facts, settings, now)
    pause = store.paused()
    if pause is not None:
        why = f": {pause.reason}" if pause.reason else ""
        yield Finding("pause", "warning", f"all is paused by {pause.by}{why}", "`jobrunner resume`")
    orphans = report.orphans({fact.name.casefold(): fact for fact in facts}, registry)
    yield from checks.of_files(registry.problems, orphans, settings.folders)
    yield from checks.of_runs(store.open_runs(), facts, now)
    yield from checks.of_lag(vitals.overdue(store, here, registry.summaries, registry.upcoming(), now), now)
