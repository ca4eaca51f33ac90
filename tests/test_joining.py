"""A node holds what the store knows that it holds."""

from __future__ import annotations

import pytest

from jobrunner.clock import SECOND
from jobrunner.errors import StateError
from tests.desk import House, live
from tests.fakes import a_job


def test_definitions_that_could_not_be_registered_are_not_held_and_the_old_ones_go_on(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = a_job(environments=("prod",)), a_job("new")
    desk = house.open(old, a_job("other"))

    def full(*_: object) -> None:
        raise StateError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(desk.store, "register", full)
        with pytest.raises(StateError):
            desk.adopt(new)
    assert [job.name for job in desk.scheduler.held] == ["job", "other"]
    assert desk.scheduler.job("new") is None
    assert dict(desk.scheduler.gates) == {"job": "environment"}
    live(desk, 61 * SECOND)
    assert desk.ledger("other") == ["1 succeeded"]
    assert desk.ledger("job") == ["1 skipped/environment"]
