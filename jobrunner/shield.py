"""What no signal's handler may cut in two: a word on the wire, of which half would be lost."""

from __future__ import annotations

import signal

# that of `signal` makes enum members of 64 numbers at each call
from _signal import pthread_sigmask  # type: ignore[import-not-found]
from _thread import get_ident
from collections.abc import Callable, Collection

_inside: set[int] = set()  # threads
_put_off: dict[int, Callable[[], object]] = {}  # by thread


class Shield:
    """`with Shield():` keeps this thread's signals back; what was put off meanwhile is called at its end.

    To block signals is enough while there is one thread. Where there are several, another one may take the
    signal, and Python still calls the handler in the main thread: such a handler asks `put_off`.
    """

    _before: Collection[int] = ()

    def __enter__(self) -> None:
        _inside.add(get_ident())
        try:
            self._before = pthread_sigmask(signal.SIG_BLOCK, ())
            pthread_sigmask(signal.SIG_BLOCK, _ALL)
        except BaseException:  # of a handler that does not ask
            self.__exit__()
            raise

    def __exit__(self, *_: object) -> None:
        try:
            pthread_sigmask(signal.SIG_SETMASK, self._before)
        finally:
            _inside.discard(get_ident())
            again = _put_off.pop(get_ident(), None)
            if again is not None:
                again()


def put_off(again: Callable[[], object]) -> bool:
    """Say, to a handler that would raise, whether it has to wait; `again` is called as soon as it may."""
    if get_ident() not in _inside:
        return False
    _put_off[get_ident()] = again
    return True


_ALL = signal.valid_signals()
