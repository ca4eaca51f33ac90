"""What is logged gets into the run's log from the moment on in which somebody imports `logging`.

Not before: it brings `threading` along, and both together would make each fork a fifth dearer for bodies that
only print.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any


def hear_logging() -> None:
    """See to it, once a process; what it forks needs it no more."""
    if _Finder.there:
        return
    _Finder.there = True
    if "logging" in sys.modules:
        _hear()
    else:
        sys.meta_path.insert(0, _Finder())


def _hear() -> None:
    from jobrunner.logger import hear_all

    hear_all()


class _Finder:
    """Knows one module, and is gone when that was asked for."""

    there = False

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != "logging":
            return None
        sys.meta_path.remove(self)
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Heard(spec.loader)  # type: ignore[assignment]  # to derive it costs tempfile, pathlib
        return spec


class _Heard:
    """Loads as another one does, and then has the run listen."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        module: ModuleType | None = self._loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        _hear()
