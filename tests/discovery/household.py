"""A project in a temporary folder, and the registry that is made of it."""

from __future__ import annotations

import os
from pathlib import Path
from textwrap import dedent
from typing import Any

from jobrunner import settings
from jobrunner.model import Problem
from jobrunner.registry import Registry

PLAIN = """
config = {{"name": "{name}", "schedule": "*/5 * * * *"}}


def default(container):
    return 1
"""


class Project:
    """Writes files and loads them; time limits of imports are short, UTC is the zone."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.jobs = root / "jobs"
        self.jobs.mkdir(parents=True)

    def write(self, name: str, text: str | bytes) -> Path:
        """Write a file below jobs/."""
        return write(self.jobs / name, text)

    def plain(self, name: str) -> Path:
        """Write a good job called `name`."""
        return self.write(f"{name}.py", PLAIN.format(name=name))

    def settings(self, **options: Any) -> settings.Settings:
        """Return the settings of this project."""
        limit = {"JOBRUNNER_IMPORT_LIMIT": options.pop("import_limit", "20")}
        given = {"project": str(self.root), "timezone": "UTC", **options}
        return settings.load(given, {"PATH": os.environ["PATH"], **limit})

    def load(self, **options: Any) -> Registry:
        """Return a fresh registry."""
        return Registry.load(self.settings(**options))

    def problem(self, file: str) -> Problem:
        """Return the only problem of a file."""
        found = [each for each in self.load().problems if each.file == f"jobs/{file}"]
        assert len(found) == 1, found
        return found[0]


def write(path: Path, text: str | bytes) -> Path:
    """Write a file and the folders above it; text is dedented."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else dedent(text).encode())
    return path
