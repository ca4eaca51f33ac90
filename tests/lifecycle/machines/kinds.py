"""The jobs of the storm: what each kind promises, and what its body tells the sink.

A body writes `B run attempt fence job scheduled_for node clock` when it begins, the same with S while it
works and with E when it ends. The sink is one file that all append to: the order of its lines is its clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.lifecycle.project import Project

SECOND = 1_000_000
LIMIT = 20  # of those with numberOfExecutions
TOGETHER = 2  # of the group that may run at once
EACH, TENTH = "* * * * * *", "every 100ms"
STEP = {EACH: SECOND, TENTH: SECOND // 10}

TELL = """
import random, time
at = round(ctx.scheduled_for.timestamp() * 1e6)
key = f"{ctx.run_id} {ctx.attempt} {ctx.fence} {ctx.job} {at} {ctx.node}"
def tell(what):
    note(f"{what} {key} {time.time():.6f}")
tell("B")
"""
QUICK = TELL + 'tell("E")'
LONG = TELL + (
    "end = time.monotonic() + random.uniform(%s)\n"
    "while time.monotonic() < end:\n    time.sleep(0.02)\n    tell('S')\n"
    "tell('E')"
)
SLOW, SHORT = LONG % "0.3, 1.6", LONG % "0.02, 0.2"
COUNT = TELL + (
    "state.set(ctx.job, state.get(ctx.job, 0) + 1)\n"
    'tell("E")'
)  # fmt: skip

WARM: dict[str, Any] = {"runsPerProcess": 100_000}
AGAIN: dict[str, Any] = {"delivery": "at-least-once", "retries": {"max": 5, "delay": "100ms"}}


@dataclass(frozen=True)
class Kind:
    """A policy that some jobs have; `share` is how many of them a storm of full size has."""

    name: str
    share: int
    body: str
    schedule: str = EACH
    config: dict[str, Any] = field(default_factory=dict)

    @property
    def once(self) -> bool:
        """Whether a body begins at most once for each occurrence."""
        return "delivery" not in self.config

    @property
    def exclusive(self) -> bool:
        """Whether no two bodies of a job may run at the same time."""
        return self.config.get("concurrency") != "allow"


# At full size 300 occurrences are due each second.
KINDS = [
    Kind("quick", 20, QUICK, TENTH, WARM),
    Kind("again", 4, QUICK, TENTH, {**WARM, **AGAIN}),
    Kind("plain", 16, QUICK, config=WARM),
    Kind("allow", 6, QUICK, config={**WARM, "concurrency": "allow"}),
    Kind("queue", 4, QUICK, config={**WARM, "concurrency": "queue"}),
    Kind("limited", 10, QUICK, config={**WARM, "numberOfExecutions": LIMIT}),
    Kind("group", 6, SHORT, config={**WARM, "group": "few", "groupLimit": TOGETHER}),
    Kind("slow", 4, SLOW, config={**WARM, **AGAIN}),
    Kind("once", 4, SLOW, config=WARM),
    Kind("exact", 4, COUNT, config={**WARM, "delivery": "exactly-once"}),
    Kind("fresh", 2, QUICK),
    Kind("machine", 1, QUICK, config={**WARM, "runPerMachine": True}),
]


def jobs(size: float) -> dict[str, Kind]:
    """Return the jobs of a storm of that size by their names; at least one of each kind."""
    return {
        f"{kind.name}-{number}": kind for kind in KINDS for number in range(max(1, round(kind.share * size)))
    }


def write(project: Project, kinds: dict[str, Kind]) -> None:
    """Write the jobs' files."""
    for name, kind in kinds.items():
        path = project.job(name, kind.body, schedule=kind.schedule, timezone="UTC", **kind.config)
        if kind.body == COUNT:
            path.write_text(path.read_text().replace("def default(ctx)", "def default(state, ctx)"))
