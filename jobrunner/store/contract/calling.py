"""Calls: made once, in nobody's way until they start, and canceled with whoever made them."""
# ruff: noqa: D102  # the titles are the promises

from __future__ import annotations

from typing import Any

from jobrunner.errors import Refused
from jobrunner.facts import NodeFacts
from jobrunner.model import Job, Outcome, Run
from jobrunner.store.base import AddedJob, Call, Claim, Keep
from jobrunner.store.contract.things import Bench, at, make_job, make_node, raises

ERROR = {"type": "UnknownJob", "message": "m", "traceback": "", "phase": "import"}


class Calling(Bench):
    """reserve, call, trigger, orphaned_calls, fail_call, children, cancel, and the jobs that code adds."""

    # -- to be made ----------------------------------------------------------------------------------

    def test_reserved_numbers_are_consecutive_and_no_other_run_gets_them(self) -> None:
        other = self.again()
        first, second = self.store.reserve(3), other.reserve(2)
        assert second == first + 3
        run = self.called(self.tick)
        assert run.id == second + 2
        assert self.store.reserve(1) == run.id + 1

    def test_a_call_bears_the_number_that_was_reserved_for_it(self) -> None:
        first = self.store.reserve(3)
        later = self.called(self.tick)
        assert self.called(self.tick, id=first + 1).id == first + 1
        assert self.called(self.tick).id == later.id + 1

    def test_a_call_is_a_pending_run_of_all_that_was_asked_for(self) -> None:
        job = make_job(priority=2, group="db", group_limit=1, delivery="at-least-once", params={"x": 1})
        self.register(job)
        call = Call(at=at(30), params={"n": [1]}, identity="ann", parent_id=77)
        run = self.found(self.store.call(call, job, at(5)))
        assert (run.state, run.trigger, run.effective_at, run.created_at) == (
            "pending",
            "call",
            at(30),
            at(5),
        )
        assert (run.params, run.identity, run.parent_id, run.scheduled_for) == ({"n": [1]}, "ann", 77, None)
        assert (run.job, run.group, run.delivery) == ("tick", "db", "at-least-once")

    def test_a_call_for_a_moment_that_has_passed_is_due_now(self) -> None:
        run = self.found(self.store.call(Call(at=at(3)), self.tick, at(5)))
        assert run.effective_at == at(5)

    def test_a_call_starts_when_it_is_due_and_counts_in_no_limit(self) -> None:
        job = make_job(number_of_executions=1)
        self.register(job)
        self.called(job, 30)
        assert self.claim(seconds=29) == []
        (claim,) = self.claim(seconds=30)
        assert (claim.run.trigger, claim.is_last) == ("call", False)
        assert self.standing().executions == 0

    def test_a_call_waits_while_its_job_is_disabled_or_all_is_paused(self) -> None:
        self.called(self.tick)
        job_id = self.standing().job_id
        self.store.set_enabled(job_id, False, "ana", at(2))
        assert self.claim() == []
        self.store.set_enabled(job_id, None, None, at(3))
        self.store.pause("ana", None, at(4))
        assert self.claim() == []
        self.store.resume(at(5))
        assert len(self.claim()) == 1

    # -- in whose way --------------------------------------------------------------------------------

    def test_a_call_that_has_not_started_is_in_nobodys_way(self) -> None:
        call = self.called(self.tick, 5000)
        standing = self.standing()
        assert (standing.open, standing.pending, standing.occupant) == (0, 0, None)
        self._trigger(self.tick)
        self.end(self.claim()[0])
        self._here(self.tick)
        assert self.states(call) == ["pending"]

    def test_of_calls_that_are_due_together_one_starts_after_the_other(self) -> None:
        self.called(self.tick)
        self.called(self.tick)
        (first,) = self.claim(9)
        assert self.claim(9) == []
        self.end(first)
        assert len(self.claim(9)) == 1

    def test_calls_of_a_job_that_may_run_beside_itself_start_together(self) -> None:
        self.called(self.loose)
        self.called(self.loose)
        assert len(self.claim(9)) == 2

    def test_a_call_that_has_started_occupies_its_job(self) -> None:
        claim = self.going(self.tick)
        assert (self.standing().open, self.standing().occupant) == (1, claim.run.id)
        self._is_busy(self.tick, claim.run)

    def test_a_call_that_waits_for_its_next_attempt_occupies_its_job(self) -> None:
        claim = self.going(self.tick)
        self.store.finish(claim.run, Outcome(state="failed"), 0, at(20))
        second = self.found(self.store.again(claim.run, at(5000), at(20)))
        assert (self.standing().open, self.standing().occupant) == (1, second.id)
        self._is_busy(self.tick, second)
        self.called(self.tick)
        assert self.claim(9) == []

    def test_a_call_that_never_started_does_not_tell_when_its_job_was_last_busy(self) -> None:
        self.store.cancel(self.called(self.tick).id, at(50))
        assert self.standing().ended_at is None
        self.end(self.going(self.tick), 60)
        assert self.standing().ended_at == at(60)

    def test_what_each_machine_runs_for_itself_is_called_on_one_and_is_alone_there(self) -> None:
        job = make_job(run_per_machine=True)
        one, two = self._node_on(job, "x", "m1"), self._node_on(job, "y", "m2")
        self.called(job)
        self.called(job)
        self.called(job)
        (first,) = self.store.claim(one, [1, 2], at(9))
        assert (first.run.scope, first.run.machine) == ("m1", "m1")
        assert self.store.claim(one, [1, 2], at(9)) == [], "one at a time on each"
        assert [claim.run.scope for claim in self.store.claim(two, [1, 2], at(9))] == ["m2"]
        assert [standing.open for standing in self.store.standings("x", "m1")] == [1]

    # -- by hand, anywhere ---------------------------------------------------------------------------

    def test_a_triggered_run_is_for_any_node_and_due_at_once(self) -> None:
        run = self._trigger(self.tick, params={"n": 1})
        assert (run.state, run.trigger, run.effective_at, run.params) == (
            "pending",
            "manual",
            at(2),
            {"n": 1},
        )
        assert (run.identity, run.scheduled_for) == ("ann", None)
        self.store.pause("ana", None, at(4))
        assert [claim.run.id for claim in self.claim()] == [run.id], "by hand also while all is paused"

    def test_a_trigger_is_refused_while_the_job_is_occupied_and_the_run_in_the_way_is_named(self) -> None:
        first = self._trigger(self.tick)
        self._is_busy(self.tick, first)
        self.claim()
        self._is_busy(self.tick, first)
        assert len(self.rows()) == 1

    def test_a_trigger_may_queue_and_then_starts_after_what_was_in_its_way(self) -> None:
        self._trigger(self.tick)
        second = self._trigger(self.tick, queue=True)
        (claim,) = self.claim(9)
        self.end(claim)
        assert [claim.run.id for claim in self.claim(9)] == [second.id]

    def test_a_forced_trigger_starts_beside_what_is_in_its_way(self) -> None:
        self._trigger(self.tick)
        self._trigger(self.tick, force=True)
        assert len(self.claim(9)) == 2

    def test_a_job_that_may_run_beside_itself_is_triggered_as_often_as_one_likes(self) -> None:
        self._trigger(self.loose)
        self._trigger(self.loose)
        assert len(self.claim(9)) == 2

    def test_what_each_machine_runs_for_itself_is_occupied_while_it_runs_on_any(self) -> None:
        job = make_job(run_per_machine=True)
        node = self._node_on(job, "x", "m1")
        first = self._trigger(job)
        assert [claim.run.scope for claim in self.store.claim(node, [1], at(9))] == ["m1"]
        self._is_busy(job, first)

    # -- what nobody can make ------------------------------------------------------------------------

    def test_calls_that_are_due_of_jobs_that_nobody_holds_are_found_and_fail_once(self) -> None:
        kept, gone = self.tick, make_job("gone")
        self.register(kept, gone)
        due, later = self.called(gone, 10), self.called(gone, 5000)
        self.called(kept, 10)
        assert self.store.orphaned_calls(at(100)) == []
        self.register(kept)
        assert self.store.orphaned_calls(at(9)) == []
        assert self.store.orphaned_calls(at(100)) == [due]
        failed = self.store.fail_call(due.id, ERROR, at(100))
        assert failed is not None
        assert (failed.state, failed.reason, failed.error, failed.finished_at) == (
            "failed", "orphan", ERROR, at(100),
        )  # fmt: skip
        assert self.store.fail_call(due.id, ERROR, at(101)) is None
        assert self.states(later) == ["pending"]

    def test_calls_of_a_definition_that_is_current_no_more_are_not_lost(self) -> None:
        self.called(self.tick)
        self.register(make_job(hash="newer"))
        assert self.store.orphaned_calls(at(100)) == []
        assert len(self.claim()) == 1

    def test_a_call_that_is_running_does_not_fail_for_want_of_a_job(self) -> None:
        claim = self.going(self.tick)
        assert self.store.fail_call(claim.run.id, ERROR, at(100)) is None
        assert self.states(claim.run) == ["running"]

    def test_a_run_that_nobody_called_is_not_failed_as_a_call(self) -> None:
        self.enqueue(self.tick, 1)
        (run,) = self.rows()
        self.register()
        assert self.store.orphaned_calls(at(100)) == []
        assert self.store.fail_call(run.id, ERROR, at(100)) is None

    # -- parents and children ------------------------------------------------------------------------

    def test_what_a_chain_has_called_is_found_by_any_of_its_attempts(self) -> None:
        first, second = self._two_attempts()
        calls = [self.called(self.loose, parent_id=first.id) for _ in range(2)]
        self.called(self.loose, parent_id=4711)
        assert self.store.children(first.id) == calls
        assert self.store.children(second.id) == calls
        assert self.store.children(calls[0].id) == []
        assert self.store.children(4711 + 1) == []

    def test_with_a_run_the_pending_calls_of_its_chain_are_canceled_and_those_that_these_made(self) -> None:
        first, second = self._two_attempts()
        child = self.called(self.loose, 5000, parent_id=first.id)
        other = self.called(self.loose, 5000)
        grandchild = self.called(self.loose, 5000, parent_id=child.id)
        assert self.again().cancel(second.id, at(50)) == "canceled"
        assert self.states(second, child, grandchild, other) == ["canceled"] * 3 + ["pending"]
        assert self.found(grandchild.id).finished_at == at(50)

    def test_they_are_canceled_also_when_the_run_has_ended_already(self) -> None:
        parent = self.going(self.loose)
        child = self.called(self.loose, parent_id=parent.run.id)
        grandchild = self.called(self.loose, 5000, parent_id=child.id)
        self.end(parent)
        self.end(self.claim()[0])
        assert self.store.cancel(parent.run.id, at(50)) == "succeeded"
        assert self.states(child, grandchild) == ["succeeded", "canceled"]

    def test_with_a_running_run_they_are_canceled_at_once(self) -> None:
        parent = self.going(self.loose)
        child = self.called(self.loose, 5000, parent_id=parent.run.id)
        assert self.store.cancel(parent.run.id, at(50)) == "running"
        assert self.states(child) == ["canceled"]

    def test_a_call_that_has_started_is_not_canceled_with_its_caller(self) -> None:
        parent = self.going(self.loose)
        running, again = (self.called(self.loose, parent_id=parent.run.id) for _ in range(2))
        claims = {claim.run.id: claim.run for claim in self.claim(9)}
        self.store.finish(claims[again.id], Outcome(state="failed"), 0, at(20))
        retry = self.found(self.store.again(claims[again.id], at(5000), at(20)))
        self.store.cancel(parent.run.id, at(50))
        assert self.states(running, retry) == ["running", "pending"]

    def test_calls_that_are_each_others_caller_are_canceled_once(self) -> None:
        first = self.store.reserve(2)
        one = self.called(self.loose, 5000, id=first, parent_id=first + 1)
        two = self.called(self.loose, 5000, id=first + 1, parent_id=first)
        self.store.cancel(one.id, at(50))
        assert self.states(one, two) == ["canceled", "canceled"]

    def test_the_chain_of_a_canceled_call_is_concluded(self) -> None:
        parent = self.going(self.loose)
        self.called(make_job("other"), 5000, parent_id=parent.run.id)
        self.store.cancel(parent.run.id, at(50))
        other = self.store.job("other")
        assert other is not None
        assert (other.last_state, other.last_finished_at) == ("canceled", at(50))

    def test_a_chain_may_be_pruned_while_what_it_called_is_there(self) -> None:
        parent = self.going(self.loose)
        child = self.called(self.loose, 5000, parent_id=parent.run.id)
        self.end(parent, 20)
        assert self.store.prune(_keep(ended=30), 500) == 1
        assert self.found(child.id).parent_id == parent.run.id
        assert self.store.cancel(child.id, at(50)) == "canceled"

    def test_calls_that_ended_go_when_calls_go_failed_ones_too(self) -> None:
        for second, state in ((10, "failed"), (20, "succeeded"), (40, "failed")):
            self.end(self.going(self.loose), second, state=state)
        self.enqueue(self.loose, 1)
        self.end(self.claim()[0], 10)
        assert self.store.prunable(_keep(calls=30)) == 2
        assert self.store.prune(_keep(calls=30), 500) == 2
        assert [(run.trigger, run.finished_at) for run in self.rows()] == [
            ("call", at(40)), ("schedule", at(10)),
        ]  # fmt: skip
        assert self.store.prune(_keep(ended=50), 500) == 2, "what all rows go by holds for calls too"

    # -- jobs that code adds -------------------------------------------------------------------------

    def test_an_added_job_is_kept_and_never_overwritten(self) -> None:
        job = AddedJob("Nightly", "shop.tasks:nightly", {"schedule": "daily"})
        assert self.store.add_job(job, at(1))
        assert not self.again().add_job(AddedJob("nightly", "other:thing", {}), at(2))
        assert self.store.add_job(AddedJob("another", "a:b", {}), at(3))
        assert self.again().added_jobs() == [AddedJob("another", "a:b", {}), job]

    def test_an_added_job_is_removed_by_any_spelling_of_its_name_and_once(self) -> None:
        self.store.add_job(AddedJob("Nightly", "a:b", {}), at(1))
        assert self.store.remove_job("nIGHTLY")
        assert not self.store.remove_job("nightly")
        assert self.store.added_jobs() == []

    def test_nodes_notice_that_a_job_was_added_or_removed_and_nothing_else(self) -> None:
        other = self.again()
        job = AddedJob("nightly", "a:b", {})
        for _ in range(2):
            assert self.store.add_job(job, at(1)) == other.definitions_changed()
        for _ in range(2):
            assert self.store.remove_job("nightly") == other.definitions_changed()

    # -- short words ---------------------------------------------------------------------------------

    def _trigger(self, job: Job, **how: Any) -> Run:
        said = {"params": {}, "identity": "ann", "force": False, "queue": False, **how}
        return self.found(self.store.trigger(self.store.enroll(job, at(0)), job, now=at(2), **said))

    def _is_busy(self, job: Job, with_: Run) -> None:
        with raises(Refused) as found:
            self._trigger(job)
        assert f"run {with_.id} " in found[0].message

    def _here(self, job: Job) -> Claim:
        job_id = self.store.enroll(job, at(50))
        return self.store.run_here(job_id, job, self.node, 7, {}, identity="x", force=False, now=at(50))

    def _node_on(self, job: Job, owner: str, machine: str) -> NodeFacts:
        node = make_node(owner)._replace(machine=machine)
        self.store.join(node)
        self.store.register(owner, [job], machine, at(0))
        return node

    def _two_attempts(self) -> tuple[Run, Run]:
        """A chain whose second attempt is pending."""
        first = self.going(self.loose).run
        self.store.finish(first, Outcome(state="failed"), 0, at(20))
        return first, self.found(self.store.again(first, at(5000), at(20)))


def _keep(*, ended: int = 0, calls: int = 0) -> Keep:
    moment = [at(each) if each else 0 for each in (ended, calls)]
    return Keep(ended_since=moment[0], failed_since=moment[0], rows=1 << 62, calls_since=moment[1])
