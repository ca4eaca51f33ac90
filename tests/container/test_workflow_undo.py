"""Steps are taken back in reverse, each once, by a process that knows only what was kept of them."""

from __future__ import annotations

import pytest

from tests.container.chain import NOTE, Chain
from tests.container.test_workflow import message

ORDER = (
    NOTE
    + """
import os

def charge(order):
    return {"charge": order}

def refund(charged, ctx, container):
    note(f"refund {charged['charge']} {ctx.attempt} {container.resolve('ctx') is ctx}")

def ship(order):
    raise ValueError("no stamps")

def call_back(order, how, settings):
    if os.path.exists("bad"):
        raise OSError("line is busy")
    note(f"call back {order} {how} {settings}")

def default(ctx):
    ctx.step("charge", charge, 7, undo=refund)
    ctx.step("mail", int, undo=undo(call_back, 7, how="by mail"))
    ctx.step("free", int)
    ctx.step("ship", ship, 7, undo=undo(call_back, 7, how="by hand"))
"""
)


def failed(chain: Chain) -> None:
    assert message(chain.attempt(ORDER)) == "ValueError: no stamps"


def test_steps_are_taken_back_in_reverse_with_what_they_returned_or_were_given(chain: Chain) -> None:
    failed(chain)
    outcome = chain.attempt(undo=1, attempt=2, settings={"x": 1})
    assert (outcome.state, outcome.result) == ("succeeded", None)
    assert chain.notes() == [
        "call back 7 by hand {'x': 1}",
        "call back 7 by mail {'x': 1}",
        "refund 7 2 True",
    ]
    assert [step["undone"] for step in chain.steps.values()] == ["done", "done", None, "done"]


def test_a_step_that_did_not_end_well_is_taken_back_only_where_its_arguments_are_known(chain: Chain) -> None:
    failed(chain)
    chain.steps["charge"].update(state="failed", result=None)
    chain.attempt(undo=1)
    assert [note.partition(" ")[0] for note in chain.notes()] == ["call", "call"]


def test_one_that_cannot_be_taken_back_does_not_keep_the_others_and_is_named(chain: Chain) -> None:
    failed(chain)
    (chain.root / "bad").touch()
    outcome = chain.attempt(undo=1)
    assert message(outcome) == (
        "UndoFailed: could not take back ship: OSError: line is busy; mail: OSError: line is busy"
    )
    assert outcome.error is not None
    assert outcome.error["phase"] == "undo"
    assert chain.notes() == ["refund 7 1 True"]
    assert chain.steps["mail"]["undo_error"]["message"] == "line is busy"
    (chain.root / "bad").unlink()
    assert chain.attempt(undo=2).state == "succeeded"
    assert len(chain.notes()) == 3


def test_the_body_is_not_called_while_steps_are_taken_back_and_there_are_no_new_ones(chain: Chain) -> None:
    failed(chain)
    body = ORDER.replace(
        "def refund(charged, ctx, container):", "def refund(charged, ctx, container):\n    ctx.step('x', int)"
    )
    outcome = chain.attempt(body.replace("def default(ctx):", "def default(ctx):\n    note('body')"), undo=1)
    assert "no steps while steps are being taken back" in message(outcome)
    assert "body" not in chain.notes()


def test_an_undo_may_be_async_and_its_calls_do_not_hang_on_the_others_that_are_taken_back(
    chain: Chain,
) -> None:
    body = """
async def take_back(result, scheduler):
    scheduler.run_after(1, "other", number=result)

def default(ctx):
    ctx.step("a", lambda: 5, undo=take_back)
    raise ValueError
"""
    chain.attempt(body)
    assert chain.attempt(undo=1).state == "succeeded"
    (call,) = (one.payload for one in chain.said if one.verb == "call")
    assert (call["params"], call["immediate"]) == ({"number": 5}, True)


def test_undo_finds_functions_of_other_files_too(chain: Chain) -> None:
    (chain.root / "shop").mkdir()
    (chain.root / "shop" / "__init__.py").touch()
    (chain.root / "shop" / "bank.py").write_text(
        "class Bank:\n    @staticmethod\n    def refund(x):\n        open('bank', 'w').write(str(x))\n"
    )
    (chain.root / "jobs" / "_near.py").write_text("def refund(x):\n    open('near', 'w').write(str(x))\n")
    body = """
from shop.bank import Bank
from ._near import refund

def default(ctx):
    ctx.step("a", lambda: 1, undo=Bank.refund)
    ctx.step("b", lambda: 2, undo=refund)
    raise ValueError
"""
    chain.attempt(body)
    targets = [step["undo"]["target"] for step in chain.steps.values()]
    assert targets == ["shop.bank:Bank.refund", "._near:refund"]
    assert chain.attempt(undo=1).state == "succeeded"
    assert [(chain.root / name).read_text() for name in ("bank", "near")] == ["1", "2"]


def test_an_undo_that_is_gone_is_said_so(chain: Chain) -> None:
    failed(chain)
    outcome = chain.attempt(ORDER.replace("def refund", "def pay_back").replace("undo=refund", ""), undo=1)
    assert "has no function refund any more" in message(outcome)


@pytest.mark.parametrize(
    ("undo", "said"),
    [
        ("lambda x: x", "undo is a lambda"),
        ("inner", "undo is inner, defined inside of a function"),
        ("Bank().refund", "by that name no later process would find the same"),
        ("none", "none cannot be called with the step's result"),
        ("mine", "an argument would become ctx"),
        ("undo(two, 1, 2, 3)", "two cannot be called with its arguments"),
        ("undo(two, object())", "cannot be kept as JSON"),
        ("7", "undo is 7, which is no function"),
    ],
)
def test_an_undo_that_could_not_be_called_later_is_refused_before_the_step_begins(
    chain: Chain, undo: str, said: str
) -> None:
    body = (
        NOTE
        + f"""
class Bank:
    def refund(self, x): pass

def none(): pass
def mine(ctx): pass
def two(a, b): pass

def default(ctx):
    def inner(x): pass
    ctx.step("a", note, "did it", undo={undo})
"""
    )
    outcome = chain.attempt(body)
    assert message(outcome).startswith("BadArgument: step 'a'")
    assert said in message(outcome)
    assert chain.notes() == []
    assert chain.states() == {}


def test_a_step_with_an_undo_begins_only_when_that_is_kept(chain: Chain) -> None:
    chain.refuse.add("step.begin")
    chain.attempt(NOTE + "def back(x): pass\ndef default(ctx): ctx.step('a', note, 'did it', undo=back)")
    assert chain.notes() == []


ENDING = (
    NOTE
    + """
import asyncio, os, sys

async def first(_): note("first")
def last(_): note("last")

def leave(_):
    note("leave")
    sys.exit(3)

async def leave_later(_):
    note("leave")
    await asyncio.sleep(0)
    raise SystemExit(3)

def interrupt(_):
    note("interrupt")
    raise KeyboardInterrupt

def die(_):
    note("die")
    os.kill(os.getpid(), 9)

def default(ctx):
    ctx.step("first", int, undo=first)
    ctx.step("ends", int, undo={})
    ctx.step("last", int, undo=last)
    raise ValueError
"""
)


@pytest.mark.parametrize("how", ["leave", "leave_later"])
def test_an_undo_that_would_end_its_process_has_failed_and_keeps_no_other_from_its_turn(
    chain: Chain, how: str
) -> None:
    chain.attempt(ENDING.replace("{}", how))
    assert message(chain.attempt(undo=1)) == "UndoFailed: could not take back ends: SystemExit: 3"
    assert chain.notes() == ["last", "leave", "first"]
    assert [step["undone"] for step in chain.steps.values()] == ["done", "failed", "done"]
    assert chain.steps["ends"]["undo_error"]["type"] == "SystemExit"


def test_what_is_meant_for_the_whole_process_passes_an_undo(chain: Chain) -> None:
    chain.attempt(ENDING.replace("{}", "interrupt"))
    assert message(chain.attempt(undo=1)).startswith("KeyboardInterrupt")
    assert chain.notes() == ["last", "interrupt"]


def test_an_undo_that_kills_its_process_is_known_to_have_begun_and_comes_last_when_it_is_tried_again(
    chain: Chain,
) -> None:
    chain.attempt(ENDING.replace("{}", "die"))
    assert chain.attempt(undo=1).state == "failed"
    assert chain.notes() == ["last", "die"]
    assert [step["undone"] for step in chain.steps.values()] == [None, "failed", "done"]
    error = chain.steps["ends"]["undo_error"]
    assert (error["type"], error["phase"]) == ("Unfinished", "undo")
    assert error["message"] == "taking it back has begun and not ended"
    assert chain.attempt(undo=2).state == "failed"
    assert chain.notes() == ["last", "die", "first", "die"]
    assert chain.steps["first"]["undone"] == "done"


def test_an_undo_begins_only_when_it_is_known_that_it_does(chain: Chain) -> None:
    failed(chain)
    chain.refuse.add("step.undone")
    assert "given up" in message(chain.attempt(undo=1))
    assert chain.notes() == []
