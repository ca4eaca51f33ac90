"""What a job is handed: services by name or by type, made when asked for, closed in reverse.

A root container lives as long as the process and owns the singletons; each run opens a container below
it (`open_run`) that owns the rest. Making a service is one coroutine for sync and async alike: a driver
settles awaitables, either by awaiting them or by running the run's event loop until they are done.
"""

from __future__ import annotations

import inspect
from _thread import RLock
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import Any, Literal, TypeVar, cast, overload

from jobrunner import injection
from jobrunner.errors import ConfigError, ResolutionError
from jobrunner.injection import Key, Parameter, Resolution
from jobrunner.provider import Provider, Target, go_on, go_on_async, leave, leave_async

Lifetime = Literal["singleton", "scoped", "transient"]
Settle = Callable[[Awaitable[Any]], Awaitable[Any]]
T = TypeVar("T")

RESERVED = frozenset({"container", "ctx", "config", "params", "settings", "scheduler", "state"})
_LIFETIMES = ("singleton", "scoped", "transient")
_ABSENT: Any = object()
_making: ContextVar[tuple[tuple[Key, str], ...]] = ContextVar("making", default=())


class Container:
    """Resolves services by name or type. `drive` runs an awaitable to its end, for sync code."""

    def __init__(self, drive: Callable[[Awaitable[Any]], Any] | None = None) -> None:
        self._root = self
        self._drive = drive
        self._providers: dict[Key, Provider] = {}
        self._made: dict[Key, Any] = {}
        self._pending: dict[Key, Any] = {}  # async factories under way, for whoever asks meanwhile
        self._closers: list[Callable[[BaseException | None], Awaitable[None] | None]] = []
        self._lock = RLock()

    def open_run(self, drive: Callable[[Awaitable[Any]], Any] | None = None) -> Container:
        """Return a container for one run: singletons stay here, everything else will be its own."""
        run = Container(drive or self._drive)
        run._root = self
        return run

    # -- registering ---------------------------------------------------------------------------------

    def register(
        self,
        key: Key,
        value_or_factory: Any,
        lifetime: Lifetime = "scoped",
        *,
        value: bool = False,
        args: Mapping[str, Any] | None = None,
    ) -> None:
        """Make a service known. A callable is a factory, unless `value` is true; the last one wins.

        A factory's parameters are injected, but for those in `args`. It may be async and it may be a
        generator: what follows its `yield` runs when its lifetime ends, whether the run failed or not.
        One made with `contextlib.contextmanager` sees the run's exception, as in a `with` block.
        Raises ConfigError for a reserved name or an unknown lifetime.
        """
        if not isinstance(key, (str, type)):
            raise ConfigError(f"a service's key is a name or a class, not {key!r}")
        if key in RESERVED:
            raise ConfigError(f"{key!r} is jobrunner's own service", hint="choose another name")
        if lifetime not in _LIFETIMES:
            raise ConfigError(f"{lifetime!r} is no lifetime", hint=f"one of {', '.join(_LIFETIMES)}")
        is_value = value or not callable(value_or_factory)
        self._provide(key, Provider(value_or_factory, is_value, lifetime, args or {}))

    def provide(self, key: Key, value: Any) -> None:
        """Make a value of the harness known, reserved names included."""
        self._provide(key, Provider(value, True, "scoped", {}))

    def provide_when_asked(self, key: Key, make: Callable[[], Any]) -> None:
        """Make known what of the harness is made when it is first asked for."""
        self._provide(key, Provider(make, False, "scoped", {}))

    def _provide(self, key: Key, provider: Provider) -> None:
        self._providers[key] = provider
        self._made.pop(key, None)

    # -- looking -------------------------------------------------------------------------------------

    def has(self, key: Key) -> bool:
        """Say whether `resolve(key)` knows how to begin."""
        return key == "container" or self.find(key) is not None

    def names(self) -> list[str]:
        """Return the names of all services."""
        return sorted(key for key in self.known() if isinstance(key, str))

    def known(self) -> dict[Key, Provider]:
        """Return how each service comes into being."""
        return {**self._root._providers, **self._providers}

    def find(self, key: Key) -> Key | None:
        """Return the key that `key` leads to: itself, or for a class the one service of that class.

        Raises ResolutionError when several services are of that class.
        """
        if key in self._providers or key in self._root._providers:
            return key
        if isinstance(key, str) or not inspect.isclass(key) or key.__module__ == "builtins":
            return None
        fits = [
            one for one, provider in self.known().items() if provider.cls and issubclass(provider.cls, key)
        ]
        if len(fits) > 1:
            names = ", ".join(sorted(map(_name, fits)))
            raise ResolutionError(f"several services are of type {_name(key)}: {names}", hint="ask by name")
        return fits[0] if fits else None

    # -- resolving -----------------------------------------------------------------------------------

    @overload
    def resolve(self, key: str, default: Any = ...) -> Any: ...
    @overload
    def resolve(self, key: type[T]) -> T: ...
    @overload
    def resolve(self, key: type[T], default: Any) -> Any: ...
    def resolve(self, key: Key, default: Any = _ABSENT) -> Any:
        """Return the service of that name or type; `default` when there is none.

        Raises ResolutionError, with the chain that asked, for a missing one without a default, a cycle,
        and a singleton that would capture something of one run.
        """
        with self._lock:
            return _finish(self._resolve(key, default, self._settle_now))

    async def resolve_async(self, key: Key, default: Any = _ABSENT) -> Any:
        """Return the service; what is async in making it is awaited."""
        return await self._resolve(key, default, _settle_later)

    def inject(self, function: Callable[..., Any], params: Mapping[str, Any]) -> Any:
        """Call `function` with every parameter resolved; of params, services, defaults, in that order."""
        return _finish(self._call(function, params, {}, self._settle_now))

    def arguments(
        self, function: Callable[..., Any], params: Mapping[str, Any]
    ) -> tuple[list[Any], dict[str, Any]]:
        """Return positional and keyword arguments that a call of `function` would get."""
        return _finish(self._arguments(function, params, {}, self._settle_now))

    async def _resolve(self, key: Key, default: Any, settle: Settle) -> Any:
        if key == "container":
            return self
        found = self.find(key)
        if found is None:
            if default is not _ABSENT:
                return default
            _check_captive(key)
            raise unresolvable(injection.missing(_name(key), self), key)
        return await self._get(found, settle)

    async def _get(self, key: Key, settle: Settle) -> Any:
        provider = self._providers.get(key) or self._root._providers[key]
        home = self._root if provider.lifetime == "singleton" else self
        if key in home._made:
            return home._made[key]
        if provider.is_value and key in self._root._providers:
            return provider.thing
        _check_chain(key, provider)
        if provider.is_value:
            return provider.thing
        if key in home._pending and settle is _settle_later:
            await home._pending[key].wait()
            return await self._get(key, settle)
        return await home._make(key, provider, settle)

    async def _make(self, key: Key, provider: Provider, settle: Settle) -> Any:
        """Call the factory; this container owns the result, and closes it."""
        token = _making.set((*_making.get(), (key, provider.lifetime)))
        kept = provider.lifetime != "transient"
        if kept and settle is _settle_later:
            self._pending[key] = _event()
        try:
            made = await self._call(provider.thing, {}, provider.arguments, settle)
            made = await self._enter(made, settle)
            if kept:
                self._made[key] = made
            return made
        finally:
            _making.reset(token)
            if event := self._pending.pop(key, None):
                event.set()

    async def _enter(self, made: Any, settle: Settle) -> Any:
        """Start generators and keep their second half for `close`; await what is awaitable."""
        if inspect.isgenerator(made):
            value = next(made)
            self._closers.append(lambda _: go_on(made))
            return value
        if inspect.isasyncgen(made):
            value = await settle(anext(made))
            self._closers.append(lambda _: go_on_async(made))
            return value
        if inspect.isawaitable(made):
            made = await settle(made)
        if isinstance(made, _SYNC_MANAGER):
            value = made.__enter__()
            self._closers.append(lambda error: leave(made, error))
            return value
        if isinstance(made, _ASYNC_MANAGER):
            value = await settle(made.__aenter__())
            self._closers.append(lambda error: leave_async(made, error))
            return value
        return made

    async def _call(
        self,
        function: Callable[..., Any],
        params: Mapping[str, Any],
        given: Mapping[str, Any],
        settle: Settle,
    ) -> Any:
        function = function.load() if isinstance(function, Target) else function
        positional, named = await self._arguments(function, params, given, settle)
        return function(*positional, **named)

    async def _arguments(
        self,
        function: Callable[..., Any],
        params: Mapping[str, Any],
        given: Mapping[str, Any],
        settle: Settle,
    ) -> tuple[list[Any], dict[str, Any]]:
        positional: list[Any] = []
        named: dict[str, Any] = dict(given)
        for parameter in injection.parameters(function):
            if parameter.name in given:
                continue
            found = self._source(parameter, params)
            if found.source == "default":
                continue
            value = params[parameter.name] if found.source == "params" else None
            if found.source in ("own", "service"):
                value = await self._resolve(found.key, _ABSENT, settle)
            if parameter.by_position:
                positional.append(value)
            else:
                named[parameter.name] = value
        return positional, named

    def _source(self, parameter: Parameter, params: Mapping[str, Any]) -> Resolution:
        try:
            return injection.resolution(parameter, self, params)
        except ResolutionError as error:
            _check_captive(parameter.name)
            raise unresolvable(error.message, None) from None

    def settle(self, awaitable: Awaitable[Any]) -> Any:
        """Drive an awaitable to its end, for sync code."""
        return _finish(self._settle_now(awaitable))

    async def _settle_now(self, awaitable: Awaitable[Any]) -> Any:
        if self._drive is None:
            if inspect.iscoroutine(awaitable):
                awaitable.close()
            raise unresolvable("an async service cannot be made here", None)
        return self._drive(awaitable)

    # -- closing -------------------------------------------------------------------------------------

    def close(self, error: BaseException | None = None) -> list[BaseException]:
        """Run all clean-ups, the last made first; returns what they raised. `error` is how the run failed."""
        raised: list[BaseException] = []
        while self._closers:
            try:
                done = self._closers.pop()(error)
                if done is not None:
                    _finish(self._settle_now(done))
            except BaseException as another:
                if another is not error:
                    raised.append(another)
        self._made.clear()
        return raised


# -- the small print ---------------------------------------------------------------------------------

_SYNC_MANAGER: type[Any] = type(contextmanager(lambda: iter(()))())
_ASYNC_MANAGER: type[Any] = type(asynccontextmanager(lambda: cast("AsyncIterator[Any]", None))())


async def _settle_later(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


def _finish(coroutine: Coroutine[Any, Any, T]) -> T:
    """Return what a coroutine returns that never really waits: its driver settles everything at once."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        value: T = stop.value
        return value
    coroutine.close()
    raise ResolutionError("an async service was asked for in sync code")


def _event() -> Any:
    import asyncio

    return asyncio.Event()


def _check_chain(key: Key, provider: Provider) -> None:
    chain = _making.get()
    if any(key == one for one, _ in chain):
        raise unresolvable("services that need each other", key)
    if provider.lifetime == "scoped":
        _check_captive(key, of_run=True)


def _check_captive(key: Key, *, of_run: bool = False) -> None:
    captor = next((one for one, lifetime in _making.get() if lifetime == "singleton"), None)
    if captor is not None and (of_run or key in RESERVED):
        sentence = f"the singleton {_name(captor)!r} would keep {_name(key)!r}, which belongs to one run"
        raise unresolvable(sentence, key)


def unresolvable(sentence: str, key: Key | None) -> ResolutionError:
    """Return the error with the chain of services that were being made."""
    chain = [_name(one) for one, _ in _making.get()] + ([_name(key)] if key is not None else [])
    asked = f" (asked for by {' -> '.join(chain)})" if _making.get() else ""
    return ResolutionError(f"{sentence}{asked}")


def _name(key: Key) -> str:
    return key if isinstance(key, str) else key.__qualname__
