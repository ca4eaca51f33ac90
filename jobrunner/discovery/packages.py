"""Installed packages that bring jobs: the entry point group `jobrunner.jobs`, whose values are packages."""

# ruff: noqa: PTH112  (paths are text here: pathlib costs time)

from __future__ import annotations

import os

from jobrunner import installed

GROUP = "jobrunner.jobs"


def job_packages() -> dict[str, str | None]:
    """Return package -> its folder, None where it cannot be found, for each package that says it has jobs."""
    values = {address.partition(":")[0] for _, address in installed.entry_points(GROUP)}
    return {value: _folder(value) for value in sorted(values)}


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
