from __future__ import annotations

import pytest

from tests.lifecycle.bank import bank
from tests.lifecycle.project import Project


@pytest.mark.timeout(300)
def test_exactly_once_transfers_keep_the_sum_and_are_applied_once_while_nodes_die(project: Project) -> None:
    verdict = bank(project, nodes=4, seconds=12, kill_every=1, seed=7)
    assert verdict.wrong == [], str(verdict)
    assert verdict.kills >= 8
    assert verdict.states["succeeded"] == verdict.transfers > 100
    assert verdict.conflicts > 0


@pytest.mark.sqlite  # it proves that check, not the store
@pytest.mark.timeout(300)
def test_the_same_transfers_at_least_once_do_not_pass_that_check(project: Project) -> None:
    verdict = bank(project, nodes=4, seconds=8, kill_every=1, seed=7, delivery="at-least-once")
    assert any("the sum is" in sentence for sentence in verdict.wrong), str(verdict)
