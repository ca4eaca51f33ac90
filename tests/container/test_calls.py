"""`scheduler` asks for runs: checked at once, numbered at once, made when the run succeeds."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jobrunner import terms
from jobrunner.calls import Scheduler
from jobrunner.clock import SECOND, from_datetime
from jobrunner.effects import layer
from jobrunner.errors import BadArgument, JobrunnerError, UnknownJob
from tests.container.fakenode import FakeNode

NINE = datetime(2026, 3, 1, 9, tzinfo=UTC)


@pytest.fixture
def scheduler(node: FakeNode) -> Scheduler:
    return Scheduler(node.line)


def test_a_call_has_its_id_at_once_and_is_made_with_the_runs_success(
    scheduler: Scheduler, node: FakeNode
) -> None:
    number = scheduler.run_after("90s", "report", rows=[1, 2])
    assert node.said("call") == [
        {
            "job": "report", "params": {"rows": [1, 2]}, "identity": "system", "immediate": False,
            "delay": 90 * SECOND,
        }
    ]  # fmt: skip
    assert node.line.effects.told() == {
        "calls": [[number, "report", 90 * SECOND, {"rows": [1, 2]}, "system"]]
    }


def test_an_immediate_call_is_made_by_the_node_and_not_told_again(
    scheduler: Scheduler, node: FakeNode
) -> None:
    assert scheduler.run_after(0, "report", immediate=True) == 101
    assert node.said("call")[0]["immediate"] is True
    assert node.line.effects.told() == {}


@pytest.mark.parametrize(("when", "at"), [(NINE, from_datetime(NINE)), (1.5, 1_500_000), (-5, -5_000_000)])
def test_a_moment_is_told_as_it_is(scheduler: Scheduler, node: FakeNode, when: Any, at: int) -> None:
    scheduler.run_at(when, "report")
    assert node.said("call")[0]["at"] == at


@pytest.mark.parametrize(
    "delay", [-1, "soon", None, float("nan"), float("inf"), True, timedelta(days=6 * 366), [], "-5s"]
)
def test_a_delay_that_is_none_is_an_error_that_names_it(
    scheduler: Scheduler, node: FakeNode, delay: Any
) -> None:
    with pytest.raises(BadArgument) as caught:
        scheduler.run_after(delay, "report")
    assert (caught.value.argument, node.heard) == ("delay", [])


@pytest.mark.parametrize("when", [datetime(2026, 3, 1), "tomorrow", None, float("nan"), True])
def test_a_moment_that_is_none_is_an_error_that_names_it(
    scheduler: Scheduler, node: FakeNode, when: Any
) -> None:
    with pytest.raises(BadArgument) as caught:
        scheduler.run_at(when, "report")
    assert (caught.value.argument, node.heard) == ("when", [])


@pytest.mark.parametrize("name", ["", None, 5, "x" * 129, "a\nb"])
def test_a_name_that_is_none_is_an_error_that_names_it(
    scheduler: Scheduler, node: FakeNode, name: Any
) -> None:
    with pytest.raises(BadArgument) as caught:
        scheduler.run_after(1, name)
    assert (caught.value.argument, node.heard) == ("name", [])


def test_a_job_that_nobody_knows_is_an_error_and_counts_for_nothing(
    scheduler: Scheduler, node: FakeNode
) -> None:
    node.refuse["call"] = {"code": "unknown-job", "message": "there is no job 'repport'", "hint": "report?"}
    with pytest.raises(UnknownJob, match="repport"):
        scheduler.run_after(1, "repport")
    assert len(node.line.effects.called) == 0


def test_params_may_have_any_name(scheduler: Scheduler, node: FakeNode) -> None:
    scheduler.run_after(1, "report", self=1, delay=2, when=3, name=4, params={"immediate": 5, "params": 6})
    assert node.said("call")[0]["params"] == {
        "self": 1, "delay": 2, "when": 3, "name": 4, "immediate": 5, "params": 6,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("named", "argument"),
    [
        ({"params": {"a": 1}, "a": 2}, "a"),
        ({"params": [1]}, "params"),
        ({"params": {1: 2}}, "params"),
        ({"immediate": "yes"}, "immediate"),
        ({"immediate": 1}, "immediate"),
        ({"a": object()}, "a"),
        ({"a": 1, "b": {"c": float("nan")}}, "b"),
        ({"a": "\ud800"}, "a"),
        ({"a": 1, "b": "x" * (4 << 20)}, "b"),
        ({"a": "x" * (3 << 20), "b": "x" * (1 << 20)}, "a"),
    ],
)
def test_params_that_cannot_be_kept_are_an_error_that_names_them(
    scheduler: Scheduler, node: FakeNode, named: dict[str, Any], argument: str
) -> None:
    with pytest.raises(BadArgument) as caught:
        scheduler.run_after(1, "report", **named)
    assert (caught.value.argument, node.heard) == (argument, [])
    assert argument in caught.value.message


def test_four_mebibytes_of_params_reach_the_node(scheduler: Scheduler, node: FakeNode) -> None:
    for value in ("x" * ((4 << 20) - 8), "\x01" * 699_000, '"' * 2_097_000, "\U0001f600" * 1_048_000):
        scheduler.run_after(1, "report", a=value)
        assert node.said("call")[-1]["params"] == {"a": value}
    node.line.close(well=True)
    pieces = [one["calls"] for one in wait_for_effects(node, 4)]
    assert [len(one) for one in pieces] == [1, 1, 1, 1]


def wait_for_effects(node: FakeNode, count: int) -> list[Any]:
    while len(node.said("effects")) < count:
        node.works.wait(0.01)
        assert node._threads[0].is_alive()
    return list(node.said("effects"))


def test_a_run_makes_a_thousand_calls_and_not_one_more(scheduler: Scheduler, node: FakeNode) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda n: scheduler.run_after(n, "report", immediate=n % 3 == 0), range(1000)))
    assert len(set(made)) == 1000
    for immediate in (False, True):
        with pytest.raises(BadArgument, match=r"call 1,001 .* 1000|call 1,001 .* 1,000") as caught:
            scheduler.run_after(1, "report", immediate=immediate)
        assert caught.value.argument == "name"
    assert len(node.said("call")) == 1000


def test_calls_that_a_step_has_made_before_count_too(scheduler: Scheduler, node: FakeNode) -> None:
    node.line.effects.take({"calls": [[n, "report", 1, {}, "system"] for n in range(2001, 3000)]})
    scheduler.run_after(1, "report")
    with pytest.raises(BadArgument, match="call 1,001"):
        scheduler.run_after(1, "report")


def test_calls_of_a_step_that_has_failed_do_not_count(
    scheduler: Scheduler, node: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terms, "MOST_CALLS", 3)
    for _ in range(5):
        with pytest.raises(ZeroDivisionError), layer(node.line.effects):
            scheduler.run_after(1, "report")
            scheduler.run_after(1, "report")
            raise ZeroDivisionError
    scheduler.run_after(1, "report")
    assert len(node.line.effects.calls) == 1


def test_all_params_of_a_run_have_sixteen_mebibytes_together(
    scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terms, "MOST_BYTES", 1000)
    scheduler.run_after(1, "report", a="x" * 900)
    with pytest.raises(BadArgument) as caught:
        scheduler.run_after(1, "report", a="x" * 100, immediate=True)
    assert caught.value.argument == "params"


def test_a_call_of_its_own_that_is_canceled_is_never_made(scheduler: Scheduler, node: FakeNode) -> None:
    scheduler.cancel(scheduler.run_after(1, "report"))
    assert node.line.effects.told() == {}


def test_another_run_is_canceled_with_the_runs_success_or_at_once(
    scheduler: Scheduler, node: FakeNode
) -> None:
    scheduler.cancel(7)
    assert node.said("call.cancel") == []
    assert node.line.effects.told() == {"cancels": [7]}
    scheduler.cancel(8, immediate=True)
    assert node.said("call.cancel") == [{"id": 8}]
    with pytest.raises(BadArgument, match="no such run") as caught:
        scheduler.cancel(1000, immediate=True)
    assert caught.value.argument == "run_id"


@pytest.mark.parametrize("run_id", [0, -1, None, "7", 1.0, True, 1 << 63])
def test_an_id_that_is_none_is_an_error_that_names_it(scheduler: Scheduler, run_id: Any) -> None:
    with pytest.raises(BadArgument) as caught:
        scheduler.cancel(run_id)
    assert caught.value.argument == "run_id"


def test_a_call_of_a_run_that_was_given_up_is_an_error(scheduler: Scheduler, node: FakeNode) -> None:
    node.refuse["call"] = {"code": "superseded", "message": "this run was given up", "hint": None}
    with pytest.raises(JobrunnerError, match="given up"):
        scheduler.run_after(1, "report", immediate=True)
