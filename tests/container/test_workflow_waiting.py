"""A run that waits for an event from outside goes, and comes back when it is there."""

from __future__ import annotations

import pytest

from tests.container.chain import NOTE, Chain
from tests.container.test_workflow import message

WAIT = (
    NOTE
    + """
def default(ctx):
    ctx.step("before", note, "before")
    try:
        who = ctx.wait_for("approval", timeout="2d")
    except Exception:
        note("caught")
        raise
    finally:
        note("finally")
    return ctx.step("after", str.upper, who)
"""
)


def test_the_body_is_unwound_and_goes_on_from_its_finished_steps(chain: Chain) -> None:
    outcome = chain.attempt(WAIT)
    assert (outcome.state, outcome.result, outcome.error) == ("waiting", None, None)
    assert chain.notes() == ["before", "finally"]
    assert chain.steps["approval"]["timeout"] == 2 * 86_400_000_000
    chain.complete("approval", "ann")
    outcome = chain.attempt()
    assert (outcome.state, outcome.result) == ("succeeded", "ANN")
    assert chain.notes() == ["before", "finally", "finally"]


def test_an_event_that_is_there_already_is_not_waited_for(chain: Chain) -> None:
    chain.attempt("def default(ctx): return ctx.wait_for('a')")
    assert chain.steps["a"]["timeout"] is None
    chain.complete("a", {"x": 1})
    assert chain.attempt().result == {"x": 1}


def test_a_failed_event_is_an_error_and_one_that_is_too_late_another(chain: Chain) -> None:
    chain.attempt("def default(ctx): return ctx.wait_for('a')")
    chain.complete("a", error={"type": "Refused", "message": "not today"})
    assert message(chain.attempt()) == "EventFailed: not today"
    chain.complete("a", error={"type": "TimeoutError", "message": "nobody said anything"})
    assert message(chain.attempt()) == "TimeoutError: nobody said anything"


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_in_parallel_the_other_branches_end_first(chain: Chain, kind: str) -> None:
    pre, awaiting = ("async ", "await ") if kind == "async" else ("", "")
    body = (
        NOTE
        + f"""
import threading

def slow():
    threading.Event().wait(0.05)
    note("slow")

{pre}def ask(ctx):
    return {awaiting}ctx.wait_for("answer")

{pre}def default(ctx):
    return {awaiting}ctx.parallel(step("ask", ask, ctx), step("slow", slow))
"""
    )
    assert chain.attempt(body).state == "waiting"
    assert chain.states() == {"ask": "running", "ask/answer": "waiting", "slow": "done"}
    chain.complete("ask/answer", "yes")
    assert chain.attempt().result == ["yes", None]
    assert chain.notes() == ["slow"]


def test_what_fails_at_the_same_time_goes_before_what_waits(chain: Chain) -> None:
    body = """
def default(ctx):
    try:
        ctx.parallel(step("ask", lambda: ctx.wait_for("answer")), step("bad", int, "x"))
    except ValueError:
        return "went on"
"""
    assert chain.attempt(body).result == "went on"


def test_an_async_body_may_wait_in_a_group_of_tasks(chain: Chain) -> None:
    body = """
import asyncio

async def default(ctx):
    async with asyncio.TaskGroup() as group:
        one = group.create_task(ctx.wait_for("one"))
        two = group.create_task(ctx.wait_for("two"))
    return [one.result(), two.result()]
"""
    assert chain.attempt(body).state == "waiting"
    chain.complete("one", 1)
    assert chain.attempt().state == "waiting"
    chain.complete("two", 2)
    assert chain.attempt().result == [1, 2]


def test_a_body_that_swallows_the_wait_fails_and_does_not_look_done(chain: Chain) -> None:
    body = """
def default(ctx):
    try: ctx.wait_for("a")
    except BaseException: pass
    return "done"
"""
    assert "went on as if 'a' had come" in message(chain.attempt(body))


def test_a_clean_up_that_fails_fails_the_run_and_nobody_waits_for_it(chain: Chain) -> None:
    (chain.root / "services.py").write_text(
        "def broken():\n    yield 1\n    raise OSError('disk')\n"
        "def register(container):\n    container.register('broken', broken)\n"
    )
    outcome = chain.attempt("def default(ctx, broken): return ctx.wait_for('a')")
    assert message(outcome) == "OSError: disk"


@pytest.mark.parametrize(
    ("arguments", "argument"), [("'a/b'", "name"), ("'a', 'soon'", "timeout"), ("3", "name")]
)
def test_what_cannot_be_waited_for_is_refused(chain: Chain, arguments: str, argument: str) -> None:
    assert message(chain.attempt(f"def default(ctx): ctx.wait_for({arguments})")).startswith("BadArgument")
    assert chain.said == []


SUSPENDED = (
    "Suspended: the body raised Suspended, and there is nothing that it waits for: leave it to ctx.wait_for"
)


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_body_that_says_it_waits_and_does_not_has_failed(chain: Chain, kind: str) -> None:
    """Nobody could ever go on with it."""
    pre = "async " if kind == "async" else ""
    body = f"from jobrunner.outcomes import Suspended\n{pre}def default(ctx):\n    raise Suspended('soon')"
    outcome = chain.attempt(body)
    assert message(outcome) == SUSPENDED
    stepping = body.replace("raise", "ctx.step('a', int)\n    raise") if kind == "sync" else body
    assert message(chain.attempt(stepping)) == SUSPENDED
