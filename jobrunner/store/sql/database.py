"""What the verbs need of a database, whichever it is.

The statements are written once, in the SQL that SQLite and PostgreSQL share, with SQLite's names for
parameters (`?`, `?1`, `:name`) and its hints (`INDEXED BY`, `CROSS JOIN … ON` for an order of joins);
`postgres.dialect` says how they read elsewhere. What the two have no common word for is a constant that
PostgreSQL's classes replace.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

T = TypeVar("T")
Row = tuple[Any, ...]
Bindings = Sequence[Any] | Mapping[str, Any]


class Database(Protocol):
    """One connection. Every error leaves as a StateError, and leaves it usable.

    A statement that fails inside a transaction dooms it, whoever catches the error.
    """

    @property
    def name(self) -> str:
        """How sentences call it: a path, or a URL without its password."""
        ...

    def rows(self, sql: str, bindings: Bindings = ()) -> list[Row]:
        """Run one statement to its end and return its rows."""
        ...

    def made(self, make: Callable[[Row], T], sql: str, bindings: Bindings = ()) -> list[T]:
        """Run one statement to its end and return its rows, each made into something."""
        ...

    def row(self, sql: str, bindings: Bindings = ()) -> Row | None:
        """Run one statement to its end and return its first row, if any."""
        ...

    def change(self, sql: str, bindings: Bindings = ()) -> int:
        """Run one INSERT, UPDATE or DELETE and return how many rows it touched."""
        ...

    def many(self, sql: str, bindings: Iterable[Bindings]) -> None:
        """Run one statement for each of the bindings."""
        ...

    def transaction(self) -> AbstractContextManager[None]:
        """Open a write transaction, or join the one that is open; one of a store's at a time."""
        ...
