"""stats: how often, how long, how late; for people, programs and Prometheus."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import click

from jobrunner import stats as statistics
from jobrunner import status, vitals
from jobrunner.cli import out, report
from jobrunner.cli.asking import Asked, JobName, Verb
from jobrunner.cli.jsonout import iso
from jobrunner.cli.moments import Moment
from jobrunner.cli.render import table, when
from jobrunner.clock import DAY, SECOND, Instant, SystemClock
from jobrunner.discovery.summary import Summary
from jobrunner.errors import BadRequest, UnknownJob
from jobrunner.facts import JobFacts
from jobrunner.housekeeping import is_ours
from jobrunner.pace import length
from jobrunner.registry import Registry
from jobrunner.settings import Settings
from jobrunner.stats import Spread, Stats
from jobrunner.store.base import Figure, Store
from jobrunner.stored import with_stored

WINDOW = 30 * DAY
HEAD = (
    "NAME",
    "RUNS",
    "OK",
    "FAILED",
    "SKIPPED",
    "RETRIES",
    "RATE",
    "P50",
    "P95",
    "MAX",
    "LATE P95",
    "IN A ROW",
    "LAST OK",
)


@click.command(cls=Verb, epilog="jobrunner stats\njobrunner stats report --since 7d --json")
@click.argument("names", nargs=-1, type=JobName())
@click.option("--all", "own_too", is_flag=True, help="Jobs that come with jobrunner, too.")
@click.option(
    "--since", type=Moment(), help="Of runs since this moment.  [default: 30d; with --prometheus all]"
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--prometheus", is_flag=True, help="Print Prometheus' text format.")
@click.pass_obj
def stats(
    asked: Asked,
    names: tuple[str, ...],
    own_too: bool,
    since: Instant | None,
    as_json: bool,
    prometheus: bool,
) -> None:
    """Count runs by state, and say how long and how late they were; all jobs', or those NAMEd.

    A run counts once, by how its last attempt ended; attempts beyond the first are RETRIES.
    """
    if as_json and prometheus:
        raise BadRequest("--json does not go with --prometheus")
    settings, now = asked.settings(), SystemClock().now()
    since = now - WINDOW if since is None and not prometheus else since
    with asked.look(settings) as store:
        settings = with_stored(settings, store)
        registry = Registry.load(settings)
        facts = _facts(registry, store, names, own_too=own_too)
        found = _found(registry, store, settings, facts, since)
        if prometheus:
            out.write(statistics.prometheus(found, _whole(registry, store, settings, now)))
            return
    if as_json:
        out.json_document([_object(one) for one in found])
    elif found:
        table(HEAD, [_row(one, now) for one in found])
    else:
        out.talk("no job has been seen by a node or run yet")


def _found(
    registry: Registry,
    store: Store | None,
    settings: Settings,
    facts: Sequence[JobFacts],
    since: Instant | None,
) -> list[Stats]:
    """Return the statistics of these jobs."""
    rows: dict[int, list[Figure]] = defaultdict(list)
    if store is not None and facts:
        for each in store.figures(facts[0].id if len(facts) == 1 else None, since):
            rows[each.job_id].append(each)
    known = {fact.name.casefold(): fact for fact in facts}
    summaries = {}
    for summary in registry.summaries:
        fact = status.fact_of(known, summary.name, summary.former)
        if fact is not None:
            summaries[fact.id] = summary
    return [_stats(fact, rows[fact.id], summaries.get(fact.id), settings) for fact in facts]


def _stats(fact: JobFacts, rows: Sequence[Figure], summary: Summary | None, settings: Settings) -> Stats:
    if summary is None:
        return statistics.stats(fact, rows, limit=None, enabled=is_ours(fact.name))
    enabled, _ = status.enablement(summary, fact, settings)
    now = fact._replace(name=summary.name)
    return statistics.stats(now, rows, limit=summary.number_of_executions, enabled=enabled)


def _facts(registry: Registry, store: Store | None, names: Sequence[str], *, own_too: bool) -> list[JobFacts]:
    """Return what the state knows of every job, or of those named, each once. Raises UnknownJob."""
    if not names:
        every = store.jobs() if store is not None else []
        return [fact for fact in every if own_too or not is_ours(fact.name)]
    once = {name.casefold(): name for name in names}
    return [_fact(registry, store, name) for name in once.values()]


def _fact(registry: Registry, store: Store | None, name: str) -> JobFacts:
    fact = report.fact(registry, store, name)
    if fact is None:
        known = registry.summary(name).name  # raises, and names near ones
        raise UnknownJob(f"{known} has not been seen by a node or run yet", hint="`jobrunner start`")
    return fact


def _whole(registry: Registry, store: Store | None, settings: Settings, now: Instant) -> statistics.Whole:
    if store is None:
        return statistics.Whole(0, 0, 0, False)
    nodes = vitals.nodes_of(store, settings)
    late = vitals.oldest(vitals.overdue(store, nodes, registry.summaries, registry.upcoming(), now))
    running = len(vitals.underway(store, nodes))
    lag = 0 if late is None else now - late
    return statistics.Whole(len(nodes.starts), running, lag, store.paused() is not None)


def _row(one: Stats, now: Instant) -> tuple[str, ...]:
    count, rate = one.states, one.success_rate
    failed = sum(count.get(state, 0) for state in statistics.FAILED)
    runs = f"{one.fact.executions}/{one.limit}" if one.limit is not None else str(one.fact.executions)
    times = [one.took.at(50), one.took.at(95), one.took.longest, one.late.at(95)]
    return (
        one.fact.name,
        runs,
        str(count.get("succeeded", 0)),
        str(failed),
        str(count.get("skipped", 0)),
        str(one.retries),
        "-" if rate is None else f"{rate:.1%}",
        *("-" if micros is None else length(micros) for micros in times),
        str(one.fact.consecutive_failures),
        when(one.fact.last_success_at, now),
    )


def _object(one: Stats) -> dict[str, Any]:
    return {
        "job": one.fact.name,
        "states": dict(sorted(one.states.items())),
        "retries": one.retries,
        "executions": one.fact.executions,
        "numberOfExecutions": one.limit,
        "enabled": one.enabled,
        "successRate": one.success_rate,
        "durationSeconds": _spread(one.took),
        "latenessSeconds": _spread(one.late),
        "consecutiveFailures": one.fact.consecutive_failures,
        "lastSuccessAt": iso(one.fact.last_success_at),
        "lastFailureAt": iso(one.fact.last_failure_at),
    }


def _spread(spread: Spread) -> dict[str, float | int | None]:
    micros = {"p50": spread.at(50), "p95": spread.at(95), "max": spread.longest}
    seconds = {name: None if value is None else value / SECOND for name, value in micros.items()}
    return {"count": len(spread.values), **seconds}
