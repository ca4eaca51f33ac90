"""Installed packages that bring jobs: the entry point group `jobrunner.jobs`, whose values are packages.

importlib.metadata would take 20 ms to import for what is a line in a text file, so the files are read
here, and only again when a folder of `sys.path` has changed. No package is imported to find it.
"""

# ruff: noqa: PTH109, PTH112  (paths are text here: pathlib costs time)

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

GROUP = "[jobrunner.jobs]"
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


def job_packages() -> dict[str, str | None]:
    """Return package -> its folder, None where it cannot be found, for each package that says it has jobs."""
    values = (value for place in places() for text in _entry_points(place) for value in _values(text))
    return {value: _folder(value) for value in sorted(set(values))}


def _entry_points(place: str) -> Iterator[str]:
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


def _values(text: str) -> Iterator[str]:
    inside = False
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            inside = line.replace(" ", "") == GROUP
        elif inside and "=" in line and not line.startswith(("#", ";")):
            yield line.partition("=")[2].partition("[")[0].strip().partition(":")[0]


def _folder(package: str) -> str | None:
    from importlib.util import find_spec

    top, *rest = package.split(".")
    try:
        spec = find_spec(top)
    except (ImportError, ValueError, AttributeError):
        return None
    for location in (spec.submodule_search_locations or ()) if spec else ():
        folder = os.path.join(os.path.abspath(location), *rest)
        if os.path.isdir(folder):
            return folder
    return None
