"""What every connection of a `Database` needs: how its transactions nest, and what is made of its answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TypeVar

from jobrunner.errors import Refused, StateError
from jobrunner.store.faults import fault
from jobrunner.store.sql.database import Bindings, Row

T = TypeVar("T")


class Transactions(ABC):
    """An inner transaction joins the outer one, and what fails inside dooms all of it."""

    name: str  # how sentences call it, without a password
    _depth = 0  # 1 within a transaction
    _doomed = False  # it failed before, and must not be committed

    @abstractmethod
    def _begin(self) -> None:
        """Become the one writer, and set `_depth` to 1. Raises StateError, "busy" when it takes too long."""

    @abstractmethod
    def _commit(self) -> None:
        """Make true what was written. Raises StateError, where nothing was, and when it is doomed."""

    @abstractmethod
    def _roll_back(self) -> None:
        """Forget what was written, if anything is open; and that it was doomed."""

    def transaction(self) -> AbstractContextManager[None]:
        """Open a write transaction, or join the one that is open."""
        return _Inner(self) if self._depth else self._outer()

    @contextmanager
    def _outer(self) -> Iterator[None]:
        self._begin()
        try:
            yield
            self._commit()
        except BaseException:
            self._roll_back()
            raise
        finally:
            self._depth = 0

    def doom(self) -> None:
        """Have nobody commit the transaction, even if the error is caught."""
        self._doomed = True

    def _refuse_doomed(self) -> None:
        """Raise StateError when the transaction failed before; `_commit` has to ask this, too."""
        if self._doomed:
            raise fault("aborted", f"{self.name}: the transaction failed before and writes no more")


class _Inner:
    """A transaction in another one: a verb in a turn, of which each run has some."""

    __slots__ = ("_outer",)

    def __init__(self, outer: Transactions) -> None:
        self._outer = outer

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # a verb half done; what is Refused was said before anything was written
        if kind is not None and not issubclass(kind, Refused):
            self._outer.doom()


class Connection(Transactions):
    """A `Database` (see there) out of five words; `name` is how sentences call it, without a password.

    To be written: `_execute`, `_meaning`, and the three of `Transactions`.
    """

    caught: tuple[type[Exception], ...] = ()  # whatever the database's library raises

    @abstractmethod
    def _execute(self, sql: str, bindings: Bindings) -> tuple[Iterable[Row], int]:
        """Run one statement to its end; return its rows, and how many it has inserted, changed or deleted."""

    @abstractmethod
    def _meaning(self, error: Exception) -> StateError:
        """Return what an error of the library means for a user."""

    def rows(self, sql: str, bindings: Bindings = ()) -> list[Row]:
        """Run one statement to its end and return its rows."""
        return self._guarded(lambda: list(self._execute(sql, bindings)[0]))

    def made(self, make: Callable[[Row], T], sql: str, bindings: Bindings = ()) -> list[T]:
        """Run one statement to its end and return its rows, each made into something."""
        return self._guarded(lambda: [make(row) for row in self._execute(sql, bindings)[0]])

    def row(self, sql: str, bindings: Bindings = ()) -> Row | None:
        """Run one statement to its end and return its first row, if any."""
        return next(iter(self.rows(sql, bindings)), None)

    def change(self, sql: str, bindings: Bindings = ()) -> int:
        """Run one INSERT, UPDATE or DELETE and return how many rows it touched."""
        return self._guarded(lambda: self._execute(sql, bindings)[1])

    def many(self, sql: str, bindings: Iterable[Bindings]) -> None:
        """Run one statement for each of the bindings."""
        for each in bindings:
            self.rows(sql, each)

    def _guarded(self, do: Callable[[], T]) -> T:
        """Do something with the database: what it raises becomes a StateError, and dooms a transaction."""
        self._refuse_doomed()
        try:
            return do()
        except self._caught() as error:
            self._doomed = self._depth > 0
            raise self._told(error) from error

    def _caught(self) -> tuple[type[Exception], ...]:
        return (*self.caught, OSError, ValueError, OverflowError)

    def _told(self, error: Exception) -> StateError:
        if isinstance(error, self.caught):
            return self._meaning(error)
        if isinstance(error, OverflowError | UnicodeEncodeError):
            return fault("unstorable", f"{self.name} cannot hold a value ({error})", hint="change it")
        if isinstance(error, OSError):
            return fault("io", f"{self.name} cannot be read or written ({error})", hint="check the disk")
        return fault("corrupt", f"{self.name} holds text that is not JSON ({error})", hint="restore a copy")
