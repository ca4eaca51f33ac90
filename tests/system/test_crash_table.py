"""A thin sample of the crash table with real processes; all of it: `python -m tests.faults.real`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.real import Cell, cells, play
from tests.postgres.server import Server

# One of each way, delivery and store; which point is another one each time.
SAMPLE = [each for number, each in enumerate(cells()) if number % 23 == 0]


@pytest.mark.parametrize("cell", SAMPLE, ids=str)
def test_what_happens_to_a_real_node_leaves_what_was_promised(
    cell: Cell, tmp_path: Path, postgres: Server
) -> None:
    play(cell, tmp_path, postgres)
