"""The collector of cycles, kept from walking again and again through what is loaded to stay."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_collector() -> Iterator[None]:
    """Keep the collector from walking through a hundred thousand new values, none of them garbage."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def keep() -> None:
    """Take all that there is now for what stays: no collection walks through it any more.

    Only for a process that is ours alone, and once: what is garbage by then is never collected.
    """
    gc.freeze()
