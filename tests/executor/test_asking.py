"""A run in a process of its own asks, and says before its reply what is to be committed with it."""

from __future__ import annotations

from typing import Any

import pytest

from jobrunner.executor.happened import Asked, Ended
from jobrunner.model import Outcome
from tests.executor.household import Household
from tests.executor.test_hooks import called, hooks, over

ANSWERS: dict[str, dict[str, Any]] = {
    "state.get": {"value": 5, "version": 3},
    "state.list": {"documents": [["a", 5, 3]], "more": False},
    "state.write": {"existed": [True]},
    "call": {"at": 9},
}


class Desk:
    """Answers what a run asks for, until it has ended."""

    def __init__(self, house: Household) -> None:
        self.house = house
        self.answered: set[tuple[int, int]] = set()
        self.calls = 0

    def finish(self, run_id: int) -> Outcome:
        def over() -> bool:
            self.answer(run_id)
            return self.house.ended(run_id) is not None

        self.house.until(over)
        return self.house.finish(run_id)

    def answer(self, run_id: int) -> None:
        for one in self.house.asked(run_id):
            if one.verb in ANSWERS and (run_id, one.number) not in self.answered:
                self.answered.add((run_id, one.number))
                self.calls += one.verb == "call"
                answer = {**ANSWERS[one.verb], "id": 76 + self.calls}
                self.house.pool.answer(run_id, one.number, answer)

    def run(self, body: str, **facts: Any) -> tuple[Outcome, list[Any]]:
        """Return how a body ended, and what it told of its effects before."""
        self.house.write(body)
        run_id = self.house.start(**facts)
        outcome = self.finish(run_id)
        happened = [
            one for one in self.house.events if isinstance(one, Asked | Ended) and one.run_id == run_id
        ]
        assert isinstance(happened[-1], Ended)
        return outcome, [one.payload for one in self.house.asked(run_id) if one.verb == "effects"]


CHANGES = """
def default(state, scheduler, fails=False):
    state.get("k"), state.list("a")
    state.set("k", 6)
    scheduler.run_after(1, "other", n=1)
    if fails: raise ValueError("no")
"""
READS = "def default(state, fails=False):\n    state.get('k')\n    if fails: raise ValueError('no')\n"
CALL = [77, "other", 9, {"n": 1}, "system"]


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize(
    ("body", "delivery", "parts"),
    [
        (CHANGES, "exactly-once", ({"reads", "prefixes", "writes", "calls"}, {"reads", "prefixes"})),
        (CHANGES, "at-least-once", ({"calls"}, set())),
        (READS, "exactly-once", (set(), {"reads"})),
        (READS, "at-most-once", (set(), set())),
    ],
)
def test_what_a_commit_is_to_apply_is_told_before_the_reply(
    zygote_house: Household,
    body: str,
    delivery: str,
    parts: tuple[set[str], set[str]],
    fails: bool,
) -> None:
    outcome, told = Desk(zygote_house).run(body, delivery=delivery, params={"fails": fails})
    assert outcome.state == ("failed" if fails else "succeeded")
    assert {part for one in told for part in one} == parts[fails]
    assert len(told) == bool(parts[fails])
    for one in told:
        assert one.get("calls", [CALL]) == [CALL]
        assert one.get("reads", {"k": 3}) == {"k": 3}
        assert one.get("writes", [["k", 6, False]]) == [["k", 6, False]]


def test_what_its_clean_up_writes_belongs_to_the_run(zygote_house: Household) -> None:
    (zygote_house.root / "services.py").write_text(
        "def book(state):\n    yield 1\n    state.set('closed', 1)\n"
        "def register(container): container.register('book', book)\n"
    )
    desk = Desk(zygote_house)
    assert desk.run("def default(book): pass", delivery="exactly-once")[1] == [
        {"writes": [["closed", 1, False]]}
    ]


def test_a_run_whose_clean_up_fails_changes_nothing(zygote_house: Household) -> None:
    (zygote_house.root / "services.py").write_text(
        "def book(state):\n    yield 1\n    1 / 0\n"
        "def register(container): container.register('book', book)\n"
    )
    body = "def default(book, scheduler): scheduler.run_after(1, 'other')"
    outcome, told = Desk(zygote_house).run(body)
    assert (outcome.state, told) == ("failed", [])


@pytest.mark.parametrize("raised", ["Skip", "PermanentFailure"])
def test_a_run_that_has_not_succeeded_makes_no_calls(house: Household, raised: str) -> None:
    body = f"""
        from jobrunner import {raised}
        def default(scheduler):
            scheduler.run_after(1, 'other')
            raise {raised}('no')
        """
    assert Desk(house).run(body, delivery="exactly-once")[1] == []


def test_a_call_of_four_mebibytes_reaches_the_node_and_so_does_all_that_a_run_may_tell(
    house: Household,
) -> None:
    body = """
        def default(scheduler, state):
            for _ in range(3): scheduler.run_after(0, 'other', text='x' * 4_190_000)
            for n in range(12): state.set(f'k{n}', '\\x01' * 170_000)
        """
    outcome, told = Desk(house).run(body, delivery="exactly-once")
    assert outcome.error is None
    assert [len(call[3]["text"]) for one in told for call in one.get("calls", [])] == [4_190_000] * 3
    assert sum(len(write[1]) for one in told for write in one.get("writes", [])) == 12 * 170_000


def test_a_canceled_run_that_waits_for_an_answer_ends_and_its_clean_up_may_ask(house: Household) -> None:
    house.write(
        """
        def default(state):
            try: state.get('k')
            finally: state.set('done', 1)
        """
    )
    run_id = house.start()
    house.until(lambda: bool(house.asked(run_id)))
    house.pool.stop(run_id, "canceled", None)
    house.until(lambda: len(house.asked(run_id)) == 2)
    number = house.asked(run_id)[1].number
    house.pool.answer(run_id, number - 1, ANSWERS["state.get"])  # too late
    house.pool.answer(run_id, number, ANSWERS["state.write"])
    assert house.finish(run_id).state == "canceled"


def test_what_the_node_refuses_fails_the_run_with_the_nodes_words(house: Household) -> None:
    house.write("def default(scheduler): scheduler.run_after(1, 'othr')")
    run_id = house.start()
    house.until(lambda: bool(house.asked(run_id)))
    error = {"code": "unknown-job", "message": "there is no job 'othr'", "hint": 'did you mean "other"?'}
    house.pool.answer(run_id, house.asked(run_id)[0].number, {"error": error})
    outcome = house.finish(run_id)
    assert outcome.error is not None
    assert (outcome.error["type"], outcome.error["message"]) == ("UnknownJob", "there is no job 'othr'")
    assert "jobrunner/" not in outcome.error["traceback"]


def test_a_hook_is_told_at_once_that_it_can_ask_for_nothing(zygote_house: Household) -> None:
    hooks(zygote_house, "def on_failure(state): state.set('k', 1)")
    number = called(zygote_house)
    outcome = over(zygote_house, number)
    assert outcome.error is not None
    assert outcome.error["type"] == "Refused"
    assert "a hook has neither state nor scheduler" in outcome.error["message"]


def test_each_run_of_a_warm_process_has_effects_of_its_own(house: Household) -> None:
    body = """
        import os
        kept = []
        def default(state, ctx):
            state.set(f'run{ctx.run_id}', os.getpid())
            refused = []
            for old in kept:
                try: old.set('old', 1)
                except Exception as error: refused.append(str(error))
            kept.append(state)
            return refused
        """
    house.write(body)
    desk, told, results = Desk(house), list[Any](), list[Any]()
    for _ in range(2):
        run_id = house.start(runs=5, delivery="exactly-once")
        results.append(desk.finish(run_id).result)
        told += [one.payload["writes"] for one in house.asked(run_id) if one.verb == "effects"]
        house.until(lambda: bool(house.pool.ready))
    assert results == [[], ["the run is over"]]
    assert [[write[0] for write in one] for one in told] == [["run1"], ["run2"]]
    assert told[0][0][1] == told[1][0][1]  # by the same process
