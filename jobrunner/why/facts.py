"""What an answer is made from, gathered once; and where a job stands by it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from jobrunner.clock import DAY, Instant
from jobrunner.facts import CONTROL, JobFacts, NodeFacts, Note, Pause
from jobrunner.model import Job, Problem, Run, Standing
from jobrunner.plan import exhausted, next_due
from jobrunner.settings import Settings
from jobrunner.store.base import Hold, Store
from jobrunner.why.times import Times
from jobrunner.why.trail import Trail

NOTES = 100_000  # of the audit trail that are looked at
BEFORE = 30 * DAY  # how long before a moment a node may have started that lived then

Evidence = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """One sentence, the data that it rests on (JSON; times ISO-8601), and a stable word for programs.

    `run` is the row that it is about, where there is one.
    """

    sentence: str
    evidence: Evidence
    code: str
    run: Run | None = None


@dataclass(frozen=True, kw_only=True)
class Facts:
    """All that is known of one job at one moment.

    `job` is None while no file defines it; then `problem` says so if its file is broken. `nodes` have
    joined and not left, `dead` are the owners among them that are proven dead. `pause` is the stored one.
    """

    name: str
    job: Job | None
    problem: Problem | None
    fact: JobFacts | None
    store: Store | None
    settings: Settings
    now: Instant
    nodes: Sequence[NodeFacts] = ()
    dead: frozenset[str] = frozenset()
    holds: Sequence[Hold] = ()
    pause: Pause | None = None
    notes: Sequence[Note] = field(default=())

    @cached_property
    def living(self) -> list[NodeFacts]:
        """The nodes that plan and claim, and are not proven dead."""
        return [node for node in self.nodes if node.owner not in self.dead and node.works]

    @cached_property
    def controls(self) -> list[NodeFacts]:
        """The nodes that only control, and are not proven dead."""
        return [node for node in self.nodes if node.owner not in self.dead and node.role == CONTROL]

    @cached_property
    def times(self) -> Times:
        """Says moments in the job's zone."""
        return Times(self.job.timezone if self.job is not None else self.settings.timezone, self.now)

    @cached_property
    def trail(self) -> Trail:
        """What the audit trail tells."""
        workers = [node for node in self.nodes if node.works]
        return Trail(self.notes, workers, self.dead, self.now)

    @cached_property
    def open(self) -> list[Run]:
        """The job's runs that are pending, running or waiting, oldest first."""
        runs = self.store.open_runs() if self.store is not None else []
        return [run for run in runs if self.fact is not None and run.job_id == self.fact.id]

    @property
    def seen(self) -> bool:
        """Whether a node has ever registered the job."""
        return self.fact is not None and bool(self.fact.definition_hash)

    @cached_property
    def standing(self) -> Standing | None:
        """Where the job stands, as a node that starts now would find it; None without a definition."""
        if self.job is None:
            return None
        fact = self.fact
        known = fact if fact is not None and fact.schedule_key == self.job.schedule_key else None
        return Standing(
            job_id=fact.id if fact else 0,
            job=self.job.name,
            scope="",
            schedule_key=self.job.schedule_key,
            consumed=self.now if known is None or known.consumed is None else known.consumed,
            anchor=self.now if known is None or known.anchor is None else known.anchor,
            executions=fact.executions if fact else 0,
            open=len(self.open),
            ended_at=fact.last_finished_at if fact else None,
        )

    @property
    def is_current(self) -> bool:
        """Whether the stored cursor belongs to the schedule as it is now."""
        job, fact = self.job, self.fact
        return (
            job is not None
            and fact is not None
            and fact.consumed is not None
            and (fact.schedule_key == job.schedule_key)
        )

    def next(self, after: Instant) -> Instant | None:
        """Return the first nominal instant after `after` and after what is consumed, or None."""
        if self.job is None or self.standing is None:
            return None
        where = self.standing._replace(consumed=max(self.standing.consumed, after))
        return next_due(self.job, where)

    @property
    def finished(self) -> bool:
        """Whether the limit of executions is reached."""
        return self.job is not None and self.standing is not None and exhausted(self.job, self.standing)


def gather(store: Store | None, name: str, at: Instant) -> dict[str, Any]:
    """Return what `Facts` takes from the state: fact, nodes, holds, pause and notes."""
    if store is None:
        return {"store": None, "fact": None}
    fact = store.job(name)
    return {
        "store": store,
        "fact": fact,
        "nodes": store.nodes(),
        "holds": store.holders().get(fact.id, ()) if fact is not None else (),
        "pause": store.paused(),
        "notes": store.notes(name, since=at - BEFORE, limit=NOTES),
    }
