"""Steps: what a job file imports to write a workflow.

    ctx.step(name, fn, *args, **kwargs)      do it once: its result is kept, and handed back ever after
    ctx.parallel(step(...), step(...))       do several at the same time
    ctx.wait_for(name, timeout="2d")         go until somebody says `jobrunner complete RUN NAME`
    undo(fn, *args, **kwargs)                how a step is taken back, for `undo=`

docs/workflows.md is the guide.
"""

from __future__ import annotations

import inspect
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from jobrunner import backoff, durations
from jobrunner.errors import BadArgument

__all__ = ["EventFailed", "Step", "Undo", "step", "undo"]

LONGEST_NAME = 128
_RETRIES = 'write a number, or {"max": 3, "delay": "10s", "backoff": "exponential"}'
_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_KEYS = ("max", "delay", "backoff", "maxDelay", "jitter")


class EventFailed(Exception):
    """What `ctx.wait_for` waited for was completed as failed; the message says why."""


class Undo(NamedTuple):
    """How to take a step back: `fn` is called with these arguments, which are JSON."""

    fn: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]


def undo(fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Undo:
    """Return how to take a step back, for `undo=`: by calling `fn` with these arguments.

    They are known before the step begins, so it is also taken back when it began and did not end well.
    """
    return Undo(fn, args, kwargs)


class Tries(NamedTuple):
    """How often a step is tried again within its run, and when: as `retries` of a job; microseconds."""

    max: int = 0
    delay: int = durations.MICROS["s"]
    backoff: str = "fixed"
    max_delay: int = durations.MICROS["h"]
    jitter: int | bool = False

    def wait(self, tried: int, key: str) -> int:
        """Return how long to wait after so many tries: the same whenever it is asked, for the same key."""
        return backoff.wait(
            tried, key, self.delay, self.max_delay,
            doubles=self.backoff == "exponential", jitter=self.jitter,
        )  # fmt: skip


ONCE = Tries()


@dataclass(frozen=True, slots=True)
class Step:
    """A step that is yet to be done, made by `step`; `timeout` is in microseconds."""

    name: str
    fn: Callable[..., Any]
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    undo: Undo | Callable[..., Any] | None = None
    tries: Tries = ONCE
    timeout: int | None = None


def step(
    name: str, fn: Callable[..., Any], /, *args: Any,
    undo: Undo | Callable[..., Any] | None = None,
    retries: int | Mapping[str, Any] = 0,
    timeout: object = None,
    **kwargs: Any,
) -> Step:  # fmt: skip
    """Return a step for `ctx.parallel`, by the arguments of `ctx.step`.

    `undo`, `retries` and `timeout` are of the step, all else is handed to `fn`. Raises BadArgument, also
    where `fn` could have been meant, because it takes an argument of that name, too.
    """
    if not callable(fn):
        raise BadArgument(f"step {name!r}: {fn!r:.100} cannot be called", argument="fn")
    check_name(name)
    given = {"undo": undo is not None, "retries": retries != 0, "timeout": timeout is not None}
    _refuse_ambiguous(name, fn, [option for option, one in given.items() if one])
    if undo is not None and not isinstance(undo, Undo) and not callable(undo):
        raise BadArgument(f"step {name!r}: undo is {undo!r:.100}, which is no function", argument="undo")
    return Step(name, fn, args, kwargs, undo, read_retries(retries), read_timeout(timeout))


def check_name(name: object) -> None:
    """Raise BadArgument for what cannot be a step's name."""
    if not isinstance(name, str):
        raise BadArgument(f"a step's name is a text, not {name!r:.100}", argument="name")
    if not 1 <= len(name) <= LONGEST_NAME:
        raise BadArgument(
            f"a step's name has 1 to {LONGEST_NAME} characters, not {len(name)}", argument="name"
        )
    if "/" in name or any(unicodedata.category(one) in ("Cc", "Cs", "Zl", "Zp") for one in name):
        said = f"a step's name has no slash and no control characters, and this is {name!r}"
        raise BadArgument(said, argument="name")


def read_timeout(value: object, argument: str = "timeout") -> int | None:
    """Return the microseconds of a time-out, or None for none. Raises BadArgument."""
    if value is None:
        return None
    try:
        micros = durations.parse(value)
    except ValueError as error:
        raise BadArgument(f"{argument}: {error}", argument=argument) from None
    if micros == 0:
        raise BadArgument(f"{argument} is {value!r}: it must be longer than nothing", argument=argument)
    return micros


def read_retries(value: object) -> Tries:
    """Return how often to try again, from a number or a dict as in a job's config. Raises BadArgument."""
    if not isinstance(value, Mapping):
        return Tries(max=_whole("retries", value))
    unknown = sorted(str(key) for key in value if key not in _KEYS)
    if unknown or "max" not in value:
        said = f"has {unknown[0]!r}, which is none of its keys" if unknown else "lacks max"
        raise _bad_retries(f"retries {said}")
    backoff, jitter = value.get("backoff", "fixed"), value.get("jitter", False)
    if backoff not in ("fixed", "exponential"):
        raise _bad_retries(f'retries.backoff is {backoff!r:.100}, which is neither "fixed" nor "exponential"')
    delay = _part("delay", value.get("delay", "1s"))
    longest = _part("maxDelay", value["maxDelay"]) if "maxDelay" in value else max(delay, Tries().max_delay)
    if longest < delay:
        raise _bad_retries("retries.maxDelay is shorter than the delay")
    return Tries(
        max=_whole("retries.max", value["max"]),
        delay=delay,
        backoff=backoff,
        max_delay=longest,
        jitter=jitter if isinstance(jitter, bool) else _part("jitter", jitter),
    )


def _whole(key: str, value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53:
        return value
    raise _bad_retries(f"{key} is {value!r:.100}, which is not a whole number of at least 0")


def _part(key: str, value: object) -> int:
    try:
        return durations.parse(value)
    except ValueError as error:
        raise _bad_retries(f"retries.{key}: {error}") from None


def _bad_retries(said: str) -> BadArgument:
    return BadArgument(said, argument="retries", hint=_RETRIES)


def _refuse_ambiguous(name: str, fn: Callable[..., Any], options: list[str]) -> None:
    """Raise BadArgument for an option that `fn` would take as well: nobody could tell who is meant."""
    if not options:
        return
    try:
        parameters = inspect.signature(fn).parameters
    except (TypeError, ValueError):  # of a builtin that does not tell
        return
    kinds = {one.name: one.kind for one in parameters.values()}
    gathers = inspect.Parameter.VAR_KEYWORD in kinds.values()
    for option in options:
        if kinds.get(option) in _BY_NAME or (gathers and option != "undo"):
            said = f"step {name!r}: {option} could be meant for the function, which takes it, too"
            hint = f"hand over what takes none: lambda: {getattr(fn, '__name__', 'fn')}(…)"
            raise BadArgument(said, argument=option, hint=hint)
