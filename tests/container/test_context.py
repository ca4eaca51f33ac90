"""`ctx` tells a body who it is, and the node how far it is."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from jobrunner.clock import from_datetime
from jobrunner.context import Context, Facts
from jobrunner.errors import BadRequest
from jobrunner.outcomes import Canceled
from jobrunner.wire import RunSpec

NINE = from_datetime(datetime(2026, 3, 1, 9, tzinfo=UTC))


class Wire:
    canceled: str | None = None

    def __init__(self) -> None:
        self.asked: list[tuple[str, Mapping[str, Any]]] = []
        self.coming: str | None = None
        self.broken = False

    def ask(self, verb: str, payload: Mapping[str, Any]) -> int:
        if self.broken:
            raise OSError
        self.asked.append((verb, payload))
        return len(self.asked)

    def poll(self) -> None:
        self.canceled = self.coming

    def request(self, verb: str, payload: Mapping[str, Any]) -> Mapping[str, Any]:
        raise NotImplementedError


def spec(**facts: Any) -> RunSpec:
    whole: dict[str, Any] = {
        "runId": 7, "job": "sync", "file": "", "target": "", "folder": "", "root": "", "fileHash": "",
        "config": {}, "params": {"a": 1}, "settings": {}, "services": {}, "trigger": "schedule",
        "scheduledFor": NINE, "startedAt": NINE + 5, "attempt": 2, "rootId": 6, "node": "n",
        "identity": "system",
        "fence": 3, "isLast": True, "last": None, "cursor": "c",
        "memoryLimit": None, "source": None, "hook": None, "delivery": "at-most-once", "steps": [],
        "undo": 0, "secrets": [],
    }  # fmt: skip
    return RunSpec(**{**whole, **facts})  # type: ignore[typeddict-item]


def context(now: list[float] | None = None, **facts: Any) -> tuple[Context, Wire]:
    wire = Wire()
    time = now if now is not None else [0.0]
    return Context(spec(**facts), wire, lambda: time[0]), wire


def test_instants_are_aware_datetimes_in_utc() -> None:
    ctx, _ = context()
    assert ctx.scheduled_for == datetime(2026, 3, 1, 9, tzinfo=UTC)
    assert ctx.started_at == datetime(2026, 3, 1, 9, 0, 0, 5, tzinfo=UTC)
    assert (ctx.run_id, ctx.attempt, ctx.fence, ctx.is_last_execution, ctx.params) == (
        7,
        2,
        3,
        True,
        {"a": 1},
    )


def test_the_idempotency_key_is_the_same_for_all_attempts_and_for_nothing_else() -> None:
    first, second = context(attempt=1, runId=6)[0], context()[0]
    assert first.idempotency_key == second.idempotency_key == "sync@2026-03-01T09:00:00.000Z"
    assert (
        context(scheduledFor=None)[0].idempotency_key
        == context(scheduledFor=None, runId=8)[0].idempotency_key
        == "sync#6"
    )


def test_last_is_how_the_chain_before_ended() -> None:
    last = context(last={"state": "succeeded", "result": 1, "error": None, "finishedAt": NINE})[0].last
    assert last == ("succeeded", 1, None, datetime(2026, 3, 1, 9, tzinfo=UTC))
    assert context()[0].last is None


def test_progress_is_told_four_times_a_second_at_most_and_the_last_word_always() -> None:
    now = [0.0]
    ctx, wire = context(now)
    for step in range(100):
        now[0] = step / 100
        ctx.progress(step, 100, f"step {step}")
    told = [payload["value"] for _, payload in wire.asked]
    assert told == [0, 25, 50, 75]
    ctx.flush()
    assert wire.asked[-1] == ("progress", {"value": 99, "max": 100, "message": "step 99"})
    ctx.flush()
    assert len(wire.asked) == 5


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), 10**400, "half", None])
def test_progress_never_fails_a_run(value: Any) -> None:
    ctx, wire = context()
    ctx.progress(value, value, value)
    assert isinstance(wire.asked[0][1]["value"], str | None)
    wire.broken = True
    ctx.progress(1)
    ctx.heartbeat()
    ctx.flush()


@pytest.mark.parametrize(
    ("value", "most", "told"),
    [
        (5, 10, (5, 10)),
        (11, 10, (10, 10)),
        (-1, 10, (0, 10)),
        (2.5, 2, (2, 2)),
        (3, 0, (None, None)),
        (0, 0, (None, None)),
        (3, -1, (None, None)),
        (-3, None, (-3, None)),
        ("half", 10, ("half", 10)),
    ],
)
def test_progress_is_kept_between_nothing_and_all(value: Any, most: Any, told: tuple[Any, Any]) -> None:
    ctx, wire = context()
    ctx.progress(value, most, "so far")
    assert wire.asked == [("progress", {"value": told[0], "max": told[1], "message": "so far"})]


def test_a_cursor_counts_as_set_only_once_it_is_assigned() -> None:
    ctx, _ = context()
    assert (ctx.cursor, ctx.cursor_set) == ("c", False)
    ctx.cursor = None
    assert (ctx.cursor, ctx.cursor_set) == (None, True)


def test_the_facts_of_a_run_are_read_by_attribute_or_item_and_cannot_be_changed() -> None:
    facts = Facts({"state": "failed", "error": {"type": "E"}})
    assert (facts.state, facts["state"], facts.get("nothing")) == ("failed", "failed", None)
    assert (dict(facts), len(facts), "error" in facts) == (
        {"state": "failed", "error": {"type": "E"}}, 2, True,
    )  # fmt: skip
    with pytest.raises(AttributeError, match="cannot be changed"):
        facts.state = "succeeded"
    with pytest.raises(TypeError):
        facts["state"] = "succeeded"
    with pytest.raises(AttributeError, match="there are state, error"):
        print(facts.status)
    assert copy.copy(facts).state == "failed"
    assert "'failed'" in repr(facts)


def test_a_heartbeat_does_not_crowd_out_progress() -> None:
    ctx, wire = context()
    ctx.heartbeat()
    ctx.progress(1)
    assert [verb for verb, _ in wire.asked] == ["heartbeat", "progress"]


def test_cancelled_turns_true_when_somebody_asked() -> None:
    ctx, wire = context()
    assert not ctx.cancelled
    ctx.raise_if_cancelled()
    wire.coming = "shutdown"
    assert ctx.cancelled
    with pytest.raises(Canceled, match="shutdown"):
        ctx.raise_if_cancelled()


def test_there_are_no_steps_where_nobody_keeps_them() -> None:
    ctx, _ = context()
    with pytest.raises(BadRequest, match="there are no steps here"):
        ctx.step("name", int)
