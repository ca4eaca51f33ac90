"""Entries for all files of a walk: kept where the content is the same, read anew elsewhere."""

from __future__ import annotations

from collections.abc import Mapping

from jobrunner.clock import Instant
from jobrunner.discovery.entries import Entry, entries
from jobrunner.discovery.files import Found, digest
from jobrunner.discovery.walk import STAMP, Scan
from jobrunner.settings import Settings


class Refresh:
    """One pass over a walk's files."""

    def __init__(self, settings: Settings, scan: Scan, now: Instant) -> None:
        self._settings = settings
        self._scan = scan
        self._now = now
        self._digests: dict[str, str | None] = {}

    def entries(self, kept: Mapping[str, Entry], noted: Mapping[str, list[int]]) -> list[Entry]:
        """Return an entry for each file, in the walk's order.

        `kept` are entries by path, `noted` the stamps that they hold for without reading the file.
        """
        known = {path: kept[path] for i, path in enumerate(self._scan.paths) if path in kept
                 and self._holds(kept[path], noted.get(path), i)}  # fmt: skip
        new = [found for found in self._found() if found.path not in known]
        for entry in entries(new, self._settings, self._now):
            known[entry["path"]] = entry
        return [known[path] for path in self._scan.paths]

    def _found(self) -> list[Found]:
        found, start = [], 0
        for folder, end in self._scan.ends:
            found += [Found(path, folder, self._settings.project) for path in self._scan.paths[start:end]]
            start = end
        return found

    def _holds(self, entry: Entry, noted: list[int] | None, i: int) -> bool:
        if entry["expires"] is not None and self._now >= entry["expires"]:
            return False
        same = noted == list(self._scan.stamps[STAMP * i : STAMP * i + STAMP])
        content = same or self._digest(entry["path"]) == entry["hash"]
        return content and all(self._digest(path) == known for path, known in entry["files"].items())

    def _digest(self, path: str) -> str | None:
        if path not in self._digests:
            self._digests[path] = digest(path)
        return self._digests[path]
