"""All that is known of a history once it is over."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from jobrunner.model import Job
from tests.simulation.bodies import Witness
from tests.simulation.journal import Entry

Row = dict[str, Any]


@dataclass(frozen=True)
class Evidence:
    """What the contract is held against. `dead`: when who was killed died; `gone`: when anybody left."""

    entries: Sequence[Entry]
    witnesses: Sequence[Witness]
    forgotten: Sequence[Witness]  # by claims of which a standby that took over had not heard
    dead: Mapping[str, int]
    gone: Mapping[str, int]
    known: Mapping[str, Job]  # every definition there ever was, by hash
    documents: Mapping[str, int]
    problems: Sequence[str]
    nodes: Sequence[str]  # owners that are still in the state
    shared: bool  # nodes lived by leases
    job_ids: Mapping[str, int]  # of every name that a job ever had

    @cached_property
    def runs(self) -> Mapping[int, Row]:
        """The rows as they are in the end."""
        rows: dict[int, Row] = {}
        for entry in self.changes:
            rows.pop(entry.row["id"], None)
            if entry.after is not None:
                rows[entry.after["id"]] = entry.after
        return rows

    @cached_property
    def changes(self) -> Sequence[Entry]:
        """What the journal tells of runs."""
        return [entry for entry in self.entries if entry.what == "runs"]

    @cached_property
    def claims(self) -> Sequence[Entry]:
        """The changes by which somebody got a run: each has a fence of its own."""
        return [
            each
            for each in self.changes
            if each.after and each.after["fence"] > (each.before or {}).get("fence", 0)
        ]

    @cached_property
    def repeats(self) -> Collection[tuple[int, int]]:
        """The claims, by run and fence, of runs that were running already: their commit met a conflict."""
        again = (each.row for each in self.claims if each.before and each.before["state"] == "running")
        return {(row["id"], row["fence"]) for row in again}

    @cached_property
    def bodies(self) -> Mapping[tuple[int, int], Witness]:
        """The bodies, by run and fence."""
        return {(each.run_id, each.fence): each for each in self.witnesses}

    def job(self, entry: Entry) -> Job | None:
        """Return the definition that was current at that moment."""
        return self.known.get(entry.around["hash"] or "")
