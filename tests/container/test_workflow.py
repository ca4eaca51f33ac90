"""Steps: each is done once, whatever becomes of the run that does it."""

from __future__ import annotations

from typing import Any

import pytest

from jobrunner.model import Outcome
from tests.container.chain import NOTE, Chain


def message(outcome: Outcome) -> str:
    assert outcome.state == "failed", outcome
    assert outcome.error is not None
    return f"{outcome.error['type']}: {outcome.error['message']}"


TWO = (
    NOTE
    + """
import os

def first(number):
    note("first")
    return number + 1

def second(number):
    note("second")
    if not os.path.exists("good"):
        raise ValueError("not yet")
    return number * 10

def default(ctx):
    return ctx.step("second", second, ctx.step("first", first, 1))
"""
)


def test_a_finished_step_is_not_repeated_by_a_later_attempt(chain: Chain) -> None:
    assert message(chain.attempt(TWO)) == "ValueError: not yet"
    assert chain.states() == {"first": "done", "second": "failed"}
    (chain.root / "good").touch()
    outcome = chain.attempt(attempt=2)
    assert (outcome.state, outcome.result) == ("succeeded", 20)
    assert chain.notes() == ["first", "second", "second"]
    assert (chain.steps["second"]["tries"], chain.steps["second"]["state"]) == (2, "done")


def test_a_failed_step_says_why_and_its_error_goes_on_to_the_body(chain: Chain) -> None:
    caught = "try: ctx.step('a', int, 'x')\n    except ValueError: return 'went on'"
    assert chain.attempt(f"def default(ctx):\n    {caught}").result == "went on"
    error = chain.steps["a"]["error"]
    assert (error["type"], error["phase"]) == ("ValueError", "body")
    assert "'x'" in error["message"]


def test_a_step_that_was_not_kept_counts_as_done_by_nobody(chain: Chain) -> None:
    chain.refuse.add("step.end")
    assert "given up" in message(chain.attempt(TWO))
    assert chain.notes() == ["first"]


def test_a_result_is_the_same_when_made_and_when_handed_back(chain: Chain) -> None:
    body = """
def default(ctx):
    return [repr(ctx.step("a", lambda: (1, {2: "x"}))), ctx.attempt]
"""
    made = chain.attempt(body).result
    assert made == ["[1, {'2': 'x'}]", 1]
    assert chain.attempt(attempt=2).result == [made[0], 2]


def test_what_is_handed_back_may_be_changed_without_harm(chain: Chain) -> None:
    body = """
def outer(ctx):
    rows = ctx.step("rows", lambda: [1])
    rows.append(2)
    if len(calls) < 1:
        calls.append(1)
        raise ValueError
    return rows

calls = []

def default(ctx):
    return ctx.step("outer", outer, ctx, retries={"max": 1, "delay": 0})
"""
    chain.steps["outer/rows"] = {**chain_step("done"), "result": [1]}
    assert chain.attempt(body, attempt=2).result == [1, 2]


def chain_step(state: str, **facts: Any) -> dict[str, Any]:
    return {
        "state": state, "tries": 1, "result": None, "error": None, "effects": None, "undo": None,
        "undone": None, "undoError": None, **facts,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("result", "said"),
    [("object()", "cannot be kept as JSON"), ("float('nan')", "cannot be kept"), ("'x' * 70000", "70,002")],
)
def test_what_cannot_be_handed_back_is_an_error_that_names_the_step(
    chain: Chain, result: str, said: str
) -> None:
    outcome = chain.attempt(f"def default(ctx):\n    ctx.step('odd', lambda: {result}, retries=3)")
    assert "step 'odd'" in message(outcome)
    assert said in message(outcome)
    assert (chain.steps["odd"]["state"], chain.steps["odd"]["tries"]) == ("failed", 1)


# -- names and places ------------------------------------------------------------------------------------


def test_a_name_is_used_once_in_a_place_and_the_error_says_what_to_do(chain: Chain) -> None:
    body = "def default(ctx):\n    for i in range(2): ctx.step('same', int)"
    assert "there is a step 'same' already" in message(chain.attempt(body))
    assert "BadArgument" in message(chain.attempt())


@pytest.mark.parametrize("name", ["''", "'a/b'", "'a\\n'", "'x' * 129", "7", "'\\x9b'"])
def test_what_cannot_be_a_name_is_refused_before_anything_is_done(chain: Chain, name: str) -> None:
    outcome = chain.attempt(f"def default(ctx):\n    ctx.step({name}, int)")
    assert message(outcome).startswith("BadArgument: a step's name")
    assert chain.said == []


INSIDE = (
    NOTE
    + """
import os

def label(order):
    note(f"label {order}")
    return f"L{order}"

def ship(ctx, order):
    found = ctx.step("label", label, order)
    key = ctx.step_key
    if not os.path.exists("good"):
        raise ValueError("not yet")
    return [found, key]

def default(ctx):
    return [ctx.step(f"ship-{order}", ship, ctx, order) for order in (1, 2)]
"""
)


def test_steps_inside_of_steps_have_their_names_below_and_are_kept_while_the_outer_fails(
    chain: Chain,
) -> None:
    assert message(chain.attempt(INSIDE)) == "ValueError: not yet"
    assert chain.states() == {"ship-1": "failed", "ship-1/label": "done"}
    (chain.root / "good").touch()
    assert chain.attempt(attempt=2).result == [["L1", "job#1/ship-1"], ["L2", "job#1/ship-2"]]
    assert chain.notes() == ["label 1", "label 2"]


def test_a_step_key_is_of_steps_only(chain: Chain) -> None:
    assert "inside of a step only" in message(chain.attempt("def default(ctx): return ctx.step_key"))


# -- tries -----------------------------------------------------------------------------------------------

FLAKY = """
tries = []

def flaky(good, error=ValueError):
    tries.append(1)
    if len(tries) < good:
        raise error(f"try {len(tries)}")
    return len(tries)
"""


def test_a_step_is_tried_again_within_its_run(chain: Chain) -> None:
    body = FLAKY + "def default(ctx): return ctx.step('a', flaky, 3, retries={'max': 2, 'delay': '1ms'})"
    assert chain.attempt(body).result == 3
    assert chain.steps["a"]["tries"] == 3


def test_the_last_error_is_the_steps_when_all_tries_fail(chain: Chain) -> None:
    body = FLAKY + "def default(ctx): return ctx.step('a', flaky, 9, retries={'max': 2, 'delay': 0})"
    assert message(chain.attempt(body)) == "ValueError: try 3"
    chain.attempt(attempt=2)
    assert chain.steps["a"]["tries"] == 6


@pytest.mark.parametrize("error", ["PermanentFailure", "Skip"])
def test_what_says_that_it_is_final_is_not_tried_again(chain: Chain, error: str) -> None:
    body = (
        f"from jobrunner import {error}\n{FLAKY}\n"
        f"def default(ctx): return ctx.step('a', flaky, 9, {error}, retries={{'max': 2, 'delay': 0}})"
    )
    outcome = chain.attempt(body)
    assert outcome.state == ("skipped" if error == "Skip" else "failed")
    assert "try 1" in str(outcome.result if error == "Skip" else outcome.error)


@pytest.mark.parametrize(
    ("retries", "said"),
    [
        ("-1", "retries is -1"),
        ("True", "retries is True"),
        ("{'delay': 1}", "retries lacks max"),
        ("{'max': 1, 'pause': 1}", "'pause'"),
        ("{'max': 1, 'delay': 'soon'}", "retries.delay: 'soon'"),
        ("{'max': 1, 'backoff': 'linear'}", "'linear'"),
        ("{'max': 1, 'delay': 9, 'maxDelay': 3}", "shorter"),
    ],
)
def test_retries_that_cannot_be_meant_are_refused_by_name(chain: Chain, retries: str, said: str) -> None:
    outcome = chain.attempt(f"def default(ctx): ctx.step('a', int, retries={retries})")
    assert message(outcome).startswith("BadArgument: ")
    assert said in message(outcome)


def test_an_option_that_the_function_takes_too_is_refused_and_not_guessed(chain: Chain) -> None:
    get = "def get(url, timeout=None): return [url, timeout]\ndef default(ctx): return "
    assert "timeout could be meant for the function" in message(
        chain.attempt(get + "ctx.step('a', get, 'u', timeout=5)")
    )
    assert chain.attempt(get + "ctx.step('a', lambda: get('u', timeout=5), timeout=9)").result == ["u", 5]
    gathering = "def get(**more): return more\ndef default(ctx): return ctx.step('b', get, {})"
    assert "retries could be meant" in message(chain.attempt(gathering.format("retries=2")))
    assert chain.attempt(gathering.format("a=2")).result == {"a": 2}


# -- effects ---------------------------------------------------------------------------------------------

CALLING = """
import os

def plan(scheduler, number):
    return scheduler.run_after(5, "other", number=number)

def default(ctx, scheduler):
    ctx.step("good", plan, scheduler, 1)
    try:
        ctx.step("bad", lambda: [plan(scheduler, 2), 1 / 0])
    except ZeroDivisionError:
        pass
    if not os.path.exists("good"):
        raise ValueError("not yet")
"""


def test_what_a_step_would_have_committed_is_kept_with_it_and_taken_over(chain: Chain) -> None:
    chain.attempt(CALLING)
    assert [call[1] for call in chain.steps["good"]["effects"]["calls"]] == ["other"]
    assert not chain.steps["bad"]["effects"]
    (chain.root / "good").touch()
    assert chain.attempt(attempt=2).state == "succeeded"
    told = [one.payload for one in chain.said if one.verb == "effects"]
    assert [[call[3] for call in one["calls"]] for one in told] == [[{"number": 1}]]


# -- async -----------------------------------------------------------------------------------------------


def test_an_async_body_awaits_its_steps(chain: Chain) -> None:
    body = """
import asyncio

async def slow(number):
    await asyncio.sleep(0)
    return number + 1

async def outer(ctx):
    return await ctx.step("inner", slow, 1)

async def default(ctx):
    both = await asyncio.gather(ctx.step("a", slow, 1), ctx.step("b", abs, -5))
    async with asyncio.TaskGroup() as group:
        task = group.create_task(ctx.step("c", slow, 2))
    return [*both, task.result(), await ctx.step("outer", outer, ctx)]
"""
    assert chain.attempt(body).result == [2, 5, 3, 2]
    assert set(chain.states()) == {"a", "b", "c", "outer", "outer/inner"}
    assert chain.attempt(attempt=2).result == [2, 5, 3, 2]


def test_a_step_that_nobody_awaits_fails_the_run_and_is_not_passed_over(chain: Chain) -> None:
    outcome = chain.attempt("async def default(ctx):\n    ctx.step('a', int)")
    assert "step 'a' was not awaited, and so not done" in message(outcome)
    assert chain.states() == {}
    assert b"never awaited" not in chain.log(1)


def test_an_async_function_is_run_to_its_end_in_a_sync_body(chain: Chain) -> None:
    body = """
import asyncio

async def inner(ctx):
    await asyncio.sleep(0)
    return await ctx.step("inner", lambda: ctx.step_key)

def default(ctx):
    return [ctx.step(name, inner, ctx) for name in ("a", "b")]
"""
    assert chain.attempt(body).result == ["job#1/a/inner", "job#1/b/inner"]


# -- several at the same time ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_parallel_steps_run_at_the_same_time_and_results_have_the_order_given(
    chain: Chain, kind: str
) -> None:
    """Each waits for the other: one after the other, neither would end."""
    sync = """
import threading
barrier = threading.Barrier(3)

def meet(number):
    barrier.wait(20)
    return number

def default(ctx):
    return ctx.parallel(*[step(f"meet-{n}", meet, n) for n in (3, 1, 2)])
"""
    asynchronous = """
import asyncio
here = []

async def meet(number):
    here.append(number)
    while len(here) < 3:
        await asyncio.sleep(0)
    return number

async def default(ctx):
    return await ctx.parallel(*[step(f"meet-{n}", meet, n) for n in (3, 1, 2)])
"""
    outcome = chain.attempt(sync if kind == "sync" else asynchronous)
    assert outcome.result == [3, 1, 2], outcome
    assert chain.attempt(attempt=2).result == [3, 1, 2]
    assert len([one for one in chain.said if one.verb == "step.end"]) == 3


LIMITED = """
import threading, asyncio
now, most = [], []

def work(number):
    now.append(number)
    most.append(len(now))
    threading.Event().wait(0.01)
    now.remove(number)

async def work_async(number):
    now.append(number)
    most.append(len(now))
    await asyncio.sleep(0.01)
    now.remove(number)
"""


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_limit_keeps_so_many_at_once(chain: Chain, kind: str) -> None:
    pre, awaiting, function = ("async ", "await ", "work_async") if kind == "async" else ("", "", "work")
    body = (
        f"{LIMITED}\n{pre}def default(ctx):\n"
        f"    {awaiting}ctx.parallel(*[step(f's-{{n}}', {function}, n) for n in range(6)], limit=2)\n"
        "    return max(most)\n"
    )
    assert chain.attempt(body).result == 2


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_parallel_steps_all_end_before_the_first_failure_is_raised(chain: Chain, kind: str) -> None:
    pre, awaiting = ("async ", "await ") if kind == "async" else ("", "")
    body = f"""
import threading

def fail(text):
    raise ValueError(text)

def slow():
    threading.Event().wait(0.05)
    return "slow"

{pre}def default(ctx):
    {awaiting}ctx.parallel(step("slow", slow), step("one", fail, "first"), step("two", fail, "second"))
"""
    outcome = chain.attempt(body)
    assert message(outcome) == "ValueError: first"
    assert outcome.error is not None
    assert "failed, too: two (ValueError: second)" in outcome.error["traceback"]
    assert chain.states() == {"slow": "done", "one": "failed", "two": "failed"}


def test_an_async_run_that_is_asked_to_end_lets_its_parallel_steps_clean_up(chain: Chain) -> None:
    body = (
        NOTE
        + """
import asyncio

async def hang(name):
    note("began")
    try:
        await asyncio.sleep(3600)
    finally:
        await asyncio.sleep(0.02 if name == "a" else 0)
        note(f"cleaned {name}")

async def default(ctx):
    try:
        await ctx.parallel(step("a", hang, "a"), step("b", hang, "b"))
    finally:
        note("body")
"""
    )
    chain.write("from jobrunner.workflow import step\n" + body)
    chain.more["grace"] = 20_000_000
    run = chain.begin()
    chain.until(lambda: chain.notes() == ["began", "began"])
    chain.pool.stop(run, "canceled", None)
    assert chain.finish(run).state == "canceled"
    assert chain.notes()[2:] == ["cleaned b", "cleaned a", "body"]


def test_parallel_takes_steps_that_are_yet_to_be_done(chain: Chain) -> None:
    body = "def default(ctx): return ctx.parallel(ctx.step('a', int))"
    assert "parallel takes steps that are yet to be done, not 0" in message(chain.attempt(body))
    assert chain.attempt("def default(ctx): return ctx.parallel()").result == []


def test_a_run_that_is_asked_to_end_cancels_its_parallel_steps_too(chain: Chain) -> None:
    body = (
        NOTE
        + """
import time

def spin(name):
    note("began")
    try:
        while True:
            time.sleep(0.001)
    finally:
        note(f"cleaned {name}")

def default(ctx):
    ctx.parallel(step("a", spin, "a"), step("b", spin, "b"))
"""
    )
    chain.write("from jobrunner.workflow import step\n" + body)
    chain.more["grace"] = 20_000_000
    run = chain.begin()
    chain.until(lambda: chain.notes() == ["began", "began"])
    chain.pool.stop(run, "canceled", None)
    assert chain.finish(run).state == "canceled"
    assert sorted(chain.notes()[2:]) == ["cleaned a", "cleaned b"]


# -- cost ------------------------------------------------------------------------------------------------


def test_a_body_pays_for_what_it_uses_of_workflows_only(chain: Chain) -> None:
    names = [f"jobrunner.{name}" for name in ("workflow", "stepping", "ways", "undoing")]
    more = ["jobrunner.branches", "jobrunner.interrupting", "asyncio"]
    body = "import sys\ndef default(ctx):\n    {}\n    return [name for name in {} if name in sys.modules]"
    chain.write(body.format("pass", names + more))
    assert chain.finish(chain.begin()).result == []
    chain.write(body.format("ctx.step('a', int)", names + more))
    assert chain.finish(chain.begin()).result == names


# -- how much steps may keep -----------------------------------------------------------------------------


def test_what_one_step_keeps_is_counted_as_it_is_sent(chain: Chain) -> None:
    """Characters are not bytes: what is too long for the wire would end the run without a word."""
    body = """
def keep(state, text):
    for n in range(8):
        state.set(f"{n}", text * 350_000)

def default(ctx, state):
    ctx.step("small", keep, state, "x")
    ctx.step("large", keep, state, "ä")
"""
    said = message(chain.attempt(body, delivery="exactly-once"))
    assert said.startswith("BadArgument: step 'large' would keep 5,600,")
    assert "5 MiB" in said
    assert chain.states() == {"small": "done", "large": "failed"}


@pytest.mark.parametrize("handed_over", [True, False])
def test_what_all_steps_of_a_chain_keep_is_bounded_and_the_one_too_many_is_named(
    chain: Chain, handed_over: bool
) -> None:
    """A later attempt is handed all of it in one frame."""
    body = """
def keep(state, n):
    state.set("same", "x" * 1_000_000)
    for m in range(4):
        state.set(f"{m}", "x" * 1_000_000)
    return n

def default(ctx, state):
    for n in range(6):
        ctx.step(f"s{n}", keep, state, n)
"""
    facts = {"delivery": "exactly-once"}
    if handed_over:
        assert chain.attempt(body.replace("range(6)", "range(4)"), **facts).state == "succeeded"
    said = message(chain.attempt(body, **facts))
    assert said.startswith("BadArgument: step 's5': the steps of this run would keep 30,0")
    assert "24 MiB" in said
    assert chain.states() == {**{f"s{n}": "done" for n in range(4)}, "s4": "done", "s5": "failed"}


def test_how_steps_are_taken_back_counts_among_what_they_keep(chain: Chain) -> None:
    body = (
        NOTE
        + """
def back(text): pass

def default(ctx):
    ctx.step("a", note, "a", undo=undo(back, "x" * 60_000))
    ctx.step("b", note, "b", undo=undo(back, "x" * 60_000))
"""
    )
    chain.steps["other"] = {**chain_step("done"), "result": "x" * (24 * 1024 * 1024 - 100_000)}
    assert message(chain.attempt(body)).startswith("BadArgument: step 'b': the steps of this run would keep")
    assert chain.notes() == ["a"]
