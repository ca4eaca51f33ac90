"""The real SQLite store, on whose borders a seed lets nodes die, stall and fail.

begin       before a transaction takes the lock         begun       it has it
verb        before a statement in a transaction         read        before one outside of any
commit      before the commit                           committed   it is on the disk, and nobody has gone on
claimed     the same, where it has started a run
claiming    before the commit, where it has started a run, and no more; what is forgotten there was
            confirmed, and the standby that takes over has never heard of it

A `Shared` store is what nodes of several machines would see of a database: they live by leases, by its clock,
and a commit may come through without its answer.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

import apsw

from jobrunner.clock import Clock, Instant
from jobrunner.facts import NodeFacts
from jobrunner.store.faults import fault
from jobrunner.store.sql.claims import Claims
from jobrunner.store.sql.database import Bindings, Row
from jobrunner.store.sql.runs import Runs
from jobrunner.store.sqlite import SqliteStore
from jobrunner.store.sqlite.connection import Database
from jobrunner.store.sqlite.faults import translate
from tests.simulation import journal

T = TypeVar("T")
STARTS, *ENDS = (sql.partition(",")[0] for sql in (Claims.START, Runs.FINISH, Claims.REPEAT))
CLAIMED = "SELECT id, fence, owner FROM runs WHERE state = 'running'"
# Fences are above all that were given before; leases count from then, as after a restart of the server.
TAKEN_OVER = "UPDATE meta SET fence = fence + 4294967296; UPDATE nodes SET seen_at = ?1"
FREE = ("BEGIN", "COMMIT", "ROLLBACK", "PRAGMA")
RAISES: dict[str, Callable[[], Exception]] = {
    "full": lambda: apsw.FullError("FullError: database or disk is full"),
    "busy": lambda: apsw.BusyError("BusyError: database is locked"),
    "io": lambda: apsw.IOError("IOError: disk I/O error"),
}


Forget = Callable[[Iterable[tuple[int, int, str]]], int]  # by run, fence and owner; returns the time


class Watcher(Protocol):
    """Who is told of the borders. What `border` raises happens there."""

    def border(self, kind: str) -> str | None:
        """Return the code of the error that happens here, or None."""
        ...

    def stamp(self) -> str:
        """Return the moment and the actor, for the journal."""
        ...


class Bordered(Database):
    """A connection with borders."""

    watcher: Watcher | None = None
    forget: Forget | None = None
    doubt: bool | None = None  # what became of a commit whose answer was not heard
    dead = False
    _claims = False  # whether the open transaction has started a run
    _ends = False  # whether it has ended one, or has it repeated

    def tell(self, watcher: Watcher, forget: Forget | None = None) -> None:
        """Have a watcher from now on, and who hears of claims that are forgotten."""
        self.watcher, self.forget = watcher, forget
        stamp = cast(Any, watcher.stamp)  # the library asks for a function of any arguments
        self._apsw.create_scalar_function("sim_stamp", stamp, 0, flags=apsw.SQLITE_INNOCUOUS)

    def die(self) -> None:
        """Go as a process goes: what was not committed never was."""
        self.dead = True
        self._apsw.close()

    def limit(self, pages: int) -> None:
        """Have room for so many pages."""
        self._apsw.execute(f"PRAGMA max_page_count = {pages}").fetchall()

    def pages(self) -> int:
        """Return how many pages the file has."""
        return int(self.pragma("page_count"))

    def _border(self, kind: str) -> str | None:
        return None if self.watcher is None else self.watcher.border(kind)

    def rows(self, sql: str, bindings: Bindings = ()) -> list[Row]:
        """See `Database.rows`."""
        self._pass(sql)
        return super().rows(sql, bindings)

    def made(self, make: Callable[[Row], T], sql: str, bindings: Bindings = ()) -> list[T]:
        """See `Database.made`."""
        self._pass(sql)
        return super().made(make, sql, bindings)

    def many(self, sql: str, bindings: Iterable[Bindings]) -> None:
        """See `Database.many`."""
        self._pass(sql)
        super().many(sql, bindings)

    def _pass(self, sql: str) -> None:
        starts, ends, free = _sort(sql)
        self._claims, self._ends = self._claims or starts, self._ends or ends
        if not free:
            code = self._border("verb" if self._depth else "read")
            if code is not None:
                self._doomed = self._depth > 0
                raise self._failed(code)

    def ask(self) -> None:
        """Ask what has become of a commit; whoever does not hear it stays in doubt."""
        if self._border("read") is not None:
            raise self._in_doubt()

    def _begin(self) -> None:
        if (code := self._border("begin")) is not None:
            raise self._failed(code)
        super()._begin()
        self._claims = self._ends = False
        self._border("begun")

    def _commit(self) -> None:
        code = self._border("commit")
        if code in ("unheard", "unsent"):
            self.doubt = code == "unheard"
        elif code is not None:
            raise self._failed(code)
        if self._claims and not self._ends and self._border("claiming") == "forgotten":
            self._forget()
        elif code != "unsent":
            super()._commit()
        if code is not None:
            raise self._in_doubt()
        self._border("committed")
        if self._claims:
            self._border("claimed")

    def _forget(self) -> None:
        assert self.forget is not None
        held = set(self._apsw.execute(CLAIMED))
        super()._roll_back()
        now = self.forget(held - set(self._apsw.execute(CLAIMED)))
        self._apsw.execute(TAKEN_OVER, (now,)).fetchall()

    def _roll_back(self) -> None:
        if not self.dead:
            super()._roll_back()

    def _in_doubt(self) -> Exception:
        return fault("in-doubt", f"{self.path}: nobody knows whether that was committed")

    def _failed(self, code: str) -> Exception:
        if code in RAISES:
            return translate(RAISES[code](), self.path)
        return fault(code, f"{self.path}: {code}, says the simulation")


class Private(SqliteStore):
    """The state in one file, on one machine."""

    _db: Bordered

    def __init__(self, url: str, database: Database) -> None:
        super().__init__(url, database)

    @property
    def database(self) -> Bordered:
        """The connection."""
        return self._db

    def came_through(self) -> bool:
        """See `Company.came_through`. To ask is to reach the database, and to live."""
        if self._db.doubt is not None:
            self._db.ask()
        found, self._db.doubt = self._db.doubt, None
        return bool(found)


class Shared(Private):
    """The same, as if it were a database somewhere: `server` is its clock."""

    server: Clock

    @property
    def leased(self) -> bool:
        """See `Company.leased`."""
        return True

    def clock(self, local: Clock) -> Clock:
        """See `Company.clock`."""
        return ServerTime(self.server, local)

    def join(self, node: NodeFacts) -> None:
        """See `Store.join`."""
        super().join(node._replace(seen_at=self.server.now()))

    def seen(self, owner: str, now: Instant) -> bool:
        """See `Store.seen`."""
        return super().seen(owner, self.server.now())

    def nodes(self) -> list[NodeFacts]:
        """See `Store.nodes`."""
        now = self.server.now()
        return [
            node._replace(expired=node.lease > 0 and now > node.seen_at + node.lease)
            for node in super().nodes()
        ]


class ServerTime:
    """The wall clock of the server, and what passes here."""

    def __init__(self, server: Clock, local: Clock) -> None:
        self._server = server
        self._local = local

    def now(self) -> Instant:
        """Return the server's wall clock."""
        return self._server.now()

    def monotonic(self) -> float:
        """Return local seconds."""
        return self._local.monotonic()

    def boottime(self) -> float:
        """Return local seconds, sleep included."""
        return self._local.boottime()


@cache
def _sort(sql: str) -> tuple[bool, bool, bool]:
    """Return whether a statement starts runs, whether it ends one, and whether it passes no border."""
    return sql.startswith(STARTS), sql.startswith(tuple(ENDS)), sql.startswith(FREE)


_TEMPLATES: dict[str, Path] = {}


def template(folder: Path) -> Path:
    """Return an empty state with a journal, to be copied: making one costs more than a history."""
    if "" not in _TEMPLATES or not _TEMPLATES[""].exists():
        path = folder / "template.db"
        store = SqliteStore.open(f"sqlite:///{path}", str(path), create=True)
        journal.install(store)
        store.close()
        _TEMPLATES[""] = path
    return _TEMPLATES[""]


def new(folder: Path, name: str) -> str:
    """Make a state there; returns its path."""
    path = folder / name
    shutil.copyfile(template(folder), path)
    return str(path)


def open_store(path: str, server: Clock | None) -> Private:
    """Open the state. Nothing is waited for: neither the disk, nor who holds the lock."""
    database = Bordered.open(path, create=False, patience=0.0, allow_network_fs=True)
    database._apsw.execute("PRAGMA synchronous = OFF").fetchall()
    store: Any = Private(f"sqlite:///{path}", database) if server is None else Shared(path, database)
    if server is not None:
        store.server = server
    return store  # type: ignore[no-any-return]
