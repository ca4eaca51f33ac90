"""Chains and turns: what is tried again, what makes way, who goes first, and who must wait."""
# ruff: noqa: D102  # the titles are the promises

from __future__ import annotations

from typing import Any

from jobrunner.facts import JobFacts, NodeFacts
from jobrunner.model import Due, Job, Outcome, Run
from jobrunner.store.base import Claim
from jobrunner.store.contract.things import Bench, at, facts, make_job, make_node, run_at

MINUTE = 60


class Repeating(Bench):
    """again, conclude, replace, next_pending, and the order and the gates of claim."""

    # -- again ---------------------------------------------------------------------------------------

    def test_the_next_attempt_is_a_pending_row_of_the_same_chain(self) -> None:
        first = self._failed(make_job(priority=2, group="db", group_limit=1, delivery="at-least-once"))
        second = self._run(self.store.again(first, at(30), at(20)))
        assert (second.attempt, second.root_id, second.state) == (2, first.id, "pending")
        assert (second.effective_at, second.created_at) == (at(30), at(20))
        kept = ("scheduled_for", "trigger", "scope", "group", "delivery", "params", "identity", "job")
        assert [getattr(second, name) for name in kept] == [getattr(first, name) for name in kept]

    def test_an_attempt_that_is_there_already_is_not_written_again(self) -> None:
        first = self._failed(make_job())
        self.store.again(first, at(30), at(20))
        assert self.store.again(first, at(40), at(20)) is None
        assert [run.attempt for run in self.store.chain(first.id)] == [1, 2]

    def test_a_third_attempt_belongs_to_the_first(self) -> None:
        first = self._failed(make_job())
        self.store.again(first, at(30), at(20))
        second = self._end_badly(self.claim(seconds=30)[0])
        third = self._run(self.store.again(second, at(40), at(35)))
        assert (third.attempt, third.root_id) == (3, first.id)
        assert [run.attempt for run in self.store.chain(first.id)] == [1, 2, 3]

    def test_a_later_attempt_starts_when_it_is_due_and_counts_in_no_limit(self) -> None:
        first = self._failed(make_job(number_of_executions=1))
        self.store.again(first, at(30), at(20))
        assert self.claim(seconds=29) == []
        (claim,) = self.claim(seconds=30)
        assert (claim.run.attempt, claim.run.root_id, claim.is_last) == (2, first.id, True)
        assert self.standing().executions == 1

    def test_a_chain_that_waits_occupies_its_job_and_starts_before_what_came_after_it(self) -> None:
        job = make_job()
        first = self._failed(job)
        self.store.again(first, at(500), at(20))
        standing = self.standing()
        assert (standing.open, standing.pending, standing.occupant) == (1, 0, self.rows()[-1].id)
        self.enqueue(job, 30)
        assert self.claim(9, seconds=499) == [], "another chain waits for the end of this one"
        assert [claim.run.attempt for claim in self.claim(9, seconds=500)] == [2]

    def test_of_two_chains_that_both_wait_the_older_goes_first_and_neither_blocks_the_other(self) -> None:
        job = make_job(concurrency="allow")
        self.register(job)
        self.enqueue(job, 1)
        self.enqueue(job, 2)
        older, newer = [self._end_badly(claim) for claim in self.claim(2)]
        self.store.again(older, at(30), at(20))
        self.store.again(newer, at(25), at(20))
        alone = make_job()
        self.register(alone)
        assert len(self.claim(9, seconds=30)) == 2, "they were let run side by side, and still are"

    def test_a_chain_that_was_forced_holds_nobody_back_while_it_waits(self) -> None:
        job = make_job()
        self.register(job)
        forced = self.store.run_here(
            self.standing().job_id, job, self.node, 7, {}, identity="ann", force=True, now=at(1)
        )
        self.store.again(self._end_badly(forced), at(500), at(2))
        self.enqueue(job, 3)
        assert len(self.claim(9, seconds=10)) == 1

    def test_a_waiting_attempt_that_a_wrong_clock_put_off_is_due_where_it_is_put_right(self) -> None:
        self._with_a_retry(self.tick, due=10**6)
        self.consume(self.tick, until=9000)
        assert self.store.rewind(self.standing(), at(3000), self.tick)
        assert [run.effective_at for run in self.rows(states=("pending",))] == [at(3000)]

    # -- conclude ------------------------------------------------------------------------------------

    def test_only_the_end_of_a_chain_is_what_the_job_remembers(self) -> None:
        first = self._failed(make_job())
        assert self._facts().last_state is None
        assert self.store.conclude(first, Outcome(state="failed"), at(25)) == 1
        found = self._facts()
        assert (found.last_state, found.last_finished_at, found.consecutive_failures) == ("failed", at(25), 1)
        assert self.standing().ended_at == at(25)

    def test_concluding_tells_the_failures_in_a_row(self) -> None:
        job = make_job()
        self.register(job)
        told = []
        for second, state in enumerate(
            ("failed", "timed_out", "canceled", "skipped", "lost", "succeeded"), 1
        ):
            self.enqueue(job, second)
            (claim,) = self.claim()
            how: Any = Outcome(state=state, reason="body")  # type: ignore[arg-type]
            self.store.finish(claim.run, how, 0, at(50))
            told.append(self.store.conclude(claim.run, how, at(50)))
        assert told == [1, 2, 2, 2, 3, 0]

    # -- replace -------------------------------------------------------------------------------------

    def test_what_runs_is_asked_to_make_way_and_what_waits_for_an_attempt_ends(self) -> None:
        job = make_job(concurrency="allow")
        self.register(job)
        for second in (1, 2, 3):
            self.enqueue(job, second)
        failed = self._end_badly(self.claim(1)[0])
        waiting = self.store.again(failed, at(500), at(20))
        (running,) = self.claim(1)
        ended = self.store.replace(self.standing(), at(30))
        assert [(run.id, run.state, run.reason, run.finished_at) for run in ended] == [
            (waiting, "canceled", "replaced", at(30))
        ]
        assert self.store.asked_to_end("a") == [(running.run.id, "replaced")]
        assert [run.state for run in self.rows(states=("pending",))] == ["pending"], "a first attempt stays"

    def test_whoever_was_asked_to_cancel_is_not_asked_to_make_way(self) -> None:
        job = make_job()
        self.register(job)
        self.enqueue(job, 1)
        (claim,) = self.claim()
        self.store.cancel(claim.run.id, at(3))
        self.store.replace(self.standing(), at(4))
        assert self.store.asked_to_end("a") == [(claim.run.id, "canceled")]

    def test_making_way_concerns_one_job(self) -> None:
        jobs = [make_job("x"), make_job("y")]
        self.register(*jobs)
        for job in jobs:
            self.enqueue(job, 1)
        self.claim(2)
        self.store.replace(self.standing("x"), at(4))
        assert [self._run(run_id).job for run_id, _ in self.store.asked_to_end("a")] == ["x"]

    # -- who is next ---------------------------------------------------------------------------------

    def test_the_next_pending_run_is_the_first_that_is_not_due_yet(self) -> None:
        assert self.store.next_pending(at(0)) is None
        job = make_job(concurrency="allow")
        self.register(job)
        for second, late in ((1, 0), (2, 60), (3, 30)):
            self.consume(job, Due(scheduled_for=at(second), effective_at=at(second + late)))
        assert self.store.next_pending(at(0)) == at(1)
        assert self.store.next_pending(at(1)) == at(33)
        assert self.store.next_pending(at(33)) == at(62)
        assert self.store.next_pending(at(62)) is None

    def test_a_level_of_priority_is_worth_a_minute_of_waiting(self) -> None:
        self._line_up(("low", -1, 0), ("normal", 0, MINUTE - 1), ("high", 1, 2 * MINUTE - 2))
        assert self._order() == ["high", "normal", "low"]

    def test_who_has_waited_a_minute_longer_goes_before_one_level_more(self) -> None:
        self._line_up(("low", -1, 0), ("normal", 0, MINUTE + 1), ("high", 1, 2 * MINUTE + 2))
        assert self._order() == ["low", "normal", "high"]

    def test_what_has_a_low_priority_starts_when_it_is_due_if_nothing_else_waits(self) -> None:
        job = make_job(priority=-7)
        self.register(job)
        self.enqueue(job, 1)
        assert len(self.claim(seconds=1)) == 1

    def test_of_equals_the_one_that_was_written_first_goes_first(self) -> None:
        self._line_up(("low", -1, 0), ("normal", 0, MINUTE), ("high", 1, 2 * MINUTE))
        assert self._order() == ["low", "normal", "high"]

    # -- groups --------------------------------------------------------------------------------------

    def test_of_a_group_no_more_start_than_it_allows_on_all_nodes_together(self) -> None:
        jobs = [make_job(f"j{n}", group="db", group_limit=2) for n in range(4)]
        self.register(*jobs)
        self._second_node(*jobs)
        for job in jobs:
            self.enqueue(job, 1)
        first, second = self.claim(1)[0], self.claim(9, node=make_node("b"))
        assert len(second) == 1
        assert self.claim(9) == []
        self.end(first)
        assert len(self.claim(9)) == 1

    def test_a_full_group_keeps_no_other_job_waiting(self) -> None:
        grouped = [make_job(f"j{n}", group="db", group_limit=1) for n in range(2)]
        free = make_job("free")
        self.register(*grouped, free)
        for job in (*grouped, free):
            self.enqueue(job, 1)
        assert [claim.run.job for claim in self.claim(9)] == ["j0", "free"]

    def test_what_was_written_for_a_group_that_the_job_has_left_starts(self) -> None:
        self._line_up(("j", 0, 1), group="db", group_limit=1)
        self.register(make_job("j", hash="left"))
        assert len(self.claim(9)) == 1

    # -- machines ------------------------------------------------------------------------------------

    def test_what_is_for_a_machine_starts_there_alone(self) -> None:
        job = make_job(run_per_machine=True)
        one, two = self._on(job, "x", "m1"), self._on(job, "y", "m2")
        self._due_on(job, one)
        assert self.store.claim(two, [1], at(9)) == []
        assert [claim.run.scope for claim in self.store.claim(one, [1], at(9))] == ["m1"]

    def test_each_machine_has_its_own_cursor_count_and_occupant(self) -> None:
        job = make_job(run_per_machine=True, number_of_executions=1)
        one, two = self._on(job, "x", "m1"), self._on(job, "y", "m2")
        self._due_on(job, one)
        self._due_on(job, two)
        assert len(self.store.claim(one, [1], at(9))) == 1
        (waiting,) = self.store.standings("y", "m2")
        assert (waiting.scope, waiting.executions, waiting.pending, waiting.open) == ("m2", 0, 1, 1)
        assert len(self.store.claim(two, [1], at(9))) == 1, "the other machine's run is not in the way"
        assert self.store.executions_by_machine(waiting.job_id) == {"m1": 1, "m2": 1}

    def test_another_machine_is_no_elsewhere_for_what_each_machine_runs(self) -> None:
        job = make_job(run_per_machine=True)
        self._on(job, "x", "m1")
        self._on(job, "y", "m2")
        assert not self.store.standings("x", "m1")[0].elsewhere
        self._on(job, "z", "m1")
        assert self.store.standings("x", "m1")[0].elsewhere

    # -- what people say -----------------------------------------------------------------------------

    def test_while_all_is_paused_only_runs_by_hand_start(self) -> None:
        job = make_job()
        self._with_a_retry(job)
        assert not self.standing().paused
        self.store.pause("ana", None, at(40))
        assert self.standing().paused
        assert self.claim(9) == []
        by_hand = self.store.run_here(
            self.standing().job_id, job, self.node, 7, {}, identity="ann", force=True, now=at(41)
        )
        self.end(by_hand, 42)
        self.store.resume(at(50))
        assert [claim.run.attempt for claim in self.claim(9)] == [2]

    def test_of_a_disabled_job_nothing_starts_by_its_schedule_until_it_is_enabled(self) -> None:
        self._with_a_retry(make_job())
        job_id = self.standing().job_id
        assert self.standing().enabled is None
        self.store.set_enabled(job_id, False, "ana", at(40))
        assert self.standing().enabled is False
        assert self.claim(9) == []
        self.store.set_enabled(job_id, True, None, at(50))
        assert self.standing().enabled is True
        assert len(self.claim(9)) == 1

    def test_what_people_say_of_enabled_wins_over_the_definition(self) -> None:
        job = make_job(enabled=False)
        self.register(job)
        self.enqueue(job, 1)
        assert self.claim(9) == []
        self.store.set_enabled(self.standing().job_id, True, None, at(2))
        assert len(self.claim(9)) == 1

    # -- short words ---------------------------------------------------------------------------------

    def _run(self, run_id: int | None) -> Run:
        found = self.store.run(run_id or 0)
        assert found is not None
        return found

    def _facts(self) -> JobFacts:
        found = self.store.job("tick")
        assert found is not None
        return found

    def _end_badly(self, claim: Claim) -> Run:
        """End an attempt; its chain goes on."""
        assert self.store.finish(claim.run, Outcome(state="failed"), 0, at(20))
        return claim.run

    def _failed(self, job: Job) -> Run:
        """Let the first attempt of second 1 fail."""
        self.register(job)
        self.enqueue(job, 1)
        return self._end_badly(self.claim()[0])

    def _with_a_retry(self, job: Job, *, due: int = 30) -> None:
        self.store.again(self._failed(job), at(due), at(20))

    def _line_up(self, *which: tuple[str, int, int], **facts: Any) -> None:
        """Make runs of jobs pending: (name, priority, second)."""
        jobs = [make_job(name, priority=priority, **facts) for name, priority, _ in which]
        self.register(*jobs)
        for job, (_, _, second) in zip(jobs, which, strict=True):
            self.consume(job, Due(scheduled_for=at(second + 1), effective_at=at(second)))

    def _order(self) -> list[str]:
        names = [self.claim(1)[0].run.job for _ in range(3)]
        assert facts(self.rows(states=("pending",))) == []
        return names

    def _second_node(self, *jobs: Job) -> None:
        self.store.join(make_node("b"))
        self.register(*jobs, owner="b")

    def _on(self, job: Job, owner: str, machine: str) -> NodeFacts:
        node = make_node(owner)._replace(machine=machine)
        self.store.join(node)
        self.store.register(owner, [job], machine, at(0))
        return node

    def _due_on(self, job: Job, node: NodeFacts) -> None:
        (standing,) = self.store.standings(node.owner, node.machine)
        assert self.store.consume(standing, at(1), [run_at(1)], job=job, supersede=None, node=node, now=at(1))
