"""Neighbours: what is done to one job, chain or node leaves all others as they are."""
# ruff: noqa: D102  # the titles are the promises

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from jobrunner.model import Job, Outcome, Run
from jobrunner.store.base import AddedJob, Call, Claim, LogChunk, RunFilter, Write
from jobrunner.store.contract.things import at, make_job, make_node, run_at, skip_at, skips
from jobrunner.store.contract.waits import Waits

ERROR = {"type": "E", "message": "m", "traceback": "", "phase": "body"}
UNDO = {"target": "m:f", "args": {}, "given": True}
NEIGHBOUR = "neighbour"
FAR = 900_000  # seconds: when what the neighbour has waiting is due


class Sparing(Waits):
    """Each verb beside a job on another node that has something of everything."""

    def test_what_a_run_says_is_said_of_no_other(self) -> None:
        mine = self._beside()
        twin = self._mine_running(mine).run
        self.store.append_log(twin.id, "a", [LogChunk(0, b"x")])
        with self._spared():
            run = self._mine_running(mine).run
            self.store.begun(run.id, "a", 7, at(11))
            assert self.store.progress(run.id, "a", 1, {"value": 1}, at(12))
            self.store.stall(run.id, "a", True)
            self.store.append_log(run.id, "a", [LogChunk(each, b"x") for each in (0, 1, 2)])
            self.store.append_log(run.id, "a", [], (0, 2))
            assert self.store.write_documents(run, [Write("mine", 1), Write("gone", 1)], at(13)) is not None
            assert self.store.write_documents(run, [Write("gone", None, True)], at(13)) == [True]
            self.store.record(run, "key", "mine", at(13))
            again = self.store.repeat(run, at(14))
            self._are_mine(again)
        assert (self.found(twin.id), self.store.read_log(twin.id)) == (twin, [LogChunk(0, b"x")])

    def test_who_ends_ends_alone(self) -> None:
        mine = self._beside()
        twin = self._mine_running(mine).run
        with self._spared():
            first, second = self._mine_running(mine).run, self._mine_running(mine).run
            assert self.store.finish(first, Outcome(state="failed", error=ERROR, cursor=[1]), 0, at(15))
            self.store.add_to_log(first.id, b"hook")
            assert self.store.again(first, at(16), at(16)) is not None
            assert self.end(Claim(second, False, None, None), 17, result=1)
            self.store.set_enabled(second.job_id, None, None, at(18))
        assert self.found(twin.id) == twin

    def test_steps_are_their_chains_own(self) -> None:
        mine = self._beside()
        with self._spared():
            run = self._mine_running(mine).run
            for path in ("done", "open", "failed"):
                self.store.begin_step(run, path, UNDO, at(11))
            self._step_ends(run, "done", None)
            self._step_ends(run, "failed", ERROR)
            assert self.store.redo_step(run, "done")
            assert self.store.undone(run, "done", ERROR, at(12))
            assert self.store.undone(run, "failed", None, at(12))
            assert self.store.wait_step(run, "first", at(90), at(13)) is not None
            assert self.store.wait_step(run, "second", at(90), at(13)) is not None
            assert self.store.suspend(run, 0, at(14))
            self._are_mine(self.store.complete(run.id, "first", result=1, error=None, now=at(15)))
            self._are_mine(*(run for run, _ in self.store.expire_steps(at(100))))
        steps = {step.path: (step.state, step.undone) for step in self.store.steps(run.root_id)}
        assert steps == {
            "done": ("outdated", "failed"), "open": ("running", None), "failed": ("failed", "done"),
            "first": ("done", None), "second": ("failed", None),
        }  # fmt: skip

    def test_a_start_starts_nobody_else(self) -> None:
        mine = self._beside()
        with self._spared():
            self.enqueue(mine, 1)
            one, two, by_hand = self.called(mine), self.called(mine), self._queued(mine)
            assert self.store.start(two.id, self.node, 5, at(20)) is not None
            claims = self.claim(9)
            self._are_mine(*(claim.run for claim in claims))
            assert {claim.run.id for claim in claims} > {one.id, by_hand.id}
            here = self.store.run_here(
                one.job_id, mine, self.node, 6, {}, identity="x", force=True, now=at(21)
            )
            self._are_mine(here.run)

    def test_a_limit_that_is_reached_skips_nobody_else(self) -> None:
        self._beside()
        mine = make_job("mine", number_of_executions=1)
        self.register(mine, now=at(1))
        self.consume(mine, run_at(2), run_at(3))
        with self._spared():
            (claim,) = self.claim(9)
            assert claim.is_last
            assert self.end(claim)
            assert self.claim(9) == []

    def test_who_is_asked_to_end_is_asked_alone(self) -> None:
        mine = self._beside()
        with self._spared():
            parent = self._mine_running(mine).run
            self.store.call(Call(at=at(FAR), parent_id=parent.id), mine, at(9))
            waits, calls = self._suspended_one(mine), self.called(mine, FAR)
            for run in (parent, waits, calls):
                assert self.store.cancel(run.id, at(20)) is not None
            (child,) = self.store.children(parent.id)
            assert (child.state, child.job) == ("canceled", mine.name)
            assert self.store.asked_to_end("a") == [(parent.id, "canceled")]
            self._suspended_one(mine)
            self._are_mine(*self.store.replace(self.standing(mine.name), at(21)))

    def test_one_schedule_is_moved_without_the_others(self) -> None:
        mine = self._beside()
        with self._spared():
            self.consume(mine, run_at(1), skip_at(2), run_at(5))
            self.consume(mine, skips(6, 300), until=700, supersede="missed")
            job_id, standing = self.standing(mine.name).job_id, self.standing(mine.name)
            first, second = self.store.waiting_runs([job_id])[0], self.store.waiting_runs([job_id])[-1]
            self._are_mine(first, second)
            assert self.store.give_up(first.id, "missed", self.node, at(301))
            assert self.store.rewind(standing, at(200), mine)
            assert self.store.rekey(self.standing(mine.name), "another", at(201))
            self.store.reset(job_id, at(150), schedule=True)
            self.store.set_enabled(job_id, False, "why", at(202))
            self.store.override(job_id, {"timeout": "1s"}, at(203))
            self.store.reset(job_id, at(204))

    def test_definitions_come_and_go_without_the_others(self) -> None:
        mine = self._beside()
        with self._spared():
            self.register(make_job(mine.name, hash="newer", every=7, former_names=("older",)))
            self.register(make_job("another", former_names=(mine.name,)), now=at(5))
            self.store.add_job(AddedJob("added", "m:f", {"x": 1}), at(6))
            assert self.store.remove_job("ADDED")
            assert self.store.seen("a", at(8))
            self.register()
            self.store.leave("a")

    def test_the_dead_take_nobody_with_them(self) -> None:
        mine = self._beside()
        self.enqueue(mine, 1)
        with self._spared():
            self._mine_running(mine)
            lost = self.lose(20)
            assert len(lost) == 1
            self._are_mine(*lost)

    def test_what_nobody_can_make_fails_alone(self) -> None:
        mine = self._beside()
        with self._spared():
            run = self.called(mine, 3)
            self.register()
            self._are_mine(*self.store.orphaned_calls(at(30)))
            self._are_mine(self.store.fail_call(run.id, ERROR, at(31)))

    def test_what_is_deleted_is_deleted_alone(self) -> None:
        mine = self._beside()
        with self._spared():
            for _ in range(2):
                claim = self._mine_running(mine)
                self.store.append_log(claim.run.id, "a", [LogChunk(0, b"x")])
                assert self.end(claim, 12)
            assert self.store.delete_runs(RunFilter(job=mine.name)) == 2
            claim = self._mine_running(mine)
            self.store.record(claim.run, "key", 1, at(13))
            assert self.end(claim, 14)
            self.register()
            self.store.forget(claim.run.job_id)
            assert self.store.job(mine.name) is None

    def test_lists_of_one_job_have_nothing_of_another(self) -> None:
        mine = self._beside()
        run = self._mine_running(mine).run
        other = self.store.job(NEIGHBOUR)
        assert other is not None
        self._are_mine(*self.store.chain(run.id), *self.rows(job="MINE"), self.found(run.id))
        assert (self.store.children(run.id), self.store.steps(run.id), self.store.read_log(run.id)) == (
            [],
        ) * 3
        assert not self.store.to_undo(run.id)
        assert self.store.due_before(run.job_id, at(FAR)) == self.store.due_after(run.job_id, at(0)) == []
        assert self.store.waiting_runs([run.job_id]) == []
        assert {figure.job_id for figure in self.store.figures(run.job_id, None)} == {run.job_id}
        assert self.store.recorded(run.job_id, "key") == (False, None)
        assert self.store.executions_by_machine(run.job_id) == {}
        last = self.store.unscheduled_before(run.job_id, at(FAR * 2))
        assert last is not None
        self._are_mine(last)
        by_hand = self.store.unscheduled_before(other.id, at(FAR * 2))
        assert by_hand is not None
        assert by_hand.job == NEIGHBOUR
        (running,) = [each for each in self.store.open_runs() if each.job == mine.name]
        assert running.id == run.id
        facts = {glance.name: (glance.running, glance.executions) for glance in self.store.glance()}
        assert facts == {mine.name: (1, 0), NEIGHBOUR: (3, 1)}
        standing = self.standing(mine.name)
        assert (standing.open, standing.pending, standing.occupant) == (1, 0, run.id)

    # -- the neighbour -------------------------------------------------------------------------------

    def _beside(self) -> Job:
        """Return a job of node a, after another one that has something of everything on node b."""
        other, mine = make_job(NEIGHBOUR, concurrency="allow"), make_job("mine", concurrency="allow")
        self._there = make_node("b")
        self.store.join(self._there)
        self.register(other, owner="b")
        self.register(mine)
        self.store.add_job(AddedJob("theirs", "m:f", {}), at(1))
        self._busy(self._there_running(other))
        self._suspended_there(other)
        failed = self._there_running(other)
        assert self.store.finish(failed, Outcome(state="failed", error=ERROR), 3, at(9))
        assert self.store.again(failed, at(FAR), at(9)) is not None
        ended = self._there_running(other)
        assert self.end(Claim(ended, False, None, None), 9, result=["kept"])
        self._by_its_schedule(other)
        return mine

    def _busy(self, run: Run) -> None:
        for path in ("done", "open", "failed"):
            self.store.begin_step(run, path, UNDO, at(6))
        self._step_ends(run, "done", None)
        self._step_ends(run, "failed", ERROR)
        self.store.append_log(run.id, "b", [LogChunk(0, b"their"), LogChunk(5, b"log")])
        self.store.write_documents(run, [Write("their", 1), Write("theirs", 2)], at(6))
        self.store.record(run, "key", "theirs", at(6))
        self.store.progress(run.id, "b", 1, {"value": 9}, at(6))
        self.store.call(Call(at=at(FAR), parent_id=run.id), make_job(NEIGHBOUR), at(6))
        self.store.override(run.job_id, {"timeout": "9s"}, at(6))

    def _suspended_there(self, job: Job) -> None:
        run = self._there_running(job)
        self.store.begin_step(run, "done", UNDO, at(6))
        for path in ("first", "second"):
            self.store.wait_step(run, path, at(FAR), at(7))
        assert self.store.suspend(run, 0, at(8))

    def _by_its_schedule(self, job: Job) -> None:
        """One occurrence was claimed, one waits, and many were skipped."""
        (standing,) = self.store.standings("b", "")
        due = [run_at(1), skips(3, 250, "paused"), run_at(700)]
        assert self.store.consume(
            standing, at(700), due, job=job, supersede=None, node=self._there, now=at(251)
        )
        assert len(self.store.claim(self._there, [8], at(252))) == 1
        self.store.note("ana", "said", NEIGHBOUR, "much", at(253))

    def _there_running(self, job: Job) -> Run:
        run = self.called(job)
        claim = self.store.start(run.id, self._there, 9, at(5))
        assert claim is not None
        return claim.run

    @contextmanager
    def _spared(self) -> Iterator[None]:
        before = self._all_of_theirs()
        yield
        for what, found in self._all_of_theirs().items():
            assert found == before[what], f"{what} of the neighbour have changed"

    def _all_of_theirs(self) -> dict[str, Any]:
        store, runs = self.again(), self.rows(job=NEIGHBOUR)
        facts = store.job(NEIGHBOUR)
        assert facts is not None
        return {
            "facts": facts, "runs": runs, "overrides": store.overrides()[NEIGHBOUR],
            "steps": {run.id: store.steps(run.root_id) for run in runs},
            "logs": {run.id: store.read_log(run.id) for run in runs},
            "calls": {run.id: store.children(run.id) for run in runs},
            "standings": store.standings("b", ""), "holdings": store.holdings()["b"],
            "nodes": [node for node in store.nodes() if node.owner == "b"],
            "definitions": [each for each in store.definitions() if each.name == NEIGHBOUR],
            "documents": store.documents("their"), "records": store.recorded(facts.id, "key"),
            "added": [job for job in store.added_jobs() if job.name == "theirs"],
            "asked": store.asked_to_end("b"), "due": store.due_before(facts.id, at(FAR)),
            "notes": [note for note in store.notes() if note.job == NEIGHBOUR],
        }  # fmt: skip

    # -- short words ---------------------------------------------------------------------------------

    def _mine_running(self, mine: Job) -> Claim:
        claim = self.store.start(self.called(mine).id, self.node, 4, at(10))
        assert claim is not None
        return claim

    def _suspended_one(self, mine: Job) -> Run:
        return self._suspend_one(self._mine_running(mine))

    def _queued(self, mine: Job) -> Run:
        job_id = self.store.enroll(mine, at(0))
        return self.found(
            self.store.trigger(job_id, mine, {}, identity="x", force=False, queue=True, now=at(3))
        )

    def _step_ends(self, run: Run, path: str, error: dict[str, Any] | None) -> None:
        assert self.store.end_step(run, path, tries=1, result=1, effects=None, error=error, now=at(7))

    def _are_mine(self, *runs: Run | None) -> None:
        assert runs, "there are none"
        assert {run and run.job for run in runs} == {"mine"}
