"""A step of an exactly-once run rests on what was read before it; when that has changed it is done again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobrunner.model import Outcome
from tests.container.chain import NOTE, Chain
from tests.container.test_workflow import message


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[Chain]:
    one = Chain(tmp_path)
    one.pool.start()
    one.document("n", 5)
    yield one
    one.close()


def attempt(chain: Chain, body: str = "", **facts: Any) -> Outcome:
    return chain.attempt(body, delivery="exactly-once", **facts)


def outdate(chain: Chain, *paths: str) -> None:
    """Have a node see that what these steps have read has changed."""
    for path in paths:
        assert chain.steps[path]["state"] == "done"
        chain.steps[path]["state"] = "outdated"


# -- what is kept ----------------------------------------------------------------------------------------

BEFORE = """
def default(ctx, state):
    outside = state.get("n")
    state.list("p/")
    inside = ctx.step("read", lambda: [state.get("n"), state.get("other")])
    ctx.step("write", state.set, "n", outside + 1)
"""


def test_a_step_keeps_all_that_was_read_before_its_end_and_not_only_by_itself(chain: Chain) -> None:
    """Else a write that rests on a read outside of its step would outlive it, and undo what others wrote."""
    chain.document("p/1", 0)
    assert attempt(chain, BEFORE).state == "succeeded"
    read, write = (chain.steps[path]["effects"] for path in ("read", "write"))
    assert read["reads"] == {"n": 1, "other": 0}
    assert (write["reads"], write["writes"]) == ({"n": 1, "other": 0}, [["n", 6, False]])
    assert list(read["prefixes"]) == list(write["prefixes"]) == ["p/"]


def test_a_step_inside_of_others_keeps_what_all_of_them_have_read(chain: Chain) -> None:
    body = """
def inner(ctx, state):
    state.get("inner")
    ctx.step("write", state.set, "x", 1)

def outer(ctx, state):
    state.get("outer")
    ctx.parallel(step("inner", inner, ctx, state))

def default(ctx, state):
    state.get("n")
    ctx.step("outer", outer, ctx, state)
    state.get("later")
"""
    assert attempt(chain, body).state == "succeeded"
    kept = {path: set(step["effects"]["reads"]) for path, step in chain.steps.items()}
    everything = {"n", "outer", "inner"}
    assert kept == {"outer": everything, "outer/inner": everything, "outer/inner/write": everything}


def test_reads_of_a_step_that_was_handed_back_are_kept_with_the_steps_after_it(chain: Chain) -> None:
    body = """
import os

def default(ctx, state):
    n = ctx.step("read", state.get, "n")
    if not os.path.exists("good"):
        raise ValueError("not yet")
    ctx.step("write", state.set, "n", n + 1)
"""
    attempt(chain, body)
    (chain.root / "good").touch()
    assert attempt(chain, attempt=2).state == "succeeded"
    assert chain.steps["write"]["effects"]["reads"] == {"n": 1}
    assert chain.told() == {"reads": {"n": 1}, "writes": [["n", 6, False]]}


RETRIED = """
import os

def default(ctx, state):
    n = state.get("n")
    listed = state.list("p/")
    ctx.step("write", state.set, "n", n + 1)
    if not os.path.exists("good"):
        raise ValueError("not yet")
"""


def test_a_write_handed_back_that_rests_on_another_version_can_never_be_committed(chain: Chain) -> None:
    attempt(chain, RETRIED)
    chain.document("n", 100)
    chain.document("p/1", 1)
    (chain.root / "good").touch()
    assert attempt(chain, attempt=2).state == "succeeded"
    assert (chain.told()["reads"], chain.told()["prefixes"]) == ({"n": -1}, {"p/": ""})


def test_a_write_handed_back_that_rests_on_what_is_still_so_is_committed(chain: Chain) -> None:
    attempt(chain, RETRIED)
    (chain.root / "good").touch()
    assert attempt(chain, attempt=2).state == "succeeded"
    assert chain.told()["reads"] == {"n": 1}
    assert chain.told()["prefixes"]["p/"]


# -- outdated steps --------------------------------------------------------------------------------------

PAY = (
    NOTE
    + """
import os

def price(state):
    return state.get("n")

def charge(amount):
    note(f"charge {amount}")
    return amount

def refund(amount, ctx, state, scheduler):
    note(f"refund {amount}")
    if os.path.exists("busy"):
        raise OSError("line is busy")
    state.set("refunded", amount)
    scheduler.run_after(1, "tell", amount=amount)

def cross_out(who):
    note(f"cross out {who}")

def default(ctx, state):
    note("body")
    amount = ctx.step("price", price, state)
    ctx.step("charge", charge, amount, undo=refund)
    ctx.step("book", note, "book", undo=undo(cross_out, "ann"))
    ctx.step("free", note, "free")
    state.set("paid", amount)
"""
)


def paid(chain: Chain) -> None:
    assert attempt(chain, PAY).state == "succeeded"
    assert chain.notes() == ["body", "charge 5", "book", "free"]
    (chain.root / "notes").unlink()
    chain.document("n", 20)


def test_outdated_steps_are_taken_back_in_reverse_before_the_body_does_them_again(chain: Chain) -> None:
    paid(chain)
    outdate(chain, "price", "charge", "book")
    before = len(chain.said)
    assert attempt(chain).state == "succeeded"
    assert chain.notes() == ["cross out ann", "refund 5", "body", "charge 20", "book"]
    assert set(chain.states().values()) == {"done"}
    noted = [one.payload["path"] for one in chain.said[before:] if one.verb == "step.undone"]
    assert list(dict.fromkeys(noted)) == ["book", "charge"]


def test_what_an_outdated_step_would_have_committed_is_forgotten(chain: Chain) -> None:
    assert attempt(chain, BEFORE).state == "succeeded"
    chain.document("n", 40)
    outdate(chain, "read", "write")
    assert attempt(chain).state == "succeeded"
    assert chain.told() == {
        "reads": {"n": 2, "other": 0}, "prefixes": chain.told()["prefixes"], "writes": [["n", 41, False]],
    }  # fmt: skip


def test_what_taking_back_writes_and_calls_does_not_hang_on_the_run(chain: Chain) -> None:
    paid(chain)
    outdate(chain, "price", "charge")
    before = len(chain.said)
    assert attempt(chain).state == "succeeded"
    said = chain.said[before:]
    assert [one.payload["writes"] for one in said if one.verb == "state.write"] == [[["refunded", 5, False]]]
    assert [one.payload["immediate"] for one in said if one.verb == "call"] == [True]
    assert "calls" not in chain.told()
    assert chain.told()["writes"] == [["paid", 20, False]]


def test_an_outdated_step_that_was_taken_back_before_is_not_taken_back_again(chain: Chain) -> None:
    paid(chain)
    outdate(chain, "charge", "book")
    chain.steps["charge"]["undone"] = "done"
    assert attempt(chain).state == "succeeded"
    assert chain.notes() == ["cross out ann", "body", "charge 5", "book"]


def test_an_outdated_step_that_cannot_be_taken_back_fails_the_run_before_its_body(chain: Chain) -> None:
    paid(chain)
    outdate(chain, "charge", "book")
    (chain.root / "busy").touch()
    outcome = attempt(chain)
    assert message(outcome) == "UndoFailed: could not take back charge: OSError: line is busy"
    assert outcome.error is not None
    assert outcome.error["phase"] == "undo"
    assert chain.notes() == ["cross out ann", "refund 5"]
    assert [chain.steps[path]["undone"] for path in ("charge", "book")] == ["failed", "done"]
    (chain.root / "busy").unlink()
    assert attempt(chain, undo=1).state == "succeeded"
    assert chain.notes()[2:] == ["refund 5"]


def test_the_body_gets_services_and_params_of_its_own_after_steps_were_taken_back(chain: Chain) -> None:
    (chain.root / "services.py").write_text(
        NOTE + "def desk():\n    note('open')\n    yield 'desk'\n    note('close')\n"
        "def virtualize(container, params):\n    note('for whom')\n"
        "    params['n'] = params.get('n', 0) + 1\n    container.register('desk', desk)\n"
    )
    body = (
        NOTE
        + """
note("loaded")

def back(_, desk, ctx):
    ctx.cursor = "undo"

def default(ctx, desk, n: int):
    note(f"body {n} {ctx.cursor}")
    ctx.step("a", int, undo=back)
"""
    )
    attempt(chain, body)
    outdate(chain, "a")
    (chain.root / "notes").unlink()
    assert attempt(chain).state == "succeeded"
    twice = ["for whom", "open", "close", "for whom", "open", "body 1 None", "close"]
    assert chain.notes() == ["loaded", *twice]
    outdate(chain, "a")
    chain.steps["a"]["undone"] = "done"  # before its node died
    assert attempt(chain).state == "succeeded"
    assert chain.notes()[8:] == ["loaded", *twice[3:]]


def test_a_clean_up_that_fails_after_taking_back_fails_the_run_before_its_body(chain: Chain) -> None:
    (chain.root / "services.py").write_text(
        "def desk():\n    yield 'desk'\n    raise OSError('disk')\n"
        "def register(container):\n    container.register('desk', desk)\n"
    )
    body = (
        f"{NOTE}\ndef back(_, desk): pass\n"
        "def default(ctx):\n    note('body')\n    ctx.step('a', int, undo=back)"
    )
    attempt(chain, body)
    outdate(chain, "a")
    outcome = attempt(chain)
    assert message(outcome) == "OSError: disk"
    assert outcome.error is not None
    assert outcome.error["phase"] == "cleanup"
    assert chain.notes() == ["body"]


def test_there_are_no_steps_while_outdated_ones_are_taken_back(chain: Chain) -> None:
    body = """
def back(_, ctx):
    ctx.step("another", int)

def default(ctx):
    ctx.step("a", int, undo=back)
"""
    attempt(chain, body)
    outdate(chain, "a")
    assert "no steps while steps are being taken back" in message(attempt(chain))
    assert set(chain.states()) == {"a"}


def test_a_run_that_is_asked_to_end_while_it_takes_back_is_canceled_and_its_body_never_begins(
    chain: Chain,
) -> None:
    body = (
        NOTE
        + """
import time

def back(_):
    note("back")
    try:
        while True:
            time.sleep(0.001)
    finally:
        note("cleaned")

def default(ctx):
    ctx.step("a", int, undo=back)
"""
    )
    attempt(chain, body)
    outdate(chain, "a")
    chain.more["grace"] = 20_000_000
    run = chain.begin(delivery="exactly-once")
    chain.until(lambda: chain.notes() == ["back"])
    chain.pool.stop(run, "canceled", None)
    assert chain.finish(run).state == "canceled"
    assert chain.notes() == ["back", "cleaned"]
    assert chain.steps["a"]["undone"] == "failed"
