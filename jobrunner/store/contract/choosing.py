"""Choices: of what is alike in most, only what was meant starts, waits, fails or is canceled."""
# ruff: noqa: D102  # the titles are the promises

from __future__ import annotations

from jobrunner.errors import Refused
from jobrunner.model import Outcome, Run
from jobrunner.store.base import AddedJob, LogChunk
from jobrunner.store.contract.things import at, make_job, make_node, raises, run_at
from jobrunner.store.contract.waits import Waits

ERROR = {"type": "E", "message": "m", "traceback": "", "phase": "body"}


class Choosing(Waits):
    """claim, next_pending, start, orphaned_calls, cancel, suspend, forget: beside what must not be chosen."""

    # -- to start ------------------------------------------------------------------------------------

    def test_no_priority_starts_anything_before_it_is_due(self) -> None:
        urgent = self.loose._replace(priority=9)
        self.called(urgent, 300)
        self.called(self.loose._replace(priority=-9), 1)
        assert [claim.run.effective_at for claim in self.claim(9, seconds=299)] == [at(1)]
        assert [claim.run.effective_at for claim in self.claim(9, seconds=300)] == [at(300)]

    def test_each_group_has_places_of_its_own(self) -> None:
        jobs = [make_job(f"{group}{number}", group=group, group_limit=1) for group in "xy" for number in "12"]
        self.register(*jobs)
        for job in jobs:
            self.called(job)
        assert [claim.run.job for claim in self.claim(1)] == ["x1"]
        assert [claim.run.job for claim in self.claim(9)] == ["y1"]
        assert self.claim(9) == []

    def test_what_is_held_in_several_definitions_starts_once(self) -> None:
        older = make_job(hash="older", concurrency="allow", number_of_executions=1)
        self.store.join(make_node("b"))
        self.register(older, owner="b")
        current = make_job(hash="current", concurrency="allow", number_of_executions=3)
        self.register(current)
        for second in (1, 2):
            self.enqueue(current, second)
        claims = self.claim(9)
        assert [(claim.run.scheduled_for, claim.is_last) for claim in claims] == [
            (at(1), False),
            (at(2), False),
        ]
        assert self.store.start(self.called(current).id, self.node, 3, at(9)) is not None

    def test_of_chains_that_go_on_the_older_goes_first_though_it_is_due_later(self) -> None:
        older, newer = self.called(self.tick), self.called(self.tick)
        for run, due in ((older, 500), (newer, 100)):
            claim = self._started(run)
            self.store.finish(claim, Outcome(state="failed"), 0, at(30))
            self.store.again(claim, at(due), at(30))
        assert self.claim(9, seconds=499) == []
        (claim_of_older,) = self.claim(9, seconds=500)
        assert claim_of_older.run.root_id == older.id
        self.end(claim_of_older)
        assert [claim.run.root_id for claim in self.claim(9, seconds=500)] == [newer.id]

    def test_a_start_by_its_number_minds_only_what_excludes_it(self) -> None:
        other, mine = make_job("other"), self.tick
        self.register(other, mine)
        self._started(self.called(other))
        forced = self.store.run_here(
            self.called(mine).job_id, mine, self.node, 7, {}, identity="x", force=True, now=at(10)
        )
        run = self.rows(job=mine.name, states=("pending",))[0]
        assert self.store.start(run.id, self.node, 8, at(20)) is not None
        assert self.states(forced.run) == ["running"]

    def test_a_call_that_is_started_by_its_number_takes_the_machines_scope(self) -> None:
        job = make_job(run_per_machine=True)
        self.store.register("a", [job], "m", at(0))
        assert self._started(self.called(job)).scope == "m"

    def test_nothing_that_has_ended_is_pending_later(self) -> None:
        self.called(self.loose, 500)
        run = self.called(self.loose, 400)
        assert self.store.next_pending(at(0)) == at(400)
        self.store.cancel(run.id, at(1))
        assert self.store.next_pending(at(0)) == at(500)

    # -- to fail, and to be canceled -----------------------------------------------------------------

    def test_what_nobody_holds_fails_only_if_it_is_new_and_was_held_once(self) -> None:
        job, stranger = self.loose, make_job("stranger")
        self.called(stranger)
        fails, retried, begun = (self.called(job) for _ in range(3))
        self._failed_once(retried)
        self._goes(begun)
        self.register()
        assert self.store.orphaned_calls(at(900)) == [fails]

    def test_calls_that_have_begun_are_not_canceled_with_their_caller(self) -> None:
        parent = self.going(self.loose).run
        new, retried, begun = (self.called(self.loose, parent_id=parent.id) for _ in range(3))
        again = self._failed_once(retried)
        self._goes(begun)
        self.store.cancel(parent.id, at(60))
        assert self.states(new, retried, again, begun) == ["canceled", "failed", "pending", "pending"]

    def test_triggered_runs_and_others_calls_are_not_canceled_with_a_caller(self) -> None:
        parent, other = self.going(self.loose).run, self.going(self.loose).run
        theirs = self.called(self.loose, 50, parent_id=other.id)
        queued = self.found(
            self.store.trigger(
                parent.job_id, self.loose, {}, identity="x", force=False, queue=True, now=at(50)
            )
        )
        self.store.cancel(parent.id, at(60))
        assert self.states(theirs, queued) == ["pending", "pending"]

    def test_only_what_a_schedule_asked_for_is_given_up(self) -> None:
        job = self.loose
        call = self.called(job)
        manual = self.store.trigger(call.job_id, job, {}, identity="x", force=False, queue=True, now=at(5))
        for run_id in (call.id, manual):
            assert not self.store.give_up(run_id, "missed", self.node, at(6))
            assert self.found(run_id).state == "pending"

    def test_what_made_way_for_another_asks_nothing_of_that(self) -> None:
        job = self.loose
        self.consume(job, run_at(1), run_at(2))
        (claim,) = self.claim(1)
        self.store.replace(self.standing(), at(10))
        assert self.store.asked_to_end("a") == [(claim.run.id, "replaced")]
        self.end(claim)
        assert len(self.claim(9)) == 1
        assert self.store.asked_to_end("a") == []

    # -- to wait -------------------------------------------------------------------------------------

    def test_a_run_that_waits_for_nothing_goes_on_though_others_wait(self) -> None:
        self._suspended(self.loose)
        run = self.going(self.loose).run
        self.store.begin_step(run, "approval", None, at(40))
        assert self.store.suspend(run, 0, at(50))
        assert self.states(run) == ["pending"]

    def test_a_run_waits_though_another_was_not_told_yet_that_it_may_go_on(self) -> None:
        other, run = self._waiting(self.loose).run, self._waiting(self.loose).run
        self._complete(other, "approval")
        assert self.store.suspend(run, 0, at(50))
        assert self.states(run) == ["waiting"]
        self._complete(run, "approval")
        assert [claim.run.id for claim in self.claim(9)] == [run.id], "now it is told, and the other is not"
        self.store.wait_step(other, "second", None, at(51))
        assert self.store.suspend(other, 0, at(52))
        assert self.states(other) == ["pending"]

    def test_a_later_attempt_waits_and_goes_on_like_the_first(self) -> None:
        again = self._failed_once(self.called(self.loose))
        run = self._started(again)
        self.store.wait_step(run, "approval", None, at(41))
        assert self.store.suspend(run, 0, at(42))
        assert self._complete(run, "approval").id == again.id
        assert self.states(again) == ["pending"]

    def test_steps_are_counted_in_each_chain(self) -> None:
        self._waiting(self.loose, "a", "b")
        run = self._waiting(self.loose, "c", "d").run
        assert [(step.path, step.position) for step in self.store.steps(run.id)] == [("c", 1), ("d", 2)]

    def test_a_step_that_has_ended_is_not_completed_and_expires_no_more(self) -> None:
        run = self._suspended(self.loose)
        self._complete(run, "approval", result="first")
        with raises(Refused):
            self._complete(run, "approval", result="second")
        assert self.store.expire_steps(at(900)) == []
        assert self.store.next_deadline() is None
        assert self.store.steps(run.root_id)[0].result == "first"

    # -- to be kept ----------------------------------------------------------------------------------

    def test_a_number_is_reserved_whatever_else_is_numbered(self) -> None:
        self.store.note("ana", "said", None, "", at(1))
        first = self.store.reserve(2)
        self.store.add_job(AddedJob("x", "m:f", {}), at(1))
        assert self.store.reserve(1) == first + 2
        assert self.called(self.loose).id == first + 3

    def test_output_of_a_run_that_has_ended_or_waits_is_not_kept(self) -> None:
        ended, waits = self.going(self.loose), self._suspended(self.loose)
        self.end(ended)
        for run_id in (ended.run.id, waits.id):
            self.store.append_log(run_id, "a", [LogChunk(0, b"late")])
            assert self.store.read_log(run_id) == []

    def test_machines_are_told_apart_only_while_each_runs_it_for_itself(self) -> None:
        each = self.on_two_machines()
        standing = next(found for found in self.store.standings("x", "m") if found.job == each.name)
        assert dict(self.store.executions_by_machine(standing.job_id)) == {"m": 2, "n": 1}
        for owner, machine in (("x", "m"), ("y", "n")):
            self.store.register(owner, [make_job("each", hash="for all", every=2)], machine, at(50))
        assert self.store.executions_by_machine(standing.job_id) == {}
        assert self.store.machine_counts() == {}
        for owner, machine in (("x", "m"), ("y", "n")):
            self.store.register(owner, [make_job("each", run_per_machine=True)], machine, at(60))
        assert dict(self.store.executions_by_machine(standing.job_id)) == {"m": 2, "n": 1}

    def test_while_one_job_was_finished_nothing_of_it_was_due_and_others_go_on(self) -> None:
        jobs = [make_job(name, number_of_executions=1) for name in ("more", "reset", "still")]
        self.register(*jobs)
        for job in jobs:
            self.enqueue(job, 1)
        assert len(self.claim(9)) == 3
        more = make_job("more", number_of_executions=5)
        self.register(more, *jobs[1:], now=at(100))
        self.store.reset(self.standing("reset").job_id, at(200))
        found = {each.job: each.consumed for each in self.store.standings("a", "")}
        assert found == {"more": at(100), "reset": at(200), "still": at(1)}

    def test_of_two_definitions_that_go_on_the_one_somebody_holds_is_kept(self) -> None:
        for owner in ("b", "c"):
            self.store.join(make_node(owner))
        other = make_job("other", hash="same")
        self.register(make_job(hash="one"), other)
        self.register(make_job(hash="two"), other, owner="b")
        self.register(make_job(hash="three"), other, owner="c")
        self.store.leave("c")
        assert self._current() == {"tick": "two", "other": "same"}
        self.store.leave("b")
        assert self._current() == {"tick": "one", "other": "same"}
        self.store.leave("a")
        assert self._current() == {"tick": "one", "other": "same"}

    def test_a_name_that_is_anothers_by_now_is_not_fallen_back_to(self) -> None:
        self.register(make_job("old", hash="one"))
        self.store.join(make_node("b"))
        self.register(make_job("new", hash="two", former_names=("old",)), owner="b", now=at(5))
        self.store.join(make_node("c"))
        newer, another = make_job("new", hash="three"), make_job("old", hash="another")
        for held in ([newer], [newer, another], [another]):
            self.register(*held, owner="c", now=at(6))
        self.store.leave("b")
        assert sorted(facts.name for facts in self.store.jobs()) == ["new", "old"]

    # -- short words ---------------------------------------------------------------------------------

    def _current(self) -> dict[str, str]:
        return {each.name: each.hash for each in self.store.definitions()}

    def _started(self, run: Run) -> Run:
        claim = self.store.start(run.id, self.node, 7, at(20))
        assert claim is not None
        return claim.run

    def _failed_once(self, run: Run) -> Run:
        running = self._started(run)
        self.store.finish(running, Outcome(state="failed", error=ERROR), 0, at(21))
        return self.found(self.store.again(running, at(22), at(21)))

    def _goes(self, run: Run) -> None:
        """Let it begin, wait, and be about to go on."""
        running = self._started(run)
        self.store.wait_step(running, "approval", None, at(21))
        self.store.suspend(running, 0, at(22))
        self._complete(run, "approval")
