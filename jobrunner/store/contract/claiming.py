"""Claims: in order, once, one at a time, and never one too many."""
# ruff: noqa: D102  # the titles are the promises

from __future__ import annotations

from typing import Any

from jobrunner.errors import Refused
from jobrunner.model import Due, Outcome
from jobrunner.store.base import Claim
from jobrunner.store.contract.things import Bench, at, facts, make_job, make_node, raises, run_at


class Claiming(Bench):
    """claim, run_here."""

    def test_a_claimed_run_is_ours_and_running(self) -> None:
        self._pending(make_job(params={"a": 1}), 1)
        claim = self.claim(seconds=3)[0]
        run = claim.run
        assert (run.state, run.owner, run.node, run.machine, run.pid) == ("running", "a", "node-a", "m", 100)
        assert (run.started_at, run.began_at, run.job, run.params) == (at(3), None, "tick", {"a": 1})
        assert self.store.run(run.id) == run

    def test_no_more_than_there_are_children(self) -> None:
        self._pending(make_job(concurrency="allow"), 1, 2, 3)
        assert [claim.run.pid for claim in self.claim(2)] == [100, 101]
        assert self.claim(0) == []
        assert len(self.claim(9)) == 1

    def test_a_run_is_claimed_once(self) -> None:
        self._pending(make_job(), 1)
        self.store.join(make_node("b"))
        self.register(make_job(), owner="b")
        assert len(self.claim()) == 1
        assert self.claim(node=make_node("b")) == []

    def test_what_is_due_first_starts_first(self) -> None:
        jobs = [make_job("x"), make_job("y"), make_job("z")]
        self.register(*jobs)
        for job, second in zip(jobs, (3, 1, 2), strict=True):
            self.enqueue(job, second)
        assert [claim.run.job for claim in self.claim(9)] == ["y", "z", "x"]

    def test_nothing_starts_before_it_is_due(self) -> None:
        job = make_job()
        self.register(job)
        self.consume(job, Due(scheduled_for=at(1), effective_at=at(8)))
        assert self.claim(seconds=7) == []
        assert len(self.claim(seconds=8)) == 1

    def test_a_job_that_runs_does_not_start_again(self) -> None:
        self._pending(make_job(), 1, 2)
        assert len(self.claim(9)) == 1
        assert self.claim(9) == []

    def test_a_busy_job_does_not_keep_others_waiting(self) -> None:
        self._pending(make_job(), *range(1, 30))
        other = make_job("other")
        self.register(make_job(), other)
        self.enqueue(other, 90)
        assert [claim.run.job for claim in self.claim(3)] == ["tick", "other"]

    def test_after_its_end_the_next_one_starts(self) -> None:
        self._pending(make_job(), 1, 2)
        self.end(self.claim(9)[0])
        assert [claim.run.scheduled_for for claim in self.claim(9)] == [at(2)]

    def test_concurrency_allow_starts_beside_itself(self) -> None:
        self._pending(make_job(concurrency="allow"), 1, 2, 3)
        assert len(self.claim(9)) == 3

    def test_all_that_start_together_are_told_how_their_job_has_fared(self) -> None:
        job = make_job(concurrency="allow")
        self.register(job)
        self.end(self.going(job), 5, result=7)
        self.called(job)
        self.enqueue(job, 6)
        self.called(job)
        claims = self.claim(9, seconds=9)
        assert [claim.last and claim.last["result"] for claim in claims] == [7, 7, 7]
        known = self.store.job("tick")
        assert known is not None
        assert (known.last_started_at, known.last_scheduled_for) == (at(9), at(6))

    def test_a_call_that_starts_with_one_that_goes_on_is_the_jobs_last_start(self) -> None:
        job = make_job(concurrency="allow")
        self.register(job)
        run = self.going(job).run
        self.store.wait_step(run, "s", None, at(1001))
        self.store.suspend(run, 0, at(1002))
        self.store.complete(run.id, "s", result=1, error=None, now=at(1003))
        fresh = self.called(job, 1004)
        assert [claim.run.id for claim in self.claim(9, seconds=1010)] == [run.id, fresh.id]
        known = self.store.job("tick")
        assert known is not None
        assert known.last_started_at == at(1010)

    def test_the_fence_grows_with_every_claim_of_the_store(self) -> None:
        self._pending(make_job(concurrency="allow"), 1, 2, 3)
        fences = [claim.run.fence for claim in [*self.claim(2), self._by_hand("other"), *self.claim(1)]]
        assert fences == sorted(set(fences))
        assert fences[0] > 0

    def test_the_job_remembers_its_last_start(self) -> None:
        self._pending(make_job(), 1)
        self.claim(seconds=3)
        found = self.store.job("tick")
        assert found is not None
        assert (found.last_scheduled_for, found.last_started_at, found.running, found.pending) == (
            at(1),
            at(3),
            1,
            0,
        )

    # -- the limit -----------------------------------------------------------------------------------

    def test_scheduled_starts_are_counted_up_to_the_limit(self) -> None:
        self._pending(make_job(number_of_executions=2, concurrency="allow"), 1, 2, 3, 4)
        claims = self.claim(9)
        assert [(claim.run.scheduled_for, claim.is_last) for claim in claims] == [
            (at(1), False),
            (at(2), True),
        ]
        assert facts(self.rows())[2:] == [(3, "skipped", "limit", 1), (4, "skipped", "limit", 1)]
        assert self.standing().executions == 2

    def test_the_limit_holds_over_a_restart(self) -> None:
        job = make_job(number_of_executions=1)
        self._pending(job, 1)
        self.end(self.claim()[0])
        self.store.leave("a")
        self.store.join(make_node("b"))
        self.register(job, owner="b")
        standing = self.standing(owner="b")
        self.store.consume(
            standing, at(5), [run_at(5)], job=job, supersede=None, node=make_node("b"), now=at(5)
        )
        assert self.claim(node=make_node("b")) == []

    def test_a_raised_limit_goes_on(self) -> None:
        self._pending(make_job(number_of_executions=1), 1)
        self.end(self.claim()[0])
        more = make_job(number_of_executions=2)
        self.register(more)
        self.enqueue(more, 5)
        assert self.claim()[0].is_last

    def test_skips_are_not_counted(self) -> None:
        job = make_job(number_of_executions=1)
        self._pending(job, 1)
        self.consume(job, run_at(2), supersede="missed")
        assert self.standing().executions == 0
        assert len(self.claim()) == 1

    def test_without_a_limit_they_are_counted_too(self) -> None:
        self._pending(make_job(), 1)
        assert not self.claim()[0].is_last
        assert self.standing().executions == 1

    # -- what came before ----------------------------------------------------------------------------

    def test_the_first_claim_knows_no_chain_before(self) -> None:
        self._pending(make_job(), 1)
        claim = self.claim()[0]
        assert (claim.last, claim.cursor) == (None, None)

    def test_a_claim_brings_the_outcome_of_the_chain_before(self) -> None:
        self._pending(make_job(), 1, 2, 3)
        error = {"type": "E", "message": "m", "traceback": "", "phase": "body"}
        self.end(self.claim()[0], 5, result={"n": 1})
        second = self.claim()[0]
        assert second.last == {"state": "succeeded", "result": {"n": 1}, "error": None, "finishedAt": at(5)}
        self.end(second, 6, state="failed", error=error)
        assert self.claim()[0].last == {
            "state": "failed",
            "result": None,
            "error": error,
            "finishedAt": at(6),
        }

    # -- by hand -------------------------------------------------------------------------------------

    def test_a_run_by_hand_starts_at_once_and_counts_in_nothing(self) -> None:
        job = make_job(number_of_executions=1)
        self.register(job)
        claim = self._by_hand(params={"x": 2}, identity="ann")
        run = claim.run
        assert (run.trigger, run.state, run.scheduled_for, run.started_at) == (
            "manual",
            "running",
            None,
            at(50),
        )
        assert (run.params, run.identity, run.owner, run.pid) == ({"x": 2}, "ann", "a", 7)
        assert self.store.run(run.id) == run
        assert (self.standing().executions, self.standing().consumed) == (0, at(0))

    def test_a_run_by_hand_needs_no_start_before(self) -> None:
        assert self.end(self._by_hand())
        assert self.store.standings("a", "") == []

    def test_an_occupied_job_is_refused_and_the_run_in_the_way_named(self) -> None:
        first = self._by_hand().run
        with raises(Refused) as found:
            self._by_hand()
        assert str(first.id) in found[0].message
        assert len(self.rows()) == 1

    def test_a_pending_run_occupies_the_job_too(self) -> None:
        self._pending(make_job(), 1)
        with raises(Refused):
            self._by_hand()

    def test_force_runs_beside_another_and_then_occupies_the_job_like_any_run(self) -> None:
        self._by_hand()
        self._by_hand(force=True)
        self.end(Claim(self.rows()[0], False, None, None))
        self._pending(make_job(), 1)
        assert self.claim() == []
        self.end(Claim(self.rows()[1], False, None, None))
        assert len(self.claim()) == 1

    def test_concurrency_allow_is_never_occupied(self) -> None:
        self._by_hand(concurrency="allow")
        self._by_hand(concurrency="allow")
        assert len(self.rows(states=("running",))) == 2

    def test_a_running_manual_run_holds_the_schedule_back(self) -> None:
        self._by_hand()
        self._pending(make_job(), 1)
        assert self.claim() == []

    def test_an_attempt_by_hand_starts_while_its_job_is_paused_or_disabled_here(self) -> None:
        for gate in ("paused", "disabled"):
            self._retry_by_hand(gate)
            self._gate(gate, gate)
            assert len(self.claim()) == 1, gate

    def test_an_attempt_by_hand_waits_where_its_file_is_broken_or_it_may_not_run(self) -> None:
        for gate in ("environment", "labels", "broken-file"):
            self._retry_by_hand(gate)
            self._gate(gate, gate)
            assert self.claim() == [], gate
            self._gate(gate, None)
            assert len(self.claim()) == 1, gate

    def _gate(self, name: str, gate: str | None) -> None:
        gates = {} if gate is None else {name: gate}
        self.store.register("a", [make_job(name)], "", at(0), gates)

    def _retry_by_hand(self, name: str) -> None:
        self.register(make_job(name))
        run = self._by_hand(name).run
        failed = Outcome(state="failed", error={"type": "E", "message": ""})
        assert self.store.finish(run, failed, 0, at(51))
        assert self.store.again(run, at(52), at(51))

    def _pending(self, job: Any, *seconds: int) -> None:
        self.register(job)
        for second in seconds:
            self.enqueue(job, second)

    def _by_hand(
        self, name: str = "tick", *, params: Any = None, identity: str = "system", force: bool = False,
        concurrency: str = "forbid",
    ) -> Claim:  # fmt: skip
        job = make_job(name)._replace(concurrency=concurrency)
        job_id = self.store.enroll(job, at(50))
        return self.store.run_here(
            job_id, job, self.node, 7, params or {}, identity=identity, force=force, now=at(50)
        )
