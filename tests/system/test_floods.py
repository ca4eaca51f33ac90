"""More output than anybody reads: what it costs, and what is left of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lifecycle.project import Project, stop, wait_until

GIGABYTE = """
import sys
for _ in range(1024):
    sys.stdout.write("x" * (1 << 20))
sys.stdout.write("the end")
"""
MOST = 100_000  # kB that a node may ever have held


@pytest.mark.sqlite
def test_a_gigabyte_of_output_costs_the_node_no_memory_and_the_cut_is_said(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    project.job("big", GIGABYTE, schedule=None)
    project.job("tick", "note('tick')")
    node = project.start()
    wait_until(project.notes, "it to work")
    project.run("trigger", "big", "--wait", check=0)
    status = Path(f"/proc/{node.pid}/status").read_text("ascii").splitlines()
    assert int(next(line.split()[1] for line in status if line.startswith("VmHWM"))) < MOST
    said = project.run("logs", "big", check=0).stdout
    assert "bytes cut" in said
    assert said.rstrip().endswith("the end")
    assert len(said) < 1_100_000
    assert stop(node) == 0
