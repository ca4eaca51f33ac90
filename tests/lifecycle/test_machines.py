"""Nodes on several machines over one database, and everything that goes wrong between them, in short."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lifecycle.machines.faults import Fault, plan
from tests.lifecycle.machines.ground import Loopback
from tests.lifecycle.machines.work import Size, Storm
from tests.postgres.server import Server

LEASE = 3.0
FAULTS = [
    Fault(1.0, "kill", 0, 1.0),
    Fault(2.0, "cut", 1, 1.4 * LEASE),
    Fault(3.5, "stop", 2, 1.3 * LEASE),
    Fault(8.0, "immediate", 0, 0.5),
    Fault(9.5, "cut", 0, 0.3 * LEASE),
    Fault(10.5, "kill", 3, 0.0),
]


@pytest.mark.timeout(300)
def test_nothing_is_lost_or_doubled_while_nodes_machines_and_the_database_fail(
    tmp_path: Path, postgres_own: Callable[..., Server]
) -> None:
    server = postgres_own(fsync=False)
    size = Size(seconds=12, jobs=0.1, nodes=4, slots=2, lease=LEASE)
    with Loopback(server, 2) as ground:
        storm = Storm(tmp_path / "storm", server, ground, size)
        try:
            storm.rage(FAULTS)
            storm.calm()
        finally:
            storm.close()
        verdict = storm.reckon(0)
    assert verdict.wrong == [], str(verdict)
    assert verdict.bodies > 50, str(verdict)
    assert verdict.rows["lost"] > 0, str(verdict)


def test_a_seed_decides_what_goes_wrong() -> None:
    size = {"nodes": 8, "machines": 4, "lease": 5.0, "every": 2.0}
    assert plan(7, 300, **size) == plan(7, 300, **size) != plan(8, 300, **size)  # type: ignore[arg-type]
    assert {fault.kind for fault in plan(7, 300, **size)} == {  # type: ignore[arg-type]
        "kill", "stop", "cut", "fast", "immediate", "freeze",
    }  # fmt: skip
