"""`jobrunner start`, and where its time goes: a file of JSON with that when it has ended.

    python -m benchmarks.measured_node FILE start --slots 4 ...

A turn's transaction is timed from its wish to begin to its commit; what its beginning takes beyond the
quickest one is time in which another writer had the lock.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jobrunner.store.postgres.connection import Database as Postgres
from jobrunner.store.sqlite.connection import Database as Sqlite

figures: dict[str, Any] = {"transactions": [], "begins": [], "round_trips": 0}


def measure(database: type[Any]) -> None:
    """Have a class's transactions timed, and its round trips counted where there are any."""
    transaction, begin = database.transaction, database._begin

    @contextmanager
    def timed(self: Any) -> Iterator[None]:
        if _is_open(self):
            with transaction(self):
                yield
            return
        started, trips = time.perf_counter(), getattr(self, "round_trips", 0)
        with transaction(self):
            yield
        figures["transactions"].append(time.perf_counter() - started)
        figures["round_trips"] += getattr(self, "round_trips", 0) - trips

    def begun(self: Any) -> None:
        started = time.perf_counter()
        begin(self)
        figures["begins"].append(time.perf_counter() - started)

    database.transaction, database._begin = timed, begun


def _is_open(database: Any) -> bool:
    return bool(database._depth)


def main(arguments: list[str], work: Callable[[], Any]) -> None:
    """Work, and write the figures down."""
    place, sys.argv = Path(arguments[1]), ["jobrunner", *arguments[2:]]
    measure(Postgres)
    measure(Sqlite)
    try:
        work()
    finally:
        place.write_text(json.dumps({**figures, "cpu": time.process_time()}), "utf-8")


if __name__ == "__main__":
    from jobrunner.__main__ import main as jobrunner

    main(sys.argv, jobrunner)
