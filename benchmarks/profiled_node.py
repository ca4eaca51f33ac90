"""`jobrunner start`, with its time by function and by statement: `... FILE start --slots 4 ...`."""

from __future__ import annotations

import cProfile
import json
import pstats
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jobrunner.store.sqlite.connection import Database

statements: dict[str, list[float]] = defaultdict(list)


def watch(database: type[Any]) -> None:
    """Have each statement of a class timed, its rows read."""
    made = database.made

    def timed(self: Any, make: Callable[[Any], Any], sql: str, bindings: Any = ()) -> Any:
        began = time.perf_counter()
        try:
            return made(self, make, sql, bindings)
        finally:
            statements[" ".join(sql.split())[:90]].append(time.perf_counter() - began)

    database.made = timed


def main(arguments: list[str], work: Callable[[], Any]) -> None:
    """Work, and write down what took how long."""
    place, sys.argv = Path(arguments[1]), ["jobrunner", *arguments[2:]]
    watch(Database)
    profile = cProfile.Profile()
    try:
        profile.runcall(work)
    finally:
        stats: Any = pstats.Stats(profile)
        functions = [[*where, own] for where, (_, _, own, _, _) in stats.stats.items()]
        found = {
            "functions": functions,
            "statements": {sql: [len(t), sum(t)] for sql, t in statements.items()},
        }
        place.write_text(json.dumps(found), "utf-8")


if __name__ == "__main__":
    from jobrunner.__main__ import main as jobrunner

    main(sys.argv, jobrunner)
