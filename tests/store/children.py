"""What the tests of several processes run in the others: `python -m tests.store.children VERB URL ...`."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from jobrunner.errors import StateError
from jobrunner.store import open_store
from jobrunner.store.contract.things import at, make_job, make_node, run_at
from jobrunner.store.sqlite import migrate


def hold(url: str) -> None:
    """Do much in a transaction, say so, and never commit."""
    store = open_store(url)
    with store.transaction():
        store.join(make_node("child"))
        jobs = [make_job(f"j{number}") for number in range(200)]
        store.register("child", jobs, "", at(0))
        for standing, job in zip(store.standings("child", ""), jobs, strict=True):
            store.consume(
                standing, at(1), [run_at(1)], job=job, supersede=None, node=make_node("child"), now=at(1)
            )
        store.claim(make_node("child"), range(50), at(1))
        print("held", flush=True)
        time.sleep(60)


def race(url: str, owner: str, gate: str) -> None:
    """Claim until nothing is left; print the ids."""
    store = open_store(url)
    print("ready", flush=True)
    while not Path(gate).exists():
        time.sleep(0.001)
    mine: list[int] = []
    while claims := store.claim(make_node(owner), range(7), at(10_000)):
        mine += [claim.run.id for claim in claims]
    print(json.dumps(mine), flush=True)


def create(url: str, gate: str) -> None:
    """Make the store, if need be, in the same moment as others; print its id."""
    print("ready", flush=True)
    while not Path(gate).exists():
        time.sleep(0.0005)
    store = open_store(url, create=True)
    store.join(make_node(str(os.getpid())))
    print(json.dumps(store.info()["state_id"]), flush=True)


def write(url: str, user: str) -> None:
    """Try to write as that user; print the error."""
    import jobrunner.store.sqlite  # noqa: F401  # while we may read where it is installed

    migrate.ours()
    if int(user) != os.geteuid():
        os.setgid(int(user))
        os.setuid(int(user))
    try:
        open_store(url).seen("a", at(5))
        print("written", flush=True)
    except StateError as error:
        print(error.code, str(error), flush=True)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
