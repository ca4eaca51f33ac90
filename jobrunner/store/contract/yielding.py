"""Who makes way for whom: a run that waits holds its job and nothing else, and may be ended meanwhile."""
# ruff: noqa: D102  # the titles are the promises

from __future__ import annotations

from jobrunner.errors import Refused
from jobrunner.model import Job
from jobrunner.store.base import Claim
from jobrunner.store.contract.things import at, make_job, raises, run_at
from jobrunner.store.contract.waits import Waits

UNDO = {"target": "m:f", "args": {}, "given": True}


class Yielding(Waits):
    """claim beside what waits; cancel, replace, rewind, give_up and orphaned_calls of what waits."""

    # -- who is kept out -----------------------------------------------------------------------------

    def test_a_run_that_waits_occupies_its_job(self) -> None:
        run = self._suspended(self.tick)
        assert (self.standing().open, self.standing().occupant) == (1, run.id)
        self.called(self.tick)
        assert self.claim(9) == []

    def test_a_run_that_waits_takes_no_place_in_its_group(self) -> None:
        jobs = [make_job(name, group="db", group_limit=1) for name in ("x", "y")]
        self.register(*jobs)
        self._suspended(jobs[0])
        self.called(jobs[1])
        assert len(self.claim(9)) == 1

    def test_nobody_slips_in_before_a_run_that_may_go_on(self) -> None:
        run = self._suspended(self.tick)
        self.called(self.tick._replace(priority=9))
        self._trigger_queued(self.tick)
        self.consume(self.tick, run_at(1))
        self._complete(run, "approval")
        standing = self.standing()
        assert (standing.open, standing.pending, standing.occupant) == (3, 1, run.id)
        with raises(Refused):
            self.store.run_here(
                run.job_id, self.tick, self.node, 7, {}, identity="x", force=False, now=at(50)
            )
        assert [claim.run.id for claim in self.claim(9)] == [run.id]

    def test_what_was_let_run_beside_another_goes_on_beside_it(self) -> None:
        claims = [self._waiting(self.tick), self._forced(self.tick)]
        self.store.wait_step(claims[1].run, "approval", None, at(41))
        for claim in claims:
            self.store.suspend(claim.run, 0, at(60))
            self._complete(claim.run, "approval")
        assert {claim.run.id for claim in self.claim(9)} == {claim.run.id for claim in claims}

    # -- to end --------------------------------------------------------------------------------------

    def test_a_waiting_run_is_canceled_at_once_and_its_chain_is_over(self) -> None:
        run = self._suspended(self.tick)
        assert self.store.cancel(run.id, at(60)) == "canceled"
        assert self.found(run.id).finished_at == at(60)
        assert (self.standing().open, self.standing().ended_at) == (0, at(60))

    def test_a_waiting_run_that_is_canceled_takes_its_steps_back(self) -> None:
        claim = self._waiting(self.tick)
        self.store.begin_step(claim.run, "charge", UNDO, at(41))
        run = self._suspend_one(claim)
        self.store.cancel(run.id, at(60))
        (undoing,) = self.claim()
        assert (undoing.run.root_id, undoing.run.undo, undoing.run.attempt) == (run.id, 1, 2)

    def test_what_waits_makes_way_for_a_newer_occurrence(self) -> None:
        run = self._suspended(self.tick)
        ended = self.store.replace(self.standing(), at(60))
        assert [(each.id, each.state, each.reason) for each in ended] == [(run.id, "canceled", "replaced")]

    def test_what_may_go_on_makes_way_too(self) -> None:
        run = self._suspended(self.tick)
        self._complete(run, "approval")
        assert [each.id for each in self.store.replace(self.standing(), at(60))] == [run.id]

    def test_whoever_was_asked_to_make_way_and_is_suspended_was_replaced(self) -> None:
        claim = self._waiting(self.tick)
        self.store.replace(self.standing(), at(55))
        self.store.suspend(claim.run, 0, at(60))
        assert (self.found(claim.run.id).state, self.found(claim.run.id).reason) == ("canceled", "replaced")

    def test_what_has_begun_is_no_occurrence_that_can_be_missed(self) -> None:
        job = self.tick
        self.enqueue(job, 1)
        run = self._suspend_one(*self.claim())
        self._complete(run, "approval")
        standing = self.standing()
        assert (standing.open, standing.pending, standing.pending_id) == (1, 0, None)
        assert self.store.waiting_runs() == []
        self.consume(job, until=2)
        self.store.consume(
            self.standing()._replace(pending_id=run.id), at(3), [], job=job, supersede="missed",
            node=self.node, now=at(3),
        )  # fmt: skip
        assert self.states(run) == ["pending"]
        assert self.store.rewind(self.standing(), at(0), job)
        self.store.reset(run.job_id, at(0), schedule=True)
        assert self.states(run) == ["pending"]

    def test_what_has_begun_and_is_given_up_was_canceled_not_skipped(self) -> None:
        self.enqueue(self.tick, 1)
        run = self._suspend_one(*self.claim())
        self._complete(run, "approval")
        assert self.store.give_up(run.id, "orphan", self.node, at(60))
        assert (self.found(run.id).state, self.found(run.id).reason) == ("canceled", "orphan")

    def test_what_may_go_on_is_due_where_a_wrong_clock_is_put_right(self) -> None:
        self.enqueue(self.tick, 9000)
        run = self._suspend_one(*self.claim(seconds=9000))
        self._complete(run, "approval")
        assert self.store.rewind(self.standing(), at(3000), self.tick)
        assert [claim.run.id for claim in self.claim(seconds=3000)] == [run.id]

    def test_a_call_that_may_go_on_is_not_failed_for_want_of_its_job(self) -> None:
        run = self._suspended(self.tick)
        self._complete(run, "approval")
        self.register()
        assert self.store.orphaned_calls(at(5000)) == []

    def test_a_call_that_waits_is_not_canceled_with_its_caller(self) -> None:
        parent = self.going(self.loose).run
        child = self.called(self.loose, parent_id=parent.id)
        self._suspend_one(*self.claim())
        self.store.cancel(parent.id, at(60))
        assert self.states(child) == ["waiting"]
        self._complete(child, "approval")
        self.store.cancel(parent.id, at(61))
        assert self.states(child) == ["pending"]

    # -- short words ---------------------------------------------------------------------------------

    def _forced(self, job: Job) -> Claim:
        job_id = self.store.enroll(job, at(0))
        return self.store.run_here(job_id, job, self.node, 7, {}, identity="x", force=True, now=at(40))

    def _trigger_queued(self, job: Job) -> None:
        job_id = self.store.enroll(job, at(0))
        self.store.trigger(job_id, job, {}, identity="x", force=False, queue=True, now=at(40))
