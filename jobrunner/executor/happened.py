"""What the pool tells the node, in the order it happened."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from jobrunner.model import Outcome


class Began(NamedTuple):
    """The next thing that the child does is the user's code; `pid` is the process that does it."""

    run_id: int
    pid: int


class Output(NamedTuple):
    """A piece of what the run wrote to stdout or stderr."""

    run_id: int
    data: bytes


class Asked(NamedTuple):
    """The run asks for something (`progress`, `heartbeat`); `Pool.answer` with its number answers."""

    run_id: int
    number: int
    verb: str
    payload: Mapping[str, Any]


class Ended(NamedTuple):
    """The run is over and its process gone, or ready for another run. `log_bytes` is all it wrote."""

    run_id: int
    outcome: Outcome
    log_bytes: int


class HookOutput(NamedTuple):
    """A piece of what a hook wrote; `number` is the one given to `Pool.run_hook`."""

    number: int
    data: bytes


class HookEnded(NamedTuple):
    """A hook is over, and its process gone."""

    number: int
    outcome: Outcome


class Starved(NamedTuple):
    """No process for a run can be had, time and again; why, or None: now one could be had."""

    problem: str | None


Happening = Began | Output | Asked | Ended | HookOutput | HookEnded | Starved
