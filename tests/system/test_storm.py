from __future__ import annotations

from pathlib import Path

import pytest

from tests.lifecycle.machines.work import Size, storm
from tests.system.storm import MACHINES, apart


@pytest.mark.timeout(400)
def test_nothing_is_lost_or_doubled_on_machines_that_are_cut_off(tmp_path: Path) -> None:
    size = Size(seconds=40, jobs=0.2, lease=4.0)
    with apart(MACHINES, fsync=False) as (server, ground):
        verdict = storm(tmp_path / "storm", server, ground, size, seed=7)
    assert verdict.wrong == [], str(verdict)
    assert verdict.bodies > 100, str(verdict)
    assert verdict.faults["cut"] > 0
    assert verdict.faults["kill"] > 0
