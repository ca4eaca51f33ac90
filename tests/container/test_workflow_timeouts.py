"""A step that takes too long is interrupted where Python can; where it cannot, its run is ended."""

from __future__ import annotations

import pytest

from tests.container.chain import NOTE, Chain
from tests.container.test_workflow import message

HANG = (
    NOTE
    + """
import asyncio, time

def hang():
    note("began")
    try:
        while True:
            time.sleep(3600)
    finally:
        note("cleaned")

def spin():
    note("began")
    try:
        while True:
            time.sleep(0.001)
    finally:
        note("cleaned")

async def hang_async():
    note("began")
    try:
        await asyncio.sleep(3600)
    finally:
        note("cleaned")

def deaf():
    while True:
        try:
            time.sleep(3600)
        except TimeoutError:
            note("swallowed")
"""
)


@pytest.mark.parametrize(
    "body",
    [
        "def default(ctx): ctx.step('a', hang, timeout=0.3)",
        "def default(ctx): ctx.step('a', hang_async, timeout=0.3)",
        "async def default(ctx): await ctx.step('a', hang_async, timeout=0.3)",
        "async def default(ctx): await ctx.step('a', hang, timeout=0.3)",
        "def default(ctx): ctx.parallel(step('a', spin, timeout=0.3), step('b', int))",
        "def default(ctx): ctx.parallel(step('a', hang_async, timeout=0.3), step('b', int))",
        "async def default(ctx): await ctx.parallel(step('a', hang_async, timeout=0.3), step('b', int))",
    ],
)
def test_a_step_is_interrupted_when_its_time_is_over(chain: Chain, body: str) -> None:
    assert message(chain.attempt(HANG + body)) == "TimeoutError: step 'a' took longer than 300ms"
    assert chain.notes() == ["began", "cleaned"]
    assert chain.steps["a"]["error"]["type"] == "TimeoutError"


def test_a_try_that_timed_out_counts_as_a_try(chain: Chain) -> None:
    body = HANG + "def default(ctx): ctx.step('a', hang, timeout=0.2, retries={'max': 2, 'delay': 0})"
    assert message(chain.attempt(body)).startswith("TimeoutError")
    assert chain.notes() == ["began", "cleaned"] * 3
    assert chain.steps["a"]["tries"] == 3


def test_what_has_taken_too_long_has_timed_out_whatever_it_returns(chain: Chain) -> None:
    body = (
        HANG
        + """
def late():
    try:
        hang()
    except TimeoutError:
        return "fine"

def default(ctx): ctx.step("a", late, timeout=0.2)
"""
    )
    assert message(chain.attempt(body)) == "TimeoutError: step 'a' took longer than 200ms"


def test_the_time_of_an_outer_step_ends_the_inner_ones_without_another_try(chain: Chain) -> None:
    body = (
        HANG
        + """
def outer(ctx):
    ctx.step("inner", hang, retries={"max": 5, "delay": 0}, timeout=60)

def default(ctx): ctx.step("outer", outer, ctx, timeout=0.3)
"""
    )
    assert message(chain.attempt(body)) == "TimeoutError: step 'outer' took longer than 300ms"
    assert chain.notes() == ["began", "cleaned"]


def test_a_step_that_ends_in_time_is_never_interrupted_later(chain: Chain) -> None:
    body = (
        HANG
        + """
def default(ctx):
    for number in range(30):
        ctx.step(f"a-{number}", time.sleep, 0, timeout=0.3)
    time.sleep(0.4)
    ctx.parallel(*[step(f"b-{number}", time.sleep, 0, timeout=0.3) for number in range(9)])
    until = time.monotonic() + 0.4
    while time.monotonic() < until:
        pass
    return "fine"
"""
    )
    assert chain.attempt(body).result == "fine"


@pytest.mark.parametrize(
    "body",
    [
        "def default(ctx): ctx.step('a', deaf, timeout=0.3)",
        "async def default(ctx): await ctx.step('a', deaf, timeout=0.3)",
        "def default(ctx): ctx.parallel(step('a', hang, timeout=0.3), step('b', int))",
    ],
)
def test_a_run_ends_when_its_step_does_not(chain: Chain, body: str) -> None:
    outcome = chain.attempt(HANG + body)
    assert message(outcome).startswith("TimeoutError: step 'a' took longer than 300ms, and did not end")
    assert outcome.error is not None
    assert "time.sleep(3600)" in outcome.error["traceback"]
    assert chain.attempt("def default(): return 1").result == 1  # nothing of it is left in the way


@pytest.mark.parametrize("timeout", ["0", "'soon'", "-1", "float('inf')"])
def test_a_time_out_that_cannot_be_meant_is_refused_by_name(chain: Chain, timeout: str) -> None:
    outcome = chain.attempt(f"def default(ctx): ctx.step('a', int, timeout={timeout})")
    assert message(outcome).startswith("BadArgument: timeout")
