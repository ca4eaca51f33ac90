"""The check verb of the probe: can the services be made, and can the job's function be called?

Everything is resolved as in a run, by the same container, but no factory is called and nothing is made.
The services are proved once; the proof of a job does not say again what is wrong with them.
"""

from __future__ import annotations

import contextlib
import inspect
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from jobrunner import body, failure, injection, loading, provision
from jobrunner.container import RESERVED, Container, Settle, unresolvable
from jobrunner.errors import ConfigError, JobrunnerError, ResolutionError
from jobrunner.injection import OWN, Key, Parameter, Resolution
from jobrunner.provider import Provider, Target

Answer = dict[str, Any]


def unprovable(request: Answer) -> list[Answer]:
    """Return what cannot work: in the services, or in the one job that the request names.

    Raises what executing services.py or the job file raises.
    """
    spec: Any = {**request, "file": request["path"], "runId": 0}
    if request["job"]:
        return _of_job(spec)
    root = body.Workshop().root
    provision.Project(root, spec)
    rehearsal = Rehearsal(root)
    return rehearsal.broken_services(request["path"])


class Rehearsal(Container):
    """A container that resolves as a run's would, with the same errors, and calls no factory.

    `broken` has each service that cannot be made, `lacking` what factories want and nobody registered:
    a body or `virtualize` may still do so.
    """

    def __init__(self, real: Container | None = None) -> None:
        super().__init__()
        self.broken: dict[Key, BaseException] = {}
        self.lacking: list[str] = []
        for key, provider in (real.known() if real is not None else {}).items():
            self._providers[key] = self._loaded(key, provider)
        self.all_loaded = not self.broken

    def open_run(self, drive: object = None) -> Rehearsal:
        """Return the container of a run that will not be."""
        run = Rehearsal()
        run._root = self
        run.broken, run.lacking = self.broken, self.lacking
        for name in ("ctx", "params", "scheduler", "state"):
            run.provide(name, {})
        return run

    def broken_services(self, path: str) -> list[Answer]:
        """Try each service; return each reason once, with the line where it is in the file at `path`."""
        run = self.open_run()
        for key in self._providers:
            run.try_out(key)
        first = {id(error): key for key, error in reversed(self.broken.items())}
        return [
            _broken(key, self.broken[key], self._providers[key], path) for key in reversed(first.values())
        ]

    def try_out(self, key: Key) -> None:
        """Resolve a service; what goes wrong is in `broken` and `lacking`."""
        with contextlib.suppress(BaseException):  # looking at users' classes may raise anything
            self.resolve(key)

    def _loaded(self, key: Key, provider: Provider) -> Provider:
        if not isinstance(provider.thing, Target):
            return provider
        try:
            return provider._replace(thing=_factory(provider.thing))
        except BaseException as error:  # a module may raise anything
            self.broken[key] = error
            return provider._replace(thing=None, is_value=True)

    async def _make(self, key: Key, provider: Provider, settle: Settle) -> Any:
        if key in self.broken:
            raise self.broken[key]
        try:
            return await super()._make(key, provider, settle)
        except BaseException as error:
            self.broken[key] = error
            raise

    async def _call(
        self,
        function: Callable[..., Any],
        params: Mapping[str, Any],
        given: Mapping[str, Any],
        settle: Settle,
    ) -> Any:
        await self._arguments(function, params, given, settle)
        try:
            inspect.signature(function).bind_partial(**given)
        except TypeError as error:
            raise ConfigError(f"its args do not fit: {error}") from None

    def _source(self, parameter: Parameter, params: Mapping[str, Any]) -> Resolution:
        try:
            return super()._source(parameter, params)
        except ResolutionError:
            found = injection.look_up(parameter, self, params)  # raises what is worse than missing
            if parameter.name in RESERVED:
                raise
            self.lacking.append(unresolvable(found.problem or "", None).message)
            return found._replace(source="default")  # go on, as if there were one


def _factory(target: Target) -> Callable[..., Any]:
    try:
        found: object = target.load()
    except BaseException as error:  # sys.exit included
        raise ConfigError(
            f"{target.address} cannot be loaded: {failure.in_short(error)}", hint=_CORRECT
        ) from None
    if not callable(found):
        raise ConfigError(f"{target.address} is a {type(found).__name__}, and no factory", hint=_CORRECT)
    return found


_CORRECT = "correct `services:` in jobrunner.yaml; the project root is importable"


def _broken(key: Key, error: BaseException, provider: Provider, path: str) -> Answer:
    said = error.message if isinstance(error, JobrunnerError) else failure.in_short(error)
    if not isinstance(error, ResolutionError):  # that one tells the chain of services itself
        said = f"service {key if isinstance(key, str) else key.__qualname__!r}: {said}"
    code = getattr(provider.thing, "__code__", None)
    line = code.co_firstlineno if code is not None and code.co_filename == path else None
    return {"message": said, "hint": getattr(error, "hint", None), "line": line}


# -- one job -----------------------------------------------------------------------------------------


def _of_job(spec: Any) -> list[Answer]:
    try:
        function, _ = loading.load_function(spec)
    except BaseException as error:
        if failure.line_in(error, os.path.join(spec["root"], "services.py")):
            return []  # the services' own proof says so
        raise
    return _problems(function, spec, _Resolved(function, spec))


def _problems(function: Callable[..., Any], spec: Any, resolved: _Resolved) -> list[Answer]:
    body.refuse_generator(function)
    body.refuse_runless(function)
    found = [*_hidden(spec["params"]), *resolved.problems()]
    return [{"hint": None, "line": _line_of(function), **one} for one in found]


def _line_of(function: Callable[..., Any]) -> int | None:
    line: int | None = getattr(getattr(function, "__code__", None), "co_firstlineno", None)
    return line


def _hidden(params: Iterable[str]) -> list[Answer]:
    """Return the params that no parameter can get, because the harness comes first."""
    return [
        {
            "message": f"{name!r} is both a param and the run's own {name}, which always comes first",
            "hint": "rename the param",
            "source": "params",
        }
        for name in OWN
        if name in params
    ]


class _Resolved:
    """Where each argument of a function would come from, with the project's services rehearsed."""

    def __init__(self, function: Callable[..., Any], spec: Any) -> None:
        container, self.error, complete = _project(spec)
        rehearsal = Rehearsal(container)
        self.run = rehearsal.open_run()
        self.found = injection.plan(function, self.run, spec["params"])
        for one in self.found:
            if one.source == "service":
                self.run.try_out(one.key)
        # What a hook, or a service that is broken now, may yet bring is not missing.
        self.complete = complete and rehearsal.all_loaded

    def problems(self) -> list[Answer]:
        return [
            {
                "message": one.problem,
                "source": one.source,
                "parameter": one.parameter.name,
                "near": bool(get_close_matches(one.parameter.name, self.run.names(), n=1)),
            }
            for one in self.found
            if one.problem and (self.complete or one.source != "missing")
        ] + [{"message": text, "source": "service"} for text in self.run.lacking if self.complete]


def _project(spec: Any) -> tuple[Container, BaseException | None, bool]:
    """Return a container with the project's services, what kept them from being registered, or None, and
    whether it has all that a run's would have."""
    root = body.Workshop().root
    try:
        provision.Project(root, spec)
    except BaseException as error:
        return root, error, False
    return root, None, not hasattr(sys.modules.get("services"), "virtualize")


# -- one run, rehearsed ------------------------------------------------------------------------------


def planned(request: Answer) -> Answer:
    """Return what a run would call, and with which arguments: {"function", "line", "arguments", "problems"}.

    An argument is {"name", "source", "service", "factory", "lifetime", "default"}: as in a `Resolution`, with
    how the service comes into being. Raises what executing services.py or the job file raises.
    """
    sys.dont_write_bytecode = True
    spec: Any = {**request, "file": request["path"], "runId": 0}
    function, _ = loading.load_function(spec)
    resolved = _Resolved(function, spec)
    return {
        "function": str(getattr(function, "__qualname__", type(function).__qualname__)),
        "line": _line_of(function),
        "arguments": [_argument(one, resolved, function) for one in resolved.found],
        "problems": [*_problems(function, spec, resolved), *_broken_services(spec, resolved)],
    }


def _broken_services(spec: Any, resolved: _Resolved) -> Iterator[Answer]:
    """Yield what keeps the services from being registered, and those that the run needs from being made."""
    path = os.path.join(spec["root"], provision.SERVICES)
    if resolved.error is not None:
        said = f"services cannot be registered: {failure.in_short(resolved.error)}"
        line = failure.line_in(resolved.error, path)
        yield {"message": said, "hint": None, "line": line, "file": provision.SERVICES if line else None}
    needed = {one.key for one in resolved.found if one.source == "service"}
    for key in needed.intersection(resolved.run.broken):
        told = _broken(key, resolved.run.broken[key], resolved.run.known()[key], path)
        yield {**told, "file": provision.SERVICES if told["line"] else None}


def _argument(one: Resolution, resolved: _Resolved, function: Callable[..., Any]) -> Answer:
    provider = resolved.run.known().get(one.key) if one.source == "service" else None
    return {
        "name": one.parameter.name,
        "source": one.source if resolved.complete or one.source != "missing" else "later",
        "service": one.key if isinstance(one.key, str) else one.key.__qualname__,
        "factory": _made_by(one.key, provider) if provider is not None else None,
        "lifetime": provider.lifetime if provider is not None and not provider.is_value else None,
        "default": _default(function, one.parameter.name) if one.source == "default" else None,
    }


def _made_by(key: Key, provider: Provider) -> str | None:
    """Return the factory's name and place; None for what is there already."""
    if key in RESERVED or key == "logger":
        return "jobrunner"
    if provider.is_value:
        return None
    thing = provider.thing
    if isinstance(thing, Target):
        return thing.address
    name = f"{getattr(thing, '__module__', '?')}:{getattr(thing, '__qualname__', type(thing).__qualname__)}"
    line = _line_of(thing)
    return f"{name}, line {line}" if line is not None else name


def _default(function: Callable[..., Any], name: str) -> str | None:
    """Return a default as Python writes it, where the function itself has it."""
    try:
        found = inspect.signature(function).parameters.get(name)
        return None if found is None else repr(found.default)[:200]
    except Exception:  # the value is the user's
        return None
