"""Footing: what calls of a job go by, and by what one can tell that it is still so."""
# ruff: noqa: D102  # the titles are the promises

from __future__ import annotations

from jobrunner.facts import Pause
from jobrunner.model import Parameter
from jobrunner.store.base import AddedJob, Call
from jobrunner.store.contract.things import Bench, at, make_job, make_node

NOTHING = (None, None, None, None)


class Footing(Bench):
    """footing."""

    def test_of_a_job_that_nobody_knows_there_is_no_footing_but_the_states(self) -> None:
        assert self.store.footing("tick")[:4] == NOTHING
        assert self.store.footing("tick") == self.store.footing("tock")
        self.store.pause("ana", "move", at(1))
        assert self.store.footing("tick").pause == Pause(at(1), "ana", "move")

    def test_a_footing_says_which_job_it_is_and_what_people_said_of_it(self) -> None:
        job_id = self.store.enroll(make_job("Tick"), at(0))
        self.store.enroll(make_job("other"), at(0))
        assert self.store.footing("tICK")[:4] == (job_id, None, None, None)
        self.store.set_enabled(job_id, False, "by ana", at(1))
        assert self.store.footing("tick")[:3] == (job_id, False, "by ana")
        self.store.set_enabled(job_id, True, "by bob", at(2))
        assert self.store.footing("tick")[:3] == (job_id, True, "by bob")
        assert self.store.footing("other")[1:3] == (None, None)

    def test_a_footing_is_the_same_while_runs_come_and_go(self) -> None:
        before = self.again()
        footing = before.footing(self.loose.name)
        self.called(self.loose, 5000)
        self.store.call_all(Call(at=at(1)), [{}] * 3, self.loose, at(1))
        self.end(self.claim()[0])
        self.store.note("ana", "said", "tick", "much", at(2))
        assert before.footing("tick") == self.store.footing("tick") == footing

    def test_a_footing_is_another_whenever_a_definition_may_be_or_who_holds_it(self) -> None:
        job, node = self.tick, make_node("b")
        job_id = self.store.enroll(job, at(0))
        seen = [self.store.footing("tick")]

        def differs() -> None:
            seen.append(self.again().footing("tick"))
            assert seen[-1] not in seen[:-1]

        self.register()
        differs()
        self.register(make_job(hash="newer"))
        differs()
        self.store.override(job_id, {"timeout": "9s"}, at(2))
        differs()
        self.store.add_job(AddedJob("added", "m:f", {}), at(3))
        differs()
        self.store.remove_job("added")
        differs()
        self.store.join(node)
        self.register(make_job(hash="newest"), owner="b")
        differs()
        self.store.leave("b")
        differs()
        self.store.leave("a")
        differs()

    def test_a_footing_is_another_when_it_is_known_what_a_function_takes(self) -> None:
        self.register(make_job(hash="h"))
        before = self.store.footing("tick")
        self.register(make_job(hash="h", parameters=(Parameter("n"),)))
        assert self.store.footing("tick") != before
