"""Threads of which one runs at a time: who goes on, when, and who is gone without another word.

A node is one loop that blocks. Here it blocks where it waits and at each border of its transactions; there it
says so, and the world decides what comes next. Nothing runs beside anything else, so chance is the seed's.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass


class Killed(BaseException):
    """What a killed node feels: nothing catches it, and nothing that it does any more has an effect."""


@dataclass(slots=True)
class Trap:
    """What happens to a node at the `left`-th of its next borders of these `kinds`.

    `action` is kill, stall (for `time` microseconds) or the code of a StateError.
    """

    kinds: frozenset[str]
    left: int
    action: str
    time: int = 0

    def springs(self, kind: str) -> bool:
        """Count a border; say whether it is the one."""
        if kind in self.kinds:
            self.left -= 1
        return kind in self.kinds and self.left <= 0


class Actor:
    """One thread. `wake_at` is when it goes on by itself, in microseconds of the world."""

    def __init__(self, name: str, main: Callable[[], None]) -> None:
        self.name = name
        self.wake_at = 0
        self.stalled_until = 0
        self.killed = False
        self.over = False
        self.error: BaseException | None = None
        self.trap: Trap | None = None
        self._main = main
        self._go, self._back = threading.Lock(), threading.Lock()  # held: the other side is to wait
        self._go.acquire()
        self._back.acquire()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        self._go.acquire()
        try:
            if not self.killed:
                self._main()
        except Killed:
            pass
        except BaseException as error:
            self.error = error
        self.over = True
        self._back.release()

    # -- what the world calls ------------------------------------------------------------------------

    def go_on(self) -> None:
        """Let it run until it waits again, or is over."""
        self._go.release()
        self._back.acquire()
        if self.over:
            self._thread.join()

    def ready_at(self) -> int:
        """Return when it may go on."""
        return max(self.wake_at, self.stalled_until)

    def poke(self, at: int) -> None:
        """Wake it at that time, if it does not wake before."""
        self.wake_at = min(self.wake_at, at)

    # -- what it calls itself ------------------------------------------------------------------------

    def wait(self, until: int) -> None:
        """Let others go on until then. Raises Killed."""
        if self.killed:
            raise Killed
        self.wake_at = until
        self._back.release()
        self._go.acquire()
        if self.killed:
            raise Killed
