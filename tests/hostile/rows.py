"""What a row is: a hostile file, and what `check` and `ls` must say of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

Make = Callable[[Path], object]
DEFAULT = "def default(): return 1\n"


class Row(NamedTuple):
    """A file below jobs/. `said` are words of its problem; None: it is a job like any other, called `name`.

    `line` 0: whatever line. `proved`: only `check`, which executes files, finds it; for `ls` it is a job.
    """

    file: str
    make: bytes | str | Make
    said: str | None
    line: int | None = 0
    name: str = ""
    proved: bool = False

    def write(self, jobs: Path) -> None:
        """Make the file."""
        path = jobs / self.file
        path.parent.mkdir(parents=True, exist_ok=True)
        if callable(self.make):
            self.make(path)
        else:
            path.write_bytes(self.make if isinstance(self.make, bytes) else self.make.encode())

    @property
    def shown(self) -> str:
        """The file as messages name it."""
        shown = f"jobs/{self.file}"
        return shown if shown.isprintable() else ascii(shown)[1:-1]


def computed(name: str, body: str, said: str | None, line: int | None = 0, *, after: str = "") -> Row:
    """Return a file whose config must be imported: `body` is executed before, `after` after it."""
    text = f"import os, sys, time\n{body}\nconfig = dict(name={name!r}, schedule=None)\n{DEFAULT}{after}\n"
    return Row(f"{name}.py", text, said, line, name)


def literal(name: str, said: str | None, line: int | None = 1, head: str = DEFAULT, **config: Any) -> Row:
    """Return a file with a plain config."""
    full = {"name": name, "schedule": None, **config}
    return Row(f"{name}.py", f"config = {full!r}\n{head}", said, line, name)


def named(file: str, name: object) -> Row:
    """Return a file whose job has a name that is refused."""
    return Row(f"{file}.py", f'config = {{"schedule": None,\n"name": {name!r}}}\n{DEFAULT}', "name is", 2)


def text(file: str, source: str | bytes, said: str | None, line: int | None = 0, name: str = "") -> Row:
    """Return a file of this text."""
    return Row(f"{file}.py", source, said, line, name)


def at(file: str, make: Make, said: str | None) -> Row:
    """Return something that is no plain file."""
    return Row(file, make, said, None)


def link(target: str) -> Make:
    """Return what makes a link."""
    return lambda path: os.symlink(target, path)


def jobs_of(rows: Mapping[str, Row]) -> list[str]:
    """Return the names of those that are jobs."""
    return sorted(row.name for row in rows.values() if row.said is None)
