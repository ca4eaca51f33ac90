"""One run of a body, as a pipeline of named phases that always ends in a reply.

import     the job file, from its source
services   `services:` of jobrunner.yaml, services.py, its `virtualize`
resolve    an argument for each parameter
body       the function itself; or undo: the functions that take its chain's steps back
result     its value as bounded JSON
cleanup    everything that was opened, in reverse
"""

from __future__ import annotations

import contextlib
import inspect
import os
import sys
import traceback
from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import Any, NoReturn

from jobrunner import loading, processes
from jobrunner.container import Container
from jobrunner.context import Context, Facts
from jobrunner.errors import BadRequest, ConfigError, JobrunnerError
from jobrunner.eventloop import Alarm, EventLoop, is_cancellation
from jobrunner.failure import LONGEST_TRACEBACK, describe, leave_fork, shorten
from jobrunner.fingerprint import sha256
from jobrunner.link import Line, Link
from jobrunner.masking import Masker
from jobrunner.outcomes import Canceled, Skip, is_suspension
from jobrunner.provision import Project
from jobrunner.results import kept_cursor, to_json
from jobrunner.wire import BEGAN, ErrorInfo, Reply, RunSpec, WireStep


class Workshop:
    """What a process keeps from one run to the next: the function, singletons, the event loop."""

    _masker = Masker(())

    def __init__(self) -> None:
        self.alarm = Alarm()
        self.loop = EventLoop(self.alarm)
        self.root = Container(self.loop.drive)
        self.project: Project | None = None
        self._functions: dict[tuple[str, str], tuple[Callable[..., Any], str]] = {}

    def function(self, spec: RunSpec) -> tuple[Callable[..., Any], str]:
        """Return (the function, the hash of the file it came from), loaded once a process."""
        if spec["hook"] is not None:
            return loading.load_hook(spec, spec["hook"]), ""
        key = spec["file"], spec["target"]
        if key not in self._functions:
            self._functions[key] = loading.load_function(spec, spec["source"])
        return self._functions[key]

    def perform(self, spec: RunSpec, link: Link, *, last: bool) -> Reply:
        """Run a body; `last`: no other run follows."""
        return Run(spec, link, self, last=last).perform()

    def masker(self, secrets: list[str]) -> Masker:
        """Return what hides these; they are the same in most runs."""
        if self._masker.secrets != tuple(secrets):
            self._masker = Masker(secrets)
        return self._masker

    def close(self) -> list[BaseException]:
        """Close the singletons and the loop; returns what they raised."""
        raised = self.root.close()
        self.loop.close()
        self.alarm.close()
        return raised


class Run:
    """One run in this process; `perform` never raises for the job's sake. `last`: no other run follows."""

    def __init__(self, spec: RunSpec, link: Link, shop: Workshop, *, last: bool) -> None:
        self._spec = spec
        self._link = link
        self._shop = shop
        self._last = last
        self._phase = "import"
        self._hash = ""
        self._container: Container | None = None
        self._masker = shop.masker(spec["secrets"])
        self._line = Line(link, _NO_HOOK if spec["hook"] is not None else "")
        self._steps: Any = None
        self._undoing = spec["undo"] > 0
        self._context = self._make_context()

    def _make_context(self) -> Context:
        mask, loop = self._masker.text, self._shop.loop
        return Context(self._spec, self._line, mask=mask, loop=loop, workflow=self._workflow)

    def perform(self) -> Reply:
        """Go through the phases and return the reply."""
        reply = self._reply("succeeded")
        error: BaseException | None = None
        try:
            self._shop.alarm.install()
            reply = self._work() if self._spec["memoryLimit"] is None else self._work_within_limit()
        except BaseException as raised:
            error = raised
        self._shop.alarm.armed = False
        if not self._link.mine:
            leave_fork(error)
        if error is not None:
            reply = self._judged(error)
        self._context.flush()
        reply = self._clean_up(reply, error)
        self._hand_in(reply)
        return reply

    @property
    def _gathered(self) -> bool:
        """Whether what the run writes takes effect with its success, and only if what it read is still so."""
        return self._spec["delivery"] == "exactly-once" and not self._undoing

    def _hand_in(self, reply: Reply) -> None:
        """Tell the node what it is to commit together with the reply; nothing more can be asked then."""
        well = {"succeeded": True, "failed": False}.get(reply["state"])
        try:  # noqa: SIM105  (each run does it)
            self._line.close(well=well)
        except OSError:  # the reply finds it out
            pass

    def _work_within_limit(self) -> Reply:
        with processes.data_limit(self._spec["memoryLimit"] or 0):
            return self._work()

    def _work(self) -> Reply:
        spec = self._spec
        os.chdir(spec["root"])
        loading.make_importable(spec["root"])
        self._link.post(BEGAN)
        if spec["undo"]:
            return self._take_back()
        function, self._hash = self._shop.function(spec)
        self._take_back_outdated()
        self._phase = "services"
        params = self._open_container()
        if spec["hook"] is not None:
            params = params | self._told()
        self._phase = "resolve"
        refuse_generator(function)
        positional, named = self._open().arguments(function, params)
        self._phase = "body"
        result = self._call(function, positional, named)
        if self._steps is not None:
            self._steps.finish()
        self._phase = "result"
        self._shop.alarm.armed = False
        reply = self._reply("succeeded", *to_json(result, self._masker))
        if self._context.cursor_set:
            reply["cursor"] = kept_cursor(self._context.cursor, self._masker)
        return reply

    def _told(self) -> dict[str, Any]:
        """Return what a hook is told of the run, by the names of the parameters that want it."""
        hook = self._spec["hook"]
        if hook is None:
            return {}
        facts = Facts(hook["run"])
        return {"run": facts, "error": facts.get("error"), "result": facts.get("result")}

    def _call(self, function: Callable[..., Any], positional: list[Any], named: dict[str, Any]) -> Any:
        result = function(*positional, **named)
        if inspect.isclass(function):
            refuse_runless(function, result)
            result = self._open().inject(result.run, self._context.params | self._told())
        return None if result is None else self._awaited(result)

    def _awaited(self, result: Any) -> Any:
        if inspect.isawaitable(result):
            result = self._shop.loop.drive(result)
        if inspect.isgenerator(result) or inspect.isasyncgen(result):
            raise ConfigError("the body returned a generator, and nobody would run it", hint=_RETURN)
        return result

    def _open(self) -> Container:
        assert self._container is not None
        return self._container

    def _open_container(self) -> dict[str, Any]:
        """Build the run's container; returns the params, as `virtualize` may have changed them."""
        spec, shop = self._spec, self._shop
        if shop.project is None:
            shop.project = Project(shop.root, spec)
        shop.project.turn_to(spec)
        self._container = container = shop.root.open_run()
        container.provide("ctx", self._context)
        container.provide("params", self._context.params)
        container.provide_when_asked("state", self._state)
        container.provide_when_asked("scheduler", self._scheduler)
        shop.project.virtualize(container, self._context.params)
        return self._context.params

    def _state(self) -> Any:
        from jobrunner.documents import State

        return State(self._line, gathered=self._gathered)

    def _scheduler(self) -> Any:
        from jobrunner.calls import Scheduler

        return Scheduler(self._line, at_once=self._undoing)

    # -- steps ---------------------------------------------------------------------------------------

    def _workflow(self) -> Any:
        """Return the steps of this run; a body without any does not pay for them."""
        if self._undoing:
            raise BadRequest("there are no steps while steps are being taken back")
        if self._steps is None:
            from jobrunner.stepping import Steps

            self._steps = Steps(self._spec, self._line, self._shop.loop, self._masker.text, self._give_up)
        return self._steps

    def _take_back(self) -> Reply:
        """Undo the steps of the chain; its body is not called."""
        spec, module = self._spec, None
        if spec["file"]:
            module = loading.load(spec["folder"], spec["file"], spec["root"], spec["source"])
            self._hash = sha256(loading.source(module))
        self._undo(module, spec["steps"])
        self._shop.alarm.armed = False
        return self._reply("succeeded")

    def _take_back_outdated(self) -> None:
        """Undo what rests on what is no longer so: the body does that anew, with services of its own."""
        steps = self._spec["steps"]
        outdated = steps and [
            step
            for step in steps
            if step["state"] == "outdated" and step["undo"] is not None and step["undone"] != "done"
        ]
        if not outdated:
            return
        from jobrunner.undoing import module_of

        self._undoing = True
        self._undo(module_of(self._spec["file"]), outdated)
        self._phase = "cleanup"
        self._shop.alarm.armed = False
        raised = self._close(None)
        self._shop.alarm.armed = True
        if raised or self._shop.alarm.rung:
            raise raised[0] if raised else Canceled("asked to end by SIGTERM")
        self._context.flush()
        self._context = self._make_context()
        self._undoing = False

    def _undo(self, module: ModuleType | None, steps: list[WireStep]) -> None:
        from jobrunner.undoing import Undoing

        self._phase = "services"
        params, drive = self._open_container(), self._shop.loop.drive
        self._phase = "undo"
        Undoing(module, self._open(), params, self._line, self._described, drive).take_back(
            steps, self._spec["undo"]
        )

    def _give_up(self, said: str, thread: int) -> NoReturn:
        """End the run in the middle: one of its steps goes on after it was told to end."""
        frame = sys._current_frames().get(thread)
        stack = "".join(traceback.format_stack(frame)) if frame is not None else ""
        text = shorten(self._masker.text(f"{stack}TimeoutError: {said}"), LONGEST_TRACEBACK)
        error = ErrorInfo(type="TimeoutError", message=said, traceback=text, phase="body")
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        with contextlib.suppress(OSError):
            self._link.send({"reply": self._reply("failed", error=error)})
        os._exit(0)

    def _clean_up(self, reply: Reply, error: BaseException | None) -> Reply:
        raised = self._close(error)
        if self._last:
            raised += self._told_of(self._shop.close())
        if raised and reply["state"] in ("succeeded", "skipped", "waiting"):
            return self._reply("failed", error=self._described(raised[0], "cleanup"))
        return reply

    def _close(self, error: BaseException | None) -> list[BaseException]:
        return self._told_of(self._container.close(error)) if self._container is not None else []

    def _told_of(self, raised: list[BaseException]) -> list[BaseException]:
        for one in raised:
            print("Clean-up failed:", self._described(one, "cleanup")["traceback"], file=sys.stderr)
        return raised

    def _judged(self, error: BaseException) -> Reply:
        with contextlib.suppress(BaseException):  # an exception may raise when it is looked at
            return self._verdict(error)
        return self._reply("failed", error=self._described(error, self._phase))

    def _verdict(self, error: BaseException) -> Reply:
        if isinstance(error, Skip) and self._phase in ("resolve", "body"):
            return self._reply("skipped", shorten(self._masker.text(str(error)), 1000) or None)
        if is_suspension(error) and self._steps is not None and self._steps.waiting:
            return self._reply("waiting")
        if isinstance(error, JobrunnerError) and self._phase != "body":
            info = self._described(error, self._phase)
            info["message"] += f" ({self._masker.text(error.hint)})" if error.hint else ""
            return self._reply("failed", error=info)
        asked = self._shop.alarm.rung or self._link.canceled is not None
        state = "canceled" if asked and is_cancellation(error) else "failed"
        info = self._described(error, self._phase)
        if is_suspension(error):
            info["message"] = _NOT_WAITING
        limit = self._spec["memoryLimit"]
        if isinstance(error, MemoryError) and limit is not None:
            info["message"] = "; ".join(filter(None, (info["message"], processes.limit_words(limit))))
        return self._reply(state, error=info)

    def _described(self, error: BaseException, phase: str) -> ErrorInfo:
        return describe(error, phase, self._masker.text)

    def _reply(
        self, state: str, result: Any = None, truncated: bool = False, error: ErrorInfo | None = None
    ) -> Reply:
        return Reply(state=state, result=result, truncated=truncated, error=error, fileHash=self._hash)


_GENERATING = inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR
_NO_HOOK = "a hook has neither state nor scheduler: its run is over, and what that did is committed"
_RETURN = "use return instead of yield"
_NOT_WAITING = "the body raised Suspended, and there is nothing that it waits for: leave it to ctx.wait_for"
_RUN = "add one: def run(self): ..."


def refuse_generator(function: Callable[..., Any]) -> None:
    """Raise ConfigError for a generator function: calling it would run none of it, and look like success."""
    plain = isinstance(function, FunctionType)  # then inspect would look at this very thing, if much longer
    if plain and not function.__code__.co_flags & _GENERATING:
        return
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise ConfigError("the body is a generator function: calling it runs nothing", hint=_RETURN)


def refuse_runless(function: Callable[..., Any], made: object = None) -> None:
    """Raise ConfigError for a class without a `run` that can be called; `made` is an instance, or None."""
    if inspect.isclass(function):
        run = getattr(function if made is None else made, "run", None)
        if not callable(run):
            raise ConfigError(f"class {function.__qualname__} has no run() to call", hint=_RUN)
        refuse_generator(run)
