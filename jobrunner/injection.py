"""Which argument each parameter of a function gets, decided before anything is called.

In this order: `container` and `ctx`; a key of the params; a service of that name; a service of the
annotated class (never a builtin type); the parameter's own default. A name that is both a param and a
service is a problem that `check` reports; in a run the param wins.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Container, Mapping
from types import FunctionType
from typing import Any, NamedTuple, Protocol, get_args, get_type_hints

from jobrunner.errors import ResolutionError

Key = str | type[Any]
OWN = ("container", "ctx")


class Services(Protocol):
    """What planning needs of a container: knowing, not making."""

    def find(self, key: Key) -> Key | None:
        """Return the registered key that `key` leads to, or None. Raises ResolutionError if several do."""
        ...

    def names(self) -> list[str]:
        """Return the names of all services."""
        ...


class Parameter(NamedTuple):
    """A parameter that wants an argument."""

    name: str
    cls: type[Any] | None  # the annotated class, if it is one that a service may have
    has_default: bool
    by_position: bool


class Resolution(NamedTuple):
    """Where a parameter's argument comes from. `problem` is a sentence, or None when all is well."""

    parameter: Parameter
    source: str  # own, params, service, default or missing
    key: Key
    problem: str | None = None


def plan(function: Callable[..., Any], container: Services, params: Container[str] = ()) -> list[Resolution]:
    """Return how each parameter of `function` (or of a class, and of its `run`) would be resolved.

    Nothing is called: `check` proves with it that a body can be started.
    """
    found = [look_up(parameter, container, params) for parameter in parameters(function)]
    run = getattr(function, "run", None)
    if inspect.isclass(function) and callable(run):
        found += [look_up(one, container, params) for one in parameters(run)[1:]]
    return found


def problems(function: Callable[..., Any], container: Services, params: Container[str] = ()) -> list[str]:
    """Return the sentences of `plan`, one for each parameter that would not resolve well."""
    return [found.problem for found in plan(function, container, params) if found.problem]


def parameters(function: Callable[..., Any]) -> list[Parameter]:
    """Return the parameters that want an argument; `*args` and `**kwargs` want none.

    Raises ResolutionError for a callable without a signature.
    """
    if isinstance(function, FunctionType) and not (function.__annotations__ or vars(function)):
        return _bare_parameters(function)
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        raise ResolutionError(f"{_name(function)} has no readable signature") from None
    hints = _hints(function)
    gathering = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [
        Parameter(
            name=one.name,
            cls=_service_class(hints.get(one.name, one.annotation)),
            has_default=one.default is not inspect.Parameter.empty,
            by_position=one.kind is inspect.Parameter.POSITIONAL_ONLY,
        )
        for one in signature.parameters.values()
        if one.kind not in gathering
    ]


def _bare_parameters(function: FunctionType) -> list[Parameter]:
    """What `inspect` would find out of a function without annotations, in a fraction of the time."""
    code = function.__code__
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    optional = set(function.__kwdefaults__ or ())
    if function.__defaults__:
        optional.update(names[: code.co_argcount][-len(function.__defaults__) :])
    return [
        Parameter(name, None, name in optional, at < code.co_posonlyargcount) for at, name in enumerate(names)
    ]


def resolution(parameter: Parameter, container: Services, params: Container[str]) -> Resolution:
    """Return where the argument comes from; raises what makes it impossible."""
    found = look_up(parameter, container, params)
    if found.source != "missing":
        return found
    raise ResolutionError(found.problem or "", hint=None)


def missing(name: str, container: Services) -> str:
    """Return the sentence about a service that nobody registered, with near names."""
    from difflib import get_close_matches

    near = get_close_matches(name, container.names(), n=3)
    return f"no service {name!r}" + (f"; did you mean {' or '.join(map(repr, near))}?" if near else "")


def look_up(parameter: Parameter, container: Services, params: Container[str]) -> Resolution:
    """Return where the argument would come from, or why from nowhere. Raises only for several services."""
    name = parameter.name
    if name in OWN:
        return Resolution(parameter, "own", name)
    service = container.find(name)
    if name in params:
        both = f"{name!r} is both a param and a service" if service is not None else None
        return Resolution(parameter, "params", name, both)
    if service is None and parameter.cls is not None:
        service = container.find(parameter.cls)
    if service is not None:
        return Resolution(parameter, "service", service)
    if parameter.has_default:
        return Resolution(parameter, "default", name)
    return Resolution(parameter, "missing", name, _unresolved(parameter, container))


def _unresolved(parameter: Parameter, container: Services) -> str:
    typed = f" nor of type {parameter.cls.__qualname__}" if parameter.cls is not None else ""
    sentence = missing(parameter.name, container)
    return f"parameter {parameter.name!r}: no param of that name, {sentence}{typed}"


def _hints(function: Callable[..., Any]) -> Mapping[str, Any]:
    """Return evaluated annotations; none where a name in them exists only for type checkers."""
    target: Any = function
    while isinstance(target, functools.partial):
        target = target.func
    if inspect.isclass(target):
        target = target.__init__
    elif not (inspect.isfunction(target) or inspect.ismethod(target)):
        target = type(target).__call__
    try:
        return get_type_hints(inspect.unwrap(target))
    except Exception:  # annotations are the user's code: anything can come out of them
        return {}


def _service_class(annotation: Any) -> type[Any] | None:
    choices = [one for one in get_args(annotation) if one is not type(None)]
    if len(choices) == 1 and type(None) in get_args(annotation):  # Database | None
        annotation = choices[0]
    if inspect.isclass(annotation) and annotation.__module__ != "builtins":
        return None if annotation is inspect.Parameter.empty else annotation
    return None


def _name(function: object) -> str:
    return str(getattr(function, "__qualname__", type(function).__qualname__))
