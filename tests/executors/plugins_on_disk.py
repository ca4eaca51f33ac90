"""Packages as they are installed, as far as it takes to be found."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import pytest


def offer(folder: Path, executors: Mapping[str, str], monkeypatch: pytest.MonkeyPatch | None = None) -> Path:
    """Install a distribution into a folder that offers these executors; returns its info folder."""
    info = folder / "offered-1.0.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    lines = "".join(f"{name} = {address}\n" for name, address in executors.items())
    (info / "entry_points.txt").write_text(f"[jobrunner.executors]\n{lines}")
    if monkeypatch is not None:
        monkeypatch.setattr(sys, "path", [*sys.path, str(folder)])
    return info
