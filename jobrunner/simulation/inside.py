"""Bodies in this very process, by the code that runs them in one of their own: container, context, wire.

The other end of the wire is the simulated node: what a body asks for is answered by a turn of it, while the
body waits, and no time passes.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from threading import RLock
from typing import Any, NoReturn, TextIO

from jobrunner.body import Run, Workshop
from jobrunner.child import Surroundings
from jobrunner.container import Container
from jobrunner.errors import BadRequest, StateError
from jobrunner.eventloop import Alarm, EventLoop, is_cancellation
from jobrunner.executor import Asked, Output
from jobrunner.executor.ending import by_reply
from jobrunner.link import Link, refusal
from jobrunner.model import Outcome
from jobrunner.outcomes import Suspended
from jobrunner.provision import Project
from jobrunner.simulation.node import SimulatedNode
from jobrunner.simulation.standins import StandIns
from jobrunner.wire import Decoder, Frame, Reply, RunSpec, encode

Function = Callable[..., Any]
TURNS = 20  # that a request may take to be answered; one is enough


@dataclass(frozen=True, slots=True)
class Factory:
    """A service that is made for each run."""

    make: Function


def factory(make: Function) -> Factory:
    """Mark an override as something that makes the service, not as the service itself."""
    return Factory(make)


@dataclass(slots=True)
class Performance:
    """What became of a body."""

    outcome: Outcome
    error: BaseException | None = None
    log: str = ""
    progress: list[Mapping[str, Any]] = field(default_factory=list)


class Inside:
    """Runs bodies of one simulated node."""

    def __init__(
        self, node: SimulatedNode, bodies: StandIns, overrides: Mapping[Any, Any] | None = None, *,
        quiet: bool = True,
    ) -> None:  # fmt: skip
        """`overrides` are services by key, to be used in place of the project's. With `quiet` what a body
        prints is kept for its log and shown to nobody else."""
        self._node = node
        self._bodies = bodies
        self._overrides = overrides or {}
        self._quiet = quiet

    def perform(self, spec: RunSpec, function: Function | None = None) -> Performance:
        """Run a body to its end; `function` in place of what the job's file says.

        Never raises for the body's sake; what it raised is part of the answer.
        """
        given: list[Outcome] = []
        shop = Shop(self._overrides, None if function is None else _noting(function, given))
        link = InnerLink(spec["runId"], self._ask)
        with surroundings(), captured(show=not self._quiet) as said:
            run = _Run(spec, link, shop)
            reply = run.perform()
        if run.raised is not None and not is_the_runs(run.raised):
            raise run.raised
        if said.text:
            self._bodies.happen(Output(spec["runId"], said.text.encode("utf-8", "backslashreplace")))
        outcome = given[0] if given and reply["state"] == "succeeded" else self._outcome(reply)
        return Performance(outcome, run.raised, said.text, link.progress)

    def stub(self, spec: RunSpec, function: Function) -> Outcome:
        """Run a function in place of a job's body, with jobrunner's own services only."""
        bare: Any = {**spec, "services": {}, "root": self._node.settings.state_folder}
        return self.perform(bare, function).outcome

    def _outcome(self, reply: Reply) -> Outcome:
        return by_reply(json.loads(json.dumps(reply)), None)

    def _ask(self, run_id: int, number: int, verb: str, payload: Frame, *, wait: bool) -> list[Frame]:
        """Let the node hear a request; returns its answers where somebody waits for them."""
        self._bodies.happen(Asked(run_id, number, verb, payload))
        self._node.dispatcher.notice()
        for _ in range(TURNS if wait else 0):
            answers = self._bodies.answers(run_id, number)
            if answers:
                return answers
            self._node.dispatcher.turn()
        if wait:
            raise StateError(f"{verb}: the node does not answer")
        return []


class InnerLink(Link):
    """A run's end of a wire that ends in the same process."""

    def __init__(self, run_id: int, ask: Callable[..., list[Frame]]) -> None:
        self._run_id = run_id
        self._asks = ask
        self._count = 0
        self._one_by_one = RLock()  # branches of a body are threads, the node is none
        self.canceled = None
        self.progress: list[Mapping[str, Any]] = []

    @property
    def mine(self) -> bool:
        """It is."""
        return True

    def post(self, words: bytes) -> None:
        """Say what needs no answer: `began`, which nobody needs to hear here."""

    def ask(self, verb: str, payload: Mapping[str, Any]) -> int:
        """Ask without waiting."""
        plain = _plain(payload)
        if verb == "progress":
            self.progress.append(plain)
        self._tell(verb, plain, wait=False)
        return self._count

    def _tell(self, verb: str, plain: Frame, *, wait: bool) -> list[Frame]:
        with self._one_by_one:
            self._count += 1
            return self._asks(self._run_id, self._count, verb, plain, wait=wait)

    def request(self, verb: str, payload: Mapping[str, Any], check: Callable[[], None]) -> list[Frame]:
        """Ask, and return the answers. Raises what the node answers."""
        check()
        try:
            plain = _plain(payload)
        except (TypeError, ValueError, RecursionError) as error:
            raise BadRequest(f"{verb} cannot be asked for: {error}") from None
        answers = [_plain(answer) for answer in self._tell(verb, plain, wait=True)]
        for answer in answers:
            if "error" in answer:
                raise refusal(answer["error"])
        return answers

    def poll(self) -> None:
        """Nothing arrives while the body runs: no time passes."""


class Shop(Workshop):
    """As a run's process has it, but for signals, which are not ours here."""

    def __init__(self, overrides: Mapping[Any, Any], function: Function | None) -> None:
        self.alarm = NoAlarm()
        self.loop = EventLoop(self.alarm)
        self.root = Container(self.loop.drive)
        self.project: Project | None = None
        self._functions = {}
        self.overrides = overrides
        self._function = function

    def function(self, spec: RunSpec) -> tuple[Function, str]:
        """Return what the run calls."""
        return super().function(spec) if self._function is None else (self._function, "")


class _Overridden(Project):
    """The project's services, with some in place of others."""

    def __init__(self, root: Container, spec: RunSpec, overrides: Mapping[Any, Any]) -> None:
        self._overrides = overrides
        super().__init__(root, spec)
        self._override(root)

    def virtualize(self, container: Container, params: dict[str, Any]) -> None:
        super().virtualize(container, params)
        self._override(container)

    def _override(self, container: Container) -> None:
        for key, one in self._overrides.items():
            if isinstance(one, Factory):
                container.register(key, one.make)
            else:
                container.provide(key, one)


class NoAlarm(Alarm):
    """Hears no signals: those of this process are not the run's."""

    def __init__(self) -> None:
        self.armed = self.rung = False
        self.cancel = None

    def install(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class _Run(Run):
    """A run that keeps what its body raised, and whose services are overridden."""

    def __init__(self, spec: RunSpec, link: Link, shop: Shop) -> None:
        super().__init__(spec, link, shop, last=True)
        self._services = shop
        self.raised: BaseException | None = None

    def _open_container(self) -> dict[str, Any]:
        shop = self._services
        shop.project = _Overridden(shop.root, self._spec, shop.overrides)
        return super()._open_container()

    def _give_up(self, said: str, thread: int) -> NoReturn:
        raise SystemExit(said)  # ends the thread that watched; ours may not be ended

    def _verdict(self, error: BaseException) -> Reply:
        self.raised = error
        return super()._verdict(error)


class Said:
    """What was printed."""

    text = ""


class _Tee:
    """A stream that keeps what is written, and may show it, too."""

    encoding = "utf-8"

    def __init__(self, said: Said, shown: TextIO | None) -> None:
        self._said = said
        self._shown = shown

    def write(self, text: str) -> int:
        self._said.text += text
        if self._shown is not None:
            self._shown.write(text)
        return len(text)

    def flush(self) -> None:
        if self._shown is not None:
            self._shown.flush()

    def isatty(self) -> bool:
        return False


@contextmanager
def captured(*, show: bool) -> Iterator[Said]:
    """Keep what is printed in the block, and by loggers through `sys.stderr`."""
    said, before = Said(), (sys.stdout, sys.stderr)
    sys.stdout = _Tee(said, before[0] if show else None)
    sys.stderr = _Tee(said, before[1] if show else None)
    try:
        yield said
    finally:
        sys.stdout, sys.stderr = before


@contextmanager
def surroundings() -> Iterator[None]:
    """Put back what a body may change in its process: folder, environment, search path, signals."""
    before = Surroundings()
    try:
        yield
    finally:
        before.restore()


def _noting(function: Function, given: list[Outcome]) -> Function:
    """Return the function, whose Outcome, if it returns one, is what the run comes to."""

    @wraps(function)
    def noted(*args: Any, **named: Any) -> Any:
        result = function(*args, **named)
        if isinstance(result, Outcome):
            given.append(result)
            return None
        return result

    return noted


def _plain(payload: Mapping[str, Any]) -> Frame:
    """Return JSON data as it arrives at the other end of a wire."""
    (frame,) = Decoder().feed(encode(payload))
    return frame


def is_the_runs(error: BaseException) -> bool:
    """Say whether an exception is one that ends a run, not one that is meant for whoever runs it: Ctrl-C, or
    a test framework's own."""
    ends = Exception, SystemExit, GeneratorExit, BaseExceptionGroup, Suspended
    return isinstance(error, ends) or is_cancellation(error)
