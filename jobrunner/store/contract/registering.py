"""Nodes and definitions: who lives, who holds what, what is current."""
# ruff: noqa: D102  # the titles are the promises

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jobrunner.clock import DAY, SECOND
from jobrunner.errors import StateError
from jobrunner.facts import JobFacts
from jobrunner.store.base import Holding
from jobrunner.store.contract.things import Bench, at, make_job, make_node, raises, run_at, skip_at


class Registering(Bench):
    """join, seen, leave, nodes, register, holdings, enroll, jobs, job."""

    def test_a_node_is_listed_from_join_until_leave(self) -> None:
        other = make_node("b", now=at(1))
        self.store.join(other)
        assert self.store.nodes() == [self.node, other]
        self.store.leave("a")
        assert self.store.nodes() == [other]

    def test_seen_moves_the_time_a_node_was_last_heard_of(self) -> None:
        self.store.seen("a", at(60))
        assert self.store.nodes()[0].seen_at == at(60)

    def test_two_nodes_cannot_have_one_owner_id(self) -> None:
        with raises(StateError, code="rule"):
            self.store.join(self.node)

    def test_a_new_job_is_added_and_nothing_before_its_first_sight_is_due(self) -> None:
        found = self.store.register("a", [make_job()], "", at(5))
        assert (found.added, found.updated, found.rescheduled) == (("tick",), (), ())
        standing = self.standing()
        assert (standing.consumed, standing.anchor, standing.executions) == (at(5), at(5), 0)

    def test_registering_the_same_again_changes_nothing(self) -> None:
        self.register(make_job(), now=at(5))
        found = self.store.register("a", [make_job()], "", at(9))
        assert (found.added, found.updated, found.rescheduled) == ((), (), ())
        assert self.standing().consumed == at(5)

    def test_a_changed_definition_is_updated_and_keeps_its_cursor(self) -> None:
        self.register(make_job(hash="one"), now=at(5))
        found = self.store.register("a", [make_job(hash="two")], "", at(9))
        assert (found.updated, found.rescheduled) == (("tick",), ())
        assert self.standing().consumed == at(5)
        assert self._facts().definition_hash == "two"

    def test_a_changed_schedule_starts_anew_and_keeps_the_count(self) -> None:
        job = make_job(number_of_executions=9)
        self.register(job)
        self.enqueue(job, 1)
        self.claim()
        found = self.store.register("a", [make_job(every=5, number_of_executions=9)], "", at(70))
        assert (found.updated, found.rescheduled) == (("tick",), ("tick",))
        standing = self.standing()
        assert (standing.consumed, standing.anchor, standing.executions) == (at(70), at(70), 1)

    def test_another_schedule_keeps_nothing_that_a_clock_has_planned_which_was_days_ahead(self) -> None:
        days = 2 * DAY // SECOND
        self.consume(self.tick, run_at(1))
        self.consume(self.tick, skip_at(days, "missed"), run_at(days + 5), until=days + 5)
        self.register(make_job(every=7), now=at(9))
        assert [run.scheduled_for for run in self.rows()] == [at(1)]

    def test_another_schedule_keeps_what_was_planned_by_a_clock_that_was_hardly_wrong(self) -> None:
        self.consume(self.tick, skip_at(3600, "missed"), until=3600)
        self.register(make_job(every=7), now=at(9))
        assert [run.scheduled_for for run in self.rows()] == [at(3600)]

    def test_names_are_equal_ignoring_case(self) -> None:
        self.register(make_job("Tick"))
        found = self.store.register("a", [make_job("TICK")], "", at(1))
        assert found.added == ()
        assert [job.name for job in self.store.jobs()] == ["TICK"]
        assert self.store.job("tIcK") == self.store.jobs()[0]

    def test_jobs_are_listed_by_name(self) -> None:
        self.register(make_job("b"), make_job("C"), make_job("a"))
        assert [job.name for job in self.store.jobs()] == ["a", "b", "C"]

    def test_an_unknown_job_is_none(self) -> None:
        assert self.store.job("nobody") is None

    def test_enroll_gives_an_id_but_no_cursor_and_no_currency(self) -> None:
        job_id = self.store.enroll(make_job(), at(1))
        assert self.store.enroll(make_job("TICK"), at(2)) == job_id
        facts = self._facts()
        assert (facts.id, facts.consumed, facts.first_seen_at) == (job_id, None, at(1))
        assert self.store.standings("a", "") == []

    def test_an_enrolled_job_counts_as_added_when_a_node_first_registers_it(self) -> None:
        job_id = self.store.enroll(make_job(), at(1))
        found = self.store.register("a", [make_job()], "", at(7))
        assert found.added == ("tick",)
        assert (self.standing().job_id, self.standing().consumed) == (job_id, at(7))

    def test_enroll_changes_nothing_of_a_registered_job(self) -> None:
        self.register(make_job(hash="one"))
        self.store.enroll(make_job(hash="two"), at(3))
        assert self._facts().definition_hash == "one"

    def test_what_each_node_holds_is_told_and_what_of_it_is_not_current(self) -> None:
        self.register(make_job("B", hash="one"), make_job("a"))
        self.store.join(make_node("b"))
        self.store.join(make_node("idle"))
        self.store.register("b", [make_job("B", hash="two")], "", at(1), {"b": "labels"})
        found = {owner: list(held) for owner, held in self.store.holdings().items()}
        assert found == {
            "a": [("a", make_job("a").hash, True, None), ("B", "one", False, None)],
            "b": [("B", "two", True, "labels")],
        }
        assert {owner: [each.job for each in held] for owner, held in self._outdated().items()} == {
            "a": ["B"]
        }

    def test_a_holding_is_current_again_when_the_newer_one_goes_or_when_it_is_registered(self) -> None:
        self.register(make_job(hash="one"))
        self.store.join(make_node("b"))
        self.register(make_job(hash="two"), owner="b")
        assert list(self._outdated()) == ["a"]
        self.register(make_job(hash="one"))
        assert list(self._outdated()) == ["b"]
        self.store.leave("a")
        assert self._outdated() == {}
        assert [each.hash for each in self.store.holdings()["b"]] == ["two"]

    def _outdated(self) -> Mapping[str, Sequence[Holding]]:
        return self.store.holdings(outdated=True)

    def test_a_node_that_has_not_joined_registers_nothing(self) -> None:
        with raises(StateError, code="unknown-node"):
            self.store.register("stranger", [make_job()], "", at(0))
        assert self.store.jobs() == []

    def test_a_renamed_job_keeps_its_history_its_count_and_its_cursor(self) -> None:
        self.register(make_job("old"))
        self.enqueue(make_job("old"), 5)
        self.claim()
        before = self.standing("old")
        found = self.store.register("a", [make_job("new", former_names=("OLD",))], "", at(70))
        assert (found.added, found.updated) == ((), ("new",))
        assert self.standing("new") == before._replace(job="new")
        assert [(run.job, run.state) for run in self.rows()] == [("new", "running")]
        assert self.store.job("old") is None

    def test_a_node_that_has_not_heard_of_a_renaming_means_the_same_job(self) -> None:
        self.register(make_job("old"))
        self.store.join(make_node("b"))
        self.register(make_job("new", hash="n", former_names=("old",)), owner="b", now=at(70))
        self.store.register("a", [make_job("old")], "", at(80))
        assert [fact.name for fact in self.store.jobs()] == ["old"]
        self.register(make_job("new", hash="n", former_names=("old",)), owner="b", now=at(90))
        assert [(fact.name, fact.id) for fact in self.store.jobs()] == [("new", 1)]

    def test_a_former_name_that_another_job_bears_is_left_to_it(self) -> None:
        self.register(make_job("old"))
        found = self.store.register("a", [make_job("old"), make_job("new", former_names=("old",))], "", at(7))
        assert found.added == ("new",)
        assert [job.name for job in self.store.jobs()] == ["new", "old"]

    def test_a_job_that_has_a_row_takes_over_no_former_one(self) -> None:
        self.register(make_job("old"), make_job("new"))
        self.register(make_job("new", former_names=("old",)))
        assert [job.name for job in self.store.jobs()] == ["new", "old"]

    # -- what is current -----------------------------------------------------------------------------

    def test_only_holders_of_the_current_definition_see_where_it_stands(self) -> None:
        self._two_nodes()
        assert self.store.standings("a", "") == []
        assert [found.job for found in self.store.standings("b", "")] == ["tick"]

    def test_only_holders_of_the_current_definition_claim(self) -> None:
        self._two_nodes()
        standing = self.standing(owner="b")
        assert self.store.consume(
            standing,
            at(1),
            [run_at(1)],
            job=make_job(hash="new"),
            supersede=None,
            node=make_node("b"),
            now=at(1),
        )
        assert self.claim() == []
        assert len(self.claim(node=make_node("b"))) == 1

    def test_who_registers_last_makes_its_definitions_current_again(self) -> None:
        self._two_nodes()
        self.register(make_job(hash="old"))
        assert self._facts().definition_hash == "old"

    def test_when_the_current_holder_leaves_the_other_definition_is_current(self) -> None:
        self._two_nodes()
        self.store.leave("b")
        assert self._facts().definition_hash == "old"
        assert [found.job for found in self.store.standings("a", "")] == ["tick"]

    def test_when_the_current_holder_dies_the_other_definition_is_current(self) -> None:
        self._two_nodes()
        self.store.recover("b", at(9))
        assert self._facts().definition_hash == "old"

    def test_of_several_definitions_left_the_one_registered_last_is_current(self) -> None:
        self._two_nodes()
        self.store.join(make_node("c"))
        self.register(make_job(hash="newest"), owner="c")
        self.register(make_job(hash="old"))  # a, once more
        self.register(make_job(hash="newest"), owner="c")
        self.store.leave("c")
        assert self._facts().definition_hash == "old"

    def test_the_limit_that_counts_is_the_current_definitions(self) -> None:
        self.store.join(make_node("b"))
        self.register(make_job(number_of_executions=1))
        self.register(make_job(number_of_executions=5), owner="b")
        self.store.leave("b")
        job = make_job(number_of_executions=1)
        self.consume(job, run_at(1))
        assert self.claim()[0].is_last

    def test_a_definition_stays_current_when_nobody_is_left(self) -> None:
        self.register(make_job(hash="one"))
        self.store.leave("a")
        assert self._facts().definition_hash == "one"

    def test_a_job_left_out_is_no_longer_held(self) -> None:
        self.register(make_job("x"), make_job("y"))
        self.register(make_job("y"))
        assert [found.job for found in self.store.standings("a", "")] == ["y"]
        assert [job.name for job in self.store.jobs()] == ["x", "y"]

    def test_a_job_left_out_by_its_holder_is_current_as_another_holds_it(self) -> None:
        self._two_nodes()
        self.register(owner="b")
        assert self._facts().definition_hash == "old"

    def _two_nodes(self) -> None:
        """Node a holds `old`, node b the current `new`."""
        self.store.join(make_node("b"))
        self.register(make_job(hash="old"))
        self.register(make_job(hash="new"), owner="b")

    def _facts(self) -> JobFacts:
        found = self.store.job("tick")
        assert found is not None
        return found
