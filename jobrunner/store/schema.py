"""From an older schema to ours, and who may read what.

A file `NNNN_name.sql` brings the schema to version NNNN, in the folder of each database under the same
number; its line `-- min_reader: M` says which version a program must know at least to use the result. So a
newer state that only grew stays usable for an older program, and one that changed its meaning is refused,
untouched.
"""

# ruff: noqa: PTH120  (paths are text here: pathlib costs time)

from __future__ import annotations

import os
import re
from functools import cache
from typing import NamedTuple

from jobrunner.errors import StateError
from jobrunner.store.faults import fault

MIGRATIONS = os.path.join(os.path.dirname(__file__), "migrations")
FILE = re.compile(r"(\d{4})_.*\.sql", re.DOTALL)
MIN_READER = "SELECT min_reader, version FROM meta"


class Step(NamedTuple):
    """One file of a folder."""

    version: int
    min_reader: int
    sql: str


@cache
def steps(folder: str) -> tuple[Step, ...]:
    """Return the migrations in order."""
    found = filter(None, map(FILE.fullmatch, sorted(os.listdir(folder))))
    return tuple(_step(int(each[1]), os.path.join(folder, each[0])) for each in found)


def newest() -> int:
    """Return the version that this program makes, of whichever database."""
    return max(steps_of(database)[-1].version for database in os.listdir(MIGRATIONS))


def steps_of(database: str) -> tuple[Step, ...]:
    """Return the steps of "sqlite" or "postgres", in order; the last one has the version of this program."""
    return steps(os.path.join(MIGRATIONS, database))


def _step(version: int, path: str) -> Step:
    with open(path, encoding="utf-8") as file:
        sql = file.read()
    found = re.search(r"^-- min_reader: (\d+)$", sql, re.MULTILINE)
    assert found is not None, f"{path} does not say its min_reader"
    return Step(version, int(found[1]), sql)


def headless(name: str) -> StateError:
    """Return what to say of a state whose one row of meta somebody has deleted."""
    hint = "restore a copy, or move it away and start anew"
    return fault("corrupt", f"{name} does not say what it is: its table meta is empty", hint=hint)


def too_new(name: str, min_reader: int, version: int, ours: int) -> StateError:
    """Return what to say of a state that another program has made too new for us."""
    return fault(
        "too-new",
        f"{name} has schema {version}, for a jobrunner that knows {min_reader}; this one knows {ours}",
        hint="install the newer jobrunner again; nothing was touched",
    )
