from __future__ import annotations

from pathlib import Path

import pytest

from tests.lifecycle.whole_ledger import storm


@pytest.mark.timeout(400)
def test_whatever_happens_each_due_occurrence_is_in_the_ledger_once(tmp_path: Path) -> None:
    verdict = storm(tmp_path / "storm", jobs=39, seconds=20, seed=11)
    assert verdict.wrong == [], str(verdict)
    assert len(verdict.events) >= 6
    assert verdict.bodies > 100
