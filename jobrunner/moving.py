"""A state goes from one store into another: who may, in which order, and what proves that all has arrived.

A copy is a state of its own, with an id of its own: the other one is still there, and if both went on, nobody
could tell them apart. Nodes stay behind, and what they hold with them. What was current stays current, so
that the next `start` finds the definitions that it knows, and goes on with cursors and counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from jobrunner.errors import Refused, StateError
from jobrunner.masking import without_passwords
from jobrunner.settings import Settings
from jobrunner.store import schema, version_of
from jobrunner.store.base import Store
from jobrunner.store.moving import TABLES, Measure, Movable, Reading, Writing, measure
from jobrunner.vitals import nodes_of


@dataclass(frozen=True, slots=True)
class Compared:
    """A table on both sides, each counted and read by itself."""

    table: str
    there: Measure
    here: Measure

    @property
    def same(self) -> bool:
        """Whether both sides have the same rows."""
        return self.there == self.here


class _Different(Exception):
    """Takes back what was written."""


def copy(
    origin: Store, settings: Settings, goal: Callable[[], AbstractContextManager[Store]]
) -> Sequence[Compared]:
    """Copy a state into an empty one, which `goal` opens; `settings` are those with the state `origin`.

    Nobody can write to `origin` meanwhile, and nothing of it changes. Where a table differs afterwards, and
    where this raises, nothing was written. Raises Refused and StateError.
    """
    compared: list[Compared] = []
    with movable(origin).reading(alone=True) as source:
        source.understood()
        _refuse_company(origin, settings, source)
        try:
            with goal() as store:
                _refuse_itself(origin, store)
                with movable(store).writing() as target:
                    target.understood()
                    _refuse_taken(name_of(store), target)
                    compared += transfer(source, target)
                    if not all(each.same for each in compared):
                        raise _Different
        except _Different:
            pass
    return compared


def transfer(source: Reading, target: Writing, state_id: str | None = None) -> list[Compared]:
    """Write all that moves into an open transaction; returns what both sides have then."""
    for table in TABLES:
        target.write(table, source.rows(table))
    marks = source.marks()
    target.mark(marks, state_id)
    if not target.marks().goes_on(marks):
        raise StateError("the numbers that were given out could not be taken over", hint="please report this")
    return [Compared(each.name, measure(source, each), measure(target, each)) for each in TABLES]


def movable(store: Store) -> Movable:
    """Return the store as one whose state can be moved. Raises Refused."""
    if not isinstance(store, Movable):
        said = f"the store of {name_of(store)} does not offer to read or write a state as a whole"
        raise Refused(said, hint="stores in SQLite and PostgreSQL do")
    return store


def refuse_older(url: str) -> None:
    """Raise Refused for a state that opening would change: it is to be left as it is."""
    version = version_of(url)
    if version is not None and version < schema.newest():
        raise Refused(
            f"what is to be copied has schema {version}, and this jobrunner makes {schema.newest()}",
            hint="bring it up to date first: jobrunner --state FROM state migrate",
        )


def name_of(store: Store) -> str:
    """Return how sentences call a state, without a password."""
    return without_passwords(str(store.info().get("path", store.url)))


def _refuse_company(origin: Store, settings: Settings, source: Reading) -> None:
    """Whoever lives there would go on there; what the dead have left is not settled yet."""
    name = name_of(origin)
    for node in nodes_of(origin, settings).living:
        said = f"node {node.node} (pid {node.pid}) works on {name}"
        raise Refused(said, hint="stop all its nodes first: what they do meanwhile would be missing")
    for run_id in source.owners().values():
        raise Refused(
            f"run {run_id} of {name} is running, and no node lives that could record its end",
            hint=f"`jobrunner --state {name} start --for 1s` records it as lost; then copy again",
        )


def _refuse_itself(origin: Store, store: Store) -> None:
    if origin.info()["state_id"] == store.info()["state_id"]:
        said = f"{name_of(store)} is the state that is to be copied, or was made from it by another program"
        raise Refused(said, hint="name a place where no state is yet")


def _refuse_taken(name: str, target: Reading) -> None:
    for table in ("nodes", *(each.name for each in TABLES)):
        if count := target.count(table):
            said = f"{name} is not empty: {table} has {count:,} row" + ("" if count == 1 else "s")
            raise Refused(said, hint="name a place where no state is yet; nothing was changed")
