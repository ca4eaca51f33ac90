"""Taking steps back: how a later process finds the function that does it, and the calls themselves."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Awaitable, Callable, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any, Protocol

from jobrunner import terms
from jobrunner.container import Container
from jobrunner.errors import BadArgument, ConfigError, JobrunnerError
from jobrunner.eventloop import is_cancellation
from jobrunner.failure import in_short
from jobrunner.loading import PREFIX
from jobrunner.provider import Target
from jobrunner.wire import ErrorInfo, WireStep
from jobrunner.workflow import Undo

LONGEST_ARGS = 64 * 1024  # bytes as JSON
_DEF = "define it with def at the top of a file, and give it what it needs: undo(refund, order_id)"


_UNFINISHED = "taking it back has begun and not ended"


class UndoFailed(JobrunnerError):
    """Some steps could not be taken back; the message names them."""

    code = "undo-failed"


class Wire(Protocol):
    """What is needed of the run's end of the wire."""

    def request(self, verb: str, payload: Mapping[str, Any]) -> Mapping[str, Any]:
        """Ask and wait for the answer."""
        ...


# -- before the step begins ------------------------------------------------------------------------------


def record(undo: Undo | Callable[..., Any] | None, file: str) -> dict[str, Any] | None:
    """Return what is kept of an `undo=`, as JSON; `file` is the job's own. Raises BadArgument."""
    if undo is None:
        return None
    if not isinstance(undo, Undo):
        _check_call(undo, (None,), {})
        return {"target": address(undo, file), "args": None, "given": False}
    _check_call(undo.fn, undo.args, undo.kwargs)
    args, _ = terms.plain(
        [list(undo.args), dict(undo.kwargs)], "what undo is to be called with", LONGEST_ARGS
    )
    return {"target": address(undo.fn, file), "args": args, "given": True}


def address(fn: Callable[..., Any], file: str) -> str:
    """Return where another process finds this function: ":name" in the job's own `file`, ".module:name"
    beside it in its jobs folder, else "module:name". Raises BadArgument where it would find none."""
    name = str(getattr(fn, "__qualname__", "") or repr(fn))
    module = sys.modules.get(getattr(fn, "__module__", None) or "")
    if "<lambda>" in name:
        raise BadArgument("undo is a lambda, which no later process can find", argument="undo", hint=_DEF)
    if "<locals>" in name:
        said = (
            f"undo is {name.rpartition('.')[2]}, defined inside of a function: no later process can find it"
        )
        raise BadArgument(said, argument="undo", hint=_DEF)
    if module is None or not _is_same(_found(module, name), fn):
        said = f"undo is {name:.100}, and by that name no later process would find the same"
        raise BadArgument(said, argument="undo", hint=_DEF)
    if file and getattr(module, "__file__", None) == file:
        return f":{name}"
    if module.__name__.startswith(PREFIX):
        return f".{module.__name__.partition('.')[2]}:{name}"
    return f"{module.__name__}:{name}"


def _check_call(fn: Callable[..., Any], args: tuple[Any, ...], named: Mapping[str, Any]) -> None:
    """Raise BadArgument for arguments that the function would not take; what it lacks is injected."""
    try:
        bound = inspect.signature(fn).bind_partial(*args, **named)
    except TypeError as error:
        given = "its arguments" if args != (None,) else "the step's result"
        said = f"undo: {getattr(fn, '__qualname__', fn)} cannot be called with {given}: {error}"
        raise BadArgument(said, argument="undo", hint="undo(fn, …) says with what") from None
    except ValueError:  # a builtin that does not tell
        return
    for taken in bound.arguments.keys() & {"ctx", "container"}:
        said = (
            f"undo: an argument would become {taken}, which {getattr(fn, '__qualname__', fn)} gets by itself"
        )
        raise BadArgument(said, argument="undo", hint="let it come first: def refund(charge, ctx)")


def _found(module: ModuleType, name: str) -> Any:
    found: Any = module
    for part in name.split("."):
        found = getattr(found, part, None)
    return found


def _is_same(found: Any, fn: Callable[..., Any]) -> bool:
    return found is fn or (inspect.ismethod(fn) and inspect.ismethod(found) and found == fn)


# -- afterwards, in a process of its own -----------------------------------------------------------------


def remaining(steps: list[WireStep], attempt: int = 0) -> list[WireStep]:
    """Return the steps that are to be taken back, in the order in which to do so: the last begun first, but
    those that could not be in an earlier attempt when all others had their turn. An attempt that was itself
    cut short, by the death of its node, goes on where it was.

    A step that did not end well only where its function knows what to do without a result.
    """
    found = [
        step
        for step in reversed(steps)
        if step["undo"] is not None
        and step["undone"] != "done"
        and (step["state"] in ("done", "outdated") or step["undo"]["given"])
    ]
    return sorted(found, key=lambda step: step["undone"] == "failed" and not _was_cut(step, attempt))


def _was_cut(step: WireStep, attempt: int) -> bool:
    error = step["undoError"] or {}
    return error.get("type") == "Unfinished" and error.get("attempt") == attempt


def module_of(file: str) -> ModuleType | None:
    """Return the module of a job file that was loaded already."""
    ours = [module for name, module in sys.modules.items() if name.startswith(PREFIX)]
    return next((module for module in ours if getattr(module, "__file__", None) == file), None)


class Undoing:
    """Takes back the steps of a chain. `module` is the job's own file, or None; `params` are the run's."""

    def __init__(
        self, module: ModuleType | None, container: Container, params: Mapping[str, Any], wire: Wire,
        describe: Callable[[BaseException, str], ErrorInfo], drive: Callable[[Awaitable[Any]], Any],
    ) -> None:  # fmt: skip
        self._module = module
        self._container = container
        self._params = params
        self._wire = wire
        self._describe = describe
        self._drive = drive

    def take_back(self, steps: list[WireStep], attempt: int = 0) -> None:
        """Try each, and have noted how it went. Raises UndoFailed, with all that could not be taken back.

        That one begins is noted, too: it may end this process, and the others shall have their turn then.
        """
        failed: dict[str, BaseException] = {}
        begun = ErrorInfo(type="Unfinished", message=_UNFINISHED, traceback="", phase="undo", attempt=attempt)
        for step in remaining(steps, attempt):
            error: ErrorInfo | None = None
            self._note(step, begun)
            try:
                self._call(step)
            except BaseException as raised:
                if isinstance(raised, KeyboardInterrupt) or is_cancellation(raised):
                    raise
                failed[step["path"]] = raised
                error = self._describe(raised, "undo")
            self._note(step, error)
        if failed:
            told = "; ".join(f"{path}: {in_short(error)}" for path, error in failed.items())
            raise UndoFailed(f"could not take back {told}") from next(iter(failed.values()))

    def _note(self, step: WireStep, error: ErrorInfo | None) -> None:
        self._wire.request("step.undone", {"path": step["path"], "error": error})

    def _call(self, step: WireStep) -> None:
        undo = step["undo"]
        assert undo is not None
        args, named = undo["args"] if undo["given"] else ([step["result"]], {})
        function = self._load(undo["target"])
        positional, injected = self._container.arguments(
            functools.partial(function, *args), {**self._params, **named}
        )
        result = function(*args, *positional, **{**named, **injected})
        if inspect.isawaitable(result):
            result = self._drive(result)
        if inspect.isgenerator(result) or inspect.isasyncgen(result):
            raise ConfigError(f"{undo['target']} is a generator: calling it has done nothing")

    def _load(self, target: str) -> Callable[..., Any]:
        where, _, name = target.partition(":")
        if where and not where.startswith("."):
            return Target(target).load()
        if self._module is None:
            raise ConfigError(f"there is no job file that could have {target}")
        folder = self._module.__name__.partition(".")[0]
        module = import_module(where, folder) if where else self._module
        found = _found(module, name)
        if not callable(found):
            raise ConfigError(f"{module.__file__} has no function {name} any more")
        return found  # type: ignore[no-any-return]
