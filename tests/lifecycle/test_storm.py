from __future__ import annotations

import pytest

from tests.lifecycle.project import Project
from tests.lifecycle.storm import storm


@pytest.mark.timeout(400)
def test_nodes_dying_all_the_time_lose_and_double_nothing(project: Project) -> None:
    verdict = storm(project, nodes=4, jobs=30, seconds=15, kill_every=3, seed=7)
    assert verdict.wrong == [], str(verdict)
    assert verdict.kills >= 4
    assert verdict.bodies > 100
