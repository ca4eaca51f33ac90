"""How the shared statements read in PostgreSQL: a few words, the parameters, and the schema's name.

The schema is written out in each statement, for behind a pooler of transactions there is no session that
could keep a search path.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

from jobrunner.store.sql.database import Bindings

T = TypeVar("T")

TABLES = (
    "meta", "nodes", "jobs", "definitions", "holdings", "cursors", "runs", "logs", "audit", "documents",
    "steps", "once", "added",
)  # fmt: skip

_TABLE = re.compile(rf"\b(FROM|JOIN|INTO|UPDATE)\s+({'|'.join(TABLES)})\b")
_HINT = re.compile(r"\s+INDEXED BY \w+")
_MEMBERS = re.compile(r"json_each\((\w+\.\w+), '\$\.(\w+)'\)")
_ELEMENTS = re.compile(r"json_each\((\?\d*|:\w+)\)")
_PARAMETER = re.compile(r"'[^']*'|\?(\d*)|(?<![:\w]):([a-z_]\w*)")


@dataclass(frozen=True, slots=True)
class Statement:
    """`text` with $1, $2 …; `names` or `places` are its parameters in this order."""

    text: str
    names: tuple[str, ...] = ()
    places: tuple[int, ...] = ()

    def values(self, bindings: Bindings) -> Sequence[object]:
        """Return the parameters in order."""
        if isinstance(bindings, Mapping):
            return [bindings[name] for name in self.names]
        return [bindings[place] for place in self.places]


@cache
def translate(sql: str, schema: str) -> Statement:
    """Return a shared statement as PostgreSQL reads it."""
    text = _TABLE.sub(rf'\1 "{schema}".\2', _HINT.sub("", sql)).replace("CROSS JOIN", "JOIN")
    text = _MEMBERS.sub(r"json_array_elements_text(CAST(\1 AS json) -> '\2')", text)
    text = _ELEMENTS.sub(r"json_array_elements_text(CAST(CAST(\1 AS text) AS json))", text)
    names: list[str] = []
    places: list[int] = []
    text = _PARAMETER.sub(lambda found: _number(found, names, places), text)
    return Statement(text, tuple(names), tuple(places))


def _number(found: re.Match[str], names: list[str], places: list[int]) -> str:
    """Return $n for a parameter; text in quotes stays as it is."""
    number, name = found[1], found[2]
    if name is not None:
        return f"${_place(name, names)}"
    if number is not None:
        return f"${_place(int(number) - 1 if number else len(places), places)}"
    return found[0]


def _place(what: T, known: list[T]) -> int:
    if what not in known:
        known.append(what)
    return known.index(what) + 1
