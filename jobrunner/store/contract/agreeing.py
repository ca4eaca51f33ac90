"""Agreement: whatever is told of a store full of all kinds of runs is what its rows say."""
# ruff: noqa: D102  # the titles are the promises

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

from jobrunner.clock import SECOND, Instant
from jobrunner.model import OPEN, Job, Outcome, Run
from jobrunner.store.base import Figure, Keep, RunFilter
from jobrunner.store.contract.things import at, make_job, make_node, run_at, skips
from jobrunner.store.contract.waits import Waits

UNDO = {"target": "m:f", "args": {}, "given": True}
LATE = 5 * SECOND
JOBS = (None, "loose", "EACH", "solo", "nobody")
STATES = (None, ("pending",), ("failed", "skipped"))
MOMENTS = (None, at(3), at(12), at(70), at(150))


class Agreeing(Waits):
    """standings, jobs, job, glance, waiting_runs, runs, delete_runs, prune, due_before, due_after,
    unscheduled_before, figures, holders, definitions, executions_by_machine."""

    def test_a_standing_is_what_the_rows_say(self) -> None:
        self._full()
        for owner, machine in (("a", "m"), ("y", "n")):
            found = self.store.standings(owner, machine)
            assert {each.job for each in found} == {"loose", "each", "solo"}
            for standing in found:
                mine = [run for run in self._all() if (run.job, run.scope) == (standing.job, standing.scope)]
                rows = [run for run in mine if _occupies(run)]
                waiting = [run.id for run in rows if _is_new(run)]
                late = [run for run in rows if run.created_at - run.effective_at > LATE]
                assert (standing.open, standing.pending) == (len(rows), len(waiting))
                assert standing.pending_id == max(waiting, default=None)
                assert standing.occupant == min((run.id for run in rows), default=None)
                assert standing.catching_up == any(run.trigger == "schedule" for run in late)
                assert self.store.standings(owner, machine, [standing.job_id]) == [standing]

    def test_elsewhere_is_where_nothing_keeps_the_same_definition_from_running(self) -> None:
        self._full()
        found = {each.job: each.elsewhere for each in self.store.standings("a", "m")}
        assert found == {"loose": False, "each": False, "solo": True}
        self.register(make_job("solo", hash="newest"), owner="y")
        (y,) = [each for each in self.store.standings("y", "n") if each.job == "solo"]
        assert not y.elsewhere, "others hold older ones"

    def test_the_facts_of_a_job_are_what_the_rows_say(self) -> None:
        self._full()
        for facts, glance in zip(self.store.jobs(), self.store.glance(), strict=True):
            rows = [run for run in self._all() if run.job == facts.name and run.state in OPEN]
            running = [run for run in rows if run.state == "running"]
            assert facts.running == len([run for run in rows if run.state != "pending"])
            assert facts.pending == len([run for run in rows if _is_new(run)])
            newest = max(running, key=lambda run: run.id, default=None)
            assert facts.running_since == (newest and newest.started_at)
            assert facts.progress == (newest and newest.progress)
            assert self.store.job(facts.name.upper()) == facts
            same = [name for name in glance._fields if name != "durations"]
            assert [getattr(glance, name) for name in same] == [getattr(facts, name) for name in same]

    def test_what_waits_by_its_schedule_is_what_the_rows_say(self) -> None:
        self._full()
        rows = [run for run in self._all() if run.state == "pending" and run.scheduled_for and not run.undo]
        waiting = [run for run in rows if run.started_at is None]
        assert {run.attempt for run in waiting} == {1, 2}
        assert self.store.waiting_runs() == waiting
        for job_id in {run.job_id for run in self._all()}:
            assert self.store.waiting_runs([job_id]) == [run for run in waiting if run.job_id == job_id]

    def test_runs_are_listed_by_all_that_is_asked_for_at_once(self) -> None:
        self._full()
        every = self._all()
        for job, states, since, until in product(JOBS, STATES, MOMENTS, MOMENTS):
            expected = [
                run
                for run in every
                if (job is None or run.job == job.lower())
                and (states is None or run.state in states)
                and (since is None or (run.started_at or run.last_for or run.effective_at) >= since)
                and (until is None or (run.started_at or run.effective_at) < until)
            ]
            which = RunFilter(job=job, states=states, since=since, until=until, limit=999)
            assert self.store.runs(which) == expected[::-1], which

    def test_chains_are_deleted_by_what_their_last_attempt_is(self) -> None:
        self._full()
        chains = [chain for chain in self._chains() if not any(run.state in OPEN for run in chain)]
        for job, states, since, until in product(JOBS, STATES, MOMENTS, MOMENTS):
            expected = 0
            for *_, last in chains:
                moment = last.started_at or last.last_for or last.effective_at
                if (
                    (job is None or last.job == job.lower())
                    and (states is None or last.state in states)
                    and (since is None or moment >= since)
                    and (until is None or moment < until)
                ):
                    expected += len(self.store.chain(last.root_id))
            which = RunFilter(job=job, states=states, since=since, until=until)
            assert self.store.delete_runs(which, dry_run=True) == expected, which

    def test_whatever_is_pruned_what_is_open_stays_whole(self) -> None:
        self._full()
        stays = [run.id for chain in self._chains() if _is_open(chain) for run in chain]
        nothing = Keep(ended_since=at(10**6), failed_since=at(10**6), rows=0, calls_since=at(10**6))
        few = Keep(ended_since=0, failed_since=0, rows=1)
        assert 0 < self.store.prunable(few) < self.store.prunable(nothing)
        number = self.store.prunable(nothing)
        assert number == len(self._all()) - len(stays)
        assert self.store.prune(nothing, 10**6) == number
        assert [run.id for run in self._all()] == sorted(stays)

    def test_what_was_due_and_what_was_not_is_found_around_any_moment(self) -> None:
        self._full()
        for job_id, second in product({run.job_id for run in self._all()}, (0, 1, 2, 4, 9, 60, 100, 999)):
            firsts = [run for run in self._all() if run.job_id == job_id and run.attempt == 1]
            due = {run.scheduled_for for run in firsts if run.scheduled_for is not None}
            before = max((each for each in due if each <= at(second)), default=None)
            after = min((each for each in due if each > at(second)), default=None)
            assert self.store.due_before(job_id, at(second)) == _at(firsts, before)
            assert self.store.due_after(job_id, at(second)) == _at(firsts, after)
            asked = [run for run in firsts if run.scheduled_for is None and run.effective_at <= at(second)]
            last = max(asked, key=lambda run: (run.effective_at, run.id), default=None)
            assert self.store.unscheduled_before(job_id, at(second)) == last

    def test_figures_are_what_the_rows_say(self) -> None:
        self._full()
        every = sorted(self._all(), key=lambda run: (run.job_id, run.id))
        for job_id, since in product((None, every[0].job_id, every[-1].job_id), MOMENTS):
            rows = [run for run in every if job_id in (None, run.job_id)]
            expected = [
                self._figure(run)
                for run in rows
                if since is None or (run.finished_at or run.started_at or run.effective_at) >= since
            ]
            assert self.store.figures(job_id, since) == expected

    def test_only_current_definitions_are_held_told_and_counted(self) -> None:
        self._full()
        ids = {facts.name: facts.id for facts in self.store.jobs()}
        holders = {job_id: {hold.owner for hold in found} for job_id, found in self.store.holders().items()}
        assert holders == {ids["loose"]: {"a", "y"}, ids["each"]: {"a", "y"}, ids["solo"]: {"a", "y"}}
        current = {each.name: each.hash for each in self.store.definitions()}
        assert current == {facts.name: facts.definition_hash for facts in self.store.jobs()}
        assert len(self.store.definitions()) == 3
        counts = {name: dict(self.store.executions_by_machine(job_id)) for name, job_id in ids.items()}
        assert counts == {"loose": {}, "solo": {}, "each": {"m": 1, "n": 1}}
        found = {job_id: dict(machines) for job_id, machines in self.store.machine_counts().items()}
        assert found == {ids["each"]: {"m": 1, "n": 1}}

    # -- a store that is full of all kinds of runs ---------------------------------------------------

    def _full(self) -> None:
        """Nodes a and y hold three jobs, node old an older definition of one, and much has happened."""
        loose, each = make_job("loose", concurrency="allow"), make_job("each", run_per_machine=True)
        solo = make_job("solo")
        for owner, machine in (("old", "m"), ("y", "n")):
            self.store.join(make_node(owner)._replace(machine=machine))
        self.register(make_job("solo", hash="older"), owner="old")
        for owner, machine, gate in (("a", "m", {}), ("y", "n", {"loose": "labels"})):
            self.store.register(owner, [loose, each, solo], machine, at(0), gate)
        self._by_schedule(loose)
        self._by_call(loose)
        self._on_machines(each)
        standing = self.standing("solo")
        assert self.store.consume(
            standing, at(20), [run_at(9)], job=solo, supersede=None, node=self.node, now=at(20)
        )
        self._retried(self.called(solo, 2))

    def _by_schedule(self, job: Job) -> None:
        self.consume(job, *(run_at(second) for second in range(1, 7)), skips(60, 100))
        first, second, third, fourth, fifth, _ = [run for run in self._all() if run.state == "pending"]
        self.store.progress(self._start(first).id, "a", 1, {"value": 1}, at(12))
        self._retried(second)
        self._goes_on(third)
        run = self._start(fourth)
        self.store.begin_step(run, "charge", UNDO, at(12))
        self.store.finish(run, Outcome(state="failed"), 0, at(13))
        self.store.again(run, at(400), at(13), undo=1)
        self._ended(fifth, "succeeded")

    def _by_call(self, job: Job) -> None:
        self.called(job, 9)
        self._retried(self.called(job, 9))
        self._goes_on(self.called(job, 9))
        run = self._start(self.called(job, 9))
        self.store.wait_step(run, "approval", None, at(14))
        self.store.suspend(run, 0, at(15))
        self._ended(self.called(job, 3), "failed")
        run = self.called(job, 3)
        self._ended(self._retried(run), "succeeded")
        self.store.trigger(run.job_id, job, {}, identity="x", force=False, queue=True, now=at(16))
        self._start(self.called(job, 3))
        self.store.cancel(self.called(job, 3).id, at(17))

    def _on_machines(self, job: Job) -> None:
        for owner, machine in (("a", "m"), ("y", "n")):
            (standing,) = [each for each in self.store.standings(owner, machine) if each.job == job.name]
            node = make_node(owner)._replace(machine=machine)
            due, now = [run_at(second) for second in (1, 2)], at(2 if machine == "m" else 40)
            assert self.store.consume(standing, at(2), due, job=job, supersede=None, node=node, now=now)
            first = next(run for run in self._all() if run.scope == machine)
            self.store.start(first.id, node, 8, at(18))
        self.called(job, 50)

    def _start(self, run: Run) -> Run:
        claim = self.store.start(run.id, self.node, 7, at(11))
        assert claim is not None
        return claim.run

    def _ended(self, run: Run, state: str) -> None:
        running = self._start(run)
        assert self.store.finish(running, Outcome(state=state), 0, at(70))  # type: ignore[arg-type]

    def _retried(self, run: Run) -> Run:
        """Let it fail; returns its next attempt, which is pending."""
        running = self._start(run)
        self.store.finish(running, Outcome(state="failed"), 0, at(13))
        return self.found(self.store.again(running, at(300), at(13)))

    def _goes_on(self, run: Run) -> None:
        running = self._start(run)
        self.store.wait_step(running, "approval", None, at(14))
        self.store.suspend(running, 0, at(15))
        self._complete(running, "approval")

    # -- what the rows say ---------------------------------------------------------------------------

    def _all(self) -> list[Run]:
        return self.store.runs(RunFilter(limit=999))[::-1]

    def _chains(self) -> Iterator[Sequence[Run]]:
        """Yield the attempts of each chain, the first one first."""
        for first in self._all():
            if first.attempt == 1:
                chain = self.store.chain(first.id)
                assert chain == [run for run in self._all() if run.root_id == first.id]
                yield chain

    def _figure(self, run: Run) -> Figure:
        took = late = None
        if run.started_at is not None and not run.undo:
            late = run.started_at - run.effective_at
            took = None if run.finished_at is None else run.finished_at - run.started_at
        newest = run == self.store.chain(run.root_id)[-1]
        return Figure(run.job_id, run.state, run.count, run.trigger, run.attempt, took, late, newest)


def _occupies(run: Run) -> bool:
    """A call occupies its job only from its start on."""
    is_new_call = run.trigger == "call" and run.attempt == 1 and run.started_at is None
    return run.state in OPEN and not (run.state == "pending" and is_new_call)


def _is_new(run: Run) -> bool:
    """A scheduled first attempt that no node has claimed yet."""
    return run.state == "pending" and run.trigger == "schedule" and run.attempt == 1 and not run.started_at


def _is_open(chain: Sequence[Run]) -> bool:
    return any(run.state in OPEN for run in chain)


def _at(runs: Sequence[Run], moment: Instant | None) -> list[Run]:
    return [] if moment is None else [run for run in runs if run.scheduled_for == moment]
