"""The store of examples/store as a module, without being installed."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

EXAMPLE = Path(__file__).parents[2] / "examples" / "store"
NAME = "jobrunner_plainsqlite"


def module() -> Any:
    """Return it, freshly loaded: who changes it changes it for itself."""
    spec = importlib.util.spec_from_file_location(NAME, EXAMPLE / f"{NAME}.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules[NAME] = made
    try:
        spec.loader.exec_module(made)
    finally:
        del sys.modules[NAME]
    return made
