"""How one service comes into being, a value, a factory, or the address of a factory; and how it ends."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from importlib import import_module
from typing import Any, NamedTuple, cast, get_type_hints

from jobrunner.errors import ConfigError

_END: Any = object()


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


# -- how it ends: the second half of a factory --------------------------------------------------------


def go_on(generator: Iterator[Any]) -> None:
    """Run what follows the yield."""
    if next(generator, _END) is not _END:
        raise RuntimeError("a factory yielded twice")


async def go_on_async(generator: AsyncIterator[Any]) -> None:
    """Run what follows the yield."""
    if await anext(generator, _END) is not _END:
        raise RuntimeError("a factory yielded twice")


def leave(manager: Any, error: BaseException | None) -> None:
    """Leave a context manager; it sees how the run failed."""
    manager.__exit__(type(error) if error else None, error, error.__traceback__ if error else None)


def leave_async(manager: Any, error: BaseException | None) -> Awaitable[None]:
    """Return what leaves an async context manager when it is awaited."""
    leaving = manager.__aexit__(type(error) if error else None, error, error.__traceback__ if error else None)
    return cast("Awaitable[None]", leaving)
