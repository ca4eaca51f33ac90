"""Steps: what is done is not done again, and is taken back by an attempt of its own."""
# ruff: noqa: D102  # the titles are the promises

from __future__ import annotations

from typing import Any

from jobrunner.model import Job, Outcome, Run, Step
from jobrunner.store.base import Claim, Keep
from jobrunner.store.contract.things import Bench, at, make_job, make_node

ERROR = {"type": "E", "message": "m", "traceback": "", "phase": "body"}
BY_RESULT = {"target": "m:refund", "args": {}, "given": False}
BY_ARGS = {"target": "m:refund", "args": {"n": 1}, "given": True}
FOREVER = 1 << 62


class Stepping(Bench):
    """steps, begin_step, end_step, to_undo, undone, again, repeat, start."""

    # -- how far it has come -------------------------------------------------------------------------

    def test_a_step_is_kept_from_its_beginning(self) -> None:
        run = self.going(self.loose).run
        assert self._begin(run, "ship", BY_ARGS)
        (step,) = self.store.steps(run.id)
        assert step == Step(
            root_id=run.id, path="ship", position=1, run_id=run.id, state="running", started_at=at(5),
            undo=BY_ARGS,
        )  # fmt: skip

    def test_a_step_that_ended_well_keeps_its_result_and_what_is_to_be_applied(self) -> None:
        run = self.going(self.loose).run
        self._begin(run, "ship")
        assert self._end_step(run, "ship", tries=2, result={"n": 1}, effects={"cancels": [7]})
        (step,) = self.store.steps(run.id)
        assert (step.state, step.tries, step.result, step.effects) == ("done", 2, {"n": 1}, {"cancels": [7]})
        assert (step.started_at, step.finished_at, step.error) == (at(5), at(6), None)

    def test_a_step_that_failed_keeps_its_error_and_may_begin_anew_in_its_place(self) -> None:
        run = self.going(self.loose).run
        self._begin(run, "a", BY_RESULT)
        self._begin(run, "b")
        self._end_step(run, "a", tries=3, error=ERROR)
        (step, _) = self.store.steps(run.id)
        assert (step.state, step.error, step.tries) == ("failed", ERROR, 3)
        assert self._begin(run, "a", BY_ARGS, seconds=9)
        (step, _) = self.store.steps(run.id)
        assert (step.path, step.state, step.error, step.finished_at) == ("a", "running", None, None)
        assert (step.started_at, step.undo) == (at(9), BY_ARGS)

    def test_a_done_step_stays_as_it_is(self) -> None:
        run = self.going(self.loose).run
        self._begin(run, "a", BY_ARGS)
        self._end_step(run, "a", result=1)
        before = self.store.steps(run.id)
        assert self._begin(run, "a")
        assert self._end_step(run, "a", tries=9, error=ERROR)
        assert self.store.steps(run.id) == before

    def test_a_done_step_is_done_again_in_its_place_when_that_is_asked_for(self) -> None:
        run = self.going(self.loose).run
        self._begin(run, "a", BY_RESULT)
        assert self.store.redo_step(run, "a")
        self._end_step(run, "a", result=1, effects={"reads": {"k": 1}})
        self._begin(run, "b")
        self._end_step(run, "b", result=2)
        assert self.store.redo_step(run, "a")
        a, b = self.store.steps(run.id)
        assert (a.path, a.state, a.effects) == ("a", "outdated", None)
        assert (b.state, b.result) == ("done", 2)
        self._begin(run, "a", BY_RESULT)
        self._end_step(run, "a", result=3)
        assert self.store.steps(run.id)[0].result == 3

    def test_steps_are_in_the_order_in_which_they_first_began(self) -> None:
        run = self.going(self.loose).run
        for path in ("b", "a", "b/inner", "c", "a"):
            self._begin(run, path)
        found = self.store.steps(run.id)
        assert [(step.path, step.position) for step in found] == [
            ("b", 1),
            ("a", 2),
            ("b/inner", 3),
            ("c", 4),
        ]

    def test_only_a_run_that_is_running_and_still_ours_has_steps(self) -> None:
        claim = self.going(self.loose)
        run = claim.run
        self._begin(run, "a", BY_ARGS)
        before = self.store.steps(run.id)
        for other in (run._replace(owner="b"), run._replace(fence=run.fence + 1)):
            self._does_nothing(other)
        self.end(claim)
        self._does_nothing(run)
        assert self.store.steps(run.id) == before

    def test_steps_of_one_chain_are_not_anothers(self) -> None:
        one, other = self.going(self.loose).run, self.going(self.loose).run
        self._begin(one, "a")
        self._begin(other, "b")
        assert [step.path for step in self.store.steps(other.id)] == ["b"]
        assert [step.position for step in self.store.steps(other.id)] == [1]

    # -- over attempts -------------------------------------------------------------------------------

    def test_a_new_run_is_claimed_without_steps_and_a_later_attempt_with_those_of_its_chain(self) -> None:
        claim = self.going(self.loose)
        assert claim.steps == ()
        self._begin(claim.run, "a")
        self._end_step(claim.run, "a", result=1)
        second = self._again(claim)
        assert [(step.path, step.state, step.result) for step in second.steps] == [("a", "done", 1)]
        self._begin(second.run, "b")
        assert [step.run_id for step in self.store.steps(claim.run.id)] == [claim.run.id, second.run.id]

    def test_what_a_dead_node_has_done_its_next_attempt_knows(self) -> None:
        claim = self.going(self.loose)
        self._begin(claim.run, "a")
        self._end_step(claim.run, "a", result=1)
        self._begin(claim.run, "b")
        (lost,) = self.store.recover("a", at(20))
        self.store.again(lost, at(20), at(20))
        self.store.join(make_node("b"))
        self.register(self.loose, owner="b")
        (second,) = self.claim(node=make_node("b"))
        assert [(step.path, step.state) for step in second.steps] == [("a", "done"), ("b", "running")]
        assert self._begin(second.run, "b")

    def test_steps_go_with_their_chain(self) -> None:
        claim = self.going(self.loose)
        self._begin(claim.run, "a")
        second = self._again(claim)
        self.end(second, 30)
        everything = Keep(ended_since=at(40), failed_since=at(40), rows=FOREVER)
        assert self.store.prune(everything, 500) == 2
        assert self.store.steps(claim.run.id) == []

    def test_steps_go_with_their_job(self) -> None:
        claim = self.going(self.loose)
        self._begin(claim.run, "a")
        self.end(claim)
        self.register()
        self.store.forget(claim.run.job_id)
        assert self.store.steps(claim.run.id) == []

    # -- to take back --------------------------------------------------------------------------------

    def test_what_is_done_is_to_be_taken_back_if_it_can_be(self) -> None:
        run = self.going(self.loose).run
        self._begin(run, "plain")
        self._end_step(run, "plain")
        assert not self.store.to_undo(run.id)
        self._begin(run, "charge", BY_RESULT)
        assert not self.store.to_undo(run.id), "there is no result to take it back by"
        self._end_step(run, "charge", result=1)
        assert self.store.to_undo(run.id)

    def test_what_began_and_did_not_end_well_is_to_be_taken_back_if_its_arguments_are_known(self) -> None:
        run = self.going(self.loose).run
        self._begin(run, "charge", BY_ARGS)
        assert self.store.to_undo(run.id)
        self._end_step(run, "charge", error=ERROR)
        assert self.store.to_undo(run.id)

    def test_what_failed_without_a_result_is_not_to_be_taken_back(self) -> None:
        run = self.going(self.loose).run
        self._begin(run, "charge", BY_RESULT)
        self._end_step(run, "charge", error=ERROR)
        assert not self.store.to_undo(run.id)

    def test_what_was_taken_back_is_so_once_and_what_could_not_be_may_be_tried_again(self) -> None:
        run = self.going(self.loose).run
        self._begin(run, "charge", BY_ARGS)
        self._end_step(run, "charge", result=1)
        assert self.store.undone(run, "charge", ERROR, at(8))
        (step,) = self.store.steps(run.id)
        assert (step.undone, step.undo_error, step.undone_at, step.state) == ("failed", ERROR, at(8), "done")
        assert self.store.to_undo(run.id)
        assert self.store.undone(run, "charge", None, at(9))
        assert self.store.undone(run, "charge", ERROR, at(10))
        (step,) = self.store.steps(run.id)
        assert (step.undone, step.undo_error, step.undone_at) == ("done", None, at(9))
        assert not self.store.to_undo(run.id)

    def test_taking_back_is_an_attempt_of_the_chain_that_says_the_how_manieth_try_it_is(self) -> None:
        claim = self.going(self.loose)
        self._begin(claim.run, "a", BY_ARGS)
        self.store.finish(claim.run, Outcome(state="failed"), 0, at(20))
        run = self.found(self.store.again(claim.run, at(20), at(20), undo=2))
        assert (run.undo, run.attempt, run.root_id, run.state) == (2, 2, claim.run.id, "pending")
        (undoing,) = self.claim()
        assert (undoing.run.undo, [step.path for step in undoing.steps]) == (2, ["a"])

    def test_what_takes_steps_back_starts_also_while_all_is_paused_or_its_job_disabled(self) -> None:
        self._undoing(make_job("x"), make_job("y"))
        self.store.pause("ana", None, at(30))
        self.store.set_enabled(self.standing("y").job_id, False, "ana", at(30))
        assert [claim.run.job for claim in self.claim(9)] == ["x", "y"]

    def test_what_takes_steps_back_waits_where_its_file_is_broken_or_it_may_not_run(self) -> None:
        (run,) = self._undoing(make_job("x"))
        for gate in ("environment", "labels", "broken-file"):
            self.store.register("a", [make_job("x")], "", at(0), {"x": gate})
            assert self.claim(9) == [], gate
        self.register(make_job("x"))
        assert [claim.run.id for claim in self.claim(9)] == [run.id]

    def test_what_takes_steps_back_makes_way_for_nothing_and_is_not_given_up(self) -> None:
        job = make_job("x")
        self.register(job)
        self.enqueue(job, 1)
        (claim,) = self.claim()
        self.store.finish(claim.run, Outcome(state="failed"), 0, at(20))
        run = self.found(self.store.again(claim.run, at(20), at(20), undo=1))
        assert self.store.waiting_runs() == []
        assert not self.store.give_up(run.id, "disabled", self.node, at(30))
        assert self.store.replace(self.standing("x"), at(30)) == []
        (undoing,) = self.claim()
        self.store.replace(self.standing("x"), at(30))
        assert self.store.asked_to_end("a") == []
        assert self.states(undoing.run) == ["running"]

    def test_a_chain_that_is_canceled_while_it_waits_is_taken_back_before_it_is_over(self) -> None:
        claim = self.going(self.tick)
        self._begin(claim.run, "a", BY_ARGS)
        self.store.finish(claim.run, Outcome(state="failed"), 0, at(20))
        second = self.found(self.store.again(claim.run, at(5000), at(20)))
        assert self.store.cancel(second.id, at(30)) == "canceled"
        (undoing,) = self.claim(seconds=30)
        assert (undoing.run.undo, undoing.run.root_id) == (1, claim.run.id)
        assert self._job("tick").last_state is None, "the chain is not over"

    def test_whoever_cancels_the_taking_back_itself_ends_the_chain(self) -> None:
        (run,) = self._undoing(make_job("x"))
        assert self.store.cancel(run.id, at(30)) == "canceled"
        assert self.claim(9) == []
        assert self._job("x").last_state == "canceled"

    # -- once more -----------------------------------------------------------------------------------

    def test_a_conflict_is_counted_and_the_run_goes_on_under_another_fence(self) -> None:
        claim = self.going(self.tick)
        run = self.store.repeat(claim.run, at(20))
        assert run is not None
        assert (run.state, run.conflicts, run.attempt, run.started_at) == (
            "running", 1, 1, claim.run.started_at,
        )  # fmt: skip
        assert run.fence > claim.run.fence
        assert self.store.repeat(claim.run, at(21)) is None, "that claim is no more"
        assert not self.end(claim)
        again = self.store.repeat(run, at(22))
        assert again is not None
        assert again.conflicts == 2
        assert self.end(claim._replace(run=again))

    def test_a_run_that_is_no_longer_ours_is_not_repeated(self) -> None:
        claim = self.going(self.tick)
        assert self.store.repeat(claim.run._replace(owner="b"), at(20)) is None
        self.lose(21)
        assert self.store.repeat(claim.run, at(22)) is None
        assert self.found(claim.run.id).conflicts == 0

    def test_a_body_that_begins_once_more_tells_its_process_and_not_another_moment(self) -> None:
        run = self.going(self.tick).run
        self.store.begun(run.id, "a", 77, at(3))
        self.store.begun(run.id, "a", 78, at(4))
        assert (self.found(run.id).began_at, self.found(run.id).pid) == (at(3), 78)

    # -- by its number -------------------------------------------------------------------------------

    def test_one_run_can_be_started_by_its_number_whoever_holds_its_job(self) -> None:
        (run,) = self._undoing(make_job("x", concurrency="allow"))
        self.register()
        node = make_node("b")
        self.store.join(node)
        assert self.claim(9, node=node) == []
        claim = self.store.start(run.id, node, 77, at(40))
        assert claim is not None
        assert (claim.run.id, claim.run.owner, claim.run.pid, claim.run.state) == (run.id, "b", 77, "running")
        assert [step.path for step in claim.steps] == ["a"]
        assert self.store.start(run.id, node, 77, at(41)) is None
        assert self.store.start(4711, node, 77, at(41)) is None

    def test_a_run_is_not_started_by_its_number_beside_what_excludes_it(self) -> None:
        first, second = self.called(self.tick), self.called(self.tick)
        assert self.store.start(first.id, self.node, 1, at(40)) is not None
        assert self.store.start(second.id, self.node, 2, at(40)) is None
        assert self.states(second) == ["pending"]

    def test_a_start_by_its_number_is_counted_as_any_start(self) -> None:
        job = make_job(number_of_executions=1)
        self.register(job)
        self.enqueue(job, 1)
        self.enqueue(job, 2)
        first, second = self.rows()
        claim = self.store.start(first.id, self.node, 1, at(40))
        assert claim is not None
        assert claim.is_last
        self.end(claim)
        assert self.store.start(second.id, self.node, 2, at(40)) is None
        assert self.found(second.id).reason == "limit"

    # -- short words ---------------------------------------------------------------------------------

    def _begin(self, run: Run, path: str, undo: Any = None, *, seconds: int = 5) -> bool:
        return self.store.begin_step(run, path, undo, at(seconds))

    def _end_step(self, run: Run, path: str, **how: Any) -> bool:
        said = {"tries": 1, "result": None, "effects": None, "error": None, **how}
        return self.store.end_step(run, path, now=at(6), **said)

    def _does_nothing(self, run: Run) -> None:
        assert not self._begin(run, "b")
        assert not self._end_step(run, "a", result=1)
        assert not self.store.undone(run, "a", None, at(9))
        assert not self.store.redo_step(run, "a")
        assert self.store.wait_step(run, "w", None, at(9)) is None
        assert not self.store.suspend(run, 0, at(9))
        assert self.store.repeat(run, at(9)) is None

    def _again(self, claim: Claim) -> Claim:
        """Let an attempt fail, and claim the next one."""
        self.store.finish(claim.run, Outcome(state="failed"), 0, at(20))
        self.store.again(claim.run, at(20), at(20))
        (second,) = self.claim()
        return second

    def _undoing(self, *jobs: Job) -> list[Run]:
        """Return the pending attempts of each job to take back its step `a`."""
        self.register(*jobs)
        claims = [self.going(job) for job in jobs]
        for claim in claims:
            self._begin(claim.run, "a", BY_ARGS)
            self.store.finish(claim.run, Outcome(state="failed"), 0, at(20))
            self.store.again(claim.run, at(20), at(20), undo=1)
        return self.rows(states=("pending",))

    def _job(self, name: str) -> Any:
        return self.store.job(name)
