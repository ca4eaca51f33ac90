"""state: look after the state file, or the database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import click

from jobrunner.cli import out
from jobrunner.cli.asking import Asked, Text, Verb, Verbs
from jobrunner.cli.copying import JSON, backup, copy
from jobrunner.cli.jsonout import Object, iso
from jobrunner.cli.render import facts, many, relative, table
from jobrunner.clock import SystemClock

if TYPE_CHECKING:
    from jobrunner.store.base import Store
    from jobrunner.vitals import Nodes

UNITS = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


@click.group(
    cls=Verbs,
    epilog="jobrunner state info\njobrunner state backup monday.db\n"
    "jobrunner state copy .jobrunner/state.db postgresql://app@db/app",
)
def state() -> None:
    """Look after the state: what it is, whether it is sound, copies of it."""


@contextmanager
def _opened(asked: Asked) -> Iterator[Store]:
    """Open the state that there is. Raises StateError where there is none."""
    with closing(asked.open(asked.settings(), create=False)) as store:
        yield store


# -- info ------------------------------------------------------------------------------------------------


@state.command(cls=Verb, epilog="jobrunner state info\njobrunner state info --json")
@JSON
@click.pass_obj
def info(asked: Asked, as_json: bool) -> None:
    """Show where the state is, its version and size, how much is in it, and who works on it."""
    from jobrunner import vitals

    with _opened(asked) as store:
        known, counts = _known(store), _counts(store)
        nodes = vitals.nodes_of(store, asked.settings())
    if as_json:
        out.json_document({**_whole(known), "nodes": _nodes(nodes), "tables": counts})
        return
    facts(_lines(known, nodes))
    if counts is not None:
        out.line("")
        table(("TABLE", "ROWS"), [(name, str(number)) for name, number in counts.items()])


def _known(store: Store) -> dict[str, Any]:
    from jobrunner.moving import name_of

    return {**store.info(), "path": name_of(store)}


def _counts(store: Store) -> dict[str, int] | None:
    """Return how many rows each table has; None where the store does not tell."""
    from jobrunner.store.moving import OF_NODES, TABLES, Movable

    if not isinstance(store, Movable):
        return None
    with store.reading() as reading:
        return {name: reading.count(name) for name in (*(each.name for each in TABLES), *OF_NODES)}


def _whole(known: dict[str, Any]) -> Object:
    created = known.get("created_at")
    return {
        "path": known.get("path"),
        "library": known.get("library"),
        "version": known["version"],
        "minReader": known["min_reader"],
        "stateId": known["state_id"],
        "createdAt": iso(created) if created else None,
        "bytes": known["bytes"],
        "journalMode": known.get("journal_mode"),
    }


def _nodes(nodes: Nodes) -> list[Object]:
    return [
        {
            "node": node.node, "machine": node.machine, "pid": node.pid, "role": node.role,
            "version": node.version, "seenAt": iso(node.seen_at), "alive": nodes.lives(node.owner),
        }
        for node in nodes.everyone
    ]  # fmt: skip


def _lines(known: dict[str, Any], nodes: Nodes) -> list[tuple[str, str]]:
    from jobrunner.wording import one_line

    who = [
        f"{node.node} (pid {node.pid}, {'alive' if nodes.lives(node.owner) else 'dead'})"
        for node in nodes.everyone
    ]
    created = known.get("created_at")
    since = f"{iso(created)}, {relative(created - SystemClock().now())}" if created else "-"
    return [
        ("state", one_line(str(known.get("path", "-")))),
        ("library", str(known.get("library", "-"))),
        ("schema", f"{known['version']}, for programs that know {known['min_reader']}"),
        ("id", str(known["state_id"])),
        ("created", since),
        ("size", _size(known["bytes"])),
        ("nodes", one_line(", ".join(who)) or "none"),
    ]


def _size(number: int) -> str:
    for size, unit in UNITS:
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number} bytes"


# -- check -----------------------------------------------------------------------------------------------


@state.command(cls=Verb, epilog="jobrunner state check\njobrunner --state sqlite:///monday.db state check")
@JSON
@click.pass_obj
def check(asked: Asked, as_json: bool) -> int:
    """Find damage, and whatever contradicts the rules of the ledger; reads all of it, and changes nothing.

    Exit code: 0 it is sound, 1 it is not, 7 it cannot be opened.
    """
    with _opened(asked) as store:
        found = _problems(store)
    if as_json:
        out.json_document({"problems": found})
    elif found:
        _tell(found)
    else:
        out.line("the state is sound")
    return 1 if found else 0


def _problems(store: Store) -> list[str]:
    from jobrunner.store.moving import Movable

    if not isinstance(store, Movable):
        said = store.healthy()
        return [] if said == "ok" else [said]
    with store.reading() as reading:
        return list(reading.problems())


def _tell(found: list[str]) -> None:
    from jobrunner.wording import one_line

    for each in found:
        out.line(one_line(each))
    out.talk(f"{many(len(found), 'problem')}; restore a backup, or ask for help with `state backup` at hand")


# -- prune -----------------------------------------------------------------------------------------------


@state.command(
    cls=Verb, epilog="jobrunner state prune --dry-run\njobrunner --state sqlite:///old.db state prune"
)
@click.option("--dry-run", is_flag=True, help="Only say how much would go.")
@click.option("--as", "user", type=Text(), metavar="USER", help="Who asks, for the audit trail.")
@JSON
@click.pass_obj
def prune(asked: Asked, dry_run: bool, user: str | None, as_json: bool) -> None:
    """Delete now what the settings do not keep (retention, retention_failed, retention_rows …).

    A node does so by itself each hour.
    """
    from jobrunner.cli.desk import actor
    from jobrunner.pruning import delete, keeps

    settings, now = asked.settings(), SystemClock().now()
    names = ("retention", "retention_failed", "retention_rows", "retention_calls")
    keep = keeps({name: getattr(settings, name) for name in names}, now)
    with _opened(asked) as store:
        matching = store.prunable(keep)
        gone = 0 if dry_run else delete(store, keep, _Heedless())
        if gone:
            store.note(actor(user), "pruned", None, many(gone, "row"), now)
    if as_json:
        out.json_document({"matching": matching, "deleted": gone, "dryRun": dry_run})
    else:
        out.talk(f"{many(matching, 'row')} would go" if dry_run else f"{many(gone, 'row')} deleted")


class _Heedless:
    """What pruning tells of its progress, where nobody listens."""

    cancelled = False

    def progress(self, value: int, *, message: str) -> None:
        """Do nothing."""


# -- migrate ---------------------------------------------------------------------------------------------


@state.command(cls=Verb, epilog="jobrunner state migrate")
@JSON
@click.pass_obj
def migrate(asked: Asked, as_json: bool) -> None:
    """Bring the state of an older version up to date, as every command does that opens it.

    Of a file, a copy as it was before stays beside it.
    """
    from jobrunner.store import version_of

    before = version_of(asked.settings().state)
    with _opened(asked) as store:
        known = _known(store)
    after = known["version"]
    if as_json:
        out.json_document({"from": before, "to": after})
    elif before in (None, after):
        out.talk(f"{known['path']} has schema {after}: nothing to do")
    else:
        out.talk(f"{known['path']} went from schema {before} to {after}")


for each in (backup, copy):
    state.add_command(each)
