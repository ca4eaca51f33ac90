"""What a job's function takes, held against what it is given: which params mean something, and of which type.

A parameter may be a param or a service; only a run knows the services, so what is missing is a guess here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from jobrunner.errors import BadArgument
from jobrunner.model import Parameter

OTHERS = Parameter("**", required=False)  # of a function that may look at params which it does not name
OWN = frozenset({"container", "ctx", "params"})  # whoever takes one of these may look at any param
BUILT_IN = OWN | {"config", "logger", "scheduler", "settings", "state"}  # services that are always there
PLAIN = frozenset({"int", "float", "bool", "str", "date", "datetime"})  # what the elements of others may be
ANNOTATED = PLAIN | {"list", "dict", "Literal"}
WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
HINTS = {
    "bool": "true, false, yes, no, 1 or 0",
    "date": "for example 2026-05-01",
    "datetime": "for example 2026-05-01T09:30:00+02:00",
    "list": "as JSON: [1, 2]",
    "dict": 'as JSON: {"a": 1}',
}

Takes = Sequence[Parameter] | None


def check(job_name: str, takes: Takes, config_params: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Raise BadArgument for a param that nothing in the job could take, or that is not of its type.

    `takes` is the job's `parameters`, `config_params` its own params, which need no parameter of their name.
    """
    if takes is None:
        return
    known = {each.name: each for each in takes}
    wrong = [name for name in given if name not in known and name not in config_params]
    if wrong and OTHERS not in takes:
        raise _unknown(job_name, wrong[0], sorted({*known, *config_params}))
    for name, value in given.items():
        if name in known and not _fits(known[name].kind, value):
            raise _unfit(name, json.dumps(value, default=repr)[:100], known[name].kind)


def typed(takes: Takes, config_params: Mapping[str, Any], pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Return the values of texts: of the annotated type, else of the type that the default or the job's own
    param has, else what they are as JSON, else text. Raises BadArgument for a text that is none of its type.
    """
    known = {each.name: each for each in takes or ()}
    return {name: _value(name, text, known.get(name), config_params.get(name)) for name, text in pairs}


def missing(takes: Takes, config_params: Mapping[str, Any], given: Mapping[str, Any]) -> list[str]:
    """Return the parameters that have no value: without services of these names, the job cannot run."""
    return [
        each.name for each in takes or ()
        if each.required and each.name not in BUILT_IN and each.name not in given
        and each.name not in config_params
    ]  # fmt: skip


def lacking(takes: Takes, config_params: Mapping[str, Any], given: Mapping[str, Any]) -> list[str]:
    """Return those of `missing` that no class tells to be a service."""
    names = missing(takes, config_params, given)
    return [each.name for each in takes or () if each.name in names and is_param(each)]


def refuse_missing(
    job_name: str, takes: Takes, config_params: Mapping[str, Any], given: Mapping[str, Any],
    how: str = "give it: {}=…",
) -> None:  # fmt: skip
    """Raise BadArgument for a parameter that nothing can bring; only for where there are no services.

    `how` is the hint, with {} for the param.
    """
    for name in lacking(takes, config_params, given)[:1]:
        said = f'{job_name} needs the param "{name}", which has no value and no default'
        raise BadArgument(said, argument=name, hint=how.format(name))


def is_param(parameter: Parameter) -> bool:
    """Say whether a parameter cannot be a service by its type: it has none, or a builtin one, or a date."""
    return base(parameter.kind) in ANNOTATED | {""}


def base(kind: str) -> str:
    """Return a kind without what its elements are, and whether it may be None."""
    return kind.rstrip("?").partition("[")[0]


def choices(kind: str) -> list[Any]:
    """Return the values that a `Literal` allows; of any other kind none are named."""
    return list(json.loads(kind.rstrip("?").removeprefix("Literal"))) if base(kind) == "Literal" else []


def _unknown(job_name: str, name: str, known: Sequence[str]) -> BadArgument:
    from difflib import get_close_matches

    near = get_close_matches(name, known, n=3)
    takes = f"it takes {', '.join(known)}" if known else "it takes none"
    hint = f"did you mean {' or '.join(near)}?" if near else takes
    return BadArgument(f'{job_name} has no param "{name}"', argument=name, hint=hint)


def _unfit(name: str, said: str, kind: str) -> BadArgument:
    allowed = ", ".join(json.dumps(each, ensure_ascii=False) for each in choices(kind))
    what = f"none of {allowed}" if allowed else f"no {kind.rstrip('?')}"
    return BadArgument(f"{name}: {said} is {what}", argument=name, hint=HINTS.get(base(kind)))


# -- a text becomes a value ----------------------------------------------------------------------------


def _value(name: str, text: str, parameter: Parameter | None, own: Any) -> Any:
    kind = parameter.kind if parameter is not None else ""
    if base(kind) not in ANNOTATED:
        default = parameter.default if parameter is not None else None
        kind = _kind_of(own if default is None else default)
    if kind.endswith("?") and text == "null":
        return None
    try:
        found = _choice(kind, text) if base(kind) == "Literal" else _READERS[base(kind)](text)
    except (ValueError, RecursionError):
        raise _unfit(name, f'"{text}"', kind) from None
    if not _fits(kind, found):
        raise _unfit(name, f'"{text}"', kind)
    return found


def _choice(kind: str, text: str) -> Any:
    for each in choices(kind):
        if text == (each if isinstance(each, str) else json.dumps(each)):
            return each
    raise ValueError("none of them")


def _kind_of(value: Any) -> str:
    """Return the type of a value that another is to take the place of: any number for a number."""
    if isinstance(value, bool):
        return "bool?"
    if isinstance(value, int | float):
        return "number?"
    return "str" if isinstance(value, str) else f"{type(value).__name__}?" if value is not None else "JSON"


def _int(text: str) -> int:
    return int(text)


def _float(text: str) -> float:
    found = float(text)
    if not math.isfinite(found):
        raise ValueError("no JSON")
    return found


def _number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        return _float(text)


def _bool(text: str) -> bool:
    found = WORDS.get(text.strip().casefold())
    if found is None:
        raise ValueError("neither")
    return found


def _date(text: str) -> str:
    date.fromisoformat(text)
    return text


def _datetime(text: str) -> str:
    datetime.fromisoformat(text)
    return text


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _json_of(kind: type[Any]) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        found = json.loads(text)
        if not isinstance(found, kind):
            raise ValueError("another type")
        return found

    return read


_READERS: Mapping[str, Callable[[str], Any]] = {
    "int": _int, "float": _float, "bool": _bool, "str": str, "list": _json_of(list), "dict": _json_of(dict),
    "date": _date, "datetime": _datetime, "number": _number, "JSON": _json,
}  # fmt: skip

# -- a value that is there -----------------------------------------------------------------------------

_TYPES: Mapping[str, type[Any]] = {"bool": bool, "str": str, "list": list, "dict": dict, "int": int}


def _fits(kind: str, value: Any) -> bool:
    """Say whether a JSON value is of an annotated type."""
    plain = base(kind)
    if plain not in ANNOTATED or (value is None and kind.endswith("?")):
        return True
    if plain == "Literal":
        return any(type(value) is type(each) and value == each for each in choices(kind))
    if plain in ("list", "dict"):
        return isinstance(value, _TYPES[plain]) and all(
            _fits(_element(kind), each) for each in (value.values() if plain == "dict" else value)
        )
    if plain in ("date", "datetime"):
        return isinstance(value, str) and _parses(plain, value)
    if plain in ("int", "float") and isinstance(value, bool):
        return False
    return isinstance(value, int | float) if plain == "float" else isinstance(value, _TYPES[plain])


def _element(kind: str) -> str:
    """Return what the elements of a list are to be, or the values of a dict; "" for anything."""
    inner = kind.rstrip("?").partition("[")[2].removesuffix("]")
    return inner.removeprefix("str, ")


def _parses(kind: str, text: str) -> bool:
    try:
        _READERS[kind](text)
    except ValueError:
        return False
    return True
