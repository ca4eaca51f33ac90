"""`ctx`: who am I, how far am I, should I stop."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from jobrunner.clock import SystemClock, to_datetime, to_iso
from jobrunner.errors import BadRequest
from jobrunner.outcomes import Canceled
from jobrunner.wire import RunSpec

if TYPE_CHECKING:
    from jobrunner.documents import Loop

Told = float | int | str | None
_monotonic = SystemClock().monotonic
_EVERY = 0.25  # seconds between two words about progress


class Wire(Protocol):
    """What the context needs of the run's end of the wire."""

    @property
    def canceled(self) -> str | None:
        """Why somebody asked the run to end, else None."""
        ...

    def ask(self, verb: str, payload: Mapping[str, Any]) -> int:
        """Ask without waiting for the answer."""
        ...

    def poll(self) -> None:
        """Read what has arrived."""
        ...

    def request(self, verb: str, payload: Mapping[str, Any]) -> Mapping[str, Any]:
        """Ask, and wait for the answer."""
        ...


class Last(NamedTuple):
    """How the chain before this one ended."""

    state: str
    result: Any
    error: Mapping[str, Any] | None
    finished_at: datetime | None


class Facts(Mapping[str, Any]):
    """What a hook is told of a run: `run.state` or `run["state"]`, read-only."""

    def __init__(self, facts: Mapping[str, Any]) -> None:
        vars(self)["_facts"] = dict(facts)

    def __getitem__(self, name: str) -> Any:
        return self._facts[name]

    def __getattr__(self, name: str) -> Any:
        facts = vars(self).get("_facts", {})
        if name not in facts:
            raise AttributeError(f"nothing called {name!r} is known of the run; there are {', '.join(facts)}")
        return facts[name]

    def __setattr__(self, name: str, _: object) -> None:
        raise AttributeError(f"{name}: what happened cannot be changed")

    def __iter__(self) -> Iterator[str]:
        return iter(self._facts)

    def __len__(self) -> int:
        return len(self._facts)

    def __repr__(self) -> str:
        return f"Facts({self._facts!r})"


class Context:
    """One run, as its body sees it. Instants are aware datetimes in UTC.

    `fence` grows with every claim, so that a sink which remembers the highest can refuse a stalled run.
    `cursor` is what a run before has assigned to it last: assign a JSON value of 64 KB at most, and once this
    run has succeeded the next one finds it there.
    """

    def __init__(
        self,
        spec: RunSpec,
        wire: Wire,
        clock: Callable[[], float] | None = None,
        mask: Callable[[str], str] = str,
        loop: Loop | None = None,
        workflow: Callable[[], Any] | None = None,
    ) -> None:
        self._spec = spec  # what takes time to make of it is made when it is asked for
        self.run_id = spec["runId"]
        self.job = spec["job"]
        self.trigger = spec["trigger"]
        self.attempt = spec["attempt"]
        self.params: dict[str, Any] = dict(spec["params"])
        self.node = spec["node"]
        self.identity = spec["identity"]
        self.fence = spec["fence"]
        self.is_last_execution = spec["isLast"]
        self._cursor = spec["cursor"]
        self.cursor_set = False
        self._wire = wire
        self._clock = clock or _monotonic
        self._mask = mask
        self._loop = loop
        self._open_workflow = workflow
        self._told_at: dict[str, float] = {}
        self._untold: dict[str, Mapping[str, Any]] = {}

    @property
    def scheduled_for(self) -> datetime | None:
        """When the run was due; None for one that somebody has called."""
        return _moment(self._spec["scheduledFor"])

    @property
    def started_at(self) -> datetime:
        """When this attempt was started."""
        return to_datetime(self._spec["startedAt"])

    @property
    def last(self) -> Last | None:
        """The outcome of the chain before, if there was one."""
        return _last(self._spec["last"])

    @property
    def idempotency_key(self) -> str:
        """What is the same for every attempt of one occurrence, and for no other."""
        at = self._spec["scheduledFor"]
        return f"{self.job}@{to_iso(at)}" if at is not None else f"{self.job}#{self._spec['rootId']}"

    def progress(self, value: float, max: float | None = None, message: str | None = None) -> None:  # noqa: A002
        """Say how far the run is; at most four times a second, the last word always. Never fails a run.

        `value` is kept between 0 and `max`; with a `max` of 0 only the message is told.
        """
        value_told, max_told = _clamped(self._plain(value), self._plain(max))
        self._tell("progress", {"value": value_told, "max": max_told, "message": self._text(message)})

    def heartbeat(self) -> None:
        """Say that the run is alive, where it has nothing to say about its progress."""
        self._tell("heartbeat", {})

    @property
    def cursor(self) -> Any:
        """What was assigned last, by this run or one before it; None when nothing ever was."""
        return self._cursor

    @cursor.setter
    def cursor(self, value: Any) -> None:
        self._cursor, self.cursor_set = value, True

    @property
    def cancelled(self) -> bool:
        """Whether somebody asked the run to end: a cancel, its time-out, a shutdown."""
        self._wire.poll()
        return self._wire.canceled is not None

    def raise_if_cancelled(self) -> None:
        """Raise `Canceled` when somebody asked the run to end. Let it pass through."""
        if self.cancelled:
            raise Canceled(self._wire.canceled or "asked to end")

    def step(
        self, name: str, fn: Callable[..., Any], /, *args: Any,
        undo: Any = None, retries: Any = 0, timeout: Any = None, **kwargs: Any,
    ) -> Any:  # fmt: skip
        """Call `fn` with what follows and keep its result, JSON of at most 64 KB; where this chain has done
        the step before, return that result instead. Where an event loop runs, await it.

        `undo` says how it is taken back should the chain fail: a function that gets the result, or
        `jobrunner.workflow.undo(function, …)`. `retries` is how often it is tried again within this run, a
        number or a dict as in config; `timeout` ends a try with a TimeoutError. The name is used once.
        """
        from jobrunner.workflow import step

        one = step(name, fn, *args, undo=undo, retries=retries, timeout=timeout, **kwargs)
        return self._workflow().step(one)

    def parallel(self, *steps: Any, limit: int | None = None) -> Any:
        """Do steps, made by `jobrunner.workflow.step`, at the same time, at most `limit` at once.

        Returns their results in the order given; await them where an event loop runs. All run to their end,
        then the first error is raised, by that order. In a sync body each has a thread.
        """
        return self._workflow().parallel(steps, limit)

    def wait_for(self, name: str, timeout: Any = None) -> Any:
        """Return what somebody outside has completed the step `name` with: `jobrunner complete RUN NAME`.

        While nobody has, the run goes: its clean-up is done, it holds no process, and once the event is there
        its body is called anew and finds its steps done. Raises TimeoutError when it did not come in time,
        and `jobrunner.workflow.EventFailed` when it was completed as failed. Where a loop runs, await it.
        """
        return self._workflow().wait_for(name, timeout)

    @property
    def step_key(self) -> str:
        """What tells this step of this occurrence from all others, for services outside: the same for every
        try and attempt. Raises BadRequest outside of steps."""
        path = self._workflow().path
        if not path:
            raise BadRequest("ctx.step_key is known inside of a step only", hint="use ctx.idempotency_key")
        return f"{self.idempotency_key}/{path}"

    def once(self, key: str, fn: Callable[..., Any], /, *args: Any, **named: Any) -> Any:
        """Call `fn` with what follows, and record its result for this job; once that is recorded, return it.

        For what `state` does not cover: `fn` is never called again for this key, by no attempt and no later
        run. It is where a run ends between its return and the record that `fn` may be called twice. The
        result is JSON, at most 1 MiB. Where an event loop runs and `fn` is async, await it.
        """
        from jobrunner.documents import once

        assert self._loop is not None
        return once(self._wire, self._loop, key, fn, args, named)

    def _workflow(self) -> Any:
        if self._open_workflow is None:
            raise BadRequest("there are no steps here")
        return self._open_workflow()

    def flush(self) -> None:
        """Tell what the rate limit has held back; the harness calls it when the body has ended."""
        for verb in list(self._untold):
            self._send(verb, self._untold.pop(verb))

    def _plain(self, value: object) -> Told:
        """Return a number as it is, and anything else as text: progress is for people."""
        if value is None or (isinstance(value, int) and abs(value) < 1 << 63):
            return None if value is None else int(value)
        if isinstance(value, float) and value - value == 0:  # neither infinite nor NaN
            return float(value)
        return self._text(value)

    def _text(self, value: object) -> str | None:
        if value is None:
            return None
        try:
            return self._mask(str(value))[:1000]
        except Exception:
            return None

    def _tell(self, verb: str, payload: Mapping[str, Any]) -> None:
        now = self._clock()
        if now - self._told_at.get(verb, now - _EVERY) < _EVERY:
            self._untold[verb] = payload
            return
        self._told_at[verb] = now
        self._untold.pop(verb, None)
        self._send(verb, payload)

    def _send(self, verb: str, payload: Mapping[str, Any]) -> None:
        with contextlib.suppress(OSError, ValueError, TypeError):
            self._wire.ask(verb, payload)


def _moment(instant: int | None) -> datetime | None:
    return None if instant is None else to_datetime(instant)


def _last(last: Mapping[str, Any] | None) -> Last | None:
    if last is None:
        return None
    ended = last.get("finishedAt")
    return Last(last["state"], last.get("result"), last.get("error"), _moment(ended))


def _clamped(value: Told, most: Told) -> tuple[Told, Told]:
    """Return both such that 0 <= value <= most; (None, None) when there is nothing to be done at all."""
    if not isinstance(most, int | float):
        return value, most
    if most <= 0:
        return None, None
    return (min(max(value, 0), most) if isinstance(value, int | float) else value), most
