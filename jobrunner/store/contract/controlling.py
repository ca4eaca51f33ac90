"""What people say: enabled, paused, overridden, started over, forgotten, canceled."""
# ruff: noqa: D102  # the titles are the promises

from __future__ import annotations

from typing import Any

from jobrunner.clock import Instant
from jobrunner.errors import Refused
from jobrunner.facts import Definition, JobFacts, Pause
from jobrunner.model import Outcome, Parameter, Run
from jobrunner.store.base import Claim
from jobrunner.store.contract.things import (
    Bench,
    at,
    facts,
    make_job,
    raises,
    run_at,
    skip_at,
    skips,
)  # fmt: skip


class Controlling(Bench):
    """set_enabled, pause, resume, override, reset, forget, definitions, cancel, and what lists show."""

    # -- enabled -------------------------------------------------------------------------------------

    def test_what_people_said_of_a_job_stays_until_they_take_it_back(self) -> None:
        self._say(enabled=False, reason="by ana: too slow")
        assert self._said() == (False, "by ana: too slow")
        self.store.leave("a")
        assert self._said(self.again().job("tick")) == (False, "by ana: too slow")
        self._say(enabled=True, reason=None)
        assert self._said() == (True, None)
        self._say(enabled=None, reason="is not kept")
        assert self._said() == (None, None)

    def test_enabling_forgets_the_failures_in_a_row_and_disabling_keeps_them(self) -> None:
        self._fail()
        self._say(enabled=False)
        assert self._known().consecutive_failures == 1
        self._say(enabled=True)
        assert self._known().consecutive_failures == 0

    def test_leaving_it_to_the_file_again_forgets_the_failures_in_a_row(self) -> None:
        self._fail()
        self._say(enabled=None)
        assert self._known().consecutive_failures == 0

    # -- the pause -----------------------------------------------------------------------------------

    def test_a_pause_is_there_until_it_ends_for_every_connection(self) -> None:
        assert self.store.paused() is None
        assert self.store.pause("ana", "migration", at(5))
        assert self.again().paused() == Pause(at=at(5), by="ana", reason="migration")
        assert self.store.resume(at(9))
        assert self.again().paused() is None

    def test_a_second_pause_changes_nothing_and_neither_does_a_second_end(self) -> None:
        self.store.pause("ana", "migration", at(5))
        assert not self.store.pause("bob", None, at(6))
        assert self.store.paused() == Pause(at=at(5), by="ana", reason="migration")
        self.store.resume(at(7))
        assert not self.store.resume(at(8))

    # -- overrides -----------------------------------------------------------------------------------

    def test_overrides_are_kept_by_job_and_replaced_as_a_whole(self) -> None:
        self.register(make_job("x"), make_job("y"))
        self._override("x", schedule="@daily", params={"rows": [1, None]})
        assert self.again().overrides() == {"x": {"schedule": "@daily", "params": {"rows": [1, None]}}}
        assert self._known("x").overrides == {"schedule": "@daily", "params": {"rows": [1, None]}}
        self._override("x", timeout=30)
        assert self.store.overrides() == {"x": {"timeout": 30}}
        self._override("x")
        assert self.store.overrides() == {}
        assert self._known("x").overrides == {}

    def test_overrides_outlive_the_nodes_and_new_definitions(self) -> None:
        self.register(make_job("x"))
        self._override("x", timeout=30)
        self.register(make_job("x", hash="two"))
        self.store.leave("a")
        assert self.store.overrides() == {"x": {"timeout": 30}}

    # -- to start over -------------------------------------------------------------------------------

    def test_reset_zeroes_count_and_failures_and_moves_no_schedule(self) -> None:
        self._fail()
        assert self._known().executions == 1
        self.store.reset(self._known().id, at(5000))
        found = self._known()
        assert (found.executions, found.consecutive_failures) == (0, 0)
        assert (found.consumed, found.anchor) == (at(1), at(0))
        assert facts(self.rows()) == [(1, "failed", None, 1)]

    def test_reset_zeroes_the_count_of_every_machine(self) -> None:
        job = self.on_two_machines()
        self.store.reset(self._known(job.name).id, at(5000))
        assert self.store.executions_by_machine(self._known(job.name).id) == {"m": 0, "n": 0}

    def test_a_schedule_that_was_reset_begins_now(self) -> None:
        self.consume(self.tick, skip_at(1), until=900)
        self.store.reset(self._known().id, at(300), schedule=True)
        assert (self.standing().consumed, self.standing().anchor) == (at(300), at(300))

    def test_what_was_written_about_later_moments_without_starting_is_forgotten_by_a_reset(self) -> None:
        self.consume(self.loose, run_at(1), skip_at(2), run_at(8))
        self.claim(2)
        self.consume(self.loose, skip_at(9), run_at(10))
        self._reset_schedule(5)
        assert facts(self.rows()) == [
            (1, "running", None, 1),
            (2, "skipped", "overlap", 1),
            (8, "running", None, 1),
        ]

    def test_a_row_for_many_ends_where_the_schedule_was_reset_to(self) -> None:
        self.consume(self.tick, skips(1, 500))
        self._reset_schedule(200)
        (row,) = self.rows()
        assert (row.count, row.last_for) == (200, at(200))

    def test_after_a_reset_each_occurrence_is_accounted_for_once_again(self) -> None:
        self.consume(self.tick, skips(1, 500))
        self._reset_schedule(200)
        self.consume(self.tick, skips(201, 600))
        assert self.counted() == 600

    def test_skips_after_a_reset_begin_a_row_of_their_own(self) -> None:
        self.consume(self.tick, skips(1, 500))
        self._reset_schedule(200)
        self.consume(self.tick, skips(201, 400))
        assert [row.count for row in self.rows()] == [200, 200]

    # -- to forget -----------------------------------------------------------------------------------

    def test_a_forgotten_job_leaves_nothing_and_comes_back_as_a_new_one(self) -> None:
        self._fail()
        self.store.append_log(self.rows()[0].id, "a", [])
        self.register()
        self.store.forget(self._known().id)
        assert (self.store.job("tick"), self.rows(), self.store.definitions()) == (None, [], [])
        assert self.store.register("a", [make_job()], "m", at(7000)).added == ("tick",)

    def test_a_job_whose_definition_a_node_holds_is_not_forgotten(self) -> None:
        self.register(make_job())
        with raises(Refused) as found:
            self.store.forget(self._known().id)
        assert "node-a" in found[0].message
        self.store.leave("a")
        self.store.forget(self._known().id)

    def test_a_job_that_runs_is_not_forgotten(self) -> None:
        claim = self._one_running()
        self.register()
        with raises(Refused) as found:
            self.store.forget(claim.run.job_id)
        assert f"run {claim.run.id} is running" in found[0].message
        assert self.store.job("tick") is not None

    def test_pending_runs_are_forgotten_with_their_job(self) -> None:
        self.enqueue(self.tick, 1)
        self.register()
        self.store.forget(self._known().id)
        assert self.rows() == []

    def test_other_jobs_are_not_forgotten(self) -> None:
        self.register(make_job("x"), make_job("y"))
        self.enqueue(make_job("y"), 1)
        self.register(make_job("y"))
        self.store.forget(self._known("x").id)
        assert [job.name for job in self.store.jobs()] == ["y"]
        assert [run.job for run in self.rows()] == ["y"]

    # -- what nodes go by ----------------------------------------------------------------------------

    def test_another_connection_sees_that_what_it_goes_by_has_changed(self) -> None:
        self.register(make_job())
        job_id, other = self._known().id, self.again()
        changes: list[Any] = [
            lambda: self.store.set_enabled(job_id, False, None, at(1)),
            lambda: self.store.pause("ana", None, at(1)),
            lambda: self.store.resume(at(1)),
            lambda: self.store.override(job_id, {"timeout": 1}, at(1)),
            lambda: self.store.reset(job_id, at(1)),
        ]
        for change in changes:
            other.definitions_changed()
            change()
            assert other.definitions_changed()
            assert not other.definitions_changed()

    def test_a_pause_that_changes_nothing_disturbs_no_node(self) -> None:
        self.store.pause("ana", None, at(1))
        self.store.definitions_changed()
        self.store.pause("bob", None, at(2))
        assert not self.store.definitions_changed()

    # -- to read -------------------------------------------------------------------------------------

    def test_the_current_definition_of_each_job_can_be_read(self) -> None:
        self.register(make_job("x"), make_job("y", hash="old"))
        self.register(make_job("x"), make_job("y", every=5, hash="new"))
        self.store.enroll(make_job("enrolled"), at(1))
        config = {"name": "y", "schedule": "every 5s"}
        found = self.store.definitions()
        assert [each.name for each in found] == ["x", "y"]
        assert found[1] == Definition(
            job_id=self._known("y").id, name="y", hash="new", file="jobs/y.py", config=config
        )

    def test_a_definition_tells_what_its_function_takes_if_that_is_known(self) -> None:
        takes = (Parameter("n", "int", False, {"a": [None]}), Parameter("name"))
        self.register(
            make_job("a", parameters=takes), make_job("b", parameters=()), make_job("c", parameters=None)
        )
        assert [each.parameters for each in self.again().definitions()] == [takes, (), None]

    def test_a_job_that_runs_on_each_machine_counts_on_each(self) -> None:
        job = self.on_two_machines()
        assert self.store.executions_by_machine(self._known(job.name).id) == {"m": 2, "n": 1}
        assert self._known(job.name).executions == 2

    def test_a_job_that_runs_once_for_all_has_no_counts_by_machine(self) -> None:
        self._fail()
        assert self.store.executions_by_machine(self._known().id) == {}

    def test_how_long_successes_took_is_known(self) -> None:
        for start, took in ((10, 3), (20, 5)):
            self.enqueue(self.tick, start)
            (claim,) = self.claim(seconds=start)
            self._conclude(claim.run, at(start + took))
        assert self._known().durations == (3_000_000, 5_000_000)

    def test_the_newest_running_run_tells_since_when_and_how_far(self) -> None:
        self.consume(self.loose, run_at(1), run_at(2))
        self.claim(seconds=10)
        (newest,) = self.claim(seconds=20)
        assert self.store.progress(newest.run.id, "a", 1, {"value": 3, "max": 9}, at(21))
        found = self._known()
        assert (found.running, found.running_since, found.progress) == (2, at(20), {"value": 3, "max": 9})

    def test_a_glance_shows_what_all_facts_show(self) -> None:
        self.on_two_machines()
        self._fail()
        self.enqueue(self.tick, 9)
        (claim,) = self.claim(seconds=20)
        self.store.progress(claim.run.id, "a", 1, {"value": 1}, at(21))
        self.enqueue(self.tick, 10)
        self._say(enabled=False, reason="by ana")
        self._override("each", timeout=3)
        self.store.enroll(make_job("enrolled"), at(1))
        whole, glance = self.store.jobs(), self.store.glance()
        assert [each.name for each in glance] == ["each", "enrolled", "tick"]
        for fact, seen in zip(whole, glance, strict=True):
            assert seen._asdict() == {name: getattr(fact, name) for name in seen._fields}

    # -- cancel --------------------------------------------------------------------------------------

    def test_a_pending_run_that_is_canceled_never_starts(self) -> None:
        self.enqueue(self.tick, 1)
        (run,) = self.rows()
        assert self.store.cancel(run.id, at(3)) == "canceled"
        found = self.rows()[0]
        assert (found.state, found.finished_at, found.started_at) == ("canceled", at(3), None)
        assert self.claim() == []
        assert self._known().last_state == "canceled"

    def test_a_running_run_is_asked_to_end_and_its_node_hears_of_it(self) -> None:
        claim = self._one_running()
        assert self.store.asked_to_end("a") == []
        assert self.again().cancel(claim.run.id, at(3)) == "running"
        assert self.store.asked_to_end("a") == [(claim.run.id, "canceled")]
        assert self.store.asked_to_end("b") == []
        found = self.store.run(claim.run.id)
        assert found is not None
        assert (found.state, found.asked) == ("running", "canceled")

    def test_whoever_was_asked_and_has_ended_is_not_asked_again(self) -> None:
        claim = self._one_running()
        self.store.cancel(claim.run.id, at(3))
        assert self.end(claim, state="canceled")
        assert self.store.asked_to_end("a") == []

    def test_a_run_that_has_ended_stays_as_it_is(self) -> None:
        claim = self._one_running()
        self.end(claim)
        before = self.rows()
        assert self.store.cancel(claim.run.id, at(5000)) == "succeeded"
        assert self.rows() == before

    def test_no_run_of_that_number_is_said_so(self) -> None:
        assert self.store.cancel(4711, at(1)) is None

    def test_a_canceled_chain_is_no_failure_and_no_success(self) -> None:
        self._fail()
        self.enqueue(self.tick, 2)
        self.store.cancel(self.rows()[-1].id, at(5000))
        found = self._known()
        assert (found.consecutive_failures, found.last_success_at) == (1, None)

    # -- short words ---------------------------------------------------------------------------------

    def _known(self, name: str = "tick") -> JobFacts:
        found = self.store.job(name)
        assert found is not None
        return found

    def _say(self, *, enabled: bool | None, reason: str | None = None) -> None:
        self.store.set_enabled(self.store.enroll(self.tick, at(0)), enabled, reason, at(3))

    def _said(self, fact: JobFacts | None = None) -> tuple[bool | None, str | None]:
        found = fact or self._known()
        return found.enabled_override, found.enabled_reason

    def _override(self, name: str, **keys: Any) -> None:
        self.store.override(self._known(name).id, keys, at(1))

    def _reset_schedule(self, seconds: int) -> None:
        self.store.reset(self._known().id, at(seconds), schedule=True)

    def _one_running(self) -> Claim:
        self.enqueue(self.tick, 1)
        (claim,) = self.claim()
        return claim

    def _fail(self) -> None:
        """Let tick fail once."""
        claim = self._one_running()
        self.end(claim, state="failed")

    def _conclude(self, run: Run, now: Instant, state: Any = "succeeded") -> None:
        outcome = Outcome(state=state)
        self.store.finish(run, outcome, 0, now)
        self.store.conclude(run, outcome, now)
