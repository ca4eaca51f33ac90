"""The verbs of the command line, for Python and for itself: neither knows what a row is.

verbs        connect() and Client
looking      the half of it that changes nothing
changes      what people change of a job, whatever its file says
orders       runs that people and programs ask for, and their end
desk         who asks for a change, of which jobs, and when
sights       jobs as a thread has found them last
connections  one store a thread, none carried over a fork
board        all jobs side by side
infos        jobs, runs and steps, as programs are told of them
finding      jobs by what they are called, in files and in the state
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jobrunner.client.infos import JobInfo, RunInfo
    from jobrunner.client.verbs import Client, connect

__all__ = ["Client", "JobInfo", "RunInfo", "connect"]

_HOMES = {"Client": "verbs", "JobInfo": "infos", "RunInfo": "infos", "connect": "verbs"}


def __getattr__(name: str) -> Any:
    """Load what is asked for: a command that only lists jobs needs no client."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
