"""The launcher for children that are programs of their own: a zygote that executes in place of being copied.

It is the parent of them all, lean and imports nothing: so, as with processes, what a run leaves behind dies
with it, and all of them die with the node.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

from jobrunner.executor.launch import ZygoteLauncher
from jobrunner.executor.plugin import Around, Family, Options
from jobrunner.wire import Frame

_BOOTSTRAP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bootstrap.py")  # noqa: PTH120


class CommandLauncher(ZygoteLauncher):
    """Executes, for each child, the words that `command` makes of its options.

    The program gets three more arguments: the numbers of its two descriptors, and its parent's pid.
    """

    CALLED = "the parent of its process"

    def __init__(self, family: Family, around: Around, command: Callable[[Options], Sequence[str]]) -> None:
        super().__init__(family, around, runtime=())
        self._command = command

    def _order(self, number: int, options: Options) -> Frame:
        return {"fork": number, "command": [*self._command(options)]}


def child(python: str = sys.executable) -> list[str]:
    """Return the words that make an interpreter, of whatever environment, a child of ours."""
    return [python, _BOOTSTRAP, "child"]
