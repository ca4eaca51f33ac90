"""A run's end of the wire: says its frames, asks and waits for answers, hears whether it should end."""

from __future__ import annotations

import os
import select
import socket
from _thread import RLock, get_ident
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from jobrunner.errors import BadArgument, BadRequest, JobrunnerError, Refused, StateError, UnknownJob
from jobrunner.shield import Shield
from jobrunner.wire import LONGEST_WORD, Decoder, Frame, WireError, encode

if TYPE_CHECKING:
    from jobrunner.effects import Effects

_AT_ONCE = 65_536
_SHORT = 2048  # bytes that a socket takes as a whole or not at all: no signal cuts them in two
_LOOK_AGAIN = 0.02  # seconds; another thread may have taken in the answer that this one waits for


class _Here:
    """The wire of this process, which all that it forks lets go of.

    It is no attribute of the class `Link`: to set one has Python forget all that it knows of its methods.
    """

    link: Link | None = None


here = _Here()


class Link:
    """The socket to the node, in the run's process and in no other.

    `canceled` is the reason of a cancel frame once one was read, else None. Safe to use from threads: each
    that waits for an answer listens, and whoever reads keeps what the others wait for.
    """

    def __init__(self, descriptor: int) -> None:
        os.set_inheritable(descriptor, False)
        self._fd = descriptor
        self._identity = _identity(descriptor)
        self._owner = os.getpid()
        self._decoder = Decoder()
        self._heard: deque[Frame] = deque()
        self._answers: dict[int, deque[Frame]] = {}  # to the requests that somebody waits for
        self._lock = RLock()
        self._reading = 0  # the thread that reads
        self._asked = 0
        self._open = True
        self._ended = False
        self.canceled: str | None = None
        here.link = self

    @property
    def mine(self) -> bool:
        """Whether this is still the run's own process, not a fork that the body made of it."""
        return os.getpid() == self._owner

    def close(self) -> None:
        """Let go of the wire."""
        os.close(self._fd)
        self._open, here.link = False, None

    def send(self, frame: Mapping[str, Any]) -> None:
        """Send a frame whole. Raises OSError when the wire is gone, TypeError or ValueError for no JSON and
        for what is too long."""
        self.post(encode(frame, LONGEST_WORD))

    def post(self, words: bytes) -> None:
        """Send encoded frames whole. Raises OSError when the wire is gone."""
        with self._lock:
            self._check()
            if len(words) <= _SHORT:
                self._send_all(words)
                return
            with Shield():
                self._send_all(words)

    def ask(self, verb: str, payload: Mapping[str, Any]) -> int:
        """Ask the node for something without waiting; returns the number of the request."""
        number = self._number()
        self.send({"ask": number, "verb": verb, "payload": payload})
        return number

    def request(self, verb: str, payload: Mapping[str, Any], check: Callable[[], None]) -> list[Frame]:
        """Ask, and return the answers: one, and another after each that says there is more.

        While the node is stopped it waits. `check` is called again and again meanwhile: it raises once there
        is nothing to wait for. Raises the JobrunnerError that the node answers, BadRequest for what cannot
        be said and StateError when the wire is gone.
        """
        number = self._number()
        heard = self._answers[number] = deque()
        try:
            self._say({"ask": number, "verb": verb, "payload": payload})
            answers = [self._next(heard, check)]
            while answers[-1].get("more"):
                answers.append(self._next(heard, check))
            return answers
        except (OSError, WireError) as error:
            raise StateError(f"{verb}: {error}") from None
        finally:
            self._answers.pop(number, None)

    def poll(self) -> None:
        """Read what has arrived, without waiting; never raises: a broken wire is found when replying."""
        try:
            while self._take_in():
                pass
        except (OSError, ValueError, WireError):
            self._open = False

    def wait(self) -> Frame | None:
        """Wait for the next frame that starts a run; None when there will be none."""
        while not (self._heard or self._ended):
            if not self._answers:
                self._listen()
            elif self.arrived(_LOOK_AGAIN):  # a thread that a body has left behind may take in our frame
                self._take_in()
        return self._heard.popleft() if self._heard else None

    def _number(self) -> int:
        with self._lock:
            self._asked += 1
            return self._asked

    def _say(self, request: Mapping[str, Any]) -> None:
        try:
            self.send(request)
        except (TypeError, ValueError, RecursionError) as error:
            raise BadRequest(f"{request['verb']} cannot be asked for: {error}") from None

    def _next(self, heard: deque[Frame], check: Callable[[], None]) -> Frame:
        while not heard:
            check()
            if self._reading == get_ident():
                raise OSError("a signal's handler cannot ask while the body it interrupts hears an answer")
            if self.arrived(_LOOK_AGAIN):
                self._take_in()
            if self._ended and not heard:
                raise OSError("the node is gone")
        answer = heard.popleft()
        if "error" in answer:
            raise refusal(answer["error"])
        return answer

    def arrived(self, timeout: float | None) -> bool:
        """Wait `timeout` seconds at most for something to read (None: for ever); say whether there is any."""
        return bool(select.select([self._fd], [], [], timeout)[0])

    def _listen(self) -> None:
        """Read as soon as there is anything; between two runs no handler can cut a word in two."""
        with self._lock:
            if self._heard or self._ended:  # another thread was faster
                return
            self._reading = get_ident()  # from now on none is
        try:
            self._read()
        finally:
            self._reading = 0

    def _take_in(self) -> bool:
        """Read what is there, for whom it may concern; False when nothing is."""
        with self._lock:
            self._check()
            if self._reading or not self.arrived(0):  # the former: in a handler, in the middle of a word
                return False
            with Shield():
                self._reading = get_ident()
                try:
                    return self._read()
                finally:
                    self._reading = 0

    def _read(self) -> bool:
        data = os.read(self._fd, _AT_ONCE)
        for frame in self._decoder.feed(data):
            if "run" in frame:
                self._heard.append(frame)
                self.canceled = None
            elif "cancel" in frame:
                self.canceled = str(frame["cancel"] or "")
            elif (waiting := self._answers.get(frame.get("answer", 0))) is not None:
                waiting.append(frame)
        self._ended = not data
        return bool(data)

    def _send_all(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._fd, rest) :]

    def _check(self) -> None:
        # The body may have closed every descriptor and opened a file that now has our number.
        if not self._open or not self.mine or _identity(self._fd) != self._identity:
            raise OSError("the wire to the node is gone")

    def let_go(self) -> None:
        """In a fork that the body makes: the wire is not its own."""
        if self._open and _identity_or_none(self._fd) == self._identity:
            os.close(self._fd)
        self._open = False


class Line:
    """What one run says and asks, until it has ended.

    `closed` says why the run cannot ask for anything; it then cannot change anything either.
    """

    def __init__(self, link: Link, closed: str = "") -> None:
        self._link = link
        self.closed = closed
        self._over = False
        self._effects: Effects | None = None

    @property
    def canceled(self) -> str | None:
        """Why somebody asked the run to end, else None."""
        return self._link.canceled

    @property
    def effects(self) -> Effects:
        """What the run has read and would have its commit change: the layer around all others."""
        if self._effects is None:
            from jobrunner.effects import Effects

            self._effects = Effects()
        return self._effects

    def ask(self, verb: str, payload: Mapping[str, Any]) -> int:
        """Ask without waiting for the answer. Raises OSError when the run is over or the wire is gone."""
        if self.closed:
            raise OSError(self.closed)
        return self._link.ask(verb, payload)

    def poll(self) -> None:
        """Read what has arrived."""
        if not self._over:
            self._link.poll()

    def check(self) -> None:
        """Raise Refused where nothing can be asked for: in a fork, in a hook, after the run."""
        if not self._link.mine:
            raise Refused(
                "state, scheduler and ctx belong to the run's own process, and this is a fork of it",
                hint="use them in the body, and hand plain values to its processes",
            )
        if self.closed:
            raise Refused(self.closed)

    def request(self, verb: str, payload: Mapping[str, Any]) -> Frame:
        """Ask, and return the answer; raises as `Link.request` does."""
        return self.request_all(verb, payload)[0]

    def request_all(self, verb: str, payload: Mapping[str, Any]) -> list[Frame]:
        """Ask for what may come in several answers."""
        self.check()
        return self._link.request(verb, payload, self.check)

    def close(self, *, well: bool | None = None) -> None:
        """The run has ended: nothing can be asked for from now on.

        If it would change something, or has failed, the node is told what it has read, for a run that has
        gone by what is no longer so is repeated; and, where it has ended `well`, what its commit is to
        change. None: nothing.
        """
        self._over, self.closed = True, self.closed or "the run is over"
        effects = self._effects
        if well is None or effects is None:
            return
        if effects.changes or (not well and (effects.reads or effects.prefixes)):
            for piece in effects.pieces(well=well):
                self._link.ask("effects", piece)


def _let_go() -> None:
    if here.link is not None:
        here.link.let_go()


os.register_at_fork(after_in_child=_let_go)


def pair() -> tuple[socket.socket, socket.socket]:
    """Return (the node's end, the run's end) of a new wire."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)


def refusal(told: Mapping[str, Any]) -> JobrunnerError:
    """Return the error that the node has answered."""
    code, message, hint = str(told.get("code")), str(told.get("message")), told.get("hint")
    if code == "usage" and told.get("argument"):
        return BadArgument(message, argument=str(told["argument"]), hint=hint)
    kinds: Mapping[str, type[JobrunnerError]] = {
        "superseded": JobrunnerError, "usage": BadRequest, "unknown-job": UnknownJob, "refused": Refused,
    }  # fmt: skip
    return kinds.get(code, StateError)(message, hint=hint)


def _identity(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


def _identity_or_none(descriptor: int) -> tuple[int, int] | None:
    try:
        return _identity(descriptor)
    except OSError:
        return None
