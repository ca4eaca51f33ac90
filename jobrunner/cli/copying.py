"""state copy and state backup: all of a state, in another place."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jobrunner.cli import out
from jobrunner.cli.asking import Asked, Text, Verb
from jobrunner.cli.render import many, table
from jobrunner.clock import SystemClock

if TYPE_CHECKING:
    from jobrunner.cli.jsonout import Object
    from jobrunner.moving import Compared
    from jobrunner.settings import Settings
    from jobrunner.store.base import Store

HEAD = ("TABLE", "FROM", "TO", "DIGEST", "RESULT")
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.command(
    cls=Verb,
    epilog="jobrunner state copy .jobrunner/state.db postgresql://app@db/app\n"
    "jobrunner state copy monday.db sqlite:////var/lib/app/state.db",
)
@click.argument("origin", metavar="FROM", type=Text())
@click.argument("goal", metavar="TO", type=Text())
@JSON
@click.pass_obj
def copy(asked: Asked, origin: str, goal: str, as_json: bool) -> None:
    """Copy a state into an empty place, from a file or database to another, and compare the two.

    FROM and TO are URLs, or paths of SQLite files. FROM stays as it is; no node may live on it. All arrives
    at once, or nothing does.

    \b
    Exit code: 0 both have the same, 4 refused (a node lives on FROM, TO is not empty), 7 one of them
    cannot be used, or they differ.
    """
    source, target = _settings(asked, origin), _settings(asked, goal)
    name, there, compared = _copied(asked, source, target)
    same = all(each.same for each in compared)
    if as_json:
        out.json_document({"from": name, "to": there, "same": same, "tables": list(map(_object, compared))})
    else:
        table(HEAD, [_row(each) for each in compared])
    if not same:
        _refuse(there)
    if not as_json:
        _go_on(name, there, target.state if target.state.startswith("sqlite:") else there)


def _settings(asked: Asked, place: str) -> Settings:
    """Return the settings with this state: a path is counted from where we are."""
    return asked.settings(state=place if "://" in place else f"sqlite:///{os.path.abspath(place)}")


def _copied(asked: Asked, source: Settings, target: Settings) -> tuple[str, str, Sequence[Compared]]:
    """Copy; returns both places in words, and the comparison."""
    from jobrunner import moving

    moving.refuse_older(source.state)
    names: list[str] = []

    @contextmanager
    def goal() -> Iterator[Store]:
        with closing(asked.open(target)) as store:
            names.append(moving.name_of(store))
            yield store

    with closing(asked.open(source, create=False)) as store:
        compared = moving.copy(store, source, goal)
        return moving.name_of(store), names[0], compared


def _row(each: Compared) -> tuple[str, ...]:
    word = "same" if each.same else "DIFFERENT"
    return each.table, str(each.there.rows), str(each.here.rows), each.there.digest[:12], word


def _object(each: Compared) -> Object:
    return {
        "table": each.table, "same": each.same,
        "from": {"rows": each.there.rows, "digest": each.there.digest},
        "to": {"rows": each.here.rows, "digest": each.here.digest},
    }  # fmt: skip


def _refuse(there: str) -> None:
    from jobrunner.errors import StateError

    said = f"{there} has not what was to be copied; nothing was kept there"
    raise StateError(said, hint="check both with `jobrunner state check`, and please report this")


def _go_on(name: str, there: str, url: str) -> None:
    """Say what to do now."""
    from jobrunner.wording import one_line

    out.talk(one_line(f"copied to {there}; {name} is still there, unchanged"))
    out.talk(one_line(f"next: say `state: {url}` in jobrunner.yaml (or --state), then `jobrunner start`"))
    out.talk("start no node on the old one again: the two would do the same work twice")


# -- backup ----------------------------------------------------------------------------------------------


@click.command(
    cls=Verb, epilog="jobrunner state backup monday.db\njobrunner state backup /backups/app.db --json"
)
@click.argument("file", type=Text())
@JSON
@click.pass_obj
def backup(asked: Asked, file: str, as_json: bool) -> None:
    """Write the state into a new SQLite FILE, while nodes work.

    What was running is lost in it, as it would be had the machine died at that moment. To go back to it,
    stop all nodes and put it in the state file's place, or copy it: jobrunner state copy FILE TO.

    \b
    Exit code: 0 it is written, 4 there is such a file, 7 the state or the disk cannot be used.
    """
    from jobrunner import backup as backups

    settings, path = asked.settings(), Path(os.path.abspath(file))
    with closing(asked.open(settings, create=False)) as store:
        lost = backups.backup(store, settings, path, store.clock(SystemClock()).now())
    size = path.stat().st_size
    if as_json:
        out.json_document({"file": str(path), "bytes": size, "lost": lost})
        return
    was = f"; {many(lost, 'run')} under way: lost in it" if lost else ""
    out.talk(f"{path}: {size:,} bytes{was}")
