"""A run that shall end does end, by the mildest means that works."""

from __future__ import annotations

import os
import time

import pytest

from tests.executor.household import Household, alive, pid_in

HOUR = 3_600_000_000  # microseconds
NEVER = "import time\ndef default(container):\n    print('up')\n    while True: time.sleep(0.01)\n"
STUBBORN = """
import signal, time
def default(container):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print('up')
    while True: time.sleep(0.01)
"""


def up(house: Household, body: str, *, late: bool = False) -> int:
    """Start a body and wait until it says that it is up; if `late`, its time-out is over then."""
    house.write(body)
    run_id = house.start(timeout=HOUR if late else None)
    house.until(lambda: b"up" in house.log(run_id))
    if late:
        serving = house.pool._runs[run_id].serving
        assert serving is not None
        serving._deadline = time.monotonic()
    return run_id


def test_a_cooperative_body_ends_at_the_message(house: Household) -> None:
    run_id = up(
        house,
        """
        import signal, time
        def default(ctx):
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            print("up")
            while True: ctx.raise_if_cancelled()
        """,
    )
    house.pool.stop(run_id, "canceled", "shutdown")
    outcome = house.finish(run_id)
    assert (outcome.state, outcome.reason) == ("canceled", "shutdown")
    assert outcome.error is not None
    assert outcome.error["type"] == "Canceled"


def test_a_body_that_returns_after_the_message_has_succeeded(house: Household) -> None:
    body = (
        "def default(ctx):\n    print('up')\n    while not ctx.cancelled: pass\n    return 'as far as I got'"
    )
    run_id = up(house, body)
    house.pool.stop(run_id, "canceled", None)
    assert (house.finish(run_id).state, house.finish(run_id).result) == ("succeeded", "as far as I got")


def test_term_lets_finally_and_clean_ups_run(house: Household) -> None:
    (house.root / "services.py").write_text(
        "def register(container): container.register('db', db)\ndef db():\n    yield 1\n    print('closed')\n"
    )
    run_id = up(
        house,
        """
        import time
        def default(db):
            print("up")
            try: time.sleep(99)
            except Exception: print("swallowed")
            finally: print("finally")
        """,
    )
    house.pool.stop(run_id, "canceled", "shutdown")
    assert house.finish(run_id).state == "canceled"
    assert house.log(run_id) == b"up\nfinally\nclosed\n"


def test_term_cancels_an_async_body(house: Household) -> None:
    run_id = up(
        house,
        """
        import asyncio
        async def default(container):
            print("up")
            try: await asyncio.sleep(99)
            finally:
                await asyncio.sleep(0)
                print("finally")
        """,
    )
    house.pool.stop(run_id, "canceled", "shutdown")
    assert house.finish(run_id).state == "canceled"
    assert house.log(run_id) == b"up\nfinally\n"


def test_a_sync_body_hears_of_it_at_once_and_gets_canceled_at_term(house: Household) -> None:
    run_id = up(
        house,
        """
        import time
        from jobrunner import Canceled
        def default(ctx):
            print("up")
            try:
                while not ctx.cancelled: time.sleep(0.001)
                print("heard")
                while True: time.sleep(0.001)
            except Canceled:
                print("canceled")
                raise
        """,
    )
    house.pool.stop(run_id, "canceled", None)
    outcome = house.finish(run_id)
    assert (outcome.state, outcome.reason, (outcome.error or {})["type"]) == ("canceled", None, "Canceled")
    assert house.log(run_id) == b"up\nheard\ncanceled\n"


@pytest.mark.parametrize("asked", ["stop", "time-out"])
def test_the_message_does_not_wait_for_any_part_of_the_grace(house: Household, asked: str) -> None:
    house.pool._grace = 3_600_000_000
    body = "def default(ctx):\n    print('up')\n    while True: ctx.raise_if_cancelled()"
    run_id = up(house, body, late=asked == "time-out")
    if asked == "stop":
        house.pool.stop(run_id, "canceled", None)
    assert house.finish(run_id).state == ("canceled" if asked == "stop" else "timed_out")


def test_an_async_body_has_its_task_cancelled_once_and_may_clean_up(house: Household) -> None:
    run_id = up(
        house,
        """
        import asyncio
        async def default(ctx):
            print("up")
            try: await asyncio.Event().wait()
            except asyncio.CancelledError:
                print("cancelled", asyncio.current_task().cancelling(), ctx.cancelled)
                raise
        """,
    )
    house.pool.stop(run_id, "canceled", None)
    outcome = house.finish(run_id)
    assert (outcome.state, (outcome.error or {})["type"]) == ("canceled", "CancelledError")
    assert house.log(run_id) == b"up\ncancelled 1 True\n"


DAEMON = """
import os, signal, time
def default(container):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            open("daemon.tmp", "w").write(str(os.getpid())); os.rename("daemon.tmp", "daemon")
            time.sleep(1000)
        os._exit(0)
    while not os.path.exists("daemon"): time.sleep(0.001)
    open("run", "w").write(str(os.getpid()))
    print("up")
    while True: time.sleep(0.01)
"""


@pytest.mark.parametrize("asked", ["kill", "grace", "time-out"])
def test_nothing_is_left_in_the_process_table_after_kill(house: Household, asked: str) -> None:
    run_id = up(house, DAEMON, late=asked == "time-out")
    if asked != "time-out":
        house.pool.stop(run_id, "canceled", None, now=asked == "kill")
    assert house.finish(run_id).state == ("timed_out" if asked == "time-out" else "canceled")
    for name in ("run", "daemon"):
        with pytest.raises(ProcessLookupError):  # not even a zombie
            os.kill(pid_in(house.root / name), 0)


STOPPED = """
import os, signal
def default(container):
    print("up")
    os.kill(os.getpid(), signal.SIGSTOP)
"""
SWALLOWING = """
import time
def default(container):
    print("up")
    while True:
        try: time.sleep(9)
        except BaseException: pass
"""
IN_C = """
def default(container):
    print("up")
    sum(iter(int, 1))
"""
ENDLESS_FINALLY = """
import time
def default(container):
    print("up")
    try: time.sleep(99)
    finally:
        while True: pass
"""


@pytest.mark.parametrize("body", [STUBBORN, STOPPED, SWALLOWING, IN_C, ENDLESS_FINALLY])
def test_what_ignores_everything_is_killed_when_the_grace_is_over(house: Household, body: str) -> None:
    run_id = up(house, body)
    before = time.monotonic()
    house.pool.stop(run_id, "canceled", "shutdown")
    outcome = house.finish(run_id)
    assert (outcome.state, outcome.reason) == ("canceled", "shutdown")
    assert 0.35 < time.monotonic() - before < 3


def test_the_whole_tree_goes_with_a_killed_run(house: Household) -> None:
    run_id = up(
        house,
        """
        import signal, subprocess, time
        def default(container):
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            child = subprocess.Popen(["sleep", "1000"], start_new_session=True)
            open("pid", "w").write(str(child.pid))
            print("up")
            time.sleep(99)
        """,
    )
    house.pool.stop(run_id, "canceled", None, now=True)
    house.finish(run_id)
    assert not alive(pid_in(house.root / "pid"))


def test_now_kills_at_once_also_after_a_mild_stop(zygote_house: Household) -> None:
    house = zygote_house
    house.pool._grace = 60_000_000
    run_id = up(house, STUBBORN)
    house.pool.stop(run_id, "canceled", "shutdown")
    house.pool.stop(run_id, "canceled", "shutdown")
    house.turn()
    assert house.ended(run_id) is None
    house.pool.stop(run_id, "timed_out", "other", now=True)
    outcome = house.finish(run_id)
    assert (outcome.state, outcome.reason) == ("canceled", "shutdown")


def test_a_time_out_ends_the_run_and_says_after_how_long(house: Household) -> None:
    house.write(NEVER)
    outcome = house.finish(house.start(timeout=1_200_000))
    assert outcome.state == "timed_out"
    assert outcome.error is not None
    assert outcome.error["message"] == "ran longer than its time-out of 1.2 s"


def test_a_stubborn_run_times_out_too(house: Household) -> None:
    assert house.finish(up(house, STUBBORN, late=True)).state == "timed_out"


def test_a_body_that_fails_in_its_own_way_while_being_stopped_has_failed(house: Household) -> None:
    body = "def default(ctx):\n    print('up')\n    while not ctx.cancelled: pass\n    raise ValueError('no')"
    run_id = up(house, body)
    house.pool.stop(run_id, "canceled", None)
    outcome = house.finish(run_id)
    assert (outcome.state, (outcome.error or {})["type"]) == ("failed", "ValueError")


def test_stopping_what_is_over_or_unknown_does_nothing(house: Household) -> None:
    assert house.run("def default(container): return 1").state == "succeeded"
    house.pool.stop(1, "canceled", None)
    house.pool.stop(99, "canceled", None, now=True)
    house.turn()


def test_term_by_a_stranger_is_a_failure(house: Household) -> None:
    body = "import os, time\ndef default(container):\n    os.kill(os.getpid(), 15)\n    time.sleep(9)"
    house.write(body)
    outcome = house.finish(house.start())
    assert (outcome.state, (outcome.error or {})["type"]) == ("failed", "Canceled")


def test_close_ends_what_runs_as_canceled_by_shutdown(house: Household) -> None:
    run_id = up(house, STUBBORN)
    house.pool.close()
    house.events += house.pool.happened()
    ended = house.ended(run_id)
    assert ended is not None
    assert (ended.outcome.state, ended.outcome.reason) == ("canceled", "shutdown")


def test_a_run_killed_while_its_result_is_made_is_no_success(house: Household) -> None:
    outcome = house.run(
        """
        import os
        class Deadly:
            def __repr__(self): os._exit(0)
        def default(container): return Deadly()
        """
    )
    assert outcome.state == "failed"
