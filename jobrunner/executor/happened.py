"""What the pool tells the node, in the order it happened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jobrunner.model import Outcome


@dataclass(frozen=True, slots=True)
class Began:
    """The next thing that the child does is the user's code; `pid` is the process that does it."""

    run_id: int
    pid: int


@dataclass(frozen=True, slots=True)
class Output:
    """A piece of what the run wrote to stdout or stderr."""

    run_id: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Asked:
    """The run asks for something (`progress`, `heartbeat`); `Pool.answer` with its number answers."""

    run_id: int
    number: int
    verb: str
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Ended:
    """The run is over and its process gone, or ready for another run. `log_bytes` is all it wrote."""

    run_id: int
    outcome: Outcome
    log_bytes: int


@dataclass(frozen=True, slots=True)
class HookOutput:
    """A piece of what a hook wrote; `number` is the one given to `Pool.run_hook`."""

    number: int
    data: bytes


@dataclass(frozen=True, slots=True)
class HookEnded:
    """A hook is over, and its process gone."""

    number: int
    outcome: Outcome


Happening = Began | Output | Asked | Ended | HookOutput | HookEnded
