"""Which values are JSON, which become it, and what is wrong with the others, by the path to a part."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from jobrunner.errors import JobrunnerError
from jobrunner.settings.readers import shown

DEPTH = 50
LONGEST_NAME = 60  # of a key as the path has it
BITS = 14_000  # of an integer: Python writes no more than 4,300 digits
HINT = "use text, finite numbers, True, False, None, lists and dicts"


def flaw(value: object, path: str, depth: int = DEPTH) -> str | None:
    """Return a sentence such as `params.d has the key 1, which is not a text`; None when all is well.

    A tuple counts as the list that it becomes. A set does not: it has no order to keep.
    """
    if depth == 0:
        return f"{path.partition('.')[0]} is nested more than {DEPTH} deep"
    if isinstance(value, dict | list | tuple):
        flaws = (flaw(part, each, depth - 1) for each, part in _parts(value, path))
        return _bad_key(value, path) or next((each for each in flaws if each), None)
    return _of_one(value, path)


def _parts(value: object, path: str) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        return ((f"{path}.{_named(key)}", part) for key, part in value.items())
    assert isinstance(value, list | tuple)
    return ((f"{path}[{i}]", part) for i, part in enumerate(value))


def _named(key: object) -> str:
    plain = isinstance(key, str) and key.isprintable() and len(key) <= LONGEST_NAME
    return str(key) if plain else shown(key)


def _bad_key(value: object, path: str) -> str | None:
    keys = value if isinstance(value, dict) else ()
    odd = (f"{path} has the key {shown(key)}, which is not a text" for key in keys if not _is_text(key))
    return next(odd, None)


def _of_one(value: object, path: str) -> str | None:
    if isinstance(value, float) and not math.isfinite(value):
        return f"{path} is {value}, which is no finite number"
    if isinstance(value, int) and value.bit_length() > BITS:
        return f"{path} is a number of too many digits, which is not JSON"
    if isinstance(value, str) and not _is_text(value):
        return f"{path} is a text that UTF-8 cannot hold"
    if value is None or isinstance(value, bool | int | float | str):
        return None
    return f"{path} is a {type(value).__name__}, which is not JSON"


def _is_text(value: object) -> bool:
    try:
        return isinstance(value, str) and value.encode() is not None
    except UnicodeEncodeError:
        return False


def plain(value: object, depth: int = DEPTH) -> Any:
    """Return `value` in exact JSON types. Builders become their text, timedeltas seconds, datetimes ISO.

    All else stays as it is, and so does what is nested too deeply: `flaw` says where it stands.
    """
    if depth == 0 or value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)  # of a subclass too, the plain value: it cannot lie about itself
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, float):
        return float.__float__(value)
    return _plain_object(value, depth - 1)


def _plain_object(value: object, depth: int) -> Any:
    from datetime import date, timedelta

    if isinstance(value, Mapping):
        return {_plain_name(key): plain(each, depth) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each, depth) for each in value]
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, date):
        return value.isoformat()
    text = _text_of(value)
    return plain(text) if isinstance(text, str) else value


def _text_of(value: object) -> object:
    try:
        return getattr(value, "text", None)
    except JobrunnerError:  # a builder's: it knows what is missing
        raise
    except Exception:
        return None


def _plain_name(key: object) -> object:
    return str.__str__(key) if isinstance(key, str) else key
