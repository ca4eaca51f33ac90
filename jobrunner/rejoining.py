"""A node that was taken for dead while it was only silent: it starts again, as another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from jobrunner import failpoints
from jobrunner.clock import SystemClock
from jobrunner.definitions import Definitions
from jobrunner.errors import StateError
from jobrunner.events import Event, Rejoining
from jobrunner.node import Node, Options
from jobrunner.patience import GONE, will_pass
from jobrunner.settings import Settings
from jobrunner.store.base import Store
from jobrunner.workplace import heed, unheed


def work(
    definitions: Definitions, store: Store, emit: Callable[[Event], None], options: Options, *,
    again: Callable[[], Settings],
) -> tuple[int, Node]:  # fmt: skip
    """Run a node; where others took it for dead while it was not heard of, another in its place, and so on.

    Returns the exit code and the last one. Raises StateError.
    """
    clock = store.clock(SystemClock())  # the store may be away when another needs one

    def begin(definitions: Definitions, options: Options) -> Node:
        return Node(definitions, store, emit, options, again=again, clock=clock)

    node = begin(definitions, options)
    with _heeded(lambda: node):
        while True:
            try:
                return node.run(), node
            except StateError as error:
                taken_for_dead = error.code in GONE and bool(node.me.lease)
                if not taken_for_dead and not (options.follows and will_pass(error, follows=True)):
                    raise
            if node.place.signals:  # it was to end anyway, and nothing of it is left
                return (0 if node.place.signals == 1 else 130), node
            emit(Rejoining())
            failpoints.reach("rejoining")
            before = node
            definitions, options = before.state_of_things()
            node = begin(definitions, options)
            node.place.signals += before.place.signals  # those that came when nobody was there to hear them


@contextmanager
def _heeded(current: Callable[[], Node]) -> Iterator[None]:
    """Heed who asks us to stop also while no node listens, between one and the next."""
    try:
        before = heed(lambda *_: current().place.ask_to_stop())
    except ValueError:  # not the main thread: whoever embeds us asks the node
        yield
        return
    try:
        yield
    finally:
        unheed(before)
