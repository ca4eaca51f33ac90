"""ONE PROCESS A RUN.

    node --exec--> zygote --fork--> one child a run

`Pool` is the node's side of it, `happened` what it tells the node. `plugin` is the seam for executors that
packages bring along, `Pools` all of them together. The zygote lives in this package too
and has to stay lean, so nothing is imported here until somebody asks for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jobrunner.executor.happened import (
        Asked,
        Began,
        Ended,
        Happening,
        HookEnded,
        HookOutput,
        Output,
        Starved,
    )
    from jobrunner.executor.output import LogWindow
    from jobrunner.executor.pool import Pool

__all__ = [
    "Asked",
    "Began",
    "Ended",
    "Happening",
    "HookEnded",
    "HookOutput",
    "LogWindow",
    "Output",
    "Pool",
    "Starved",
]

_HOMES = {"LogWindow": "output", "Pool": "pool"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES.get(name, 'happened')}"), name)
