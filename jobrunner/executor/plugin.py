"""THE SEAM: what an executor is that a package brings along. Public; docs/executors.md has an example.

A package names a class in the entry point group `jobrunner.executors`. An object of it says which options
there are, and makes a `Launcher`: a thing that brings a child to life, wherever that may be, on the two
descriptors that it is given. The child is `jobrunner.child`, or whatever else speaks `jobrunner.wire`.
The rest is the node's: what the child is told, its time-out, how it is asked to end, its output, its record.
"""

from __future__ import annotations

import selectors
import socket
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

Options = Mapping[str, Any]
Read = Callable[[Any], Any]  # a value as written -> as meant; ValueError("is not ...") where it cannot be


class Family(Protocol):
    """Who hears of the children."""

    def forked(self, number: int, pid: int) -> None:
        """A child exists."""
        ...

    def exited(self, number: int, code: int | None, problem: str | None = None) -> None:
        """A child is gone, what it left behind is dead, and all that it said is on its descriptors.

        `code` is its exit status, or minus the signal that ended it; `problem` a sentence where it was no
        fault of its own. Once for each child that was launched, whatever happened.
        """
        ...

    def extinct(self, launcher: Launcher) -> None:
        """The launcher broke down; its children are dead, and `exited` follows for each of them."""
        ...


class Launcher(Protocol):
    """Makes, signals and reaps children. Called from the node's one thread: nothing may wait for long."""

    ready_limit: float | None = 30.0  # seconds until a child has to say that it is ready; None: no matter
    remote: bool = False  # whether pids are another machine's, so that nobody weighs what they hold

    def start(self) -> None:
        """Get ready; returns before it is. Raises OSError where that is not possible now."""
        ...

    def launch(self, number: int, wire: socket.socket, output: int, options: Options) -> None:
        """Make a child with these two descriptors, and close them here; `options` are those of its job."""
        ...

    def signal(self, number: int, what: int) -> None:
        """Signal a child's process group, unless it is gone; KILL goes to all that descends from it."""
        ...

    def live_until(self, moment: float) -> None:
        """Kill all children at that second of boot time, unless told again; where we can without the node."""
        return

    def deadline(self, busy: bool = False) -> float | None:
        """Return when `tick` is needed, in monotonic seconds; `busy` while there are runs."""
        return None

    def tick(self, now: float, busy: bool = False) -> None:
        """Do what is due."""
        return

    def close(self) -> None:
        """Kill every child and everything that they left behind; wait for it, two seconds at most."""
        ...


class Around(NamedTuple):
    """What a launcher finds.

    `selector` is the node's loop: whatever is registered has a function for its data, which is called with
    the file object. `lock_path` is held by what must be gone before another node takes our runs for dead.
    """

    selector: selectors.BaseSelector
    environ: Mapping[str, str]  # the children's whole environment
    clock: Callable[[], float]  # monotonic seconds
    project: str = ""  # the root
    lock_path: str = ""


class Plugin(Protocol):
    """An executor. Its module is imported wherever a job names it: what is heavy belongs into `launcher`."""

    options: Mapping[str, Read] = {}  # by their names in camelCase

    def missing(self) -> tuple[str, str] | None:
        """Return what it lacks on this machine, and what to do about that; None: nothing."""
        return None

    def apart(self, options: Options) -> str:
        """Return what two jobs must have in common to share a launcher."""
        return ""

    def launcher(self, family: Family, around: Around) -> Launcher:
        """Return a launcher that has not been started."""
        ...
