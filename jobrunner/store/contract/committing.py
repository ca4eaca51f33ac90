"""Documents: every write is another version, and what a run has read still holds when its commit applies."""
# ruff: noqa: D102  # the titles are the promises

from __future__ import annotations

from typing import Any

from jobrunner.errors import StateError
from jobrunner.fingerprint import of_versions
from jobrunner.model import Run
from jobrunner.store.base import Call, Document, Effects, Write
from jobrunner.store.contract.things import Bench, at, make_job, raises


class Committing(Bench):
    """document, documents, write_documents, commit_effects, stale, recorded and record."""

    # -- documents -----------------------------------------------------------------------------------

    def test_a_document_is_what_was_written_last(self) -> None:
        run = self.going(self.loose).run
        assert self.store.document("a") is None
        self._write(run, a={"n": [1.5, "é", None]})
        self._write(run, a=[2])
        found = self.again().document("a")
        assert found is not None
        assert (found.key, found.value) == ("a", [2])

    def test_null_is_a_value(self) -> None:
        self._write(self.going(self.loose).run, a=None)
        found = self.store.document("a")
        assert found is not None
        assert found.value is None

    def test_no_two_writes_have_the_same_version_whatever_was_deleted(self) -> None:
        run = self.going(self.loose).run
        versions = []
        for _ in range(2):
            self._write(run, a=1, b=1)
            versions += [self._version("a"), self._version("b")]
            self._delete(run, "a")
        self._write(run, a=1)
        versions.append(self._version("a"))
        assert min(versions) > 0
        assert len(set(versions)) == len(versions)

    def test_each_write_tells_whether_the_document_was_there(self) -> None:
        run = self.going(self.loose).run
        writes = [Write("a", 1), Write("a", 2), Write("a", None, True), Write("a", None, True), Write("b", 1)]
        assert self.store.write_documents(run, writes, at(5)) == [False, True, True, False, False]
        assert [found.key for found in self.store.documents("")] == ["b"]

    def test_of_several_writes_all_are_made_or_none(self) -> None:
        run = self.going(self.loose).run
        with raises(StateError, code="unstorable"):
            self.store.write_documents(run, [Write("a", 1), Write("b", float("nan"))], at(5))
        assert self.store.documents("") == []
        assert self._write(run, a=1) == [False]

    def test_only_a_run_that_is_running_and_still_ours_writes(self) -> None:
        claim = self.going(self.loose)
        run = claim.run
        for other in (run._replace(owner="b"), run._replace(fence=run.fence + 1), run._replace(id=4711)):
            assert self._write(other, a=1) is None
        self.end(claim)
        assert self._write(run, a=1) is None
        assert self.store.documents("") == []

    def test_documents_are_listed_by_prefix_in_the_order_of_their_keys(self) -> None:
        keys = ["", "a", "a/", "a/b", "a0", "b", "aé", "a\ud7ff", "a\ue000", "a\U0010ffff", "a\U0010ffffx"]
        keys += ["A", "a%", "a_", "é", "\U0010ffff", "\ud7ff", "\ue000"]
        run = self.going(self.loose).run
        self.store.write_documents(run, [Write(key, key) for key in keys if key], at(5))
        for prefix in [*keys, "c", "a\U0010fffe", "\U0010ffff\U0010ffff"]:
            found = [each.key for each in self.store.documents(prefix)]
            assert found == sorted(key for key in keys if key and key.startswith(prefix)), prefix

    def test_documents_stay_when_the_run_that_wrote_them_is_forgotten(self) -> None:
        claim = self.going(self.loose)
        self._write(claim.run, a=1)
        self.end(claim)
        self.register()
        self.store.forget(claim.run.job_id)
        assert [found.value for found in self.store.documents("")] == [1]

    # -- what a run's commit applies -----------------------------------------------------------------

    def test_writes_calls_and_cancels_are_applied_together(self) -> None:
        run = self.going(self.loose).run
        other, number = self.called(self.loose, 5000), self.store.reserve(1)
        call = Call(id=number, at=at(5000), params={"n": 1}, identity="ann")
        assert self._commit(run, writes=[Write("a", 1)], calls=[(self.loose, call)], cancels=[other.id])
        made = self.found(number)
        assert (made.state, made.effective_at, made.params, made.identity) == (
            "pending", at(5000), {"n": 1}, "ann",
        )  # fmt: skip
        assert [each.value for each in self.store.documents("")] == [1]
        assert self.states(other) == ["canceled"]

    def test_the_calls_of_a_later_attempt_are_of_its_chain(self) -> None:
        claim = self.going(self.loose)
        self.end(claim, state="failed")
        self.store.again(claim.run, at(20), at(20))
        (second,) = self.claim()
        self._commit(second.run, calls=[(self.loose, Call(at=at(5000)))])
        assert [run.parent_id for run in self.store.children(claim.run.id)] == [claim.run.id]

    def test_nothing_is_applied_when_what_was_read_has_changed(self) -> None:
        for change in ({"a": 2}, {"a": 1}):
            run = self.going(self.loose).run
            self._write(run, a=1)
            reads = {"a": self._version("a"), "none": 0}
            assert self._commit(run, reads=reads, writes=[Write("b", 1)])
            self._write(run, **change)
            assert not self._commit(run, reads=reads, writes=[Write("b", 2)])
            found = self.store.document("b")
            assert found is not None
            assert found.value == 1

    def test_what_was_not_there_may_not_be_there_now_nor_what_was_there_be_gone(self) -> None:
        run = self.going(self.loose).run
        self._write(run, a=1)
        version = self._version("a")
        assert not self._commit(run, reads={"a": 0}, writes=[Write("b", 1)])
        self._delete(run, "a")
        assert not self._commit(run, reads={"a": version}, writes=[Write("b", 1)])
        self._write(run, a=1)
        assert not self._commit(run, reads={"a": version}, writes=[Write("b", 1)]), "deleted and made anew"

    def test_what_was_listed_must_be_all_that_is_there_in_the_same_versions(self) -> None:
        run = self.going(self.loose).run
        self._write(run, **{"a/1": 1, "a/2": 1, "b": 1})
        for change in (Write("a/1", 2), Write("a/3", 1), Write("a/2", None, True)):
            digest = self._digest("a/")
            assert self._commit(run, prefixes={"a/": digest}, writes=[Write("c", 1), Write("b", 2)])
            self.store.write_documents(run, [change], at(6))
            assert not self._commit(run, prefixes={"a/": digest}, writes=[Write("c", 2)])

    def test_what_changes_nothing_is_not_held_to_what_it_has_read(self) -> None:
        run = self.going(self.loose).run
        read = Effects(reads={"a": 99}, prefixes={"": "x"})
        assert self.store.commit_effects(run, read, at(5))
        assert self.store.stale(read)

    def test_whoever_calls_or_cancels_is_held_to_what_it_has_read(self) -> None:
        run = self.going(self.loose).run
        assert not self._commit(run, reads={"a": 99}, calls=[(self.loose, Call(at=at(5000)))])
        assert not self._commit(run, reads={"a": 99}, cancels=[run.id])
        assert self.rows() == [run]

    def test_what_has_been_read_is_said_to_be_stale_as_soon_as_it_is(self) -> None:
        run = self.going(self.loose).run
        self._write(run, a=1)
        read = Effects(reads={"a": self._version("a")}, prefixes={"a": self._digest("a")})
        assert not self.store.stale(read)
        self._write(run, b=1)
        assert not self.store.stale(read)
        self._write(run, a=1)
        assert self.store.stale(read._replace(prefixes={}))
        assert self.store.stale(read._replace(reads={}))

    def test_effects_are_applied_with_the_end_of_their_run_or_not_at_all(self) -> None:
        claim = self.going(self.loose)
        with raises(StateError, code="unstorable"), self.store.transaction():
            assert self.end(claim)
            self._commit(claim.run, writes=[Write("a", 1), Write("b", {1})])
        assert self.states(claim.run) == ["running"]
        assert self.store.documents("") == []
        with self.store.transaction():
            assert self.end(claim)
            assert self._commit(claim.run, writes=[Write("a", 1)])
        assert [each.key for each in self.again().documents("")] == ["a"]

    # -- once ----------------------------------------------------------------------------------------

    def test_what_was_recorded_first_stays(self) -> None:
        first, second = self.going(self.loose).run, self.going(self.loose).run
        assert self.store.recorded(first.job_id, "k") == (False, None)
        assert self.store.record(first, "k", {"n": 1}, at(5)) == (True, {"n": 1})
        assert self.again().record(second, "k", {"n": 2}, at(6)) == (True, {"n": 1})
        assert self.store.recorded(first.job_id, "k") == (True, {"n": 1})

    def test_that_there_is_no_result_is_recorded_too(self) -> None:
        run = self.going(self.loose).run
        assert self.store.record(run, "k", None, at(5)) == (True, None)
        assert self.store.recorded(run.job_id, "k") == (True, None)

    def test_a_run_that_is_no_longer_ours_records_nothing(self) -> None:
        claim = self.going(self.loose)
        self.lose(8)
        assert self.store.record(claim.run, "k", 1, at(9)) == (False, None)
        assert self.store.recorded(claim.run.job_id, "k") == (False, None)

    def test_each_job_has_records_of_its_own_and_they_go_with_it(self) -> None:
        one, other = make_job("one"), make_job("other")
        self.register(one, other)
        claims = [self.going(job) for job in (one, other)]
        for claim in claims:
            self.store.record(claim.run, "k", claim.run.job, at(5))
            self.end(claim)
        first, second = (claim.run.job_id for claim in claims)
        assert self.store.recorded(first, "k") == (True, "one")
        self.register(other)
        self.store.forget(first)
        assert self.store.recorded(first, "k") == (False, None)
        assert self.store.recorded(second, "k") == (True, "other")

    # -- short words ---------------------------------------------------------------------------------

    def _write(self, run: Run, **values: Any) -> list[bool] | None:
        return self.store.write_documents(run, [Write(key, value) for key, value in values.items()], at(5))

    def _delete(self, run: Run, key: str) -> None:
        assert self.store.write_documents(run, [Write(key, None, True)], at(5)) == [True]

    def _version(self, key: str) -> int:
        found = self.store.document(key)
        assert isinstance(found, Document)
        return found.version

    def _digest(self, prefix: str) -> str:
        return of_versions((found.key, found.version) for found in self.store.documents(prefix))

    def _commit(self, run: Run, **effects: Any) -> bool:
        return self.store.commit_effects(run, Effects(**effects), at(6))
