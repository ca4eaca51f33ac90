"""A wall clock of a process's own, through libfaketime; other clocks of the process go right."""

from __future__ import annotations

import itertools
from pathlib import Path

# the library refuses to sleep until a moment of the monotonic clock (0.9.10), which is what Python asks for
MENDED = (
    "import select\nimport time\n\ntime.sleep = lambda seconds: select.select([], [], [], seconds) and None\n"
)
PLACES = ("usr/lib/*/faketime/libfaketime.so.1", "usr/lib*/faketime/libfaketime.so.1")


class WallClock:
    """The wall clock of the processes that are started with `environment`.

    It is `offset` seconds ahead of the system's, and set by `set`, while they run, too.
    """

    def __init__(self, folder: Path, offset: float = 0.0) -> None:
        self._file = folder / "faketime"
        self._mends = folder / "mends"
        self._mends.mkdir()
        (self._mends / "sitecustomize.py").write_text(MENDED, "ascii")
        self.set(offset)

    def set(self, offset: float) -> None:
        """Set the clock that many seconds ahead of the system's, or behind."""
        draft = self._file.with_suffix(".draft")
        draft.write_text(f"{offset:+.6f}\n", "ascii")
        draft.replace(self._file)  # at once: a reader sees the one or the other

    @property
    def environment(self) -> dict[str, str]:
        """Return what to add to a child's environment."""
        return {
            "LD_PRELOAD": str(_library()),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",  # else it looks into the file every ten seconds
            "DONT_FAKE_MONOTONIC": "1",
            "PYTHONPATH": str(self._mends),
        }


def _library() -> Path:
    found = itertools.chain.from_iterable(Path("/").glob(place) for place in PLACES)
    return next(found)
