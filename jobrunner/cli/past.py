"""history and show: what happened."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from jobrunner.cli import nodes, out, report
from jobrunner.cli.asking import Asked, JobName, Text, Verb
from jobrunner.cli.jsonout import run_object
from jobrunner.cli.moments import Moment
from jobrunner.cli.render import facts, many, progress_words, table, when
from jobrunner.client.board import Board, Line, job_object
from jobrunner.clock import Instant, SystemClock
from jobrunner.errors import BadRequest, UnknownJob, UnknownRun
from jobrunner.housekeeping import is_ours
from jobrunner.model import ENDED, OPEN, Run
from jobrunner.registry import Registry
from jobrunner.settings import Settings
from jobrunner.store.values import RunFilter
from jobrunner.stored import with_stored
from jobrunner.wording import brief, one_line, printable, reason

if TYPE_CHECKING:
    from jobrunner.store.base import Store

HEAD = ("RUN", "JOB", "STATE", "TRIGGER", "SCHEDULED", "STARTED", "TOOK", "WHY")


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
@click.option("--delete", is_flag=True, help="Delete them; never what is pending or running.")
@click.option("--before", type=Moment(), help="With --delete: only what was before this moment.")
@click.option("--all", "everyone", is_flag=True, help="With --delete: of all jobs.")
@click.option("--dry-run", is_flag=True, help="With --delete: only say how many.")
@click.option("--yes", is_flag=True, help="With --delete: do not ask.")
@click.option(
    "--as", "user", type=Text(), metavar="USER", help="With --delete: who asks, for the audit trail."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def history(
    asked: Asked,
    /,
    name: str | None,
    limit: int,
    states: tuple[str, ...],
    since: Instant | None,
    until: Instant | None,
    as_json: bool,
    **deleting: Any,
) -> None:
    """List past runs, newest first; all jobs', or those of NAME. With --delete they go instead."""
    settings = asked.settings()
    store = asked.state(settings)
    if name is not None:
        name = report.real_name(settings, store, name)
    if deleting.pop("delete"):
        if since is not None or until is not None:
            raise BadRequest("--delete goes with --before, not with --since or --until")
        _delete(store, name, states, deleting, as_json=as_json)
        return
    _check_deleting(deleting)
    which = RunFilter(job=name, states=states or None, since=since, until=until, limit=limit)
    runs = store.runs(which) if store is not None else []
    if as_json:
        out.json_document([run_object(run) for run in runs])
        return
    now = SystemClock().now()
    if not runs:
        out.talk("no runs" if store is not None else "no runs: `jobrunner start` has not run here yet")
    else:
        table(HEAD, rows(settings, store, runs, now))


def _delete(
    store: Store | None, name: str | None, states: tuple[str, ...], how: dict[str, Any], *, as_json: bool
) -> None:
    from jobrunner.cli.deleting import Deletion, delete

    everyone, before, dry_run, yes = (how[key] for key in ("everyone", "before", "dry_run", "yes"))
    what = Deletion(name, everyone, before, states, dry_run, yes, as_json, how["user"])
    what.check()
    delete(store, what)


def _check_deleting(given: dict[str, Any]) -> None:
    for key, value in given.items():
        if value:
            option = {"everyone": "--all", "user": "--as"}.get(key, "--" + key.replace("_", "-"))
            raise BadRequest(f"{option} goes with --delete only")


def rows(settings: Settings, store: Store | None, runs: Sequence[Run], now: Instant) -> list[tuple[str, ...]]:
    """Return runs as rows of a table; one that waits says for what."""
    return [_row(run, now, _awaits(settings, store, run)) for run in runs]


def _awaits(settings: Settings, store: Store | None, run: Run) -> str:
    if store is None or run.state != "waiting":
        return ""
    from jobrunner.cli.waiting import event_words
    from jobrunner.masking import masker_of

    return one_line(f"waits for {event_words(store, run, masker_of(settings))}")


def _row(run: Run, now: Instant, awaits: str) -> tuple[str, ...]:
    return (
        str(run.id),
        run.job,
        run.state + (f" x{run.count}" if run.count > 1 else ""),
        run.trigger,
        when(run.scheduled_for, now),
        when(run.started_at, now),
        took(run, now),
        "; ".join(filter(None, (awaits, why(run)))),
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
    again += ", which took steps back" if run.undo else ""
    return one_line("; ".join(part for part in (reason(run.reason, run.result), again, said) if part))


@click.command(
    cls=Verb, epilog="jobrunner show sync-orders\njobrunner show 1742 --json\njobrunner show sync-orders -f"
)
@click.argument("job_or_run", type=JobName())
@click.option("-f", "--follow", is_flag=True, help="Go on until the run ends; for a job, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def show(asked: Asked, job_or_run: str, follow: bool, as_json: bool) -> int:
    """Show all about a job, or about a run by its number.

    With --follow: at a terminal drawn again once a second, else a line for each change. For a run the
    exit code is then that of `run`: 0, 1, 5 or 6.
    """
    if as_json and follow:
        raise BadRequest("--json does not go with --follow")
    settings = asked.settings()
    store = asked.state(settings)
    if follow:
        from jobrunner.cli.following import follow_job, follow_run

        if is_run(job_or_run):
            run = find_run(store, job_or_run)
            assert store is not None  # or there was no run
            return follow_run(store, run)
        follow_job(asked, settings, store, job_or_run)
        return 0
    now = SystemClock().now()
    if is_run(job_or_run):
        _show_run(settings, store, find_run(store, job_or_run), now, as_json=as_json)
    else:
        _show_job(settings, store, find_job(settings, store, job_or_run, now), now, as_json=as_json)
    return 0


def _show_run(settings: Settings, store: Store | None, run: Run, now: Instant, *, as_json: bool) -> None:
    from jobrunner.cli import timeline

    assert store is not None  # or there was no run
    if as_json:
        out.json_document(run_object(run) | timeline.to_json(settings, store, run, now))
        return
    facts(about_run(run, now) + _forsaken(settings, store, [run]))
    timeline.write(settings, store, run, now)


def _forsaken(settings: Settings, store: Store | None, runs: Sequence[Run]) -> list[tuple[str, str]]:
    """Return a line for each of the runs whose node is dead."""
    words = nodes.forsaken(store, settings, runs) if store is not None else {}
    return [("warning", f"run {run_id}: {one_line(said)}") for run_id, said in words.items()]


def _show_job(settings: Settings, store: Store | None, line: Line, now: Instant, *, as_json: bool) -> None:
    if as_json:
        out.json_document(job_object(line, settings))
        return
    recent = recent_runs(store, line)
    facts(about_job(line, settings) + _forsaken(settings, store, recent))
    if recent:
        out.line("")
        table(HEAD, rows(settings, store, recent, now))


def recent_runs(store: Store | None, line: Line) -> list[Run]:
    """Return the newest runs of a job."""
    if store is None or line.fact is None:
        return []
    return store.runs(RunFilter(job=line.fact.name, limit=5))


def find_job(settings: Settings, store: Store | None, name: str, now: Instant) -> Line:
    """Return all about a job, also a broken or an orphaned one. Raises UnknownJob."""
    seen = report.seen(store)
    registry = Registry.load(with_stored(settings, store))
    lines = Board(registry, seen, settings, now).lines(own=is_ours(name))
    for line in lines:
        if line.is_called(name):
            return line
    registry.summary(name)  # raises, and names near ones
    raise UnknownJob(f'there is no job called "{name}"')


def is_run(text: str) -> bool:
    """Say whether an argument means a run: no job's name is all digits."""
    return text.isascii() and text.isdecimal()


def find_run(store: Store | None, number: str) -> Run:
    """Return a run by its number, as typed. Raises UnknownRun, and BadRequest for what is no number."""
    if not is_run(number):
        raise BadRequest(f"{number!a:.150} is no number of a run", hint="jobrunner history lists the runs")
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


def about_run(run: Run, now: Instant) -> list[tuple[str, str]]:
    """Return the facts of a run that are worth a line for people."""
    shown = [("run", str(run.id))]
    whole = {**run_object(run), "reason": reason(run.reason, run.result)}
    whole["progress"] = progress_words(run.progress)
    if run.count == 1:
        del whole["count"], whole["firstFor"], whole["lastFor"]
    shown += [(key, _text(value)) for key, value in whole.items() if _tells(key, value)]
    if run.started_at is not None:
        shown.append(("took", took(run, now)))
    if run.log_bytes:
        shown.append(("log", f"{many(run.log_bytes, 'byte')}: jobrunner logs {run.id}"))
    return shown


def about_job(line: Line, settings: Settings) -> list[tuple[str, str]]:
    """Return the facts of a job that are worth a line for people."""
    found = job_object(line, settings)
    shown = [("job", str(found["id"]))]
    shown += [(key, _text(value)) for key, value in found.items() if _tells(key, value)]
    progress = progress_words(line.fact.progress) if line.fact is not None else ""
    shown += [("progress", progress)] if progress else []
    shown += [("problem", one_line(str(problem["message"]))) for problem in found["problems"]]
    return shown


def _tells(key: str, value: object) -> bool:
    """Say whether a field is worth a line for people."""
    return (
        key not in ("id", "log", "problems", "truncated")
        and value not in (None, [], {}, "")
        and (key, value) != ("paused", False)
    )


def _text(value: object) -> str:
    """Return a field for people: text as it is, an error with its traceback, all else as JSON."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict) and {"type", "message", "traceback"} <= value.keys():
        return printable(str(value["traceback"]).rstrip() or f"{value['type']}: {value['message']}")
    return out.json_text(value)
