"""What a body leaves, as plain JSON data of a bounded size, without secrets."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from jobrunner.errors import ConfigError
from jobrunner.failure import shorten
from jobrunner.masking import Masker

LONGEST_RESULT = 64 * 1024  # bytes as JSON
DEEPEST_RESULT = 100


def to_json(value: Any, masker: Masker) -> tuple[Any, bool]:
    """Return (the value as plain JSON data, False), or (a shortened repr, True) when it cannot be kept;
    both without secrets."""
    if value is None:  # as most bodies return it
        return None, False
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False)
        if len(text.encode()) <= LONGEST_RESULT and depth(plain := json.loads(text)) <= DEEPEST_RESULT:
            return masker.data(plain), False
    except Exception:  # not JSON; the value's own methods may raise anything
        text = ""
    return shorten(_repr(value, masker), LONGEST_RESULT), True


def kept_cursor(value: Any, masker: Masker) -> Any:
    """Return what was assigned to `ctx.cursor` as plain JSON data. Raises ConfigError when it is none."""
    plain, unfit = to_json(value, masker)
    if unfit:
        raise ConfigError(
            f"ctx.cursor cannot be kept: {shorten(_repr(value, masker), 100)}",
            hint="assign JSON of at most 64 KB",
        )
    return plain


def depth(value: Any) -> int:
    """Return how deeply lists and dicts are nested in JSON data."""
    level, deep = [value], 0
    while level := [one for one in level if isinstance(one, (list, dict))]:
        deep += 1
        level = [inner for one in level for inner in (one.values() if isinstance(one, dict) else one)]
    return deep


def _repr(value: Any, masker: Masker) -> str:
    with contextlib.suppress(Exception):  # texts as they are, before repr writes \n for the end of a line
        value = masker.data(value)
    try:
        return masker.text(repr(value))
    except Exception as error:
        return f"<{type(value).__qualname__}, whose repr raises {type(error).__name__}>"
