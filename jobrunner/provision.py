"""What the project itself brings into a container: `services:` and services.py."""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from jobrunner.container import Container
from jobrunner.errors import ConfigError
from jobrunner.loading import load_root_file, make_importable
from jobrunner.provider import Target
from jobrunner.wire import RunSpec

SERVICES = "services.py"


class Project:
    """Registered once a process; `virtualize` is called before each body."""

    def __init__(self, root: Container, spec: RunSpec) -> None:
        make_importable(spec["root"])
        self._root = root
        root.provide("config", spec["config"])
        root.provide("settings", spec["settings"])
        self._logger_made = False
        root.register("logger", self._logger, "singleton")
        self._spec = spec
        register_services(root, spec["services"])
        self._module = load_services(spec["root"])
        register = getattr(self._module, "register", None)
        if register is not None:
            self._finish(register(root))

    def virtualize(self, container: Container, params: dict[str, Any]) -> None:
        """Let services.py act for a user or tenant: it may register, and change the params."""
        hook = getattr(self._module, "virtualize", None)
        if hook is not None:
            self._finish(hook(container, params))

    def turn_to(self, spec: RunSpec) -> None:
        """Another run begins: the logger stamps its records with that."""
        self._spec = spec
        if self._logger_made:
            self._logger()

    def _logger(self) -> Any:
        """Make `logger` when first asked for; of the process, not of one run, so singletons may keep it."""
        import logging  # noqa: F401  (first: whoever waits for this imports ours)

        from jobrunner.logger import job_logger

        self._logger_made = True
        return job_logger(self._spec["job"], self._spec["runId"])

    def _finish(self, returned: Any) -> None:
        if hasattr(returned, "__await__"):
            self._root.settle(returned)


def register_services(container: Container, services: Mapping[str, Any]) -> None:
    """Register the `services:` of jobrunner.yaml: `name: package.module:factory`, or a mapping.

    A mapping has factory, lifetime, args. Factories are imported when they are first needed. Raises
    ConfigError for anything else.
    """
    for name, said in services.items():
        entry = {"factory": said} if isinstance(said, str) else said
        if not isinstance(entry, dict) or not isinstance(entry.get("factory"), str):
            raise ConfigError(f"services: {name}: no factory", hint="write package.module:factory")
        unknown = sorted(set(entry) - {"factory", "lifetime", "args"})
        if unknown:
            raise ConfigError(f"services: {name}: unknown key {unknown[0]!r}", hint="factory, lifetime, args")
        target = Target(entry["factory"])
        container.register(name, target, entry.get("lifetime", "scoped"), args=entry.get("args"))


def load_services(root: str) -> ModuleType | None:
    """Import services.py of the project root as `services`, by its path; None when there is none.

    Raises what the file raises.
    """
    path = os.path.join(root, SERVICES)
    if not (os.access(path, os.F_OK) and os.path.isfile(path)):  # noqa: PTH113  (the first raises nothing)
        return None
    return load_root_file(root, SERVICES)
