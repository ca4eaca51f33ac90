"""Secrets on their way from the environment to a run, and what the node hides of what a run says."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from jobrunner.clock import MINUTE
from jobrunner.masking import masker_of
from jobrunner.model import Outcome
from tests.desk import Desk
from tests.fakes import FakeClock, a_job
from tests.place import Place

SECRET = "correct-horse"


@pytest.fixture
def desk(place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setenv("MAIL_PASSWORD", SECRET)
    desk = Desk(place, [a_job(hooks={"on_start": ":begun"})], FakeClock())
    desk.dispatcher.adopt(desk.settings, frozenset(), masker_of(desk.settings))
    yield desk
    desk.store.close()


def test_a_run_is_told_what_to_hide(desk: Desk) -> None:
    desk.turn(MINUTE)
    (spec,) = desk.executor.started
    assert SECRET in spec["secrets"]


def test_a_hook_is_told_what_to_hide(desk: Desk) -> None:
    desk.turn(MINUTE)
    (spec,) = desk.executor.hooks
    assert SECRET in spec["secrets"]


def test_a_node_hides_secrets_of_a_run_that_did_not(desk: Desk) -> None:
    desk.turn(MINUTE)
    said = {"at " + SECRET: [SECRET, 1]}
    (spec,) = desk.executor.started
    outcome = Outcome(state="succeeded", result=said, cursor=said, cursor_set=True)
    desk.executor.end(spec["runId"], outcome)
    desk.turn()
    (run,) = desk.runs()
    assert (run.state, run.result) == ("succeeded", {"at ***": ["***", 1]})
    (fact,) = desk.store.jobs()
    assert (fact.last_result, fact.cursor) == (run.result, run.result)
