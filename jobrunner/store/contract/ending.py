"""The end of runs: only by whom they belong to, once, and with what the job remembers."""
# ruff: noqa: D102  # the titles are the promises

from __future__ import annotations

from typing import Any

from jobrunner.clock import to_iso
from jobrunner.errors import StateError
from jobrunner.facts import JobFacts
from jobrunner.model import Outcome
from jobrunner.store.base import Claim
from jobrunner.store.contract.things import Bench, at, make_node, raises

ERROR = {"type": "E", "message": "m", "traceback": "t", "phase": "body"}


class Ending(Bench):
    """begun, progress, stall, finish, recover."""

    def test_a_finished_run_keeps_all_that_it_said(self) -> None:
        claim = self._running()
        how = Outcome(state="succeeded", result={"n": [1.5, "é", None]}, truncated=True, file_hash="f")
        assert self.store.finish(claim.run, how, 77, at(9))
        run = self.store.run(claim.run.id)
        assert run is not None
        assert (run.state, run.result, run.truncated, run.file_hash) == ("succeeded", how.result, True, "f")
        assert (run.log_bytes, run.finished_at, run.owner) == (77, at(9), "a")

    def test_a_failure_keeps_its_error_and_a_skip_its_reason(self) -> None:
        failed, skipped = self._running(), self._running()
        self.end(failed, state="failed", error=ERROR)
        self.end(skipped, state="skipped", reason="body")
        assert [(run.error, run.reason) for run in self.rows()] == [(ERROR, None), (None, "body")]

    def test_a_run_ends_once(self) -> None:
        claim = self._running()
        assert self.end(claim)
        assert not self.end(claim, state="failed", error=ERROR)
        assert self.rows()[0].state == "succeeded"
        assert self._facts().consecutive_failures == 0

    def test_only_its_owner_ends_a_run(self) -> None:
        self._is_refused(owner="b")

    def test_only_the_attempt_that_runs_ends_a_run(self) -> None:
        self._is_refused(attempt=2)

    def test_only_the_claim_that_runs_ends_a_run(self) -> None:
        self._is_refused(fence=99)

    def test_a_node_taken_for_dead_cannot_end_its_run_any_more(self) -> None:
        claim = self._running()
        assert self.store.has_runs("a") and not self.store.has_runs("b")
        self.store.recover("a", at(8))
        assert not self.store.has_runs("a")
        assert not self.end(claim, result="late")
        assert (self.rows()[0].state, self.rows()[0].result) == ("lost", None)

    def test_a_run_cannot_end_in_a_state_that_is_no_end(self) -> None:
        claim = self._running()
        with raises(StateError, code="rule"):
            self.end(claim, state="running")
        assert self.rows()[0] == claim.run

    # -- what the job remembers ----------------------------------------------------------------------

    def test_a_success_is_remembered_and_ends_the_failures_in_a_row(self) -> None:
        self.end(self._running(), 5, state="failed", error=ERROR)
        self.end(self._running(), 6, result=[1])
        facts = self._facts()
        assert (facts.last_state, facts.last_result, facts.last_error) == ("succeeded", [1], ERROR)
        assert (facts.last_finished_at, facts.last_success_at, facts.last_failure_at) == (at(6), at(6), at(5))
        assert facts.consecutive_failures == 0

    def test_failures_time_outs_and_losses_are_failures_in_a_row(self) -> None:
        self.end(self._running(), 4, result="kept")
        self.end(self._running(), 5, state="failed", error=ERROR)
        self.end(self._running(), 6, state="timed_out", error=ERROR)
        self._running()
        self.lose(7)
        facts = self._facts()
        assert (facts.consecutive_failures, facts.last_state) == (3, "lost")
        assert (facts.last_success_at, facts.last_failure_at, facts.last_result) == (at(4), at(7), "kept")
        assert facts.last_error is not None
        assert facts.last_error["type"] == "Lost"

    def test_a_cancelled_or_skipped_run_says_nothing_about_failures(self) -> None:
        self.end(self._running(), 5, state="failed", error=ERROR)
        self.end(self._running(), 6, state="canceled", reason="shutdown")
        self.end(self._running(), 7, state="skipped", reason="body")
        facts = self._facts()
        assert (facts.consecutive_failures, facts.last_state, facts.last_finished_at) == (1, "skipped", at(7))
        assert (facts.last_failure_at, facts.last_error) == (at(5), ERROR)

    # -- on the way ----------------------------------------------------------------------------------

    def test_the_first_sign_that_a_body_began_is_kept(self) -> None:
        run = self._running().run
        self.store.begun(run.id, "a", 77, at(3))
        self.store.begun(run.id, "a", 78, at(4))
        assert self.rows()[0].began_at == at(3)

    def test_how_a_body_began_may_be_told_with_its_end(self) -> None:
        first, second = self._running().run, self._running().run
        self.store.begun(first.id, "a", 77, at(3))
        for run in (first, second):
            assert self.store.finish(run, Outcome(state="succeeded"), 0, at(5), begun=(78, at(4)))
        assert [(run.began_at, run.pid) for run in self.rows()] == [(at(3), 78), (at(4), 78)]

    def test_a_body_begins_only_for_its_owner_and_while_it_runs(self) -> None:
        first, second = self._running(), self._running()
        self.store.begun(first.run.id, "b", 77, at(3))
        self.end(second)
        self.store.begun(second.run.id, "a", 77, at(4))
        assert [run.began_at for run in self.rows()] == [None, None]

    def test_progress_is_stored_while_the_run_is_ours(self) -> None:
        claim = self._running()
        run = claim.run
        assert self.store.progress(run.id, "a", 1, {"value": 3}, at(3))
        assert not self.store.progress(run.id, "b", 1, {"value": 4}, at(3))
        assert not self.store.progress(run.id, "a", 2, {"value": 5}, at(3))
        self.end(claim)
        assert not self.store.progress(run.id, "a", 1, {"value": 6}, at(3))
        assert self.rows()[0].progress == {"value": 3}

    def test_a_running_run_of_ours_can_be_marked_as_silent_and_as_alive_again(self) -> None:
        run = self._running().run
        self.store.stall(run.id, "b", True)
        assert not self._stalled(run.id)
        self.store.stall(run.id, "a", True)
        assert self._stalled(run.id)
        self.store.stall(run.id, "a", False)
        assert not self._stalled(run.id)

    def test_a_run_that_has_ended_is_silent_no_more(self) -> None:
        claim = self._running()
        self.store.stall(claim.run.id, "a", True)
        self.end(claim)
        self.store.stall(claim.run.id, "a", True)
        assert not self._stalled(claim.run.id)

    # -- the dead ------------------------------------------------------------------------------------

    def test_a_dead_nodes_runs_are_lost_and_say_whether_they_began(self) -> None:
        first, second = self._running().run, self._running().run
        self.store.begun(second.id, "a", 77, at(3))
        lost = self.store.recover("a", at(8))
        assert lost == self.rows()
        assert [(run.id, run.state, run.finished_at) for run in lost] == [
            (first.id, "lost", at(8)), (second.id, "lost", at(8))
        ]  # fmt: skip
        frame = {"type": "Lost", "traceback": "", "phase": "body"}
        assert lost[0].error == {**frame, "message": "no sign that the body began"}
        assert lost[1].error == {**frame, "message": f"began at {to_iso(at(3))}"}

    def test_a_lost_run_is_silent_no_more(self) -> None:
        run = self._running().run
        self.store.stall(run.id, "a", True)
        self.store.recover("a", at(8))
        assert not self._stalled(run.id)

    def test_of_two_that_recover_a_node_one_gets_the_runs(self) -> None:
        self._running()
        assert len(self.again().recover("a", at(8))) == 1
        assert self.store.recover("a", at(9)) == []
        assert len(self.rows()) == 1

    def test_recovering_removes_the_node_and_leaves_others_alone(self) -> None:
        self.store.join(make_node("b"))
        self._running()
        assert self.store.recover("b", at(8)) == []
        assert [node.owner for node in self.store.nodes()] == ["a"]
        assert self.rows()[0].state == "running"

    def test_pending_runs_of_a_dead_node_are_left_for_others(self) -> None:
        self.enqueue(self.loose, 5)
        self.store.recover("a", at(8))
        self.store.join(make_node("b"))
        self.register(self.loose, owner="b")
        assert len(self.claim(node=make_node("b"))) == 1

    def _running(self) -> Claim:
        job, standing = self.loose, self.standing()
        self.enqueue(job, (standing.consumed - at(0)) // 1_000_000 + 1)
        return self.claim()[0]

    def _stalled(self, run_id: int) -> bool:
        found = self.store.run(run_id)
        assert found is not None
        return found.stalled

    def _is_refused(self, **other: Any) -> None:
        claim = self._running()
        assert not self.end(claim._replace(run=claim.run._replace(**other)))
        assert self.rows()[0] == claim.run

    def _facts(self) -> JobFacts:
        found = self.store.job("tick")
        assert found is not None
        return found
