"""A claim of a job that its node has just lost: it is given back, whatever the state does meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from jobrunner.clock import MINUTE
from jobrunner.errors import StateError
from jobrunner.model import Job
from jobrunner.store.faults import fault
from tests.desk import Desk, House
from tests.fakes import a_job


class Trouble:
    """The transactions of a store, of which the one after the next fails before it begins."""

    def __init__(self, whole: Callable[[], AbstractContextManager[None]]) -> None:
        self._whole = whole
        self._left = 2

    def __call__(self) -> AbstractContextManager[None]:
        self._left -= 1
        if self._left == 0:
            raise fault("away", "the state is away")
        return self._whole()


def _renamed(desk: Desk, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on the node knows no such job."""
    known = desk.scheduler.job
    found: Callable[[str], Job | None] = lambda asked: None if asked == name else known(asked)  # noqa: E731
    monkeypatch.setattr(desk.scheduler, "job", found)


def test_a_claim_that_cannot_be_given_back_at_once_holds_up_no_other_and_is_given_back_later(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = house.open(a_job("gone"), a_job("held"))
    _renamed(desk, "gone", monkeypatch)
    monkeypatch.setattr(desk.store, "transaction", Trouble(desk.store.transaction))
    for advance in (MINUTE, 0, 0):
        try:
            desk.turn(advance)
        except StateError as error:
            assert error.code == "away"
    assert [spec["job"] for spec in desk.executor.started] == ["held"]
    assert [(run.job, run.state) for run in desk.runs()] == [("gone", "failed"), ("held", "running")]
    (given_back,) = desk.runs("failed")
    assert given_back.error is not None
    assert given_back.error["type"] == "NotHeld"
