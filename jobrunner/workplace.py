"""Where a process works: its locks, its children, its doorbell and its ear for signals.

`start` works in one for days, `run` for the length of one run.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from jobrunner import __version__
from jobrunner.clock import Clock
from jobrunner.executor.birth import environment
from jobrunner.executor.pools import Pools
from jobrunner.facts import CONTROL, NodeFacts
from jobrunner.liveness import Liveness, Tenure
from jobrunner.presence import boot_id
from jobrunner.settings import Settings, zonerules

Handlers = dict[signal.Signals, object]

COARSE = 0.002  # seconds: the last stretch to a deadline is slept, not selected
LINGER = 0.05  # seconds in which that a body has begun may wait for other news


def who_am_i(
    settings: Settings, clock: Clock, *, role: str, exclusive: bool = False, leased: bool = False
) -> NodeFacts:
    """Return this process start as the store will know it: a random owner id, and where it runs."""
    return NodeFacts(
        owner=os.urandom(16).hex(),
        node=settings.node,
        machine=settings.machine,
        boot_id=boot_id(),
        pid=os.getpid(),
        version=__version__,
        slots=0 if role == CONTROL else settings.slots,
        exclusive=exclusive,
        started_at=clock.now(),
        seen_at=clock.now(),
        role=role,
        lease=settings.lease if leased else 0,
        labels=settings.labels,
        timezone=settings.timezone,
        tzdata=zonerules.version(settings.timezone),
    )


class Workplace:
    """Opened before the node joins the store, closed after it left: the locks frame everything else."""

    def __init__(
        self, settings: Settings, presence: Liveness, me: NodeFacts, clock: Clock, *, slots: int,
        preload: Sequence[str],
    ) -> None:  # fmt: skip
        self._clock = clock
        self._selector = selectors.DefaultSelector()
        self.presence = presence
        self._bell: int | None = None  # the descriptor that we listen to
        self.pool = Pools(
            self._selector,
            slots=slots,
            preload=preload,
            environ=environment(settings),
            lock_path=self.presence.zygote_lock,
            log_limit=settings.log_limit,
            grace=settings.grace,
            clock=clock,
            project=settings.project,
            spawn="fork" if hasattr(os, "fork") else "exec",
        )
        self.tenure = Tenure(me.lease, clock, self.pool.live_until)
        self.signals = 0  # how often we were asked to stop
        self.rung = False  # whether somebody rang since it was last set to False
        self._ear: tuple[socket.socket, socket.socket] | None = None
        self._before: tuple[int, Handlers] | None = None

    def open(self) -> None:
        """Take the lock, start the zygote, listen. Raises StateError when the folder cannot be used."""
        self.presence.announce()
        try:
            self.mind_the_bell()
            self.pool.start()
        except BaseException:
            self.presence.leave()
            raise
        self._listen()

    def close(self) -> None:
        """Give everything back; what the children still had to say is in the pool."""
        if self._before is not None:
            signal.set_wakeup_fd(self._before[0])
            unheed(self._before[1])
        self.presence.leave()
        for end in self._ear or ():
            end.close()
        self._selector.close()

    def ask_to_stop(self, *_: object) -> None:
        """Note one more wish to stop, and wake the loop; safe in a signal handler."""
        self.signals += 1

    def attend(self, descriptor: int) -> None:
        """Wake when there is something to read there, too; whoever asked for it reads."""
        self._selector.register(descriptor, selectors.EVENT_READ, _let_it_be)

    def leave_alone(self, descriptor: int) -> None:
        """Wake for that no more."""
        with suppress(KeyError, ValueError):
            self._selector.unregister(descriptor)

    def wait(self, timeout: float, *, more: bool = False) -> None:
        """Sleep until something happens, `timeout` seconds at most, and let the pool deal with it.

        `more`: there may be runs that wait for a slot.
        """
        self.pool.replenish(ahead=more)
        deadline = self.pool.next_deadline()
        if deadline is not None:
            timeout = min(timeout, deadline - self._clock.monotonic())
        if 0 < timeout < COARSE:  # a selector rounds up to a millisecond, which a due moment would notice
            time.sleep(timeout)
            timeout = 0.0
        end = self._clock.monotonic() + max(0.0, timeout - COARSE)
        if self._listen_until(end):  # that bodies have begun may be told together with their end
            self._listen_until(min(end, self._clock.monotonic() + LINGER))
        self.pool.tick(self._clock.monotonic())

    def _listen_until(self, end: float) -> bool:
        """Deal with what happens first; say whether it was nothing of which anybody need hear at once."""
        heard = self._selector.select(max(0.0, end - self._clock.monotonic()))
        for key, _ in heard:
            key.data(key.fileobj)
        ours = any(key.data in (_let_it_be, _swallow, self._on_bell) for key, _ in heard)
        return bool(heard) and not ours and self.pool.can_wait

    def mind_the_bell(self) -> None:
        """Listen to the doorbell; to a new one, where the old one broke. Raises StateError."""
        if self._bell is None:
            self._bell = self.presence.bell()
            if self._bell is not None:
                self._selector.register(self._bell, selectors.EVENT_READ, self._on_bell)

    def hold(self) -> bool:
        """Say whether we may act; where our lease has lapsed all that runs is killed first.

        The zygote knows until when it is, too, and does so by itself where we are stopped.
        """
        if self.tenure.lapsed:
            self.pool.kill_all()
            return False
        if self.tenure.deadline is not None:
            self.pool.live_until(self.tenure.deadline)
        return True

    def _on_bell(self, _: object) -> None:
        self.rung = True
        if not self.presence.hush() and self._bell is not None:
            self._selector.unregister(self._bell)
            self._bell = None

    def _listen(self) -> None:
        ear, mouth = self._ear = socket.socketpair()
        for end in self._ear:
            end.setblocking(False)
        self._selector.register(ear, selectors.EVENT_READ, _swallow)
        try:
            wakeup = signal.set_wakeup_fd(mouth.fileno(), warn_on_full_buffer=False)
        except ValueError:  # not the main thread: whoever embeds us calls ask_to_stop
            return
        self._before = (wakeup, heed(self.ask_to_stop))


def heed(ask: Callable[..., None]) -> Handlers:
    """Have `ask` called by each signal that asks us to stop; returns what was called before.

    Raises ValueError outside of the main thread.
    """
    numbers = [signal.SIGTERM, signal.SIGINT]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # else it is nohup's wish to go on
        numbers.append(signal.SIGHUP)
    return {number: signal.signal(number, ask) for number in numbers}


def unheed(before: Handlers) -> None:
    """Have called again what was called before `heed`."""
    for number, handler in before.items():
        signal.signal(number, handler)  # type: ignore[arg-type]


def _let_it_be(_: object) -> None:
    """The owner reads it in its own turn of the loop."""


def _swallow(ear: object) -> None:
    assert isinstance(ear, socket.socket)
    ear.recv(64)
