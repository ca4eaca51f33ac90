"""What a run has read and would have its commit change, in layers."""

from __future__ import annotations

import asyncio
import contextvars
import json
import threading
from typing import Any

import pytest

from jobrunner import effects as module
from jobrunner.effects import TWICE, Effects, Written, current, layer
from jobrunner.eventloop import Alarm, EventLoop
from jobrunner.wire import WireEffects


def test_a_step_that_ends_well_hands_on_all_and_one_that_fails_only_what_it_has_read() -> None:
    run = Effects()
    with layer(run) as step:
        fill(step, 1)
    assert run.told() == {
        "reads": {"r1": 1}, "prefixes": {"p1": "d"}, "writes": [["w1", 1, False]],
        "calls": [[1, "job", 5, {"n": 1}, "system"]], "cancels": [901],
    }  # fmt: skip
    with pytest.raises(ZeroDivisionError), layer(run) as step:
        fill(step, 2)
        raise ZeroDivisionError
    assert (run.reads, run.prefixes) == ({"r1": 1, "r2": 2}, {"p1": "d", "p2": "d"})
    assert (list(run.writes), list(run.calls), run.cancels) == (["w1"], [1], [901])


def fill(one: Effects, n: int) -> None:
    one.read(f"r{n}", n)
    one.listed(f"p{n}", "d")
    one.write(f"w{n}", n)
    one.call(n, "job", 5, {"n": n}, "system")
    one.cancel(900 + n)


def test_what_a_step_has_told_comes_back_when_it_is_not_repeated() -> None:
    first, second = Effects(), Effects()
    fill(first, 1)
    second.take(json.loads(json.dumps(first.told())))
    assert second.told() == first.told()
    assert (len(second.documents), len(second.called)) == (1, 1)
    assert second.documents.bytes == first.documents.bytes


def test_a_write_is_seen_by_those_inside_it_and_the_innermost_counts() -> None:
    run = Effects()
    run.write("a/1", "run")
    run.write("a/2", "run")
    with layer(run) as step:
        step.write("a/1", "step")
        step.write("a/2", None, deleted=True)
        assert step.written("a/1") == Written("step", False)
        assert run.written("a/1") == Written("run", False)
        assert step.changed("a/") == {"a/1": Written("step", False), "a/2": Written(None, True)}
        assert step.written("b") is None
    assert run.changed("a/") == {"a/1": Written("step", False), "a/2": Written(None, True)}


def test_a_document_that_was_read_in_two_versions_is_of_none() -> None:
    run = Effects()
    run.read("same", 4)
    run.read("absent", 0)
    with layer(run) as step:
        for key, version in (("same", 4), ("absent", 7)):
            step.read(key, version)
        step.listed("p", "one")
        step.listed("p", "one")
    run.listed("q", "one")
    run.listed("q", "two")
    assert run.reads == {"same": 4, "absent": TWICE}
    assert run.prefixes == {"p": "one", "q": ""}


def test_what_is_kept_of_a_step_has_the_reads_of_all_around_it_and_only_its_own_changes() -> None:
    run = Effects()
    fill(run, 1)
    with layer(run) as step:
        fill(step, 2)
        step.reads["r1"] = 7  # as if another thread had read it for the run meanwhile
        step.prefixes["p1"] = "another"
        kept = step.kept()
    assert kept["reads"] == {"r1": TWICE, "r2": 2}
    assert kept["prefixes"] == {"p1": "", "p2": "d"}
    assert (kept["writes"], kept["cancels"]) == ([["w2", 2, False]], [902])
    assert [call[0] for call in kept["calls"]] == [2]
    assert run.reads == {"r1": TWICE, "r2": 2}


def test_a_call_is_not_made_when_its_own_layer_cancels_it() -> None:
    run = Effects()
    run.call(1, "job", 5, {}, "system")
    run.cancel(1)
    assert run.told() == {}
    assert not run.changes


def test_a_step_that_fails_has_not_canceled_the_call_of_its_run_and_one_that_ends_well_has() -> None:
    run = Effects()
    run.call(1, "job", 5, {}, "system")
    with pytest.raises(ZeroDivisionError), layer(run) as step:
        step.cancel(1)
        raise ZeroDivisionError
    assert list(run.calls) == [1]
    with layer(run) as step:
        step.cancel(1)
    assert run.told() == {}
    assert len(run.called) == 0


def test_what_a_run_amounts_to_forgets_what_came_to_nothing() -> None:
    run = Effects()
    fill(run, 1)
    size = run.documents.bytes
    with pytest.raises(ZeroDivisionError), layer(run) as step:
        fill(step, 2)
        assert (len(run.documents), len(run.called)) == (2, 2)
        raise ZeroDivisionError
    assert (len(run.documents), len(run.called), run.documents.bytes) == (1, 1, size)
    with layer(run) as step:
        fill(step, 1)
    assert (len(run.documents), len(run.called), run.documents.bytes) == (1, 1, size)


def test_the_layer_is_that_of_the_context_and_else_that_of_the_run() -> None:
    run, seen = Effects(), list[Effects]()
    with layer(run) as step:
        assert current(run) is step
        copied = contextvars.copy_context()
        for target in (
            lambda: seen.append(current(run)),
            lambda: copied.run(lambda: seen.append(current(run))),
        ):
            thread = threading.Thread(target=target)
            thread.start()
            thread.join()
        assert seen == [run, step]
    assert current(run) is run


def test_async_code_that_sync_code_has_driven_is_in_the_layer_of_its_driver() -> None:
    """The loop is made in the first step, and with it its context."""
    run, loop = Effects(), EventLoop(Alarm())

    async def which() -> tuple[Effects, Effects]:
        before = current(run)
        await asyncio.sleep(0)
        return before, current(run)

    with layer(run) as first:
        assert loop.drive(which()) == (first, first)
    with layer(run) as second:
        assert loop.drive(which()) == (second, second)
    assert loop.drive(which()) == (run, run)
    loop.close()


def test_sync_code_in_a_thread_drives_what_is_async_while_the_runs_own_loop_is_busy() -> None:
    run, loop = Effects(), EventLoop(Alarm())

    async def which() -> Effects:
        return current(run)

    async def body() -> bool:
        with layer(run) as step:
            found: Effects = await asyncio.to_thread(lambda: loop.drive(which()))
            return found is step

    assert loop.drive(body())
    loop.close()


# -- on the wire -------------------------------------------------------------------------------------


def joined(pieces: list[WireEffects]) -> WireEffects:
    whole: Any = {}
    for piece in pieces:
        for part, some in piece.items():
            if isinstance(some, dict):
                whole.setdefault(part, {}).update(some)
            else:
                assert isinstance(some, list)
                whole.setdefault(part, []).extend(some)
    return whole  # type: ignore[no-any-return]


def test_pieces_are_all_of_it_and_none_is_larger_than_a_frame_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PIECE", 1000)
    run = Effects()
    for n in range(40):
        fill(run, n)
        run.write(f"large{n}", "x" * 90)
    run.write("huge", "x" * 5000)
    pieces = list(run.pieces(well=True))
    assert joined(pieces) == run.told()
    assert len(pieces) > 5
    sizes = sorted(len(json.dumps(piece)) for piece in pieces)
    assert sizes[-2] <= 1300
    assert sizes[-1] < 5000 + 1300


@pytest.mark.parametrize(
    ("well", "parts"),
    [
        (True, {"reads", "prefixes", "writes", "calls", "cancels"}),
        (False, {"reads", "prefixes"}),
    ],
)
def test_a_run_that_has_failed_tells_only_what_it_has_read(well: bool, parts: set[str]) -> None:
    run = Effects()
    fill(run, 1)
    assert {part for piece in run.pieces(well=well) for part in piece} == parts


def test_nothing_is_told_when_there_is_nothing() -> None:
    assert list(Effects().pieces(well=True)) == []


def test_threads_lose_nothing_of_each_other() -> None:
    run = Effects()

    def work(worker: int) -> None:
        for n in range(300):
            with layer(run) as step:
                step.write(f"{worker}/{n}", n)
                run.changed("")

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert (len(run.writes), len(run.documents)) == (1200, 1200)
