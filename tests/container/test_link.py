"""A run asks and waits for answers: from threads, through signals, and never in its forks."""

from __future__ import annotations

import os
import random
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from jobrunner.documents import State
from jobrunner.errors import (
    BadArgument,
    BadRequest,
    JobrunnerError,
    Refused,
    StateError,
    UnknownJob,
)
from jobrunner.eventloop import Alarm
from jobrunner.link import Line, Link, pair
from jobrunner.outcomes import Canceled
from jobrunner.wire import LONGEST_WORD, Decoder, encode
from tests.container.fakenode import FakeNode


def until(condition: Callable[[], object], patience: float = 20.0) -> None:
    limit = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < limit, "waited in vain"
        time.sleep(0.001)


@pytest.fixture
def wire() -> Iterator[tuple[socket.socket, Link]]:
    """The node's end of a wire, and a run's link at the other."""
    ours, theirs = pair()
    link = Link(theirs.detach())
    yield ours, link
    ours.close()
    link.let_go()


# -- answers -----------------------------------------------------------------------------------------


def test_eight_threads_each_get_the_answers_to_their_own_questions(node: FakeNode) -> None:
    state = State(node.line, gathered=False)

    def work(worker: int) -> list[Any]:
        for n in range(50):
            state.set(f"{worker}/{n % 5}", [worker, n])
        return [state.get(f"{worker}/{n}") for n in range(5)]

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(work, range(8)))
    assert found == [[[worker, 45 + n] for n in range(5)] for worker in range(8)]
    assert len(node.heard) == 8 * 55
    assert not node.link._answers


def test_answers_that_come_in_another_order_reach_who_asked(wire: tuple[socket.socket, Link]) -> None:
    ours, link = wire
    line = Line(link)
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(line.request, "state.get", {"key": str(n)}) for n in range(8)]
        decoder, frames = Decoder(), list[Any]()
        while len(frames) < 8:
            frames += list(decoder.feed(ours.recv(65_536)))
        for frame in sorted(frames, key=lambda one: one["payload"]["key"], reverse=True):
            ours.sendall(encode({"answer": frame["ask"], "value": frame["payload"]["key"]}))
        assert [one.result(20)["value"] for one in asked] == list("01234567")


def test_an_answer_in_parts_is_whole(node: FakeNode) -> None:
    for n in range(7):
        node.write(f"k{n}", n)
    parts = node.line.request_all("state.list", {"prefix": ""})
    assert [len(part["documents"]) for part in parts] == [2, 2, 2, 1]


def test_while_the_node_is_stopped_a_run_waits(node: FakeNode) -> None:
    node.works.clear()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(node.line.request, "state.get", {"key": "a"})
        until(lambda: node.link._answers)
        assert not asked.done()
        node.works.set()
        assert asked.result(20)["version"] == 0


def test_a_cancel_that_comes_meanwhile_is_noted(node: FakeNode) -> None:
    node.say({"cancel": "shutdown"})
    node.line.request("state.get", {"key": "a"})
    assert node.line.canceled == "shutdown"


@pytest.mark.parametrize(
    ("told", "kind"),
    [
        ({"code": "usage", "argument": "delay"}, BadArgument),
        ({"code": "usage", "argument": None}, BadRequest),
        ({"code": "unknown-job"}, UnknownJob),
        ({"code": "refused"}, Refused),
        ({"code": "state"}, StateError),
        ({"code": "something newer"}, StateError),
        ({"code": "superseded"}, JobrunnerError),
    ],
)
def test_what_the_node_refuses_is_the_error_that_says_so(
    node: FakeNode, told: dict[str, Any], kind: type[JobrunnerError]
) -> None:
    node.refuse["call"] = {"message": "it cannot be", "hint": "do this", **told}
    with pytest.raises(JobrunnerError) as caught:
        node.line.request("call", {})
    assert type(caught.value) is kind
    assert (caught.value.message, caught.value.hint) == ("it cannot be", "do this")
    assert getattr(caught.value, "argument", None) == told.get("argument")
    assert node.line.request("state.get", {"key": "a"})["version"] == 0


def test_a_node_that_is_gone_is_an_error_and_no_endless_wait(node: FakeNode) -> None:
    node.close()
    with pytest.raises(StateError, match=r"state\.get: "):
        node.line.request("state.get", {"key": "a"})


def test_a_node_that_goes_while_a_run_waits_is_an_error_too(wire: tuple[socket.socket, Link]) -> None:
    ours, link = wire
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(Line(link).request, "state.get", {"key": "a"})
        ours.recv(100)
        ours.close()
        with pytest.raises(StateError, match=r"state\.get: the node is gone"):
            asked.result(20)


@pytest.mark.parametrize("payload", [{"key": object()}, {"key": float("nan")}, {"key": "x" * LONGEST_WORD}])
def test_what_cannot_be_said_leaves_the_wire_as_it_was(node: FakeNode, payload: dict[str, Any]) -> None:
    with pytest.raises(BadRequest, match="cannot be asked for"):
        node.line.request("state.get", payload)
    assert node.line.request("state.get", {"key": "a"})["version"] == 0
    assert len(node.heard) == 1


# -- interruptions -----------------------------------------------------------------------------------


@pytest.fixture
def alarm() -> Iterator[Alarm]:
    before, hook = signal.getsignal(signal.SIGTERM), sys.unraisablehook
    bell = Alarm()
    bell.install()
    yield bell
    bell.armed = False
    signal.signal(signal.SIGTERM, before)
    sys.unraisablehook = hook


def test_sigterm_ends_the_wait_and_a_late_answer_harms_nobody(node: FakeNode, alarm: Alarm) -> None:
    node.works.clear()
    killer = threading.Thread(target=ring_when, args=(lambda: node.link._answers,))
    killer.start()
    with pytest.raises(Canceled):
        node.line.request("state.get", {"key": "late"})
    killer.join()
    node.works.set()
    node.write("next", 1)
    assert node.line.request("state.get", {"key": "next"})["value"] == 1
    assert [payload["key"] for payload in node.said("state.get")] == ["late", "next"]
    assert not node.link._answers


def ring() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def ring_when(condition: Callable[[], object]) -> None:
    until(condition)
    ring()


def test_sigterm_at_any_moment_leaves_the_wire_whole(node: FakeNode, alarm: Alarm) -> None:
    """Words of many pieces, so that it strikes in the middle of some; other threads may take the signal."""
    state, rounds, struck = State(node.line, gathered=False), 150, 0
    filler = "x" * 300_000
    chance, over = random.Random(4), threading.Event()

    def keep_ringing() -> None:
        while not over.wait(chance.random() / 100):
            ring()

    ringer = threading.Thread(target=keep_ringing)
    alarm.armed = False  # only in the rounds
    ringer.start()
    try:
        for n in range(rounds):
            struck += is_struck(alarm, state, [n, filler])
    finally:
        over.set()
        ringer.join()
    assert struck == rounds
    state.set("k", "at last")
    assert state.get("k") == "at last"


def is_struck(alarm: Alarm, state: State, value: Any) -> bool:
    try:
        alarm.install()
        while True:
            state.set("k", value)
            assert state.get("k") == value
    except Canceled:
        return True


class Finalized:
    """Its finalizer is struck by the signal."""

    def __del__(self) -> None:
        ring()


def test_sigterm_in_a_finalizer_is_heard_though_python_throws_away_what_it_raises(alarm: Alarm) -> None:
    with pytest.raises(Canceled):
        Finalized()
        until(lambda: False, 20)


def test_a_thread_goes_on_when_the_one_that_listened_for_both_was_interrupted(
    node: FakeNode, alarm: Alarm
) -> None:
    node.works.clear()
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(node.line.request, "state.get", {"key": "other"})
        until(lambda: node.link._answers)
        killer = threading.Thread(target=ring_when, args=(lambda: len(node.link._answers) == 2,))
        killer.start()
        with pytest.raises(Canceled):
            node.line.request("state.get", {"key": "mine"})
        killer.join()
        node.works.set()
        assert other.result(20)["version"] == 0


# -- forks, and the end ------------------------------------------------------------------------------

FORKS = """
import os, sys
from jobrunner.documents import State
from jobrunner.errors import Refused
from jobrunner.calls import Scheduler
from tests.container.fakenode import FakeNode
from jobrunner.link import Link, Line, pair

ours, theirs = pair()
line = Line(Link(theirs.detach()))
gathered, plain, calls = State(line, gathered=True), State(line, gathered=False), Scheduler(line)
gathered.set("a", 1)
if os.fork() == 0:
    for ask in (
        lambda: gathered.set("b", 1), lambda: gathered.get("a"), lambda: gathered.delete("a"), gathered.list,
        lambda: plain.set("b", 1), lambda: plain.get("a"), lambda: calls.run_after(1, "x"),
        lambda: calls.cancel(1),
    ):
        try:
            ask()
        except Refused as error:
            print(error.message, flush=True)
    os._exit(0)
os.wait()
assert line.effects.told()["writes"] == [["a", 1, False]]
"""


def test_a_fork_is_told_in_one_sentence_that_it_cannot_ask() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORKS], capture_output=True, text=True, check=True, timeout=60
    )
    assert (
        done.stdout.splitlines()
        == ["state, scheduler and ctx belong to the run's own process, and this is a fork of it"] * 8
    )
    assert done.stderr == ""


def test_a_run_that_is_over_asks_for_nothing_more(node: FakeNode) -> None:
    gathered = State(node.line, gathered=True)
    gathered.set("a", 1)
    node.line.close(well=True)
    for ask in (lambda: gathered.set("b", 2), lambda: node.line.request("state.get", {"key": "a"})):
        with pytest.raises(Refused, match="the run is over"):
            ask()
    with pytest.raises(OSError, match="over"):
        node.line.ask("progress", {})
    until(lambda: node.heard)
    assert [verb for verb, _ in node.heard] == ["effects"]


def test_a_thread_that_still_waits_when_the_run_ends_waits_no_longer(node: FakeNode) -> None:
    node.works.clear()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(node.line.request, "state.get", {"key": "a"})
        until(lambda: node.link._answers)
        node.line.close()
        with pytest.raises(Refused, match="the run is over"):
            asked.result(20)


def test_the_next_run_of_the_process_is_found_though_another_thread_has_read_it(
    wire: tuple[socket.socket, Link],
) -> None:
    ours, link = wire
    line = Line(link)
    with ThreadPoolExecutor(2) as pool:
        left_behind = pool.submit(line.request, "state.get", {"key": "a"})
        until(lambda: link._answers)
        waiting = pool.submit(link.wait)
        ours.sendall(encode({"run": {"runId": 2}}) + encode({"answer": 1, "value": 5}))
        assert waiting.result(20) == {"run": {"runId": 2}}
        assert left_behind.result(20)["value"] == 5


def test_an_idle_process_sleeps_until_something_comes(wire: tuple[socket.socket, Link]) -> None:
    ours, link = wire
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(link.wait)
        ours.sendall(encode({"cancel": "x"}))
        until(lambda: link.canceled)
        ours.close()
        assert waiting.result(20) is None


def test_a_handler_of_the_bodys_own_may_tell_its_progress_in_the_middle_of_a_word(node: FakeNode) -> None:
    told, working = 0, True

    def tick(*_: object) -> None:
        nonlocal told
        told += 1
        node.line.ask("progress", {"value": told})
        if working:
            signal.setitimer(signal.ITIMER_REAL, 0.0005)

    before = signal.signal(signal.SIGALRM, tick)
    signal.setitimer(signal.ITIMER_REAL, 0.0005)
    try:
        for n in range(40):
            node.line.request("state.write", {"writes": [["k", [n, "x" * 200_000], False]]})
    finally:
        working = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    until(lambda: len(node.said("progress")) == told)
    assert sorted(one["value"] for one in node.said("progress")) == list(range(1, told + 1))
    assert told
    assert node.documents["k"][0][0] == 39


def test_a_handler_that_asks_in_the_middle_of_an_answer_is_told_so_and_harms_nobody(
    node: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    caught: list[JobrunnerError] = []
    feed = node.link._decoder.feed

    def interrupted(data: bytes) -> Iterator[Any]:
        if not caught:
            node.say({"cancel": "later"})
            until(lambda: select.select([node.link._fd], [], [], 0)[0])
            node.line.poll()
            assert node.line.canceled is None
            try:
                node.line.request("state.get", {"key": "inner"})
            except StateError as error:
                caught.append(error)
        return feed(data)

    monkeypatch.setattr(node.link._decoder, "feed", interrupted)
    assert node.line.request("state.get", {"key": "a"})["version"] == 0
    assert "handler" in caught[0].message
    assert node.line.request("state.get", {"key": "b"})["version"] == 0
