"""`ctx.once` calls a function until its result is recorded, and never again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from jobrunner.context import Context
from jobrunner.errors import BadArgument, JobrunnerError
from jobrunner.eventloop import Alarm, EventLoop
from tests.container.fakenode import FakeNode
from tests.container.test_context import spec


@pytest.fixture
def loop() -> Iterator[EventLoop]:
    one = EventLoop(Alarm())
    yield one
    one.close()


@pytest.fixture
def ctx(node: FakeNode, loop: EventLoop) -> Context:
    return Context(spec(), node.line, loop=loop)


class Charge:
    """Something outside that must be done once."""

    def __init__(self) -> None:
        self.made: list[Any] = []

    def __call__(self, *args: Any, **named: Any) -> Any:
        self.made.append((args, named))
        return {"receipt": len(self.made), "of": args}


def test_what_is_recorded_is_returned_and_the_function_is_not_called_again(
    ctx: Context, node: FakeNode
) -> None:
    charge = Charge()
    found = [ctx.once("charge", charge, 7, key="param") for _ in range(3)]
    assert found == [{"receipt": 1, "of": [7]}] * 3  # as JSON has it, from the first time on
    assert charge.made == [((7,), {"key": "param"})]
    assert ctx.once("another", charge) == {"receipt": 2, "of": []}
    assert set(node.results) == {"charge", "another"}


def test_none_is_a_result_too(ctx: Context) -> None:
    made: list[int] = []
    for _ in range(2):
        assert ctx.once("k", made.append, 1) is None
    assert made == [1]


def test_what_somebody_else_has_recorded_first_counts(ctx: Context, node: FakeNode) -> None:
    def late() -> str:
        node.results["k"] = "first"
        return "second"

    assert ctx.once("k", late) == "first"


def test_a_function_that_raises_is_called_again(ctx: Context, node: FakeNode) -> None:
    with pytest.raises(ZeroDivisionError):
        ctx.once("k", lambda: 1 / 0)
    assert node.results == {}
    assert ctx.once("k", lambda: 2) == 2


def test_a_result_that_is_no_json_says_that_the_function_has_run(ctx: Context, node: FakeNode) -> None:
    for result in (object(), "x" * (1 << 20), float("nan")):
        with pytest.raises(BadArgument, match="k: fn has run, but nothing is recorded") as caught:
            ctx.once("k", lambda result=result: result)
        assert caught.value.argument == "fn"
    assert node.results == {}


@pytest.mark.parametrize(
    ("key", "fn", "argument"),
    [("", print, "key"), (5, print, "key"), ("x" * 513, print, "key"), ("k", 5, "fn")],
)
def test_what_cannot_be_meant_is_an_error_that_names_it(
    ctx: Context, node: FakeNode, key: Any, fn: Any, argument: str
) -> None:
    with pytest.raises(BadArgument) as caught:
        ctx.once(key, fn)
    assert (caught.value.argument, node.heard) == (argument, [])


def test_a_run_that_was_given_up_records_nothing_and_is_told(ctx: Context, node: FakeNode) -> None:
    node.refuse["once.set"] = {"code": "superseded", "message": "this run was given up", "hint": None}
    with pytest.raises(JobrunnerError, match="given up"):
        ctx.once("k", lambda: 1)


# -- async -------------------------------------------------------------------------------------------


def counting() -> tuple[list[int], Callable[[int], Awaitable[list[int]]]]:
    made: list[int] = []

    async def charge(amount: int) -> list[int]:
        await asyncio.sleep(0)
        made.append(amount)
        return list(made)

    return made, charge


def test_an_async_function_is_driven_to_its_end_in_a_sync_body(ctx: Context) -> None:
    made, charge = counting()
    assert [ctx.once("k", charge, 5), ctx.once("k", charge, 5)] == [[5], [5]]
    assert [ctx.once("l", lambda: charge(6)), made] == [[5, 6], [5, 6]]


def test_an_async_function_is_awaited_in_an_async_body_recorded_or_not(ctx: Context, loop: EventLoop) -> None:
    made, charge = counting()

    async def body() -> list[Any]:
        return [await ctx.once("k", charge, 5), await ctx.once("k", charge, 5), ctx.once("s", lambda: 1)]

    assert loop.drive(body()) == [[5], [5], 1]
    assert made == [5]


def test_what_a_repeat_would_not_know_to_await_is_refused_the_first_time(
    ctx: Context, loop: EventLoop, node: FakeNode
) -> None:
    made, charge = counting()

    async def body() -> Any:
        return await ctx.once("k", lambda: charge(5))

    with pytest.raises(BadArgument, match="something to await"):
        loop.drive(body())
    assert (made, node.results) == ([], {})
