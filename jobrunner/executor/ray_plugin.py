"""The executor `ray`: each run is a process on a machine of an existing Ray cluster."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from jobrunner.executor.plugin import Around, Family, Launcher, Options, Plugin, Read
from jobrunner.settings import readers

LARGEST = 32 * 1024  # bytes of a runtimeEnv as JSON: it goes with each run


def address(value: object) -> str:
    """Return the address of a cluster that is there already."""
    found = readers.text(value)
    if found == "local":
        raise ValueError("starts a cluster, and is not the address of one")
    return found


def amount(value: object) -> float:
    """Return a number that is not negative."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 2**31:
        return value
    raise ValueError("is not a number of at least 0")


def amounts(value: object) -> dict[str, float]:
    """Return how much of each resource."""
    try:
        return {name: amount(each) for name, each in readers.mapping(value).items()}
    except ValueError:
        raise ValueError('is not a mapping of resources to numbers, such as {"special": 1}') from None


def environment(value: object) -> dict[str, Any]:
    """Return a runtime environment, which only Ray can judge in full."""
    found = readers.mapping(value)
    if len(json.dumps(found)) > LARGEST:
        raise ValueError("is longer than 32 KiB of JSON")
    return found


class Ray(Plugin):
    """`address` is that of the cluster; the others are Ray's `num_cpus` and so on, for each run."""

    options: Mapping[str, Read] = {
        "address": address,
        "numCpus": amount,
        "numGpus": amount,
        "resources": amounts,
        "runtimeEnv": environment,
    }

    def missing(self) -> tuple[str, str] | None:
        """Say that Ray is not installed, where it is not; it is not imported here."""
        if find_spec("ray") is not None:
            return None
        return (
            "which needs the package ray, and that is not installed",
            'pip install "jobrunner-cli[ray]"',
        )

    def apart(self, options: Options) -> str:
        """Return the cluster: each has a bridge of its own."""
        return str(options.get("address", ""))

    def launcher(self, family: Family, around: Around) -> Launcher:
        """Return what starts a bridge."""
        from jobrunner.executor.ray_launcher import BridgeLauncher

        return BridgeLauncher(family, around)
