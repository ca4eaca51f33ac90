"""The node's end of the bridge to a Ray cluster: nothing of Ray is imported here."""

from __future__ import annotations

from typing import Any

from jobrunner.executor.helper import HelperLauncher
from jobrunner.executor.plugin import Options
from jobrunner.wire import Frame


class BridgeLauncher(HelperLauncher):
    """A bridge, and runs beyond it."""

    MODULE = "jobrunner.executor.ray_bridge"
    CALLED = "the bridge to the Ray cluster"
    START_LIMIT = 30.0
    ready_limit = None  # the cluster may have no room for a while
    remote = True
    LEASH = 30.0  # seconds that a run lives on which the bridge cannot reach

    def _order(self, number: int, options: Options) -> Frame:
        return {"fork": number, "options": dict(options)}

    def _hear(self, frame: Frame) -> None:
        super()._hear(frame)
        if frame.get("leaving"):
            self._collapse()

    def _first_words(self) -> dict[str, Any]:
        return {"lock": self._around.lock_path, "leash": self.LEASH}
