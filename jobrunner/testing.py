"""FOR TESTS of jobs, schedules, stores and executors: public. Loaded when it is asked for.

FakeClock       a clock that is moved by hand
simulate        what happens from one moment to another: a year in seconds
Timeline        what came of it; Entry: one line of that
StoreContract   the contract that each store must keep
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jobrunner.inline import InlineRun, Runner, run_inline
    from jobrunner.model import Outcome
    from jobrunner.simulation.clock import FakeClock
    from jobrunner.simulation.inside import factory
    from jobrunner.simulation.run import simulate
    from jobrunner.simulation.timeline import Entry, Timeline
    from jobrunner.store.contract import StoreContract

__all__ = [
    "Entry", "FakeClock", "InlineRun", "Outcome", "Runner", "StoreContract", "Timeline", "factory",
    "run_inline", "simulate",
]  # fmt: skip

_HOMES = {
    "Entry": "simulation.timeline",
    "FakeClock": "simulation.clock",
    "InlineRun": "inline",
    "Outcome": "model",
    "Runner": "inline",
    "StoreContract": "store.contract",
    "Timeline": "simulation.timeline",
    "factory": "simulation.inside",
    "run_inline": "inline",
    "simulate": "simulation.run",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"jobrunner.{_HOMES[name]}"), name)
