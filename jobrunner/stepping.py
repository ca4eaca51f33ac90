"""The steps of a run, in its own process: what was done is handed back, what is done is told to the node.

Sync and async bodies share one coroutine a step. In a sync body it never really waits: what is awaitable is
run to its end by the run's event loop (`ways.Driven`). In an async body it is what `await` awaits.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from jobrunner import effects, terms, ways
from jobrunner.durations import MICROS
from jobrunner.effects import Effects, Load, size_of
from jobrunner.errors import BadArgument, BadRequest, StateError
from jobrunner.failure import describe
from jobrunner.outcomes import PermanentFailure, Skip, Suspended
from jobrunner.undoing import record
from jobrunner.ways import Loop, Place, Way
from jobrunner.workflow import EventFailed, Step, check_name, read_timeout

if TYPE_CHECKING:
    from jobrunner.wire import ErrorInfo, Frame, RunSpec, WireEffects

LONGEST_RESULT = 64 * 1024  # bytes as JSON
LONGEST_EFFECTS = 5 * 1024 * 1024  # bytes as JSON that one step may have gathered
LONGEST_CHAIN = 24 * 1024 * 1024  # of all that steps keep: a process is handed it in one frame, with params


class Line(Protocol):
    """What is needed of the run's end of the wire."""

    @property
    def effects(self) -> Effects:
        """What the run would have its commit change: the layer around all others."""
        ...

    def check(self) -> None:
        """Raise where nothing can be asked for."""
        ...

    def ask(self, verb: str, payload: Mapping[str, Any]) -> int:
        """Ask without waiting for the answer."""
        ...

    def request(self, verb: str, payload: Mapping[str, Any]) -> Frame:
        """Ask and wait for the answer."""
        ...


class Steps:
    """The steps of one run. `give_up` ends the run, told why and which thread hangs."""

    def __init__(
        self, spec: RunSpec, line: Line, loop: Loop, mask: Callable[[str], str],
        give_up: Callable[[str, int], object],
    ) -> None:  # fmt: skip
        self._file = spec["file"]
        self._salt = f"{spec['job']}/{spec['rootId']}"
        self._known = {step["path"]: step for step in spec["steps"]}
        self._line = line
        self._loop = loop
        self._mask = mask
        self._give_up = give_up
        self._outermost = Place()
        self._promised: dict[str, Coroutine[Any, Any, Any]] = {}  # made, and not awaited
        self._waiting: set[str] = set()
        self._amount = Load()
        for step in spec["steps"]:
            self._amount.put(step["path"], size_of(step))

    @property
    def path(self) -> str:
        """The step that this code is in; "" outside of any."""
        return self._here().path

    @property
    def waiting(self) -> bool:
        """Whether a step waits for an event."""
        return bool(self._waiting)

    def step(self, one: Step) -> Any:
        """Do a step, or return what it has returned before; something to await where a loop runs."""
        here = self._check()
        path = here.take(one.name)
        return self._either(path, partial(self._perform, one, path, here))

    def parallel(self, steps: tuple[object, ...], limit: int | None) -> Any:
        """Do steps at the same time; return their results in the order of the steps."""
        here = self._check()
        if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 1):
            raise BadArgument(f"limit is {limit!r:.100}: it must be a whole number from 1", argument="limit")
        ours = [_checked(step) for step in steps]
        paths = [here.take(step.name) for step in ours]
        layers = [Effects(effects.current(self._line.effects)) for _ in ours]
        works = [
            partial(self._branch, partial(self._perform, step, path, here), layer)
            for step, path, layer in zip(ours, paths, layers, strict=True)
        ]
        return self._either(" and ".join(paths), partial(self._together, works, paths, layers, limit))

    def wait_for(self, name: str, timeout: object) -> Any:
        """Return what a step was completed with from outside. Raises Suspended while it was not."""
        here = self._check()
        check_name(name)
        micros = read_timeout(timeout)
        path = here.take(name)
        return self._either(path, partial(self._wait, path, micros))

    def finish(self) -> None:
        """The body has returned. Raises BadRequest when it has passed over a step."""
        for path, coroutine in self._promised.items():
            coroutine.close()
            hint = "write await ctx.step(…); where that is in a plain function, make it an async one"
            raise BadRequest(f"step {path!r} was not awaited, and so not done", hint=hint)
        for path in self._waiting:
            hint = "let Suspended pass: catch Exception, not BaseException"
            raise BadRequest(f"the body went on as if {path!r} had come, which it still waits for", hint=hint)

    # -- one step ------------------------------------------------------------------------------------

    async def _perform(self, one: Step, path: str, here: Place, way: Way) -> Any:
        known = self._known.get(path)
        if known is not None and known["state"] == "done":
            effects.current(self._line.effects).take(known["effects"] or {})
            return terms.copied(known["result"])
        self._begin(path, one)
        before, tried = (known["tries"] if known is not None else 0), 0
        while True:
            tried += 1
            layer, place = Effects(effects.current(self._line.effects)), Place(path, here)
            try:
                with ways.inside(place, layer):
                    result = await self._call(one, place, way)
            except BaseException as error:
                layer.close(well=False)
                if not isinstance(error, Exception) or isinstance(error, Skip) or here.late:
                    raise
                if tried > one.tries.max or isinstance(error, PermanentFailure):
                    self._end(path, before + tried, error=describe(error, "body", self._mask))
                    raise
            else:
                return self._keep(path, before + tried, result, layer)
            await way.sleep(one.tries.wait(tried, f"{self._salt}/{path}") / MICROS["s"])

    async def _call(self, one: Step, place: Place, way: Way) -> Any:
        function = partial(one.fn, *one.args, **one.kwargs)
        if one.timeout is None:
            result = function()
            return await way.settle(result) if inspect.isawaitable(result) else result
        from jobrunner.interrupting import Guard

        place.guard = Guard(f"step {place.path!r}", one.timeout, self._give_up)
        return await place.guard.call(function, way.settle)

    def _begin(self, path: str, one: Step) -> None:
        """Tell that a step begins; wait for the commit where it may have to be taken back."""
        try:
            undo = record(one.undo, self._file)
        except BadArgument as error:
            said = f"step {path!r}: {error.message}"
            raise BadArgument(said, argument=error.argument, hint=error.hint) from None
        self._make_room(path, path, size_of([path, undo]))
        if undo is not None:
            self._line.request("step.begin", {"path": path, "undo": undo})
            return
        try:
            self._line.ask("step.begin", {"path": path, "undo": None})
        except OSError as error:
            raise StateError(f"step {path!r} cannot begin: {error}") from None

    def _keep(self, path: str, tries: int, result: Any, layer: Effects) -> Any:
        """Have a result kept; returns it as it will be handed back."""
        try:
            plain, size = terms.plain(result, f"the result of step {path!r}", LONGEST_RESULT)
            told, more = _bounded(path, layer)
            self._make_room(path, _end_of(path), size + more)
        except BadArgument as error:
            layer.close(well=False)
            self._end(path, tries, error=describe(error, "result", self._mask))
            raise
        self._end(path, tries, result=plain, told=told)
        layer.close(well=True)
        return plain

    def _make_room(self, path: str, what: Hashable, size: int) -> None:
        """Count what a step keeps. Raises BadArgument where all steps would keep too much together."""
        with self._line.effects.lock:
            _, together = self._amount.would_be(what, size)
            if together > LONGEST_CHAIN:
                said = (
                    f"step {path!r}: the steps of this run would keep {together:,} bytes; 24 MiB is the most"
                )
                raise BadArgument(said, argument="fn", hint="let steps return, read and write less")
            self._amount.put(what, size)

    def _end(
        self, path: str, tries: int, *, result: Any = None, told: WireEffects | None = None,
        error: ErrorInfo | None = None,
    ) -> None:  # fmt: skip
        ended = {"path": path, "tries": tries, "result": result, "effects": told or None, "error": error}
        if error is not None:
            with self._line.effects.lock:
                self._amount.put(_end_of(path), size_of(error))
        self._line.request("step.end", ended)

    # -- several, and those that wait ----------------------------------------------------------------

    async def _together(
        self, works: Sequence[Callable[[Way], Coroutine[Any, Any, Any]]], paths: list[str],
        layers: list[Effects], limit: int | None, way: Way,
    ) -> list[Any]:  # fmt: skip
        from jobrunner import branches

        bound = [partial(work, way) for work in works]
        try:
            if isinstance(way, ways.Driven):
                ended = branches.in_threads([partial(ways.end_of, work) for work in bound], limit)
            else:
                ended = await branches.in_tasks(bound, limit)
        finally:
            for layer in layers:  # in the order of the steps, whichever ended first
                layer.close(well=True)
        if any(one.error is not None and not isinstance(one.error, Suspended) for one in ended):
            self._waiting.clear()
        return branches.values(paths, ended)

    async def _branch(self, work: Callable[[Way], Awaitable[Any]], layer: Effects, way: Way) -> Any:
        with effects.within(layer):
            return await work(way)

    async def _wait(self, path: str, micros: int | None, way: Way) -> Any:
        known = self._known.get(path)
        if known is not None and known["state"] in ("done", "failed"):
            return _came(path, known["state"], known["result"], known["error"])
        answer = self._line.request("step.wait", {"path": path, "timeout": micros})
        if answer["state"] == "waiting":
            self._waiting.add(path)
            raise Suspended(path)
        return _came(path, answer["state"], answer["result"], answer["failure"])

    # -- sync or async -------------------------------------------------------------------------------

    def _either(self, path: str, work: Callable[[Way], Coroutine[Any, Any, Any]]) -> Any:
        if not self._loop.running:
            return ways.end_of(partial(work, ways.Driven(self._loop)))
        coroutine = self._promised[path] = self._kept(path, work)
        return coroutine

    async def _kept(self, path: str, work: Callable[[Way], Coroutine[Any, Any, Any]]) -> Any:
        self._promised.pop(path, None)
        return await work(ways.Awaited())

    def _check(self) -> Place:
        """Return where we are. Raises where nothing can be asked for."""
        self._line.check()
        return self._here()

    def _here(self) -> Place:
        return ways.here() or self._outermost


def _checked(step: object) -> Step:
    if isinstance(step, Step):
        return step
    if inspect.iscoroutine(step):
        step.close()
    hint = "from jobrunner.workflow import step; ctx.parallel(step(name, fn, …), step(…))"
    raise BadArgument(
        f"parallel takes steps that are yet to be done, not {step!r:.100}", argument="steps", hint=hint
    )


def _came(path: str, state: str, result: Any, failure: Mapping[str, Any] | None) -> Any:
    """Return what an event has brought, or raise how it failed."""
    if state == "done":
        return terms.copied(result)
    told = failure or {}
    kind = TimeoutError if told.get("type") == "TimeoutError" else EventFailed
    raise kind(str(told.get("message") or f"{path!r} did not come"))


def _bounded(path: str, layer: Effects) -> tuple[WireEffects, int]:
    """Return (what a step is to keep, its size as JSON). Raises BadArgument for too much."""
    told = layer.kept()
    size = size_of(told)
    if size > LONGEST_EFFECTS:
        said = f"step {path!r} would keep {size:,} bytes of reads, writes and calls; one step may have 5 MiB"
        raise BadArgument(said, argument="fn", hint="make several steps of it")
    return told, size


def _end_of(path: str) -> Hashable:
    """Return what the end of a step is counted under; its beginning is under its path."""
    return path, "end"
