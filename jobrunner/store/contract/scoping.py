"""Scopes: what each machine runs for itself has a life of its own there; and a standing that is no more."""
# ruff: noqa: D102  # the titles are the promises

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from jobrunner.facts import NodeFacts
from jobrunner.model import Job, Outcome, Run, Standing
from jobrunner.store.base import Claim
from jobrunner.store.contract.things import at, make_job, make_node, run_at, skips
from jobrunner.store.contract.waits import Waits


class Scoping(Waits):
    """consume, replace, rewind, rekey, finish, conclude and reset, on one machine of two; and too late."""

    # -- one machine of two --------------------------------------------------------------------------

    def test_a_schedule_is_moved_on_one_machine_without_the_other(self) -> None:
        job = self._on_both()
        with self._other_machine_spared():
            assert self._move(job, self._on_m(), 301, run_at(301))

    def test_a_schedule_is_set_back_on_one_machine_without_the_other(self) -> None:
        job = self._on_both()
        with self._other_machine_spared():
            assert self.store.rewind(self._on_m(), at(150), job)
            assert self._on_m().consumed == at(150)

    def test_a_schedule_becomes_another_on_one_machine_without_the_other(self) -> None:
        self._on_both()
        with self._other_machine_spared():
            assert self.store.rekey(self._on_m(), "another", at(160))
            assert self._on_m().anchor == at(160)

    def test_an_occurrence_makes_way_on_one_machine_without_the_other(self) -> None:
        self._on_both()
        with self._other_machine_spared():
            ended = self.store.replace(self._on_m(), at(310))
            assert {run.scope for run in ended} == {"m"}
            assert len(ended) == 2
            assert [run_id for run_id, _ in self.store.asked_to_end("x")] == [self._running_on("m").id]

    def test_a_chain_ends_on_one_machine_without_the_other(self) -> None:
        self._on_both()
        with self._other_machine_spared():
            assert self.end(Claim(self._running_on("m"), False, None, None), 320)
            assert self._on_m().ended_at == at(320)

    def test_what_is_due_starts_on_one_machine_without_the_other(self) -> None:
        self._on_both()
        self.end(Claim(self._running_on("m"), False, None, None), 320)
        self.store.replace(self._on_m(), at(321))
        with self._other_machine_spared():
            (claim,) = self.store.claim(self._node_of("x", "m"), [9], at(330))
            assert (claim.run.scope, claim.run.scheduled_for) == ("m", at(300))

    def test_what_was_planned_for_all_machines_is_nobodys_own_later(self) -> None:
        job = make_job("each")
        node = self._node_of("x", "m")
        self.store.join(node)
        self.store.register("x", [job], "m", at(0))
        assert self._move(job, self._on_m(), 1, run_at(1))
        self.store.register("x", [job._replace(hash="own", run_per_machine=True)], "m", at(2))
        (claim,) = self.store.claim(node, [9], at(3))
        assert claim.run.scope == ""

    # -- too late ------------------------------------------------------------------------------------

    def test_whoever_was_overtaken_moves_no_schedule(self) -> None:
        job = self.tick
        before = self.standing()
        assert self.consume(job, until=5)
        self._moves_nothing(job, before)
        again = self.standing()
        assert self.store.rekey(again, "another", again.consumed)
        assert self.standing().consumed == again.consumed
        self._moves_nothing(job, again)

    def _moves_nothing(self, job: Job, standing: Standing) -> None:
        now = self.standing()
        assert not self._move(job, standing, 9, run_at(9))
        assert not self.store.rewind(standing, at(-9), job)
        assert not self.store.rekey(standing, "a third", at(9))
        assert (self.standing(), self.rows()) == (now, [])

    # -- what has not come yet -----------------------------------------------------------------------

    def test_setting_back_forgets_only_what_never_started_and_was_not_ended(self) -> None:
        stays = self._in_the_future()
        assert self.store.rewind(self.standing(), at(100), self.loose)
        self._have_stayed(stays)

    def test_a_reset_of_the_schedule_forgets_only_that_too(self) -> None:
        stays = self._in_the_future()
        self.store.reset(self.standing().job_id, at(100), schedule=True)
        self._have_stayed(stays)

    def test_setting_back_brings_forward_what_waits_later_and_puts_nothing_off(self) -> None:
        self.consume(self.loose, run_at(1), run_at(2), until=500)
        first, second = self.claim(2)
        for claim, due in ((first, 90), (second, 900)):
            self.store.finish(claim.run, Outcome(state="failed"), 0, at(20))
            self.store.again(claim.run, at(due), at(20))
        assert self.store.rewind(self.standing(), at(100), self.loose)
        assert [run.effective_at for run in self.rows(states=("pending",))] == [at(90), at(100)]

    def test_a_row_for_many_is_shortened_only_where_it_reaches_beyond(self) -> None:
        self.consume(self.loose, skips(1, 50))
        self.consume(self.loose, skips(60, 200, "paused"))
        self.consume(self.loose, skips(300, 400, "disabled"))
        assert self.store.rewind(self.standing(), at(100), self.loose)
        assert [(run.count, run.last_for) for run in self.rows()] == [(50, at(50)), (41, at(100))]

    def test_a_row_for_many_is_shortened_by_a_reset_too(self) -> None:
        self.consume(self.loose, skips(1, 50))
        self.consume(self.loose, skips(60, 200, "paused"))
        self.store.reset(self.standing().job_id, at(100), schedule=True)
        assert [(run.count, run.last_for) for run in self.rows()] == [(50, at(50)), (41, at(100))]

    def _in_the_future(self) -> list[Run]:
        """Return what of the moments after second 100 has begun, or has ended; beside what has not."""
        self.consume(self.loose, *(run_at(second) for second in (200, 201, 202, 203)), until=300)
        runs = self.rows()
        running, failed = (self._begun(run) for run in runs[:2])
        self.store.finish(failed, Outcome(state="failed"), 0, at(210))
        self.store.again(failed, at(220), at(210))
        self.store.cancel(runs[2].id, at(211))
        call = self.called(self.loose, 400)
        return [*self.store.chain(failed.id), running, runs[2], call]

    def _begun(self, run: Run) -> Run:
        claim = self.store.start(run.id, self.node, 7, at(205))
        assert claim is not None
        return claim.run

    def _have_stayed(self, runs: list[Run]) -> None:
        assert {run.id for run in self.rows()} == {run.id for run in runs}
        assert self.states(*runs) == ["failed", "pending", "running", "canceled", "pending"]

    # -- short words ---------------------------------------------------------------------------------

    def _on_both(self) -> Job:
        """On m and on n alike: one runs, one is tried again, one waits, one is new, many were skipped."""
        job = make_job("each", run_per_machine=True)
        for owner, machine in (("x", "m"), ("y", "n")):
            node = self._node_of(owner, machine)
            self.store.join(node)
            self.store.register(owner, [job], machine, at(0))
            beside = job._replace(concurrency="allow")
            (standing,) = self.store.standings(owner, machine)
            due = [*(run_at(second) for second in (1, 2, 3)), skips(5, 290)]
            assert self._move(beside, standing, 290, *due, node=node)
            one, two, three = self.rows(states=("pending",))[-3:]
            self._begun_on(node, one)
            failed = self._begun_on(node, two)
            self.store.finish(failed, Outcome(state="failed"), 0, at(302))
            self.store.again(failed, at(900), at(302))
            waits = self._begun_on(node, three)
            self.store.wait_step(waits, "approval", None, at(303))
            self.store.suspend(waits, 0, at(304))
        for owner, machine in (("x", "m"), ("y", "n")):
            (standing,) = self.store.standings(owner, machine)
            assert self._move(job, standing, 300, run_at(300), node=self._node_of(owner, machine))
        return job

    def _begun_on(self, node: NodeFacts, run: Run) -> Run:
        claim = self.store.start(run.id, node, 7, at(301))
        assert claim is not None
        return claim.run

    @contextmanager
    def _other_machine_spared(self) -> Iterator[None]:
        def there() -> Any:
            rows = [run for run in self.rows() if run.scope == "n"]
            return self.store.standings("y", "n"), rows, self.store.asked_to_end("y")

        before = there()
        yield
        assert there() == before

    def _move(
        self, job: Job, standing: Standing, until: int, *due: Any, node: NodeFacts | None = None
    ) -> bool:
        who = node or self.node
        return self.store.consume(standing, at(until), due, job=job, supersede=None, node=who, now=at(until))

    def _on_m(self) -> Standing:
        (found,) = self.store.standings("x", "m")
        return found

    def _running_on(self, machine: str) -> Run:
        (found,) = [run for run in self.rows(states=("running",)) if run.scope == machine]
        return found

    def _node_of(self, owner: str, machine: str) -> NodeFacts:
        return make_node(owner)._replace(machine=machine)
