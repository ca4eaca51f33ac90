"""Waiting: a run waits without owner, process or end, and goes on as the same run."""
# ruff: noqa: D102  # the titles are the promises

from __future__ import annotations

from jobrunner.errors import Refused
from jobrunner.model import Outcome
from jobrunner.store.contract.things import at, make_job, make_node, raises
from jobrunner.store.contract.waits import Waits

ERROR = {"type": "E", "message": "m", "traceback": "", "phase": "body"}


class Suspending(Waits):
    """wait_step, suspend, complete, expire_steps, next_deadline, and claim of what goes on."""

    # -- to wait -------------------------------------------------------------------------------------

    def test_a_step_waits_until_its_deadline(self) -> None:
        run = self.going(self.tick).run
        step = self.store.wait_step(run, "approval", at(90), at(5))
        assert step is not None
        assert (step.state, step.deadline, step.started_at, step.run_id) == ("waiting", at(90), at(5), run.id)
        assert self.store.steps(run.id) == [step]
        assert self.store.next_deadline() == at(90)

    def test_a_step_that_waits_or_has_ended_stays_as_it_is(self) -> None:
        run = self.going(self.tick).run
        first = self.store.wait_step(run, "approval", at(90), at(5))
        assert self.store.wait_step(run, "approval", at(500), at(6)) == first
        self._complete(run, "approval", result="yes")
        done = self.store.wait_step(run, "approval", at(500), at(7))
        assert done is not None
        assert (done.state, done.result, done.deadline, done.finished_at) == ("done", "yes", None, at(50))

    def test_a_step_that_has_begun_can_wait(self) -> None:
        run = self.going(self.tick).run
        self.store.begin_step(run, "approval", None, at(4))
        step = self.store.wait_step(run, "approval", at(90), at(5))
        assert step is not None
        assert (step.state, step.deadline, step.position) == ("waiting", at(90), 1)

    def test_a_run_that_waits_has_neither_owner_nor_process_nor_end(self) -> None:
        run = self._suspended(self.tick)
        assert (run.state, run.owner, run.pid, run.finished_at) == ("waiting", None, None, None)
        assert (run.attempt, run.started_at) == (1, at(1000))
        assert self.store.recover("a", at(60)) == [], "its node may die meanwhile"
        assert self.states(run) == ["waiting"]

    def test_a_run_that_waits_for_nothing_any_more_goes_on_at_once(self) -> None:
        claim = self._waiting(self.tick)
        self._complete(claim.run, "approval")
        self.store.wait_step(claim.run, "approval", None, at(55))
        assert self.store.suspend(claim.run, 0, at(60))
        assert self.states(claim.run) == ["pending"]
        assert [again.run.id for again in self.claim()] == [claim.run.id]

    def test_a_completion_that_came_before_the_run_was_suspended_is_not_lost_though_others_wait(self) -> None:
        claim = self._waiting(self.tick, "one", "other")
        self._complete(claim.run, "one")
        self.store.suspend(claim.run, 0, at(60))
        assert self.states(claim.run) == ["pending"]
        (again,) = self.claim()
        assert [step.state for step in again.steps] == ["done", "waiting"]
        self.store.suspend(again.run, 0, at(70))
        assert self.states(claim.run) == ["waiting"], "now it knows"

    def test_a_completion_that_the_run_was_told_of_does_not_wake_it(self) -> None:
        claim = self._waiting(self.tick, "one", "other")
        self._complete(claim.run, "one")
        self.store.wait_step(claim.run, "one", None, at(55))
        self.store.suspend(claim.run, 0, at(60))
        assert self.states(claim.run) == ["waiting"]

    def test_whoever_was_asked_to_end_does_not_wait(self) -> None:
        claim = self._waiting(self.tick)
        self.store.cancel(claim.run.id, at(55))
        assert self.store.suspend(claim.run, 0, at(60))
        assert self.states(claim.run) == ["canceled"]
        assert self.standing().ended_at == at(60)

    def test_only_the_claim_that_runs_suspends_a_run(self) -> None:
        run = self._waiting(self.tick).run
        for other in (run._replace(owner="b"), run._replace(fence=run.fence + 1)):
            assert not self.store.suspend(other, 0, at(60))
        assert self.store.suspend(run, 0, at(60))
        assert not self.store.suspend(run, 0, at(61))

    # -- to go on ------------------------------------------------------------------------------------

    def test_a_completed_run_goes_on_as_the_same_attempt_and_knows_what_it_waited_for(self) -> None:
        run = self._suspended(self.tick)
        went_on = self._complete(run, "approval", result={"by": "ann"})
        assert (went_on.id, went_on.state) == (run.id, "pending")
        (claim,) = self.claim(seconds=3000)
        again = claim.run
        assert (again.id, again.attempt, again.started_at, again.state) == (run.id, 1, at(1000), "running")
        assert again.fence > run.fence
        (step,) = claim.steps
        assert (step.state, step.result, step.finished_at, step.run_id) == (
            "done", {"by": "ann"}, at(50), run.id,
        )  # fmt: skip
        assert self.end(claim, 3001)

    def test_a_completion_may_be_an_error(self) -> None:
        run = self._suspended(self.tick)
        self._complete(run, "approval", error=ERROR)
        (claim,) = self.claim()
        assert [(step.state, step.error) for step in claim.steps] == [("failed", ERROR)]

    def test_going_on_is_no_start_that_is_counted(self) -> None:
        job = make_job(number_of_executions=1)
        self.register(job)
        self.enqueue(job, 1)
        run = self._suspend_one(*self.claim())
        self._complete(run, "approval")
        (claim,) = self.claim(seconds=3000)
        assert (claim.is_last, self.standing().executions) == (True, 1)
        found = self.store.job("tick")
        assert found is not None
        assert found.last_started_at == at(1000)

    def test_what_has_begun_goes_on_while_all_is_paused_or_its_job_is_disabled(self) -> None:
        jobs = [make_job("x"), make_job("y")]
        self.register(*jobs)
        for run in [self._suspended(job) for job in jobs]:
            self._complete(run, "approval")
        self.store.pause("ana", None, at(60))
        self.store.set_enabled(self.standing("y").job_id, False, "ana", at(60))
        assert [claim.run.job for claim in self.claim(9)] == ["x", "y"]

    def test_what_has_begun_does_not_go_on_where_its_file_is_broken_or_it_may_not_run(self) -> None:
        self._complete(self._suspended(self.tick), "approval")
        for gate in ("environment", "labels", "broken-file"):
            self.store.register("a", [self.tick], "", at(0), {"tick": gate})
            assert self.claim(9) == [], gate

    def test_a_run_of_one_machine_goes_on_there(self) -> None:
        job = make_job(run_per_machine=True)
        for owner, machine in (("x", "m1"), ("y", "m2")):
            self.store.join(make_node(owner)._replace(machine=machine))
            self.store.register(owner, [job], machine, at(0))
        one, two = (make_node(owner)._replace(machine=each) for owner, each in (("x", "m1"), ("y", "m2")))
        self.called(job)
        (claim,) = self.store.claim(one, [1], at(9))
        run = self._suspend_one(claim)
        self._complete(run, "approval")
        assert self.store.claim(two, [1], at(60)) == []
        assert len(self.store.claim(one, [1], at(60))) == 1

    def test_any_attempt_names_the_chain_that_is_to_go_on(self) -> None:
        first = self._waiting(self.tick, "one", "other").run
        self.store.finish(first, Outcome(state="failed"), 0, at(20))
        second = self.found(self.store.again(first, at(20), at(20)))
        assert self._complete(first, "one").id == second.id
        assert self._complete(second, "other").id == second.id
        (claim,) = self.claim()
        assert [step.state for step in claim.steps] == ["done", "done"]

    def test_what_does_not_wait_cannot_be_completed_and_what_waits_is_named(self) -> None:
        run = self._suspend_one(self._waiting(self.tick, "b", "a"))
        self._is_refused_saying(run.id, "ship", "b, a")
        self._complete(run, "a")
        self._is_refused_saying(run.id, "a", "b")
        self._complete(run, "b")
        self._is_refused_saying(run.id, "b", "nothing")
        self._is_refused_saying(4711, "b", "no run 4711")

    def test_a_chain_that_has_ended_cannot_be_completed(self) -> None:
        run = self._suspended(self.tick)
        self.store.cancel(run.id, at(60))
        self._is_refused_saying(run.id, "approval", "nothing")
        assert [step.state for step in self.store.steps(run.id)] == ["waiting"]

    def test_a_chain_whose_steps_are_taken_back_cannot_be_completed(self) -> None:
        claim = self._waiting(self.tick)
        self.store.finish(claim.run, Outcome(state="failed"), 0, at(20))
        self.store.again(claim.run, at(20), at(20), undo=1)
        self._is_refused_saying(claim.run.id, "approval", "nothing")

    # -- in vain -------------------------------------------------------------------------------------

    def test_a_step_whose_deadline_has_come_fails_and_its_run_goes_on(self) -> None:
        run = self._suspended(self.tick)
        assert self.store.expire_steps(at(89)) == []
        ((went_on, path),) = self.store.expire_steps(at(90))
        assert (went_on.id, went_on.state, path) == (run.id, "pending", "approval")
        assert self.store.expire_steps(at(91)) == []
        assert self.store.next_deadline() is None
        (claim,) = self.claim()
        (step,) = claim.steps
        assert (step.state, step.finished_at, step.deadline) == ("failed", at(90), None)
        assert step.error is not None
        assert step.error["type"] == "TimeoutError"
        self._is_refused_saying(run.id, "approval", "nothing")

    def test_the_next_deadline_is_the_first_of_what_still_waits(self) -> None:
        assert self.store.next_deadline() is None
        run = self.going(self.tick).run
        for path, deadline in (("never", None), ("late", at(900)), ("soon", at(90))):
            self.store.wait_step(run, path, deadline, at(5))
        assert self.store.next_deadline() == at(90)
        self._complete(run, "soon")
        assert self.store.next_deadline() == at(900)

    def test_a_deadline_that_comes_while_the_run_is_running_is_not_lost(self) -> None:
        claim = self._waiting(self.tick)
        assert [path for _, path in self.store.expire_steps(at(90))] == ["approval"]
        assert self.states(claim.run) == ["running"]
        self.store.suspend(claim.run, 0, at(95))
        assert self.states(claim.run) == ["pending"]

    def test_the_deadline_of_a_chain_that_has_ended_wakes_nobody(self) -> None:
        run = self._suspended(self.tick)
        self.store.cancel(run.id, at(60))
        assert self.store.expire_steps(at(90)) == []
        assert self.store.next_deadline() is None
        assert self.states(run) == ["canceled"]

    # -- short words ---------------------------------------------------------------------------------

    def _is_refused_saying(self, run_id: int, path: str, words: str) -> None:
        with raises(Refused) as found:
            self.store.complete(run_id, path, result=None, error=None, now=at(70))
        assert found[0].message.endswith(words)
