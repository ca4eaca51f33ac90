"""From an older schema to ours, and who may read what.

A file `NNNN_name.sql` brings the schema to version NNNN, in the folder of each database under the same
number; its line `-- min_reader: M` says which version a program must know at least to use the result. So a
newer state that only grew stays usable for an older program, and one that changed its meaning is refused,
untouched.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

from jobrunner.errors import StateError
from jobrunner.store.faults import fault

MIGRATIONS = Path(__file__).with_name("migrations")
MIN_READER = "SELECT min_reader, version FROM meta"


class Step(NamedTuple):
    """One file of a folder."""

    version: int
    min_reader: int
    sql: str


@cache
def steps(folder: Path) -> tuple[Step, ...]:
    """Return the migrations in order."""
    return tuple(_step(path) for path in sorted(folder.glob("[0-9][0-9][0-9][0-9]_*.sql")))


def newest() -> int:
    """Return the version that this program makes, of whichever database."""
    return max(steps(folder)[-1].version for folder in MIGRATIONS.iterdir() if folder.is_dir())


def steps_of(database: str) -> tuple[Step, ...]:
    """Return the steps of "sqlite" or "postgres", in order; the last one has the version of this program."""
    return steps(MIGRATIONS / database)


def _step(path: Path) -> Step:
    sql = path.read_text("utf-8")
    found = re.search(r"^-- min_reader: (\d+)$", sql, re.MULTILINE)
    assert found is not None, f"{path.name} does not say its min_reader"
    return Step(int(path.name[:4]), int(found[1]), sql)


def too_new(name: str, min_reader: int, version: int, ours: int) -> StateError:
    """Return what to say of a state that another program has made too new for us."""
    return fault(
        "too-new",
        f"{name} has schema {version}, for a jobrunner that knows {min_reader}; this one knows {ours}",
        hint="install the newer jobrunner again; nothing was touched",
    )
