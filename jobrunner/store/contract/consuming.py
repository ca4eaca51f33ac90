"""The schedule: each occurrence once, whoever asks, and long streaks of skips in one row."""
# ruff: noqa: D102  # the titles are the promises

from __future__ import annotations

from jobrunner.clock import DAY
from jobrunner.model import Outcome
from jobrunner.store.contract.things import Bench, at, facts, make_job, make_node, run_at, skip_at, skips


class Consuming(Bench):
    """standings, consume, rewind, rekey."""

    def test_a_due_occurrence_becomes_a_pending_run_of_the_job(self) -> None:
        job = make_job(concurrency="allow", delivery="at-least-once", params={"a": [1, None, "é"]})
        self.register(job)
        self.consume(job, run_at(1))
        run = self.rows()[0]
        assert (run.trigger, run.state, run.scheduled_for, run.effective_at) == (
            "schedule",
            "pending",
            at(1),
            at(1),
        )
        assert (run.delivery, run.params, run.attempt, run.root_id) == (
            "at-least-once",
            job.params,
            1,
            run.id,
        )
        assert (run.owner, run.node, run.finished_at, run.created_at) == (None, None, None, at(1))

    def test_the_cursor_moves_with_the_rows(self) -> None:
        self.consume(self.tick, run_at(1), until=4)
        standing = self.standing()
        assert (standing.consumed, standing.open, standing.pending) == (at(4), 1, 1)
        assert standing.pending_id == self.rows()[0].id

    def test_of_two_nodes_that_saw_the_same_standing_one_consumes(self) -> None:
        job, seen = self.tick, self.standing()
        other = self.again()
        assert self.consume(job, run_at(1))
        assert not other.consume(
            seen, at(2), [run_at(1), run_at(2)], job=job, supersede="missed", node=make_node("b"), now=at(2)
        )
        assert facts(self.rows()) == [(1, "pending", None, 1)]
        assert self.standing().consumed == at(1)

    def test_a_plan_by_an_older_schedule_is_not_written(self) -> None:
        job, seen = self.tick, self.standing()
        self.register(make_job(every=7), now=seen.consumed)
        assert not self.store.consume(
            seen, at(1), [run_at(1)], job=job, supersede=None, node=self.node, now=at(1)
        )

    def test_the_cursor_never_goes_back_by_consuming(self) -> None:
        self.consume(self.tick, until=9)
        assert not self.consume(self.tick, run_at(3), until=3)

    def test_a_skip_is_a_row_that_says_why_and_who_found_it_due(self) -> None:
        self.consume(self.tick, skip_at(1, "paused"), until=2)
        run = self.rows()[0]
        assert (run.state, run.reason, run.finished_at, run.node) == ("skipped", "paused", at(2), "node-a")
        assert self.standing().open == 0

    def test_superseding_makes_the_pending_run_missed(self) -> None:
        self.enqueue(self.tick, 1)
        self.consume(self.tick, skip_at(2, "missed"), run_at(3), supersede="missed")
        assert facts(self.rows()) == [
            (1, "skipped", "missed", 1), (2, "skipped", "missed", 1), (3, "pending", None, 1)
        ]  # fmt: skip
        assert self.rows()[0].node == "node-a"

    def test_superseding_leaves_a_run_alone_that_was_claimed_meanwhile(self) -> None:
        self.enqueue(self.tick, 1)
        seen = self.standing()
        self.claim()
        assert self.store.consume(
            seen, at(2), [skip_at(2)], job=self.tick, supersede="missed", node=self.node, now=at(2)
        )
        assert facts(self.rows()) == [(1, "running", None, 1), (2, "skipped", "overlap", 1)]

    def test_an_occurrence_that_was_started_is_passed_over(self) -> None:
        self.consume(self.tick, run_at(5))
        self.claim(1, seconds=5)
        assert self.store.rewind(self.standing(), at(2), self.tick)
        assert self.consume(self.tick, skip_at(4), run_at(5), run_at(6))
        assert facts(self.rows(states=("pending", "running"))) == [
            (5, "running", None, 1), (6, "pending", None, 1),
        ]  # fmt: skip

    def test_of_many_occurrences_only_those_not_started_are_written(self) -> None:
        self.consume(self.tick, run_at(25))
        self.claim(1, seconds=25)
        self.store.rewind(self.standing(), at(1), self.tick)
        self.consume(self.tick, skips(5, 30, "asleep"))
        assert sorted(facts(self.rows())) == [
            (5, "skipped", "asleep", 20), (25, "running", None, 1), (26, "skipped", "asleep", 5),
        ]  # fmt: skip

    # -- streaks -------------------------------------------------------------------------------------

    def test_a_hundred_skips_are_a_hundred_rows(self) -> None:
        self._skip(1, 100)
        assert len(self.rows()) == self.counted() == 100

    def test_one_more_makes_them_one_row_in_the_place_of_the_first(self) -> None:
        self._skip(1, 1)
        first = self.rows()[0].id
        self._skip(2, 101)
        assert facts(self.rows()) == [(1, "skipped", "overlap", 101)]
        run = self.rows()[0]
        assert (run.id, run.last_for, run.effective_at) == (first, at(101), at(1))

    def test_later_ones_extend_the_row(self) -> None:
        self._skip(1, 250)
        assert facts(self.rows()) == [(1, "skipped", "overlap", 250)]
        assert self.rows()[0].last_for == at(250)

    def test_a_run_ends_the_streak(self) -> None:
        self._skip(1, 60)
        self.consume(self.tick, run_at(61))
        self._skip(62, 161)
        assert (len(self.rows()), self.counted()) == (161, 161)

    def test_another_reason_ends_the_streak(self) -> None:
        self._skip(1, 150)
        self.consume(self.tick, skip_at(151, "paused"))
        self._skip(152, 153)
        assert [run.count for run in self.rows()] == [150, 1, 1, 1]

    def test_an_occurrence_passed_over_ends_the_streak(self) -> None:
        self.consume(self.tick, run_at(50))
        self.claim(1, seconds=50)
        self.store.rewind(self.standing(), at(0), self.tick)
        self._skip(1, 120)
        assert (len(self.rows()), self.counted()) == (120, 120)

    def test_many_at_once_are_one_row_from_the_beginning(self) -> None:
        self.consume(self.tick, skips(1, 7))
        self._skip(8, 9, "missed")
        assert facts(self.rows()) == [(1, "skipped", "missed", 9)]

    def test_many_at_once_swallow_the_single_rows_before_them(self) -> None:
        self._skip(1, 5, "missed")
        self.consume(self.tick, skips(6, 500))
        assert facts(self.rows()) == [(1, "skipped", "missed", 500)]

    def test_a_changed_schedule_ends_the_streak(self) -> None:
        self._skip(1, 150)
        job = make_job(every=10)
        self.register(job, now=at(155))
        self.consume(job, skip_at(160))
        assert [run.count for run in self.rows()] == [150, 1]

    def test_streaks_of_two_jobs_do_not_mix(self) -> None:
        other = make_job("tock")
        self.register(self.tick, other)
        for second in range(1, 121):
            self.consume(self.tick, skip_at(second))
            self.consume(other, skip_at(second))
        assert sorted((run.job, run.count) for run in self.rows()) == [("tick", 120), ("tock", 120)]

    # -- a clock that was wrong ----------------------------------------------------------------------

    def test_a_cursor_in_the_future_is_set_back_once(self) -> None:
        self.consume(self.tick, until=9)
        seen = self.standing()
        assert self.store.rewind(seen, at(3), self.tick)
        assert not self.store.rewind(seen, at(2), self.tick)
        assert self.standing().consumed == at(3)

    def test_setting_back_forgets_what_has_not_come_yet(self) -> None:
        self.consume(self.tick, skips(1, 500), run_at(501))
        assert self.store.rewind(self.standing(), at(40), self.tick)
        assert facts(self.rows()) == [(1, "skipped", "missed", 40)]
        assert self.rows()[0].last_for == at(40)
        assert self.consume(self.tick, run_at(41))
        assert self.standing().open == 1

    def test_setting_back_moves_an_anchor_that_a_wrong_clock_gave(self) -> None:
        late = make_job("late")
        self.register(late, now=at(500))
        assert self.store.rewind(self.standing("late"), at(3), late)
        now = self.standing("late")
        assert (now.consumed, now.anchor) == (at(3), at(3))

    def test_a_pending_run_can_be_given_up_once(self) -> None:
        self.enqueue(self.tick, 1)
        run = self.rows()[0]
        assert self.store.give_up(run.id, "grace", self.node, at(9))
        assert not self.store.give_up(run.id, "grace", self.node, at(9))
        assert facts(self.rows()) == [(1, "skipped", "grace", 1)]
        assert self.standing().open == 0

    def test_what_waits_by_a_schedule_is_found_by_its_jobs_and_oldest_first(self) -> None:
        one, two = make_job("one", concurrency="allow"), make_job("two", concurrency="allow")
        self.register(one, two)
        for job, second in ((two, 1), (one, 2), (two, 3), (one, 4), (two, 5)):
            self.enqueue(job, second)
        ids = {run.job: run.job_id for run in self.rows()}
        (running,) = self.claim(seconds=1)
        assert running.run.scheduled_for == at(1)
        (skipped,) = [run.id for run in self.rows() if run.scheduled_for == at(5)]
        self.store.give_up(skipped, "grace", self.node, at(9))
        assert facts(self.store.waiting_runs()) == [(second, "pending", None, 1) for second in (2, 3, 4)]
        assert facts(self.store.waiting_runs({ids["one"]})) == [
            (2, "pending", None, 1),
            (4, "pending", None, 1),
        ]
        assert facts(self.store.waiting_runs([ids["two"]])) == [(3, "pending", None, 1)]
        assert self.store.waiting_runs([]) == []
        many = range(1_000_000, 1_000_100)
        assert self.store.waiting_runs(many) == []
        assert self.store.waiting_runs({*many, *ids.values()}) == self.store.waiting_runs()

    def test_a_later_attempt_waits_by_the_schedule_of_its_first_and_one_by_hand_does_not(self) -> None:
        self.enqueue(self.loose, 1)
        scheduled = self.claim()[0].run
        by_hand = self.store.run_here(
            scheduled.job_id, self.loose, self.node, 7, {}, identity="system", force=False, now=at(3)
        ).run
        for run in (scheduled, by_hand):
            self.store.finish(run, Outcome(state="failed"), 0, at(4))
            self.store.again(run, at(9), at(4))
        assert [(run.attempt, run.root_id) for run in self.store.waiting_runs()] == [(2, scheduled.id)]

    def test_where_a_gate_is_shut_nothing_is_claimed_and_others_can_see_who_may(self) -> None:
        self.store.join(make_node("b"))
        self.store.register("a", [self.tick], "", at(0), {"TICK": "environment"})
        self.store.register("b", [self.tick], "", at(0))
        assert self.standing().elsewhere
        self.consume(self.tick, run_at(1))
        assert self.claim(1, seconds=5) == []
        self.store.leave("b")
        assert not self.standing().elsewhere
        self.store.register("a", [self.tick], "", at(0))
        assert len(self.claim(1, seconds=5)) == 1

    def test_setting_back_ends_the_streak(self) -> None:
        self.consume(self.tick, skips(5, 8))
        assert self.store.rewind(self.standing(), at(6), self.tick)
        self.consume(self.tick, skip_at(7, "missed"))
        assert facts(self.rows()) == [(5, "skipped", "missed", 2), (7, "skipped", "missed", 1)]

    def test_a_cursor_is_given_to_another_schedule_once(self) -> None:
        self.consume(self.tick, run_at(5))
        seen = self.standing()
        assert self.store.rekey(seen, "another", at(9))
        assert not self.store.rekey(seen, "another", at(10))
        now = self.standing()
        assert (now.schedule_key, now.consumed, now.anchor) == ("another", at(9), at(9))

    def test_setting_back_never_goes_forward(self) -> None:
        self.consume(self.tick, run_at(1))
        assert not self.store.rewind(self.standing(), at(0) + DAY, self.tick)

    def test_standings_can_be_asked_for_some_jobs(self) -> None:
        self.register(*(make_job(f"j{number}") for number in range(5)))
        every = self.store.standings("a", "")
        some = [every[3].job_id, every[1].job_id, 999, every[1].job_id]
        assert self.store.standings("a", "", some) == [every[1], every[3]]
        assert self.store.standings("a", "", []) == []

    def test_a_standing_says_what_occupies_the_job_and_when_it_was_last_free(self) -> None:
        job = self.loose
        for second in (1, 2, 3):
            self.enqueue(job, second)
        claim = self.claim(1)[0]
        standing = self.standing()
        assert (standing.open, standing.pending, standing.pending_id) == (3, 2, self.rows()[-1].id)
        self.end(claim, 77)
        assert (self.standing().open, self.standing().ended_at) == (2, at(77))

    def test_the_occupant_is_the_oldest_open_run(self) -> None:
        job = self.loose
        assert self.standing().occupant is None
        self.enqueue(job, 1)
        self.enqueue(job, 2)
        assert self.standing().occupant == self.rows()[0].id
        self.end(self.claim(1)[0])
        assert self.standing().occupant == self.rows()[1].id

    def test_a_job_catches_up_while_a_run_is_open_that_was_late_when_it_was_planned(self) -> None:
        job = self.tick
        standing = self.standing()
        assert not standing.catching_up
        self.store.consume(
            standing, at(10), [run_at(4)._replace(serial=True)], job=job, supersede=None, node=self.node,
            now=at(10),
        )  # fmt: skip
        assert self.standing().catching_up
        (claim,) = self.claim()
        assert self.standing().catching_up
        self.end(claim)
        assert not self.standing().catching_up
        self.enqueue(job, 11)
        assert not self.standing().catching_up

    def test_a_serial_run_waits_for_the_others_though_the_job_may_run_beside_itself(self) -> None:
        job = self.loose
        self.consume(job, *(run_at(second)._replace(serial=True) for second in (1, 2)))
        (first,) = self.claim(9)
        assert self.claim(9) == []
        self.end(first)
        assert [claim.run.scheduled_for for claim in self.claim(9)] == [at(2)]

    def _skip(self, first: int, last: int, reason: str = "overlap") -> None:
        for second in range(first, last + 1):
            assert self.consume(self.tick, skip_at(second, reason))  # type: ignore[arg-type]
