"""The whole: transactions, other connections, lists, logs, odd values."""
# ruff: noqa: D102  # the titles are the promises

from __future__ import annotations

from contextlib import suppress
from typing import Any

from jobrunner.errors import Refused, StateError
from jobrunner.model import Job, Outcome
from jobrunner.store.base import Call, LogChunk, RunFilter
from jobrunner.store.contract.things import (
    T0,
    Bench,
    at,
    facts,
    make_job,
    raises,
    skip_at,
    skips,
)


class Whole(Bench):
    """transaction, call_all, changed, run, runs, open_runs, logs, note, info, close."""

    # -- transactions --------------------------------------------------------------------------------

    def test_all_verbs_of_a_transaction_happen_together(self) -> None:
        other = self.again()
        with self.store.transaction():
            self.enqueue(self.loose, 1)
            self.claim()
            assert other.open_runs() == []  # not yet
        assert facts(other.open_runs()) == [(1, "running", None, 1)]

    def test_when_a_transaction_raises_nothing_in_it_happened(self) -> None:
        self.enqueue(self.loose, 1)
        before = (self.store.jobs(), self.store.nodes(), self.rows())
        with suppress(KeyError), self.store.transaction():
            self.enqueue(self.loose, 2)
            self.claim(2)
            self.store.leave("a")
            raise KeyError
        assert (self.store.jobs(), self.store.nodes(), self.rows()) == before

    def test_an_inner_transaction_is_part_of_the_outer_one(self) -> None:
        with suppress(KeyError), self.store.transaction():
            with self.store.transaction():
                self.enqueue(self.loose, 1)
            raise KeyError
        assert self.rows() == []

    def test_a_verb_that_failed_halfway_cannot_be_committed_by_catching_its_error(self) -> None:
        with raises(StateError), self.store.transaction():
            self.enqueue(self.loose, 1)
            with raises(StateError, code="rule"):
                self.store.join(self.node)
        assert self.rows() == []
        self.enqueue(self.loose, 1)

    def test_neither_can_one_that_met_an_unstorable_value_halfway(self) -> None:
        jobs = [make_job("first"), make_job("second")._replace(config={"x": float("nan")})]
        with raises(StateError), self.store.transaction(), raises(StateError, code="unstorable"):
            self.store.register("a", jobs, "", at(1))
        assert self.store.jobs() == []

    def test_a_refusal_may_be_caught_and_the_rest_committed(self) -> None:
        alone = make_job("alone")
        with self.store.transaction():
            job_id = self.store.enroll(alone, at(1))
            for expected in (1, 1):
                with suppress(Refused):
                    self.store.run_here(job_id, alone, self.node, 1, {}, identity="x", force=False, now=at(1))
                assert len(self.rows(job="alone")) == expected

    def test_a_locked_store_is_busy_and_works_afterwards(self) -> None:
        other = self.again()
        with self.store.transaction(), raises(StateError, code="busy"):
            other.seen("a", at(5))
        other.seen("a", at(6))
        assert self.store.nodes()[0].seen_at == at(6)

    def test_reading_waits_for_nobody(self) -> None:
        job, other = self.loose, self.again()
        with self.store.transaction():
            self.enqueue(job, 1)
            assert other.standings("a", "")[0].consumed == T0

    def test_a_change_by_another_connection_is_noticed_once(self) -> None:
        other = self.again()
        assert not self.store.changed()
        other.seen("a", at(5))
        assert self.store.changed()
        assert not self.store.changed()

    def test_a_store_that_is_in_place_is_verified(self) -> None:
        self.store.verify()

    def test_closing_twice_is_harmless_and_a_closed_store_says_so(self) -> None:
        other = self.again()
        other.close()
        other.close()
        with raises(StateError):
            other.nodes()

    # -- many at once --------------------------------------------------------------------------------

    def test_many_calls_are_what_each_would_be_by_itself(self) -> None:
        job = make_job(priority=2, group="db", group_limit=1, delivery="at-least-once")
        self.register(job)
        call = Call(at=at(30), identity="ann", parent_id=77)
        one = self.found(self.store.call(call, job, at(5)))
        ids = self.store.call_all(call, [{"n": n} for n in range(3)], job, at(5))
        assert list(ids) == [one.id + 1, one.id + 2, one.id + 3]
        for number, run_id in enumerate(ids):
            assert self.found(run_id) == one._replace(id=run_id, root_id=run_id, params={"n": number})
        assert list(self.store.call_all(call, [], job, at(5))) == []

    def test_many_calls_have_their_params_in_order_and_to_the_letter(self) -> None:
        odd: dict[str, Any] = {
            '"\\/\n\0\u2028é𝄞\ud800': [1e300, 1 << 80, -0.0, None, True, {"": {}}],
            "a": "[1,2]",
            "A": {"b": []},
        }
        params = [{"n": n, **(odd if n % 50 == 0 else {})} for n in range(1001)]
        ids = self.store.call_all(Call(at=at(1)), params, self.loose, at(1))
        assert [self.found(run_id).params for run_id in ids] == params

    def test_of_many_calls_of_a_job_whose_id_is_known_each_is_of_that_job(self) -> None:
        other = self.found(self.store.call(Call(at=at(1)), self.loose, at(1)))
        ids = self.store.call_all(Call(at=at(1)), [{}] * 2, self.loose, at(1), other.job_id)
        assert [self.found(run_id).job for run_id in ids] == [other.job] * 2

    def test_of_many_calls_one_that_cannot_be_stored_lets_none_be_made(self) -> None:
        with raises(StateError, code="unstorable"):
            self.store.call_all(Call(at=at(1)), [{}] * 500 + [{"n": {1}}], self.tick, at(1))
        assert self.store.open_runs() == []

    # -- lists ---------------------------------------------------------------------------------------

    def test_runs_are_listed_newest_first(self) -> None:
        for second in (1, 2, 3):
            self.enqueue(self.loose, second)
        assert [run.scheduled_for for run in self.store.runs(_all())] == [at(3), at(2), at(1)]

    def test_runs_are_chosen_by_job_state_time_and_number(self) -> None:
        other = make_job("Other")
        self.register(self.loose, other)
        self.enqueue(self.loose, 1)
        self.consume(self.loose, skip_at(2))
        self.enqueue(other, 3)
        assert facts(self.rows(job="oTHER")) == [(3, "pending", None, 1)]
        assert facts(self.rows(states=("skipped", "failed"))) == [(2, "skipped", "overlap", 1)]
        assert [second for second, *_ in facts(self.rows(since=at(2), until=at(3)))] == [2]
        assert [run.scheduled_for for run in self.store.runs(_all(limit=1))] == [at(3)]
        assert self.rows(job="nobody") == []

    def test_a_row_for_many_skips_is_found_by_any_time_within(self) -> None:
        self.consume(self.loose, skips(1, 200))
        assert len(self.rows(since=at(150), until=at(160))) == 1

    def test_open_runs_are_listed_oldest_first(self) -> None:
        for second in (1, 2, 3):
            self.enqueue(self.loose, second)
        self.end(self.claim()[0])
        self.claim()
        assert facts(self.store.open_runs()) == [(2, "running", None, 1), (3, "pending", None, 1)]

    def test_an_unknown_run_is_none(self) -> None:
        assert self.store.run(12345) is None

    # -- logs ----------------------------------------------------------------------------------------

    def test_a_log_comes_back_in_order_byte_for_byte(self) -> None:
        run_id = self._run_id()
        self.store.append_log(run_id, "a", [LogChunk(3, b"\xff\x00"), LogChunk(0, b"abc")])
        self.store.append_log(run_id, "a", [LogChunk(5, b"z")])
        assert self.store.read_log(run_id) == [
            LogChunk(0, b"abc"),
            LogChunk(3, b"\xff\x00"),
            LogChunk(5, b"z"),
        ]
        assert self.store.read_log(run_id, 3) == [LogChunk(3, b"\xff\x00"), LogChunk(5, b"z")]
        assert self.store.read_log(run_id + 1) == []

    def test_a_cut_forgets_the_whole_chunks_within_it(self) -> None:
        run_id = self._run_id()
        self.store.append_log(run_id, "a", [LogChunk(offset, b"0123456789") for offset in range(0, 60, 10)])
        self.store.append_log(run_id, "a", [LogChunk(60, b"new")], (10, 45))
        assert [chunk.offset for chunk in self.store.read_log(run_id)] == [0, 40, 50, 60]

    def test_the_same_chunk_may_be_written_twice(self) -> None:
        run_id = self._run_id()
        for _ in range(2):
            self.store.append_log(run_id, "a", [LogChunk(0, b"abc")])
        assert self.store.read_log(run_id) == [LogChunk(0, b"abc")]

    def test_output_of_a_run_that_is_no_longer_ours_is_not_kept(self) -> None:
        run_id = self._run_id()
        self.store.append_log(run_id, "b", [LogChunk(0, b"abc")])
        assert self.store.read_log(run_id) == []

    # -- values --------------------------------------------------------------------------------------

    def test_what_json_cannot_say_is_refused_and_the_store_goes_on(self) -> None:
        self.enqueue(self.loose, 1)
        claim = self.claim()[0]
        for odd in (float("nan"), {1, 2}, object()):
            with raises(StateError, code="unstorable"):
                self.store.finish(claim.run, Outcome(state="succeeded", result=odd), 0, at(2))
        assert self.end(claim)

    def test_text_that_is_no_unicode_is_stored_in_results_and_refused_in_names(self) -> None:
        self.enqueue(self.loose, 1)
        claim = self.claim()[0]
        assert self.end(claim, result="\ud800 \x00 \U0001f600")
        assert self.rows()[0].result == "\ud800 \x00 \U0001f600"
        with raises(StateError, code="unstorable"):
            self.store.enroll(make_job("\ud800"), at(1))

    def test_a_file_name_of_odd_bytes_stops_no_registration(self) -> None:
        odd = make_job("caf\udce9")
        found = self.store.register("a", [make_job("plain"), _with_file(odd.file)], "", at(1))
        assert set(found.added) == {"plain", "odd"}

    def test_a_number_that_is_too_large_is_refused(self) -> None:
        with raises(StateError, code="unstorable"):
            self.store.seen("a", 2**70)
        self.store.seen("a", at(1))

    def test_the_audit_takes_a_line(self) -> None:
        self.store.note("ann", "enable", None, "because \udce9", at(1))

    def test_the_facts_of_the_whole_are_told(self) -> None:
        info = self.store.info()
        assert info["version"] >= info["min_reader"] >= 1
        assert info["bytes"] > 0
        assert info["state_id"] == self.again().info()["state_id"]

    def _run_id(self) -> int:
        self.enqueue(self.loose, 1)
        return self.claim()[0].run.id


def _all(limit: int = 50) -> RunFilter:
    return RunFilter(limit=limit)


def _with_file(file: str) -> Job:
    return make_job("odd")._replace(file=file)
