"""What a hostile body, or a system without room, does to the node: nothing that lasts."""

from __future__ import annotations

import errno
import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from jobrunner.executor import Starved, helper, pulse
from jobrunner.executor.ending import by_reply
from jobrunner.executor.pulse import Pulse
from jobrunner.executor.supply import BackOff
from jobrunner.wire import Decoder, WireError, encode
from tests.executor.household import Household, alive, pid_in, wait_for
from tests.executor.test_family import locked, zygote_of

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs prctl and /proc")
STOPS_ITS_ZYGOTE = """
import os, signal, time
def default(container):
    os.kill(os.getppid(), signal.SIGSTOP)
    time.sleep(1000)
"""
HIDES = """
import os, time
def default(container):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            words = f"import os, time; open({str(PATH)!r}, 'w').write(str(os.getpid())); time.sleep(1000)"
            os.execve(EXE, [EXE, "-c", words], {})
        os._exit(0)
    time.sleep(1000)
"""


# -- a zygote that does not answer ---------------------------------------------------------------------


@linux
def test_a_run_that_stops_the_zygote_crashes_and_the_next_one_has_another(
    zygote_house: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulse, "SILENCE", 0.5)
    monkeypatch.setattr(pulse, "PING_EVERY", 0.2)
    house = zygote_house
    house.write(STOPS_ITS_ZYGOTE)
    run_id, first = house.start(), zygote_of(house)
    error = house.finish(run_id).error
    assert error is not None
    assert (error["type"], error["message"]) == ("Crashed", "its zygote did not answer")
    assert not alive(first)
    assert house.run("def default(container): return 2", "next").result == 2


@linux
def test_a_time_out_ends_a_run_that_has_stopped_its_zygote(
    zygote_house: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulse, "SILENCE", 0.5)
    zygote_house.write(STOPS_ITS_ZYGOTE)
    assert zygote_house.finish(zygote_house.start(timeout=100_000)).state == "timed_out"


@linux
def test_a_pool_with_a_stopped_zygote_closes_soon(zygote_house: Household) -> None:
    house = zygote_house
    house.until(lambda: bool(house.pool.ready))
    first = zygote_of(house)
    os.kill(first, signal.SIGSTOP)
    before = time.monotonic()
    house.pool.close()
    assert time.monotonic() - before < helper.END_LIMIT + 2
    assert not alive(first)


@linux
def test_a_zygote_that_is_stopped_when_its_node_dies_ends_and_lets_go_of_its_lock(tmp_path: Path) -> None:
    pid = os.fork()
    if pid == 0:
        house = Household(tmp_path, lock_path=str(tmp_path / "z.lock"))
        house.pool.start()
        house.until(lambda: bool(house.pool.ready))
        (tmp_path / "zygote.tmp").write_text(str(zygote_of(house)))
        (tmp_path / "zygote.tmp").rename(tmp_path / "zygote")
        time.sleep(1000)
    zygote = pid_in(tmp_path / "zygote")
    os.kill(zygote, signal.SIGSTOP)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    wait_for(lambda: not alive(zygote), 3)
    assert not locked(tmp_path / "z.lock")


def test_a_node_that_was_away_itself_gives_the_zygote_a_second_chance() -> None:
    pulse = Pulse(lambda: 100.0)
    pulse.ask()
    assert not pulse.silent(104.0)
    assert not pulse.silent(200.0)  # the whole machine slept
    assert pulse.silent(205.1)


@linux
def test_what_hid_without_any_environment_dies_with_the_zygote(zygote_house: Household) -> None:
    house = zygote_house
    house.write(f"PATH, EXE = {str(house.root / 'hidden')!r}, {sys.executable!r}\n" + HIDES)
    run_id = house.start()
    hidden = pid_in(house.root / "hidden")
    os.kill(zygote_of(house), signal.SIGKILL)
    house.finish(run_id)
    assert not alive(hidden)


# -- a run that cannot be told ---------------------------------------------------------------------------


@pytest.mark.parametrize("params", [{"a": {1, 2}}, {"a": float("nan")}])
def test_a_run_whose_spec_is_no_json_fails_instead_of_the_node(house: Household, params: Any) -> None:
    house.write("def default(container): return 1")
    outcome = house.finish(house.start(params=params))
    assert outcome.error is not None
    assert (outcome.state, outcome.error["type"], outcome.error["phase"]) == (
        "failed",
        "Unstorable",
        "import",
    )
    assert house.finish(house.start()).result == 1


# -- a system without room -------------------------------------------------------------------------------


def test_a_node_without_descriptors_tries_again_and_leaves_none_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> Any:
        raise OSError(errno.EMFILE, "Too many open files")

    house = Household(tmp_path)
    before = len(os.listdir("/dev/fd"))
    with monkeypatch.context() as patch:
        patch.setattr("jobrunner.executor.member.os.pipe", refuse)
        house.pool._zygotes.current = Refusing()  # type: ignore[assignment]
        house.pool.replenish()
        deadline = house.pool.next_deadline()
        house.pool.tick(time.monotonic())
        assert deadline is not None
        assert 0.5 < deadline - time.monotonic() <= 1
        assert len(os.listdir("/dev/fd")) == before
    house.pool._zygotes.current = None
    house.close()


class Refusing:
    """A launcher in a system that lets it have no process: each child ends before it is ready."""

    def __init__(self) -> None:
        self.asked = 0
        self.skipped: dict[str, str] = {}
        self.pool: Any = None

    def launch(self, number: int, wire: socket.socket, output: int, _: object) -> None:
        self.asked += 1
        wire.close()
        os.close(output)
        self.pool.exited(number, None, "cannot fork")

    def deadline(self, _: bool = False) -> None:
        return None

    def tick(self, _: float, __: bool = False) -> None:
        pass

    def close(self) -> None:
        pass


def test_a_refused_fork_is_tried_again_after_a_while_and_not_at_once(tmp_path: Path) -> None:
    house, launcher = Household(tmp_path), Refusing()
    launcher.pool, house.pool._zygotes.current = house.pool, launcher  # type: ignore[assignment]
    house.pool.replenish()
    limit = time.monotonic() + 1.0
    while time.monotonic() < limit:
        house.turn()
    assert 2 <= launcher.asked <= 8
    house.close()


def test_that_no_process_can_be_had_is_told_once_and_when_that_is_over(tmp_path: Path) -> None:
    house, launcher = Household(tmp_path), Refusing()
    launcher.pool, house.pool._zygotes.current = house.pool, launcher  # type: ignore[assignment]
    house.pool.replenish()
    house.until(lambda: Starved("cannot fork") in house.events)
    asked = launcher.asked
    house.until(lambda: launcher.asked > asked)
    house.pool.start()
    house.until(lambda: Starved(None) in house.events)
    assert [one for one in house.events if isinstance(one, Starved)] == [
        Starved("cannot fork"),
        Starved(None),
    ]
    house.close()


def test_one_that_dies_early_is_no_news(tmp_path: Path) -> None:
    house, launcher = Household(tmp_path), Refusing()
    launcher.pool, house.pool._zygotes.current = house.pool, launcher  # type: ignore[assignment]
    house.pool.replenish()
    house.pool.start()
    house.until(lambda: bool(house.pool.ready))
    assert house.events == []
    house.close()


def test_the_pauses_double_up_to_five_seconds_until_a_child_is_ready() -> None:
    pauses, back_off = [], BackOff()
    for _ in range(8):
        back_off.failed(10.0, "no room")
        back_off.failed(10.0, "no room")
        pauses.append(round((back_off.until or 0) - 10.0, 3))
        back_off.lift()
    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    back_off.succeeded()
    back_off.failed(10.0, "no room")
    assert back_off.until == 10.1


# -- forged frames ---------------------------------------------------------------------------------------


def test_a_frame_longer_than_allowed_breaks_the_wire_before_it_is_read() -> None:
    with pytest.raises(WireError):
        list(Decoder(100).feed((101).to_bytes(4, "big")))


@pytest.mark.parametrize("filler", ["\x01", "\ud800", "\U0001f600"])
def test_the_longest_honest_reply_fits_into_a_word(filler: str) -> None:
    from jobrunner.failure import LONGEST_MESSAGE, LONGEST_TRACEBACK
    from jobrunner.results import LONGEST_RESULT
    from jobrunner.wire import LONGEST_WORD

    sizes = LONGEST_RESULT, LONGEST_MESSAGE, LONGEST_TRACEBACK
    assert len(encode({"reply": [filler * size for size in sizes]})) < LONGEST_WORD


def test_a_reply_of_many_megabytes_breaks_the_wire(house: Household) -> None:
    outcome = house.run(
        """
        import os, struct
        def default(container):
            body = b'{"reply": {"state": "succeeded", "result": "' + b"x" * 7_000_000 + b'"}}'
            wire = next(fd for fd in range(3, 99) if os.path.exists(f"/dev/fd/{fd}")
                        and os.readlink(f"/dev/fd/{fd}").startswith("socket"))
            data = struct.pack("!I", len(body)) + body
            while data: data = data[os.write(wire, data):]
        """
    )
    assert outcome.error is not None
    assert "broke the wire" in outcome.error["message"]


def test_a_file_hash_that_is_none_is_not_kept() -> None:
    reply = {"state": "succeeded", "result": 1, "truncated": False, "error": None}
    digests = ["a" * 64, "a" * 30_000_000, "A" * 64, "", "x" * 64]
    assert [by_reply({**reply, "fileHash": one}, None).file_hash for one in digests] == [
        "a" * 64, "", "", "", "",
    ]  # fmt: skip


def test_progress_of_more_than_sixteen_kilobytes_is_not_passed_on(house: Household) -> None:
    run_id = house.start(
        house.write(
            """
            def default(ctx):
                for size in (10, 100_000):
                    ctx._wire.ask("progress", {"value": 1, "message": "x" * size})
            """
        )
    )
    house.finish(run_id)
    assert [len(one.payload["message"]) for one in house.asked(run_id)] == [10]
