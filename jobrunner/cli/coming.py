"""next: when jobs, or a cron expression, are due; by the code that runs them."""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterator, Mapping
from itertools import groupby, islice, takewhile

import click

from jobrunner import status
from jobrunner.cli import out, report
from jobrunner.cli.asking import Asked, JobName, Verb
from jobrunner.cli.jsonout import Object
from jobrunner.cli.moments import Moment
from jobrunner.cli.render import local, many, relative
from jobrunner.clock import Instant, SystemClock, to_iso
from jobrunner.errors import BadRequest, ScheduleError
from jobrunner.model import Job
from jobrunner.plan import next_due
from jobrunner.registry import Registry
from jobrunner.schedule import Schedule, parse
from jobrunner.settings import Settings
from jobrunner.status import Known
from jobrunner.stored import with_stored

MINUS = re.compile(r"-[^A-Za-z-]\S* ")
Coming = tuple[Instant, str]  # when, which job


class Next(Verb):
    """The command, which knows an expression that begins with a minus by its blanks."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse; the blank in front keeps a mistake such as "-5 * * * *" from being read as options."""
        return super().parse_args(ctx, [f" {arg}" if MINUS.match(arg) else arg for arg in args])


@click.command(
    "next",
    cls=Next,
    epilog='jobrunner next\njobrunner next sync-orders -n 5\njobrunner next "0 9 * * mon" --timezone UTC',
)
@click.argument("name_or_cron", required=False, type=JobName())
@click.option(
    "-n", "number", type=click.IntRange(1, 100_000), default=20, show_default=True, help="How many."
)
@click.option("--from", "start", type=Moment(ahead=True), help="From this moment on: an ISO time, or 2h.")
@click.option("--until", type=Moment(ahead=True), help="Up to this moment.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def next_(
    asked: Asked,
    name_or_cron: str | None,
    number: int,
    start: Instant | None,
    until: Instant | None,
    as_json: bool,
) -> None:
    """Show when jobs are due: all of them, job NAME, or a cron expression in quotes.

    A job's own count and the state of its schedule are taken into account; --from a moment in the past
    shows the schedule alone.
    """
    settings = asked.settings()
    now = SystemClock().now()
    if start is not None and until is not None and until < start:
        raise BadRequest("--until is before --from")
    if name_or_cron is not None and is_expression(name_or_cron, settings):
        coming, zone = _of_expression(name_or_cron, settings, start or now), settings.timezone
        nothing = "nothing is due"
    else:
        coming, zone, nothing = _of_jobs(asked, settings, name_or_cron, start, now)
    found = list(islice(takewhile(lambda one: until is None or one[0] <= until, coming), number))
    if as_json:
        out.json_document([_object(one, zone) for one in found])
    elif not found:
        out.talk(nothing if until is None else f"nothing is due until {to_iso(until)}")
    else:
        _print(found, zone, now, named=name_or_cron is None)


def is_expression(text: str, settings: Settings) -> bool:
    """Say whether an argument is a schedule rather than a name."""
    if text.startswith("@") or " " in text.strip():
        return True
    return text.lower().startswith("every") and text.casefold() not in map(
        str.casefold, report.names(settings)
    )


def _of_expression(text: str, settings: Settings, start: Instant) -> Iterator[Coming]:
    try:
        schedule = parse(text, settings.timezone)
    except ScheduleError as error:
        raise BadRequest(error.message, hint=error.hint) from None
    return _walk(schedule, start - 1, start)


def _walk(schedule: Schedule, after: Instant, anchor: Instant) -> Iterator[Coming]:
    instant = schedule.next_after(after, anchor)
    while instant is not None:
        yield instant, ""
        instant = None if schedule.after_end else schedule.next_after(instant, anchor)


def _of_jobs(
    asked: Asked, settings: Settings, name: str | None, start: Instant | None, now: Instant
) -> tuple[Iterator[Coming], str, str]:
    """Return what is coming of one job in its own zone, or of all in the project's; and why if nothing is."""
    store = asked.state(settings)
    seen = report.seen(store, whole=False)
    settings, facts = with_stored(settings, store), seen.facts
    if name is None:
        jobs = Registry.load(settings).jobs
        rested = {key: job for key, job in jobs.items() if _reason(job, seen, settings) is None}
        coming = heapq.merge(*(_of_job(job, facts, start, now) for job in rested.values()))
        return coming, settings.timezone, "nothing is due: no job is enabled and has a moment to come"
    job = report.find(report.load_all(settings), name, lambda: store)
    reason = _reason(job, seen, settings)
    if reason is not None:
        out.talk(f"note: {job.name} does not run by its schedule at present: {reason}")
    return _of_job(job, facts, start, now), job.timezone, f"nothing is due: {_why_nothing(job, facts)}"


def _why_nothing(job: Job, facts: Mapping[str, Known]) -> str:
    """Return why a job has no moment to come."""
    fact, limit = facts.get(job.name.casefold()), job.number_of_executions
    if job.schedule is None:
        return f"{job.name} runs on demand only"
    if limit is not None and fact is not None and fact.executions + fact.pending >= limit:
        return f"{job.name} has had its last of {many(limit, 'scheduled start')}"
    return f"{job.name} has no moment left" + (", for its endAt has passed" if job.end_at is not None else "")


def _reason(job: Job, seen: report.Seen, settings: Settings) -> str | None:
    reach = report.reach(seen.nodes, settings) if job.runs_on else None
    return status.resting(job, seen.facts.get(job.name.casefold()), settings, seen.pause, reach)


def _of_job(job: Job, facts: Mapping[str, Known], start: Instant | None, now: Instant) -> Iterator[Coming]:
    """Yield the occurrences of a job, as many as its count leaves."""
    fact = facts.get(job.name.casefold())
    standing = status.standing(job, fact, min(now, start or now))
    if start is not None and start < now:  # what was due is a question to the schedule, not to the state
        job, standing = job._replace(number_of_executions=None), standing._replace(consumed=start - 1)
    elif start is None and status.starts_at_once(job, fact):
        yield now, job.name
        standing = standing._replace(executions=1)
    standing = standing._replace(consumed=max(standing.consumed, (start or now) - 1))
    while (instant := next_due(job, standing)) is not None:
        yield instant, job.name
        if job.schedule is None or job.schedule.after_end:  # what follows depends on when that run ends
            return
        standing = standing._replace(consumed=instant, executions=standing.executions + 1)


def _object(one: Coming, zone: str) -> Object:
    instant, job = one
    return {
        "job": job or None,
        "scheduledFor": to_iso(instant),
        "timezone": zone,
        "local": local(instant, zone),
    }


def _print(found: list[Coming], zone: str, now: Instant, *, named: bool) -> None:
    if not out.on_terminal():
        out.write(
            "".join(f"{to_iso(instant)}  {job if named else ''}".rstrip() + "\n" for instant, job in found)
        )
        return
    lines: list[str] = []
    for day, coming in groupby(found, lambda one: local(one[0], zone, "%A, %d %B %Y")):
        lines.append(day)
        lines += [_line(one, zone, now, named=named) for one in coming]
    out.write("\n".join(lines) + "\n")


def _line(one: Coming, zone: str, now: Instant, *, named: bool) -> str:
    at = local(one[0], zone, "%H:%M:%S %Z")
    return f"  {at}  {one[1] if named else ''}  {relative(one[0] - now)}".replace("    ", "  ")
