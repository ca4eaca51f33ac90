"""The launcher that has a zygote fork the children."""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from jobrunner.executor.birth import ZYGOTE
from jobrunner.executor.helper import HelperLauncher
from jobrunner.executor.plugin import Around, Family, Launcher
from jobrunner.wire import Frame

PRELOAD_LIMIT = 5.0  # seconds that one package may take to import
RUNTIME = ("jobrunner.body",)  # what every run needs, imported before the fork


class Preloader(Launcher, Protocol):
    """A launcher that may have imported packages before it is asked for children."""

    skipped: dict[str, str]  # those that it could not, and why


class ZygoteLauncher(HelperLauncher, Preloader):
    """A zygote and its children. What lies in the project is never preloaded."""

    MODULE = ZYGOTE
    CALLED = "its zygote"

    def __init__(
        self,
        family: Family,
        around: Around,
        *,
        preload: Sequence[str] = (),
        skipped: Mapping[str, str] | None = None,
        runtime: Sequence[str] = RUNTIME,
    ) -> None:
        super().__init__(family, around)
        self.skipped = dict(skipped or {})
        self._preload = [*runtime, *(name for name in preload if name not in self.skipped)]
        self._runtime = len(runtime)
        self._importing: str | None = None
        self._deadline = self._clock() + 2 * PRELOAD_LIMIT  # the interpreter starts too

    def _first_words(self) -> dict[str, Any]:
        paths = sysconfig.get_paths()
        return {
            **super()._first_words(),
            "preload": self._preload,
            "runtime": self._runtime,
            "project": self._around.project,
            "packages": sorted({sys.prefix, *(paths[name] for name in ("purelib", "platlib", "stdlib"))}),
        }

    def _hear_more(self, frame: Frame) -> None:
        if "preloading" in frame:
            self._importing = frame["preloading"]
            self._deadline = self._clock() + PRELOAD_LIMIT
        elif "preloaded" in frame:
            if frame["problem"]:
                self._blame(frame["problem"])
            self._importing = None
        elif "threaded" in frame:
            self._blame("starts a thread when it is imported")

    def _late(self) -> str | None:
        self._blame(f"takes longer than {PRELOAD_LIMIT:g} s to import")
        return None

    def _dead(self) -> None:
        self._blame("kills the process that imports it")

    def _blame(self, problem: str) -> None:
        if self._importing is not None:
            self.skipped[self._importing] = problem
            self._importing = None
