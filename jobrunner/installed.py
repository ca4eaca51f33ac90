"""What installed packages offer: their entry points, as text.

importlib.metadata would take 20 ms to import for what is a line in a text file, so the files are read
here. No package is imported to find it.
"""

# ruff: noqa: PTH109  (paths are text here: pathlib costs time)

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

INFO = (".dist-info", ".egg-info")


def places() -> dict[str, int]:
    """Return the folders that packages are installed in, with the time of their last change."""
    found: dict[str, int] = {}
    here = ("", os.getcwd())  # no place to install into, and it changes whenever a file is made in it
    for path in sys.path:
        if path in here:
            continue
        try:
            found[path] = os.stat(path).st_mtime_ns
        except OSError:
            continue
    return found


def entry_points(group: str) -> list[tuple[str, str]]:
    """Return (name, address) of each entry point of a group; of those of a name the first is Python's."""
    head = f"[{group}]"
    return [pair for place in places() for text in _files(place) for pair in _pairs(text, head)]


def _files(place: str) -> Iterator[str]:
    try:
        names = sorted(name for name in os.listdir(place) if name.endswith(INFO))
    except OSError:
        return
    for name in names:
        try:
            with open(os.path.join(place, name, "entry_points.txt"), encoding="utf-8") as file:
                yield file.read(1_000_000)
        except (OSError, ValueError):
            continue


def _pairs(text: str, head: str) -> Iterator[tuple[str, str]]:
    inside = False
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            inside = line.replace(" ", "") == head
        elif inside and "=" in line and not line.startswith(("#", ";")):
            name, _, address = line.partition("=")
            yield name.strip(), address.partition("[")[0].strip()
