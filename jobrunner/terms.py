"""The terms of what code asks for: when a call may be, with which params; keys, and values as JSON."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from jobrunner import durations
from jobrunner.clock import DAY, SECOND, Instant, from_datetime, to_iso
from jobrunner.errors import BadArgument

FARTHEST = 5 * 366 * DAY  # from now, either way
MOST_CALLS = 1000  # of one run
LONGEST_PARAM = 512  # characters of a param's name
LONGEST_PARAMS = 4 * 1024 * 1024  # bytes of one call's params, as JSON
DEEPEST = 100  # levels of lists and dicts in a value
MOST_BYTES = 16 * 1024 * 1024  # of the params of all calls of one run
_ENCODED = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode
_MOST_SECONDS = (1 << 63) // SECOND  # before or after 1970, as an instant can be


def delay(value: object) -> int:
    """Return the microseconds of a delay: seconds, a timedelta, or text such as "1h30m".

    Raises BadArgument for what is none, what is negative, and more than five years.
    """
    try:
        micros = durations.parse(value)
    except ValueError:
        said = f"delay is {value!r:.100}: it must be 0 or more seconds, a timedelta, or text such as 1h30m"
        raise BadArgument(said, argument="delay") from None
    if micros > FARTHEST:
        raise BadArgument(f"delay is {value!r:.100}: that is more than five years", argument="delay")
    return micros


def length(value: object, argument: str) -> int:
    """Return the microseconds of a length of time, in what `delay` takes. Raises BadArgument."""
    try:
        return durations.parse(value)
    except ValueError as error:
        raise BadArgument(f"{argument} is {value!r:.100}: {error}", argument=argument) from None


def flag(value: object, argument: str) -> bool:
    """Return what must be True or False; a param may be meant that is called like it."""
    if not isinstance(value, bool):
        said = f"{argument} is {value!r:.100}: it must be True or False"
        hint = f"a param of that name goes into params={{{argument!r}: …}}"
        raise BadArgument(said, argument=argument, hint=hint)
    return value


def moment(value: object, argument: str = "when") -> Instant:
    """Return the instant of an aware datetime, or of seconds since 1970; `argument` is its name.

    Raises BadArgument for a naive datetime, for it names no moment, and for everything else.
    """
    if isinstance(value, datetime):
        try:
            return from_datetime(value)
        except ValueError:
            said = f"{argument} is {value.isoformat()}, which has no time zone and so names no moment"
            hint = "datetime.now(UTC), or .replace(tzinfo=…)"
            raise BadArgument(said, argument=argument, hint=hint) from None
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _MOST_SECONDS:
        return round(value * SECOND)
    said = f"{argument} is {value!r:.100}: it must be an aware datetime, or seconds since 1970"
    raise BadArgument(said, argument=argument)


def within_reach(at: Instant, now: Instant) -> Instant:
    """Return when a call is due: the past means now. Raises BadArgument beyond five years either way."""
    if abs(at - now) > FARTHEST:
        try:
            said = to_iso(at)
        except (ValueError, OverflowError, OSError):
            said = f"{at / SECOND:g} s after 1970"
        raise BadArgument(f"when is {said}: that is more than five years from now", argument="when")
    return max(at, now)


def params_of(params: object, more: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
    """Return (the params of a call as plain JSON data, their size in bytes).

    They are those in `params`, a mapping or None, and `more`. Raises BadArgument, naming the param.
    """
    text = params_as_text(params, more)
    return params_from(text), len(text.encode())


def params_as_text(params: object, more: Mapping[str, Any]) -> str:
    """Return the params of a call, as `params_of` takes them, as JSON. Raises as it does."""
    merged = _merged(params, more)
    for name in merged:
        name_of(name, "params", LONGEST_PARAM)
    try:
        text = _ENCODED(merged)
        if len(text) <= LONGEST_PARAMS and len(text.encode()) <= LONGEST_PARAMS:
            return text
    except (TypeError, ValueError, RecursionError):
        pass
    return params_text({name: plain(value, name, LONGEST_PARAMS)[0] for name, value in merged.items()})


def params_from(text: str) -> dict[str, Any]:
    """Return the params of what `params_as_text` has made. Raises BadArgument for one nested too deeply."""
    found: dict[str, Any] = json.loads(text)
    if text.count("[") + text.count("{") > DEEPEST:  # else it cannot be
        for name, value in found.items():
            _refuse_deep(value, name)
    return found


def _merged(params: object, more: Mapping[str, Any]) -> Mapping[str, Any]:
    given = {} if params is None else params
    if not isinstance(given, Mapping):
        said = f"params is {params!r:.100}: it must be a dict of names and values"
        hint = "a param of that name goes into params={'params': …}"
        raise BadArgument(said, argument="params", hint=hint)
    twice = next((name for name in more if name in given), None)
    if twice is not None:
        raise BadArgument(f"{twice} is both in params and a keyword argument", argument=twice)
    return {**given, **more}


def params_text(params: Mapping[str, Any]) -> str:
    """Return a call's params as JSON. Raises BadArgument, naming the param, for what is none or too long."""
    try:
        text = _ENCODED(dict(params))
    except (TypeError, ValueError, RecursionError):
        raise _unkept(params) from None
    if (size := len(text.encode("utf-8", "surrogatepass"))) > LONGEST_PARAMS:
        largest = max(params, key=lambda name: len(json.dumps(params[name])))
        said = f"the params have {size:,} bytes as JSON, of which {largest} has most; a call may have 4 MiB"
        raise BadArgument(said, argument=largest)
    return text


def _unkept(params: Mapping[str, Any]) -> BadArgument:
    """Return the error for the param that is no JSON."""
    for name, value in params.items():
        try:
            _ENCODED(value)
        except (TypeError, ValueError, RecursionError) as error:
            return BadArgument(f"{name} cannot be kept as JSON: {error}", argument=name)
    return BadArgument("the params cannot be kept as JSON", argument="params")


def name_of(value: object, argument: str, longest: int) -> str:
    """Return text that may be a name or key: neither empty nor long, without control characters."""
    if not isinstance(value, str):
        raise BadArgument(f"{argument} is {value!r:.100}: it must be text", argument=argument)
    if not 0 < len(value) <= longest:
        said = f"{argument} has {len(value)} characters: it must have between 1 and {longest}"
        raise BadArgument(said, argument=argument)
    if not value.isprintable() and any(unicodedata.category(one) in ("Cc", "Cs") for one in value):
        said = f"{argument} is {value!r:.100}: control characters cannot be in it"
        raise BadArgument(said, argument=argument)
    return value


def plain(value: Any, argument: str, longest: int) -> tuple[Any, int]:
    """Return (a copy of the value as plain JSON data, its size as JSON in bytes).

    Raises BadArgument, naming the argument, for what is no JSON, nested too deeply or over `longest` bytes.
    """
    try:
        text = _ENCODED(value)
        size = len(text.encode())
    except (TypeError, ValueError, RecursionError) as error:
        raise BadArgument(f"{argument} cannot be kept as JSON: {error}", argument=argument) from None
    if size > longest:
        said = f"{argument} has {size:,} bytes as JSON; it may have {longest:,}"
        raise BadArgument(said, argument=argument)
    copy = json.loads(text)
    _refuse_deep(copy, argument)
    return copy, size


def copied(value: Any) -> Any:
    """Return a copy of plain JSON data, for whoever may change what they are handed."""
    return json.loads(json.dumps(value))


def _refuse_deep(value: Any, argument: str) -> None:
    if _deeper(value, DEEPEST):
        raise BadArgument(f"{argument} is nested more than {DEEPEST} levels deep", argument=argument)


def _deeper(value: Any, most: int) -> bool:
    level = [value]
    for _ in range(most + 1):
        level = [one for one in level if isinstance(one, (list, dict))]
        if not level:
            return False
        level = [inner for one in level for inner in (one.values() if isinstance(one, dict) else one)]
    return True
