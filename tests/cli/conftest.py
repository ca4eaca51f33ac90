from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.cli.house import House


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> House:
    for name in os.environ:
        if name.startswith("JOBRUNNER_") or name in ("NO_COLOR", "FORCE_COLOR"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JOBRUNNER_TIMEZONE", "UTC")
    return House(tmp_path, capsys)
