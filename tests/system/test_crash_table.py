"""A thin sample of the crash table with real processes; all of it: `python -m tests.faults.real`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.real import Cell, cells, play
from tests.postgres.server import Server

# Some of each way, delivery and store; and one whose node has done all when it is given up.
FOUND = "postgres 11 reaped, freeze, exactly-once"
SAMPLE = [each for number, each in enumerate(cells()) if number % 23 == 0 or str(each) == FOUND]


@pytest.mark.parametrize("cell", SAMPLE, ids=str)
def test_what_happens_to_a_real_node_leaves_what_was_promised(
    cell: Cell, tmp_path: Path, postgres: Server
) -> None:
    play(cell, tmp_path, postgres)
