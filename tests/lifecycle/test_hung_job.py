from __future__ import annotations

from pathlib import Path

from benchmarks.hung_job import JOBS, measure

RATIO = 2.0  # on a machine that others use, too; alone it is about 1


def test_a_hung_job_delays_no_other_and_leaves_nothing(tmp_path: Path) -> None:
    figures = measure(tmp_path / "project", rounds=2, seconds=4)
    assert figures.beside.median < RATIO * figures.without.median, figures
    assert figures.beside.p95 < RATIO * figures.without.p95, figures
    assert figures.beside.runs == figures.without.runs == 2 * 4 * JOBS
    assert figures.ended >= 2
    assert figures.left == 0
