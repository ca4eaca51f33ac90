"""What a body forks is a process like any other: SIGTERM ends it."""

from __future__ import annotations

import pytest

from tests.executor.household import Household


def test_a_process_of_the_body_ends_by_term_as_it_would_anywhere(house: Household) -> None:
    outcome = house.run(
        """
        import multiprocessing, time
        def stubborn(up):
            up.set()
            while True:
                try: time.sleep(9)
                except BaseException: pass
        def default(container):
            context = multiprocessing.get_context("fork")
            up = context.Event()
            process = context.Process(target=stubborn, args=(up,))
            process.start()
            up.wait(10)
            process.terminate()
            process.join(5)
            return process.exitcode
        """
    )
    assert outcome.result == -15
    assert house.log(1) == b""


def test_a_pool_of_processes_leaves_no_traceback_in_the_log(house: Household) -> None:
    outcome = house.run(
        """
        import multiprocessing
        def default(container):
            with multiprocessing.get_context("fork").Pool(3) as pool:
                return pool.map(abs, [-1, -2])
        """
    )
    assert (outcome.result, house.log(1)) == ([1, 2], b"")


def test_an_async_body_forks_processes_that_end_by_term_too(zygote_house: Household) -> None:
    outcome = zygote_house.run(
        """
        import os, signal, time
        async def default(container):
            pid = os.fork()
            if pid == 0:
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(1)
                os._exit(3)
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        """
    )
    assert outcome.result == -15


@pytest.mark.parametrize("where", ["thread", "main"])
def test_a_fork_of_any_thread_has_the_default_action(zygote_house: Household, where: str) -> None:
    outcome = zygote_house.run(
        f"""
        import os, signal, threading
        codes = []
        def fork():
            pid = os.fork()
            if pid == 0:
                os._exit(0 if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL else 1)
            codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        def default(container):
            if {where!r} == "main": fork()
            else:
                thread = threading.Thread(target=fork)
                thread.start(); thread.join()
            return codes
        """
    )
    assert outcome.result == [0]


def test_a_handler_of_the_bodys_own_is_inherited_as_usual(zygote_house: Household) -> None:
    outcome = zygote_house.run(
        """
        import os, signal
        def default(container):
            signal.signal(signal.SIGTERM, lambda *_: os._exit(9))
            pid = os.fork()
            if pid == 0:
                os.kill(os.getpid(), signal.SIGTERM)
                os._exit(3)
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        """
    )
    assert outcome.result == 9
