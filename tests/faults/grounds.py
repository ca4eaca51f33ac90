"""States for `stage`: a file that fails for a while, and a database behind a line that is cut."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, cast

from jobrunner.store import open_store
from jobrunner.store.base import Store
from tests.faults.stage import Ground, Life, Stage
from tests.postgres.cut import Cut
from tests.postgres.server import Server
from tests.simulation.actors import Killed
from tests.simulation.database import Bordered, Private

BORDERS = {"commit": "commit-unsent", "committed": "commit-heard"}
LEAP = 10.0  # seconds of patience that pass with each wait: nobody gives way in real time


class Hasty:
    """In place of the module `time`, for whoever waits until a server can be asked again."""

    def __init__(self) -> None:
        self._leapt = 0.0

    def monotonic(self) -> float:
        """Return seconds."""
        return time.monotonic() + self._leapt

    def sleep(self, _: float) -> None:
        """Let more time pass than was asked for."""
        self._leapt += LEAP


class Watch:
    """Makes fail points of a file's borders; while it is away nothing can be read or written."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def border(self, kind: str) -> str | None:
        """Return the code of the error that happens here."""
        stage = self._stage
        life = stage.current
        if life is not None and life.dead:
            raise Killed
        if kind in BORDERS:
            try:
                stage.reach(BORDERS[kind])
            except ConnectionError:
                return "io"  # where it was committed nobody asks
        return "io" if stage.away_until > stage.now else None

    def stamp(self) -> str:
        """Keep no journal."""
        return ""


def in_a_file(folder: Path) -> Ground:
    """Return a state in a file, which is made now."""
    path = folder / "s" / "state.db"
    url = f"sqlite:///{path}"
    open_store(url, create=True).close()

    def for_a_node(stage: Stage) -> Store:
        how: Any = {"create": False, "patience": 0.0, "allow_network_fs": True}
        database = cast(Bordered, Bordered.open(str(path), **how))
        database._apsw.execute("PRAGMA synchronous = OFF").fetchall()
        database.tell(Watch(stage))
        return Private(url, database)

    return Ground(for_a_node, lambda: open_store(url), lambda _: None, lambda: None, lambda _: None)


def in_a_database(url: str, server: Server, cut: Cut) -> Ground:
    """Return a state in a database that nodes reach by way of `cut`."""
    cut.heal()
    through = url.replace(f":{server.port}", f":{cut.port}")
    schema = url.partition("schema=")[2].partition("&")[0]

    def for_a_node(_: Stage) -> Store:
        store: Any = open_store(through)
        store.clock = lambda local: local  # what is due goes by the stage's clock
        return store  # type: ignore[no-any-return]

    def give_up(life: Life) -> None:
        """What the server does with a transaction in which nobody says anything, and time with a lease."""
        if life.store is not None:
            life.store._db.drop()  # type: ignore[attr-defined]
        server.execute(f"UPDATE {schema}.nodes SET lease = 1")

    return Ground(for_a_node, lambda: open_store(url), lambda _: cut.cut(), cut.heal, give_up)
