"""Which executors there are: `process`, which is ours, and those that installed packages bring along."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from jobrunner import installed

if TYPE_CHECKING:
    from jobrunner.executor.plugin import Plugin

GROUP = "jobrunner.executors"
PROCESS = "process"


class Unusable(Exception):
    """An executor that cannot be used: the second half of a sentence, and what to do instead."""

    def __init__(self, why: str, hint: str) -> None:
        super().__init__(why)
        self.hint = hint


def addresses() -> dict[str, str]:
    """Return the address, module:class, of each plug-in that is installed, by its name."""
    found = installed.entry_points(GROUP)
    return {name: address for name, address in reversed(found) if name != PROCESS}


def load(name: str) -> Plugin:
    """Return a plug-in. Raises Unusable when it is not installed, or cannot be what it says."""
    known = addresses()
    if name not in known:
        raise Unusable("which is not installed", _others(name))
    return _made(name, known[name])


@cache
def _made(name: str, address: str) -> Plugin:
    module, _, attribute = address.partition(":")
    try:
        plugin: Plugin = getattr(import_module(module), attribute)()
        lacks = plugin.missing()
    except Exception as error:  # an installed package, and whatever it raises
        said = f"whose package cannot be used: {type(error).__name__}: {error}"[:300]
        raise Unusable(" ".join(said.split()), _others(name)) from None
    if lacks is not None:
        raise Unusable(lacks[0], f"{lacks[1]}; {_others(name)}")
    return plugin


def _others(name: str) -> str:
    *names, last = sorted({PROCESS, *addresses()} - {name})
    return f"installed are {', '.join(names)} and {last}" if names else f"installed is {last} alone"
