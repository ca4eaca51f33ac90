"""Rows of JSON values as columns: ten thousand of them decode in a few milliseconds, and are small.

What is equal in many rows is written once, and is one object when it is read again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from typing import Any

Column = list[Any] | dict[str, Any]
MARKS = "|~^`#"  # what texts are joined with: one that none of them holds, and that JSON need not escape
FEW = 4  # a column that has each value so often, on average, has a list of them beside


def packed(rows: Sequence[Sequence[Any]]) -> list[Column]:
    """Return rows as columns.

    One whose values are all the same is {"all": value}, one of few values {"of": values, "at": [indexes]};
    texts become one text, {"by": mark, "text": joined}: it is decoded several times faster than a list.
    """
    return [_column(column) for column in zip(*rows, strict=True)]


def _column(values: Sequence[Any]) -> Column:
    known: dict[object, int] = {}
    by_id: dict[int, int] = {}  # most values that are the same are one object
    at = [
        by_id[id(each)] if id(each) in by_id else by_id.setdefault(id(each), _place(each, known))
        for each in values
    ]
    if len(known) == 1:
        return {"all": values[0]}
    if len(known) * FEW <= len(values):
        first = dict(zip(reversed(at), reversed(values), strict=True))
        return {"of": [first[place] for place in range(len(known))], "at": at}
    mark = _mark(values) if all(isinstance(each, str) for each in values) else None
    return list(values) if mark is None else {"by": mark, "text": mark.join(values)}


def _place(value: Any, known: dict[object, int]) -> int:
    """Return where a value is among those that are known; 1, 1.0 and True are three."""
    plain = value is None or isinstance(value, str | int | float)
    key = type(value), value if plain else json.dumps(value)
    return known.setdefault(key, len(known))


def _mark(values: Iterable[str]) -> str | None:
    return next((mark for mark in MARKS if not any(mark in each for each in values)), None)


def unpacked(column: Column, count: int, made: Callable[[Any], Any] | None = None) -> Iterable[Any]:
    """Return the `count` values of a column, each distinct one as `made` makes it.

    Raises KeyError, ValueError, TypeError, IndexError or AttributeError for what `packed` did not make.
    """
    if isinstance(column, list):
        return column if made is None else map(made, column)
    if "all" in column:
        return repeat(column["all"] if made is None else made(column["all"]), count)
    if "of" in column:
        values = column["of"] if made is None else list(map(made, column["of"]))
        return map(values.__getitem__, column["at"])
    found: list[str] = column["text"].split(column["by"])
    return found if made is None else map(made, found)
