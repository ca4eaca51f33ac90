"""What is kept and what is deleted: pruning, selected history, the audit trail, additions to logs."""
# ruff: noqa: D102  # the titles are the promises

from __future__ import annotations

from typing import Any

from jobrunner.model import Outcome, Run
from jobrunner.store.base import Claim, Keep, LogChunk, RunFilter
from jobrunner.store.contract.things import Bench, at, make_job, skip_at, skips

ALL = 1 << 62
FOREVER = 0


def keep(*, ended: int = FOREVER, failed: int = FOREVER, rows: int = ALL) -> Keep:
    """Return what to keep; seconds of the tests' time."""
    moment = [at(each) if each else 0 for each in (ended, failed)]
    return Keep(ended_since=moment[0], failed_since=moment[1], rows=rows)


class Keeping(Bench):
    """prune, delete_runs, note, notes, add_to_log; due_before, due_after, chain, holders, figures."""

    # -- prune ---------------------------------------------------------------------------------------

    def test_pruning_deletes_what_ended_before_the_moment_and_nothing_else(self) -> None:
        for second in (1, 2, 3):
            self._kept(second)
        assert self.store.prune(keep(ended=3, failed=3), 500) == 2
        assert self._kept_seconds() == [3]

    def test_failures_are_kept_for_as_long_as_failures_are(self) -> None:
        for second, state in enumerate(("failed", "timed_out", "succeeded", "canceled"), 1):
            self._kept(second, state=state)
        assert self.store.prune(keep(ended=100), 500) == 2
        assert [run.state for run in self.rows()] == ["failed", "timed_out"]
        assert self.store.prune(keep(failed=100), 500) == 2

    def test_of_each_job_the_newest_rows_are_kept(self) -> None:
        for second in (1, 2, 3, 4):
            self._kept(second)
        other = make_job("other")
        self.register(make_job(concurrency="allow"), other)
        assert self.consume(other, skip_at(1))
        assert self.store.prune(keep(rows=2), 500) == 2
        assert [(run.job, self._second_of(run)) for run in self.rows()] == [
            ("tick", 3),
            ("tick", 4),
            ("other", 1),
        ]

    def test_nothing_goes_when_everything_is_to_be_kept(self) -> None:
        self._kept(1)
        assert self.store.prune(keep(), 500) == 0

    def test_pruning_deletes_at_most_as_many_as_asked_the_oldest_first(self) -> None:
        for second in (1, 2, 3):
            self._kept(second)
        assert [self.store.prune(keep(ended=100), 2) for _ in range(3)] == [2, 1, 0]
        assert self.rows() == []

    def test_a_run_that_is_open_is_never_deleted(self) -> None:
        self.enqueue(self.loose, 1)
        self._kept_running(2)
        assert self.store.prune(Keep(ended_since=ALL, failed_since=ALL, rows=0), 500) == 0
        assert self.store.delete_runs(RunFilter()) == 0
        assert len(self.rows()) == 2

    def test_an_attempt_stays_while_its_chain_goes_on(self) -> None:
        run = self._kept(1, state="failed").run
        self.store.again(run, at(50), at(2))
        assert self.store.prune(Keep(ended_since=ALL, failed_since=ALL, rows=0), 500) == 0
        assert self.store.delete_runs(RunFilter()) == 0
        assert [each.attempt for each in self.store.chain(run.id)] == [1, 2]

    def test_a_chain_is_as_old_and_as_bad_as_its_last_attempt(self) -> None:
        self._kept_chain(1, 10)
        assert self.store.prune(keep(ended=10, failed=100), 500) == 0
        assert [run.attempt for run in self.rows()] == [1, 2]
        assert self.store.prunable(keep(ended=11)) == 2
        assert self.store.prune(keep(ended=11), 500) == 2
        assert self.rows() == []

    def test_a_chain_that_failed_is_kept_for_as_long_as_failures_are(self) -> None:
        self._kept_chain(1, 10, state="failed")
        assert self.store.prune(keep(ended=100, failed=10), 500) == 0
        assert self.store.prune(keep(failed=11), 500) == 2

    def test_a_chain_stays_while_its_last_attempt_is_among_the_newest(self) -> None:
        self._kept_chain(1, 10)
        assert self.store.prune(keep(rows=1), 500) == 0
        self._kept(20)
        assert self.store.prunable(keep(rows=1)) == 2
        assert self.store.prune(keep(rows=1), 500) == 2
        assert self._kept_seconds() == [20]

    def test_no_chain_is_split_by_the_number_of_rows_asked_for(self) -> None:
        for second in (1, 20, 40):
            self._kept_chain(second, second + 1)
        assert [self.store.prune(keep(ended=100), limit) for limit in (1, 3, 3)] == [2, 4, 0]

    def test_an_occurrence_is_remembered_as_long_as_anything_of_it_is(self) -> None:
        run = self._kept_chain(1, 10)
        self.store.prune(keep(ended=5, failed=5), 500)
        self.store.delete_runs(RunFilter(states=("failed",)))
        self.store.delete_runs(RunFilter(until=at(5)))
        assert [each.id for each in self.store.due_before(run.job_id, at(1))] == [run.id]
        assert [each.state for each in self.store.chain(run.id)] == ["failed", "succeeded"]

    def test_a_row_for_many_is_as_old_as_the_last_of_them(self) -> None:
        job = self.tick
        standing = self.standing()
        assert self.store.consume(
            standing, at(500), [skips(1, 500)], job=job, supersede=None, node=self.node, now=at(1)
        )
        assert self.store.prune(keep(ended=500), 500) == 0
        assert self.store.prune(keep(ended=501), 500) == 1

    def test_a_streak_goes_on_when_its_row_was_pruned(self) -> None:
        assert self.consume(self.tick, skips(1, 500))
        assert self.store.prune(keep(ended=501), 500) == 1
        assert self.consume(self.tick, skip_at(501, "missed"))
        assert [(run.reason, run.count) for run in self.rows()] == [("missed", 1)]

    def test_pruning_forgets_neither_the_cursor_nor_what_the_job_remembers(self) -> None:
        self._kept(1, result=7)
        before = self.store.job("tick"), self.standing().consumed
        assert self.store.prune(keep(ended=100), 500) == 1
        assert (self.store.job("tick"), self.standing().consumed) == before

    def test_the_log_goes_with_its_run(self) -> None:
        claim = self._kept_running(1)
        self.store.append_log(claim.run.id, "a", [LogChunk(0, b"hello")])
        self.end(claim, 1)
        assert self.store.prune(keep(ended=100), 500) == 1
        assert self.store.read_log(claim.run.id) == []

    def test_old_notes_go_as_late_as_failures(self) -> None:
        self.store.note("me", "paused", None, "", at(1))
        self.store.note("me", "resumed", None, "", at(5))
        self.store.prune(keep(ended=100, failed=5), 500)
        assert [note.action for note in self.store.notes()] == ["resumed"]

    # -- delete_runs ---------------------------------------------------------------------------------

    def test_selected_history_goes_and_a_dry_run_only_counts_it(self) -> None:
        self._kept(1, state="failed")
        self._kept(2)
        which = RunFilter(job="TICK", states=("failed",), limit=1)
        assert self.store.delete_runs(which, dry_run=True) == 1
        assert len(self.rows()) == 2
        assert self.store.delete_runs(which) == 1
        assert [run.state for run in self.rows()] == ["succeeded"]

    def test_a_chain_is_named_by_its_last_attempt_and_goes_whole(self) -> None:
        self._kept_chain(1, 10)
        failed, succeeded = RunFilter(states=("failed",)), RunFilter(states=("succeeded",))
        assert self.store.delete_runs(failed, dry_run=True) == self.store.delete_runs(failed) == 0
        assert self.store.delete_runs(succeeded, dry_run=True) == self.store.delete_runs(succeeded) == 2
        assert self.rows() == []

    def test_history_before_a_moment_goes_and_no_limit_holds(self) -> None:
        for second in range(1, 8):
            self._kept(second)
        assert self.store.delete_runs(RunFilter(until=at(6), limit=1)) == 5
        assert self._kept_seconds() == [6, 7]

    def test_a_row_for_many_goes_only_as_a_whole(self) -> None:
        assert self.consume(self.tick, skips(1, 500))
        assert self.store.delete_runs(RunFilter(until=at(400))) == 0
        assert self.store.delete_runs(RunFilter(until=at(501))) == 1

    def test_history_of_a_job_that_nobody_knows_is_none(self) -> None:
        self._kept(1)
        assert self.store.delete_runs(RunFilter(job="nobody")) == 0

    # -- the audit trail -----------------------------------------------------------------------------

    def test_notes_come_newest_first_with_all_they_said(self) -> None:
        self.store.note("ana@host", "disabled", "tick", "too slow", at(1))
        self.store.note("node-a", "node-start", None, "pid 1", at(2))
        newest, oldest = self.store.notes()
        assert (newest.actor, newest.action, newest.job, newest.detail) == (
            "node-a",
            "node-start",
            None,
            "pid 1",
        )
        assert (oldest.actor, oldest.job, oldest.at) == ("ana@host", "tick", at(1))

    def test_notes_of_a_job_are_its_own_and_those_that_concern_all(self) -> None:
        for job in ("tick", "other", None):
            self.store.note("me", "x", job, "", at(1))
        assert [note.job for note in self.store.notes("TICK")] == [None, "tick"]

    def test_notes_since_a_moment_and_at_most_so_many(self) -> None:
        for second in (1, 2, 3):
            self.store.note("me", str(second), None, "", at(second))
        assert [note.action for note in self.store.notes(since=at(2))] == ["3", "2"]
        assert [note.action for note in self.store.notes(limit=1)] == ["3"]

    # -- logs of what has ended ----------------------------------------------------------------------

    def test_what_hooks_say_stands_behind_the_log(self) -> None:
        claim = self._kept_running(1)
        self.store.append_log(claim.run.id, "a", [LogChunk(0, b"body")])
        self.store.finish(claim.run, Outcome(state="succeeded"), 10, at(2))  # six bytes were cut
        for word in (b"hook", b"", b"!"):
            self.store.add_to_log(claim.run.id, word)
        chunks = [(chunk.offset, chunk.data) for chunk in self.store.read_log(claim.run.id)]
        assert chunks == [(0, b"body"), (10, b"hook"), (14, b"!")]
        assert self.rows()[0].log_bytes == 15

    def test_nothing_is_added_to_the_log_of_a_run_that_goes_on_or_is_gone(self) -> None:
        claim = self._kept_running(1)
        self.store.add_to_log(claim.run.id, b"x")
        self.store.add_to_log(99, b"x")
        assert self.store.read_log(claim.run.id) == self.store.read_log(99) == []

    # -- questions about the past --------------------------------------------------------------------

    def test_the_last_occurrence_before_and_the_first_after_a_moment_are_found(self) -> None:
        assert self.consume(self.tick, skip_at(1), skip_at(5))
        job_id = self.standing().job_id
        found = [self.store.due_before(job_id, at(second)) for second in (0, 1, 4, 5)]
        assert [[self._second_of(run) for run in runs] for runs in found] == [[], [1], [1], [5]]
        found = [self.store.due_after(job_id, at(second)) for second in (0, 1, 5)]
        assert [[self._second_of(run) for run in runs] for runs in found] == [[1], [5], []]

    def test_a_row_for_many_is_found_from_its_first_occurrence_on(self) -> None:
        assert self.consume(self.tick, skips(1, 500))
        (found,) = self.store.due_before(self.standing().job_id, at(250))
        assert (found.count, found.last_for) == (500, at(500))

    def test_who_holds_a_job_and_why_it_may_not_run_there_is_known(self) -> None:
        job = make_job()
        self.store.register("a", [job], "", at(0), {"tick": "environment"})
        (hold,) = self.store.holders()[self.standing().job_id]
        assert (hold.owner, hold.gate) == ("a", "environment")
        held = self.store.definition("TICK", held=True)
        assert held is not None and (held.name, held.job_id) == ("tick", self.standing().job_id)
        self.store.leave("a")
        assert self.store.holders() == {}
        assert self.store.definition("tick", held=True) is None
        assert self.store.definition("tick") == held
        assert self.store.definition("tock") is None

    def test_figures_say_how_long_runs_took_and_how_late_they_were(self) -> None:
        self.enqueue(self.loose, 1)
        (claim,) = self.claim(seconds=3)
        self.end(claim, 10)
        assert self.consume(self.loose, skips(20, 29))
        job_id = claim.run.job_id
        first, second = self.store.figures(job_id, None)
        assert (first.state, first.took, first.late, first.count) == ("succeeded", 7_000_000, 2_000_000, 1)
        assert (second.state, second.took, second.late, second.count) == ("skipped", None, None, 10)
        assert self.store.figures(None, at(11)) == [second]
        assert self.store.figures(job_id + 1, None) == []

    def test_of_the_attempts_of_a_chain_only_the_last_is_the_newest(self) -> None:
        self.enqueue(self.loose, 1)
        (claim,) = self.claim(seconds=3)
        self.end(claim, 10)
        job_id = claim.run.job_id
        assert [each.newest for each in self.store.figures(job_id, None)] == [True]
        self.store.again(claim.run, at(20), at(10))
        found = self.store.figures(job_id, None)
        assert [(each.attempt, each.newest) for each in found] == [(1, False), (2, True)]
        assert [each.newest for each in self.store.figures(None, at(15))] == [True]

    def test_what_takes_steps_back_is_no_measure_of_how_long_runs_take(self) -> None:
        self.enqueue(self.loose, 1)
        (claim,) = self.claim(seconds=3)
        self.store.finish(claim.run, Outcome(state="failed"), 0, at(10))
        self.store.again(claim.run, at(10), at(10), undo=1)
        self.end(self.claim(seconds=20)[0], 90, state="failed")
        found = self.store.figures(None, None)
        assert [(each.took, each.late, each.newest) for each in found] == [
            (7_000_000, 2_000_000, False), (None, None, True),
        ]  # fmt: skip

    def test_a_sound_store_is_said_to_be_sound(self) -> None:
        assert self.store.healthy() == "ok"

    # -- short words ---------------------------------------------------------------------------------

    def _kept_running(self, second: int) -> Claim:
        self.enqueue(self.loose, second)
        return self.claim(seconds=second)[0]

    def _kept(self, second: int, **outcome: Any) -> Claim:
        claim = self._kept_running(second)
        assert self.end(claim, second, **outcome)
        return claim

    def _kept_chain(self, first: int, last: int, **outcome: Any) -> Run:
        """Keep a chain of two attempts, of which the first one failed; returns that one."""
        run = self._kept(first, state="failed").run
        self.store.again(run, at(last), at(first))
        (claim,) = self.claim(seconds=last)
        assert self.end(claim, last, **outcome)
        return run

    def _second_of(self, run: Run) -> int:
        assert run.scheduled_for is not None
        return (run.scheduled_for - at(0)) // 1_000_000

    def _kept_seconds(self) -> list[int]:
        return [self._second_of(run) for run in self.rows()]
