"""What people do to running nodes from another process, on the command line."""

from __future__ import annotations

import json
from typing import Any

from tests.lifecycle.project import Project


class Desk:
    """The verbs of control."""

    def __init__(self, project: Project) -> None:
        self._project = project

    def _do(self, *args: str, check: int | None = 0) -> int:
        return self._project.run(*args, check=check).returncode

    def cancel(self, run_id: int) -> None:
        self._do("cancel", str(run_id))

    def cancel_job(self, name: str) -> None:
        self._do("cancel", "--job", name)

    def cancel_all(self) -> None:
        self._do("cancel", "--all", "--yes")

    def pause(self) -> None:
        self._do("pause")

    def resume(self) -> None:
        self._do("resume")

    def disable(self, name: str) -> None:
        self._do("disable", name)

    def enable(self, name: str) -> None:
        self._do("enable", name)

    def set(self, name: str, **keys: Any) -> None:
        self._do("set", name, *(f"{key}={json.dumps(value)}" for key, value in keys.items()))

    def unset(self, name: str, *keys: str) -> None:
        self._do("set", name, *(word for key in keys for word in ("--unset", key)))

    def reset(self, name: str) -> None:
        self._do("reset", name)

    def forget(self, name: str) -> int:
        """Return the exit code: 4 is a refusal."""
        return self._do("forget", name, check=None)
