"""Small JSON files under .jobrunner/cache, which may be lost, damaged or forged without harm.

A file is used only if it is ours, private and whole (checksum); otherwise it does not exist for us.
Writing is atomic, and silently not done where the folder cannot be written.
"""

# ruff: noqa: PTH102, PTH105, PTH108, PTH112  (paths are text here: pathlib costs time)

from __future__ import annotations

import json
import os
import stat
import zlib
from contextlib import suppress
from typing import Any

LARGEST = 1 << 29
FOLDER = ".jobrunner"


class Cache:
    """The cache of one project."""

    def __init__(self, project: str) -> None:
        self._home = os.path.join(project, FOLDER)
        self._folder = os.path.join(self._home, "cache")

    def read(self, name: str) -> dict[str, Any] | None:
        """Return what was written under a name, or None."""
        try:
            data = self._bytes(os.path.join(self._folder, name))
            if data is None or zlib.crc32(data[9:]) != int(data[:8], 16):
                return None
            found = json.loads(data[9:])
        except (OSError, ValueError, RecursionError, MemoryError):
            return None
        return found if isinstance(found, dict) else None

    @staticmethod
    def _bytes(path: str) -> bytes | None:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            facts = os.fstat(descriptor)
            ours = stat.S_ISREG(facts.st_mode) and facts.st_uid == os.geteuid() and not facts.st_mode & 0o022
            return file.read() if ours and facts.st_size < LARGEST else None

    def write(self, name: str, value: dict[str, Any], *, worth: bool) -> None:
        """Keep `value` under a name, if it is `worth` a folder of its own or that is there already."""
        if not (worth or os.path.isdir(self._home)):
            return
        body = json.dumps(value, separators=(",", ":")).encode()
        with suppress(OSError):
            self._make()
            self._replace(os.path.join(self._folder, name), b"%08x\n" % zlib.crc32(body) + body)

    def _make(self) -> None:
        """Make the folders, private and ignored by git, as the state file's home must be."""
        if not os.path.isdir(self._home):
            os.mkdir(self._home, 0o700)
            with open(os.path.join(self._home, ".gitignore"), "w", encoding="ascii") as file:
                file.write("*\n")
        if not os.path.isdir(self._folder):
            os.mkdir(self._folder, 0o700)

    @staticmethod
    def _replace(path: str, data: bytes) -> None:
        temporary = f"{path}.{os.getpid()}"
        with suppress(FileNotFoundError):  # of one that was killed: in a container all have the same pid
            os.unlink(temporary)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with open(descriptor, "wb") as file:
                file.write(data)
            os.replace(temporary, path)
        except OSError:
            os.unlink(temporary)
            raise
