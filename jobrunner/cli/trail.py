"""audit: who changed what, and when."""

from __future__ import annotations

import click

from jobrunner.cli import out, report
from jobrunner.cli.asking import Asked, JobName, Verb
from jobrunner.cli.jsonout import Object, iso
from jobrunner.cli.moments import Moment
from jobrunner.cli.render import table, when
from jobrunner.clock import Instant, SystemClock
from jobrunner.facts import Note
from jobrunner.wording import one_line

HEAD = ("WHEN", "WHO", "WHAT", "JOB", "DETAIL")


@click.command(cls=Verb, epilog="jobrunner audit\njobrunner audit sync-orders --since 7d")
@click.argument("name", required=False, type=JobName())
@click.option(
    "--limit", type=click.IntRange(1, 1_000_000), default=50, show_default=True, help="At most so many."
)
@click.option("--since", type=Moment(), help="Only after this moment: an ISO time, or 2h for two hours ago.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def audit(asked: Asked, name: str | None, limit: int, since: Instant | None, as_json: bool) -> None:
    """List who changed what, newest first: everything, or what concerns job NAME, were it forgotten."""
    settings = asked.settings()
    store = asked.state(settings)
    notes = store.notes(name, since=since, limit=limit) if store is not None else []
    if name is not None and not any((note.job or "").casefold() == name.casefold() for note in notes):
        report.real_name(settings, store, name)
    if as_json:
        out.json_document([_object(note) for note in notes])
    elif not notes:
        out.talk("nothing was changed")
    else:
        now = SystemClock().now()
        table(HEAD, [_row(note, now) for note in notes])


def _object(note: Note) -> Object:
    return {
        "id": note.id,
        "at": iso(note.at),
        "actor": note.actor,
        "action": note.action,
        "job": note.job,
        "detail": note.detail,
    }


def _row(note: Note, now: Instant) -> tuple[str, ...]:
    return (
        when(note.at, now),
        one_line(note.actor),
        one_line(note.action),
        one_line(note.job or "-"),
        one_line(note.detail),
    )
