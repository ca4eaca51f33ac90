"""history and show: what happened."""

from __future__ import annotations

import click

from jobrunner.cli import out, report
from jobrunner.cli.asking import Asked, JobName, Verb
from jobrunner.cli.board import Board, Line, job_object
from jobrunner.cli.jsonout import Object, run_object
from jobrunner.cli.moments import Moment
from jobrunner.cli.render import facts, many, table, when
from jobrunner.clock import Instant, SystemClock
from jobrunner.errors import JobrunnerError, UnknownJob
from jobrunner.log import brief, one_line, printable, reason
from jobrunner.model import ENDED, OPEN, Run
from jobrunner.registry import Registry
from jobrunner.settings import Settings
from jobrunner.store.base import RunFilter, Store

HEAD = ("RUN", "JOB", "STATE", "TRIGGER", "SCHEDULED", "STARTED", "TOOK", "WHY")


class UnknownRun(JobrunnerError):
    """No run of that number: never there, or pruned."""

    code = "unknown-run"
    exit_code = 3


@click.command(
    cls=Verb, epilog="jobrunner history sync-orders --state failed\njobrunner history --json --limit 500"
)
@click.argument("name", required=False, type=JobName())
@click.option(
    "--limit", type=click.IntRange(1, 1_000_000), default=50, show_default=True, help="At most so many."
)
@click.option("--state", "states", multiple=True, type=click.Choice(sorted(OPEN | ENDED)), help="Only these.")
@click.option(
    "--since", type=Moment(), help="Only runs after this moment: an ISO time, or 2h for two hours ago."
)
@click.option("--until", type=Moment(), help="Only runs before this moment.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def history(
    asked: Asked,
    name: str | None,
    limit: int,
    states: tuple[str, ...],
    since: Instant | None,
    until: Instant | None,
    as_json: bool,
) -> None:
    """List past runs, newest first; all jobs', or those of NAME."""
    settings = asked.settings()
    store = asked.state(settings)
    if name is not None:
        name = report.real_name(settings, store, name)
    which = RunFilter(job=name, states=states or None, since=since, until=until, limit=limit)
    runs = store.runs(which) if store is not None else []
    if as_json:
        out.json_document([run_object(run) for run in runs])
        return
    now = SystemClock().now()
    if not runs:
        out.talk("no runs" if store is not None else "no runs: `jobrunner start` has not run here yet")
    else:
        table(HEAD, [_row(run, now) for run in runs])


def _row(run: Run, now: Instant) -> tuple[str, ...]:
    return (
        str(run.id),
        run.job,
        run.state + (f" x{run.count}" if run.count > 1 else ""),
        run.trigger,
        when(run.scheduled_for, now),
        when(run.started_at, now),
        took(run, now),
        why(run),
    )


def took(run: Run, now: Instant) -> str:
    """Return how long a run took, or has taken so far."""
    if run.started_at is None:
        return "-"
    return brief(max(0, (run.finished_at or now) - run.started_at))


def why(run: Run) -> str:
    """Return the reason and the error of a run in one line."""
    error = run.error or {}
    said = ": ".join(str(error[key]) for key in ("type", "message") if error.get(key))
    again = f"attempt {run.attempt}" if run.attempt > 1 else ""
    return one_line("; ".join(part for part in (reason(run.reason, run.result), again, said) if part))


@click.command(cls=Verb, epilog="jobrunner show sync-orders\njobrunner show 1742 --json")
@click.argument("job_or_run", type=JobName())
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def show(asked: Asked, job_or_run: str, as_json: bool) -> None:
    """Show all about a job, or about a run by its number."""
    settings = asked.settings()
    store = asked.state(settings)
    now = SystemClock().now()
    if is_run(job_or_run):
        run = find_run(store, job_or_run)
        if as_json:
            out.json_document(run_object(run))
        else:
            facts(_about_run(run, now))
        return
    line = find_job(settings, store, job_or_run, now)
    found = job_object(line, settings)
    if as_json:
        out.json_document(found)
        return
    facts(_about_job(found))
    recent = store.runs(RunFilter(job=line.name, limit=5)) if store is not None and line.name else []
    if recent:
        out.line("")
        table(HEAD, [_row(run, now) for run in recent])


def find_job(settings: Settings, store: Store | None, name: str, now: Instant) -> Line:
    """Return all about a job, also a broken or an orphaned one. Raises UnknownJob."""
    registry = Registry.load(settings)
    lines = Board(registry, report.by_name(store), settings, now).lines()
    for line in lines:
        if (line.name or line.file).casefold() == name.casefold():
            return line
    registry.summary(name)  # raises, and names near ones
    raise UnknownJob(f'there is no job called "{name}"')


def is_run(text: str) -> bool:
    """Say whether an argument means a run: no job's name is all digits."""
    return text.isascii() and text.isdecimal()


def find_run(store: Store | None, number: str) -> Run:
    """Return a run by its number, as typed. Raises UnknownRun."""
    run = store.run(int(number)) if store is not None and len(number) < 19 else None
    if run is None:
        raise UnknownRun(f"there is no run {number}", hint="jobrunner history lists the runs")
    return run


def newest_run(store: Store | None, settings: Settings, name: str) -> Run:
    """Return the newest run of a job that started. Raises UnknownJob and UnknownRun."""
    name = report.real_name(settings, store, name)
    for run in store.runs(RunFilter(job=name, limit=1000)) if store is not None else []:
        if run.started_at is not None:
            return run
    raise UnknownRun(f"{name} has not run yet", hint=f"jobrunner run {name} runs it here and now")


def _about_run(run: Run, now: Instant) -> list[tuple[str, str]]:
    shown = [("run", str(run.id))]
    whole = {**run_object(run), "reason": reason(run.reason, run.result)}
    if run.count == 1:
        del whole["count"], whole["firstFor"], whole["lastFor"]
    shown += [(key, _text(value)) for key, value in whole.items() if _tells(key, value)]
    if run.started_at is not None:
        shown.append(("took", took(run, now)))
    if run.log_bytes:
        shown.append(("log", f"{many(run.log_bytes, 'byte')}: jobrunner logs {run.id}"))
    return shown


def _about_job(found: Object) -> list[tuple[str, str]]:
    shown = [("job", str(found["id"]))]
    shown += [(key, _text(value)) for key, value in found.items() if _tells(key, value)]
    shown += [("problem", one_line(str(problem["message"]))) for problem in found["problems"]]
    return shown


def _tells(key: str, value: object) -> bool:
    """Say whether a field is worth a line for people."""
    return key not in ("id", "log", "problems", "truncated") and value not in (None, [], {}, "")


def _text(value: object) -> str:
    """Return a field for people: text as it is, an error with its traceback, all else as JSON."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict) and {"type", "message", "traceback"} <= value.keys():
        return printable(str(value["traceback"]).rstrip() or f"{value['type']}: {value['message']}")
    return out.json_text(value)
