"""A job that is due each second, and whether the ledger has every second of it once."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from tests.lifecycle.project import Project, wait_until

SECOND = 1_000_000
TICK = "note(f'tick {ctx.scheduled_for.timestamp():.0f} {ctx.node}')"  # the body

ROWS = """
    SELECT r.scheduled_for, coalesce(r.last_for, r.scheduled_for), r.count, r.state
    FROM {schema}.runs r JOIN {schema}.jobs j ON j.id = r.job_id
    WHERE j.name = 'tick' AND r.attempt = 1 AND r.scheduled_for IS NOT NULL ORDER BY r.scheduled_for"""


def ticks(project: Project, node: str = "") -> list[int]:
    """Return the seconds whose bodies ran, on any node or on one."""
    lines = [line.split() for line in project.notes() if line.startswith("tick ")]
    return [int(second) for _, second, name in lines if node in ("", name)]


def on_it_goes(project: Project, node: str = "") -> None:
    """Wait until the job has run some more."""
    before = len(ticks(project, node))
    wait_until(lambda: len(ticks(project, node)) > before + 1, f"more ticks {node and 'on ' + node}")


def each_second_is_accounted_for_once(project: Project) -> None:
    """Of the job `tick`: every second has one row, and every one that succeeded had one body."""
    rows = project.ask(ROWS)
    assert [(one, two) for one, two in pairwise(rows) if two[0] != one[1] + SECOND] == []
    assert [row for row in rows if row[1] - row[0] != (row[2] - 1) * SECOND] == []
    bodies = Counter(ticks(project))
    assert [second for second, number in bodies.items() if number > 1] == []
    ran = {row[0] // SECOND for row in rows if row[3] != "skipped"}
    assert {row[0] // SECOND for row in rows if row[3] == "succeeded"} <= bodies.keys() <= ran
