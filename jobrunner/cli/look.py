"""ls: the jobs, and how they stand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import click

from jobrunner.cli import out, report
from jobrunner.cli.asking import Asked, JobName, Verb
from jobrunner.cli.render import Row, lasting, many, progress_words, relative, table
from jobrunner.client.board import Board, Line, job_object
from jobrunner.clock import Instant, SystemClock, to_iso
from jobrunner.errors import UnknownJob
from jobrunner.garbage import no_collector
from jobrunner.housekeeping import is_ours
from jobrunner.registry import Registry
from jobrunner.settings import Settings
from jobrunner.status import Known
from jobrunner.stored import with_stored

if TYPE_CHECKING:
    from jobrunner.store.base import Store

HEAD = ("NAME", "SCHEDULE", "NEXT", "LAST", "RUNS", "STATE", "NOTE")


@click.command(cls=Verb, epilog="jobrunner ls\njobrunner ls --tag nightly --json")
@click.argument("names", nargs=-1, type=JobName())
@click.option("--all", "hidden_too", is_flag=True, help="Hidden jobs, too.")
@click.option("--tag", "tags", multiple=True, metavar="T", help="Only jobs with this tag; may be repeated.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def ls(asked: Asked, names: tuple[str, ...], hidden_too: bool, tags: tuple[str, ...], as_json: bool) -> None:
    """List the jobs: schedule, next run, last result, count and state; all of them, or those NAMEd."""
    now = SystemClock().now()
    with no_collector():
        settings, seen = _seen(asked, now, whole=as_json)
        registry = Registry.load(settings)
        board = Board(registry, seen, settings, now)
        own = hidden_too or any(map(is_ours, names))
        lines = _wanted(board.lines(own=own), names, tags, registry, hidden_too=hidden_too)
        if as_json:
            out.json_document([job_object(line, settings) for line in lines])
        elif lines:
            table(HEAD, Cells(settings, now).rows(lines))
        _talk(lines, registry, now, board.ahead())


def _seen(asked: Asked, now: Instant, *, whole: bool) -> tuple[Settings, report.Seen]:
    """Return the settings, with what the state has for them, and what else it says."""
    settings = asked.settings()
    with asked.look(settings) as store:
        settings, seen = with_stored(settings, store), report.seen(store, whole=whole)
        if store is not None:
            _warn(store, settings, seen, now)
    return settings, seen


def _warn(store: Store, settings: Settings, seen: report.Seen, now: Instant) -> None:
    everyone = store.nodes()
    if everyone:
        from jobrunner.cli import nodes

        nodes.warn(everyone, now)
        nodes.warn_of_company(store, settings, everyone)
    if any(fact.running for fact in seen.facts.values()):
        _warn_of_dead(store, settings)


def _warn_of_dead(store: Store, settings: Settings) -> None:
    """Name the runs that stand there as running, and whose nodes are dead."""
    from jobrunner.cli import nodes

    runs = {run.id: run for run in store.open_runs()}
    for run_id, said in nodes.forsaken(store, settings, runs.values()).items():
        out.talk(_plain(f"warning: run {run_id} of {runs[run_id].job}: {said}"))


def _wanted(
    lines: list[Line], names: Sequence[str], tags: Sequence[str], registry: Registry, *, hidden_too: bool
) -> list[Line]:
    """Return the lines that were asked for. Raises UnknownJob for a name that none has."""
    if names:
        once = {name.casefold(): name for name in names}  # whoever asks twice gets one answer
        lines = [line for name in once.values() for line in _named(lines, name, registry)]
    elif not hidden_too:
        lines = [line for line in lines if line.summary is None or not line.summary.hidden]
    if tags:
        wanted = set(tags)
        lines = [
            line for line in lines if line.summary is not None and wanted.intersection(line.summary.tags)
        ]
    return lines


def _named(lines: Iterable[Line], name: str, registry: Registry) -> list[Line]:
    found = [line for line in lines if line.is_called(name)]
    if not found:
        registry.summary(name)  # raises, and names near ones
        raise UnknownJob(f'there is no job called "{name}"')
    return found


class Cells:
    """Turns lines into cells; what many of them share is made once."""

    def __init__(self, settings: Settings, now: Instant) -> None:
        self._settings = settings
        self._now = now
        self._people = out.on_terminal()
        self._moments: dict[Instant, str] = {}

    def rows(self, lines: Iterable[Line]) -> list[Row]:
        """Return a row a line."""
        return [self._row(line) for line in lines]

    def _row(self, line: Line) -> Row:
        summary, fact = line.summary, line.fact
        runs, limit = fact.executions if fact else 0, summary.number_of_executions if summary else None
        return (
            line.name or line.file,
            report.words(summary.words, summary.timezone, self._settings) if summary else "-",
            self._next(line),
            self._last(line),
            f"{runs}/{limit}" if limit is not None else str(runs),
            line.state,
            _plain(line.note) if line.note else "",
        )

    def _last(self, line: Line) -> str:
        state, since = line.last
        if line.waiting_since is not None:
            so_far = lasting(self._now - line.waiting_since)
            return f"waiting {so_far}" if self._people else f"waiting since {self._when(line.waiting_since)}"
        if line.fact is not None and line.fact.running:
            said = progress_words(line.fact.progress)
            if not said and since is not None and self._people:
                said = lasting(self._now - since)
            if said:
                return f"{state} {said}"
        return (f"{state} {self._when(since)}" if since is not None else state) or "-"

    def _next(self, line: Line) -> str:
        if line.next_at == self._now:  # the others are later
            return "now"
        return self._when(line.next_at) if line.next_at is not None else "-"

    def _when(self, instant: Instant) -> str:
        found = self._moments.get(instant)
        if found is None:
            found = relative(instant - self._now) if self._people else to_iso(instant)
            self._moments[instant] = found
        return found


def _plain(text: str) -> str:
    from jobrunner.wording import one_line

    return one_line(text)


def _talk(lines: Sequence[Line], registry: Registry, now: Instant, ahead: Sequence[Known]) -> None:
    """Say what a table does not."""
    missing = registry.missing_folder
    if missing is not None and not registry.settings.added:
        out.talk(f"{_plain(missing.message)}; {report.MISSING_HINT}")
    elif not lines:
        out.talk("no jobs; `jobrunner new NAME` writes one")
    elif out.on_terminal():
        states = Counter(line.state for line in lines)
        out.talk(
            f"{many(len(lines), 'job')}: "
            + ", ".join(f"{number} {state}" for state, number in states.items())
        )
    for fact in ahead:
        until = (
            f"{to_iso(fact.consumed)}, {relative(fact.consumed - now)}" if fact.consumed is not None else ""
        )
        out.talk(f"warning: {fact.name} is planned up to {until}: a clock was wrong; it waits until then")
