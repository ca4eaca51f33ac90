"""Where commands change what nodes go by: the options that they share, and the open state."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import click

from jobrunner.cli.asking import Asked, Text
from jobrunner.client.desk import Desk, Target, actor, because, read, ring, writing
from jobrunner.record import Object
from jobrunner.registry import Registry
from jobrunner.stored import with_added

__all__ = [
    "AS", "JSON", "REASON", "Desk", "Object", "Target", "actor", "because", "desk", "ring",
]  # fmt: skip

AS = click.option("--as", "user", type=Text(), metavar="USER", help="Who asks, for the audit trail.")
REASON = click.option("--reason", type=Text(), metavar="R", help="Why; ls and the audit trail show it.")
JSON = click.option("--json", "as_json", is_flag=True, help="Print what changed as JSON.")


@contextmanager
def desk(asked: Asked, user: str | None, names: Sequence[str] = ()) -> Iterator[Desk]:
    """Open the state, made if need be, in one transaction; wake the nodes when it is committed.

    Raises UnknownJob, before a state is made, when neither files nor a state know one of `names`, which
    are the jobs that the desk will be asked for.
    """
    settings = asked.settings()
    with asked.look(settings) as seen:
        registry = read(Registry.load(with_added(settings, seen)), names) if names else None
    store = asked.state(settings)
    if store is None:
        if registry is not None:
            for name in names:
                registry.summary(name)
        store = asked.make(settings)
    try:
        with writing(settings, store, user, registry) as at:
            yield at
    finally:
        store.close()
