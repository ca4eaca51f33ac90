"""How one service comes into being: a value, a factory, or the address of a factory."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, NamedTuple, cast, get_type_hints

from jobrunner.errors import ConfigError


class Target:
    """A factory by its address, `package.module:factory`, imported when it is first needed."""

    def __init__(self, address: str) -> None:
        module, _, name = address.partition(":")
        if not module or not name:
            raise ConfigError(f"{address!r} names no function", hint="write package.module:function")
        self.address = address

    def load(self) -> Callable[..., Any]:
        """Return what the address names; raises what importing it raises."""
        module, _, name = self.address.partition(":")
        found: Any = import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
        return cast("Callable[..., Any]", found)

    __call__ = load  # a factory to `register`, which takes callables for such


class Provider(NamedTuple):
    """How to get a service: a value, or a factory with some arguments given."""

    thing: Any
    is_value: bool
    lifetime: str
    arguments: Mapping[str, Any]

    @property
    def cls(self) -> type[Any] | None:
        """The class of what it provides, where that can be known without making it."""
        if self.is_value:
            return type(self.thing)
        thing = self.thing.load() if isinstance(self.thing, Target) else self.thing
        made = thing if inspect.isclass(thing) else _annotated(thing)
        return made if inspect.isclass(made) else None


def _annotated(factory: Callable[..., Any]) -> Any:
    """Return what a factory function says it returns, or None."""
    try:
        return get_type_hints(factory).get("return")
    except Exception:
        return None
