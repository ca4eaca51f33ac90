"""Other versions of this program: an earlier one as its users had it, and one that is yet to be written."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from filelock import FileLock

from jobrunner.store.schema import MIGRATIONS
from tests.docs.pages import ROOT

PIP = [sys.executable, "-m", "pip", "--no-input", "--disable-pip-version-check", "-qq"]
LATER = "-- min_reader: {}\nALTER TABLE runs ADD COLUMN mood TEXT;\nALTER TABLE nodes ADD COLUMN mood TEXT;\n"


class Versions:
    """Each is a folder that a Python finds the package in, made once, whoever asks for it: for PYTHONPATH."""

    def __init__(self, shelf: Path) -> None:
        self._shelf = shelf

    def earlier(self, commit: str) -> str:
        """Return the version of a commit, built and installed."""
        made = self._shelf / commit
        with FileLock(f"{made}.lock"):
            if not made.exists():
                self._install(_sources(commit, self._shelf / f"{commit}-sources"), made)
        return str(made)

    def later(self, min_reader: int) -> str:
        """Return this version with one more migration, which adds what nobody needs."""
        made = self._shelf / f"later-{min_reader}"
        with FileLock(f"{made}.lock"):
            if not made.exists():
                draft = self._shelf / f"later-{min_reader}-draft"
                shutil.copytree(
                    ROOT / "jobrunner", draft / "jobrunner", ignore=shutil.ignore_patterns("*.pyc")
                )
                for folder in (draft / Path(MIGRATIONS).relative_to(ROOT)).iterdir():
                    number = int(max(folder.glob("*.sql")).name[:4]) + 1
                    (folder / f"{number:04}_moods.sql").write_text(LATER.format(min_reader), "utf-8")
                draft.rename(made)
        return str(made)

    def _install(self, sources: Path, folder: Path) -> None:
        wheels, draft = self._shelf / f"{folder.name}-wheels", self._shelf / f"{folder.name}-draft"
        _run(*PIP, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(wheels), str(sources))
        _run(*PIP, "install", "--no-deps", "--target", str(draft), *map(str, wheels.glob("*.whl")))
        draft.rename(folder)


def _sources(commit: str, folder: Path) -> Path:
    """Return a folder with the files of a commit."""
    known = subprocess.run(
        ["git", "cat-file", "-e", f"{commit}^{{commit}}"], cwd=ROOT, capture_output=True, check=False
    )
    if known.returncode:
        pytest.fail(
            f"Commit {commit}, an earlier version that this test starts, is not in this clone:"
            " git fetch --unshallow",
            pytrace=False,
        )
    packed = subprocess.run(["git", "archive", commit], cwd=ROOT, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", None)  # 3.11.4
        archive.extractall(folder)
    return folder


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command} failed:\n{done.stdout}{done.stderr}"
