"""What is in the middle of something is not interrupted; the interruption comes right after."""

from __future__ import annotations

import signal
import threading

import pytest

from jobrunner.outcomes import Canceled
from jobrunner.shield import Shield, put_off


def test_a_handler_that_asks_outside_may_raise_at_once() -> None:
    assert not put_off(lambda: None)


def test_what_is_put_off_is_called_once_at_the_end() -> None:
    called: list[int] = []
    with Shield():
        assert put_off(lambda: called.append(1))
        assert called == []
    assert called == [1]
    with Shield():
        pass
    assert called == [1]


def test_what_it_raises_comes_out_at_the_end_and_signals_are_as_before() -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())

    def ring() -> None:
        raise Canceled

    done = False
    with pytest.raises(Canceled), Shield():
        put_off(ring)
        done = True
    assert done
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before
    assert not put_off(ring)


def test_another_thread_is_none_of_its_business() -> None:
    answers: list[bool] = []
    with Shield():
        thread = threading.Thread(target=lambda: answers.append(put_off(lambda: None)))
        thread.start()
        thread.join()
    assert answers == [False]


def raises(*_: object) -> None:
    raise TimeoutError


def test_a_signal_that_comes_meanwhile_is_handled_at_the_end_even_by_a_handler_that_does_not_ask() -> None:
    before = signal.signal(signal.SIGUSR1, raises)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    done = False
    try:
        with pytest.raises(TimeoutError), Shield():
            signal.raise_signal(signal.SIGUSR1)
            done = True
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert done
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == mask
