"""The ledger, the sink and the schedules, compared; nothing here is asked of the program under test."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import psycopg

from tests.lifecycle.machines.kinds import LIMIT, SECOND, STEP, TENTH, TOGETHER, Kind
from tests.lifecycle.machines.sink import Line, Span, bodies
from tests.lifecycle.machines.verdict import Verdict

ROWS = """
    SELECT r.id, j.name, r.scope, r.trigger, r.scheduled_for, coalesce(r.last_for, r.scheduled_for), r.count,
           r.state, r.reason, r.attempt, coalesce(r.root_id, r.id), r.fence, r.started_at IS NOT NULL, r.node,
           r.error
    FROM "{schema}".runs r JOIN "{schema}".jobs j ON j.id = r.job_id
    WHERE j.name != 'jobrunner.prune' ORDER BY r.scheduled_for, r.attempt"""
CURSORS = """
    SELECT j.name, c.scope, c.anchor, c.consumed, c.executions
    FROM "{schema}".cursors c JOIN "{schema}".jobs j ON j.id = c.job_id WHERE j.name != 'jobrunner.prune'"""
DOCUMENTS = 'SELECT key, value FROM "{schema}".documents'


class Row(NamedTuple):
    """A row of the ledger."""

    id: int
    job: str
    scope: str
    trigger: str
    first: int
    last: int
    number: int
    state: str
    reason: str | None
    attempt: int
    root: int
    fence: int
    started: bool
    node: str | None
    error: str | None

    def __str__(self) -> str:
        why = self.reason or self.error or ""
        return (
            f"(row {self.id} attempt {self.attempt} fence {self.fence} {self.node} {self.state} {why[:120]})"
        )


class Cursor(NamedTuple):
    """How far the schedule of a job is consumed."""

    job: str
    scope: str
    anchor: int
    consumed: int
    executions: int


Place = tuple[str, str]  # job and scope


class Reckoning:
    """`kinds` are the jobs by their names; `scopes` how many machines there are."""

    def __init__(self, kinds: dict[str, Kind], scopes: int, lines: Sequence[Line], verdict: Verdict) -> None:
        self._kinds = kinds
        self._scopes = scopes
        self._spans = bodies(lines)
        self._verdict = verdict
        self._rows: dict[int, Row] = {}
        self._cursors: list[Cursor] = []
        self._documents: dict[str, str] = {}

    def read(self, dsn: str, schema: str) -> None:
        """Read what the database has, with statements of our own."""
        with psycopg.connect(dsn) as connection:
            rows = connection.execute(ROWS.format(schema=schema).encode())
            self._rows = {row[0]: Row(*row) for row in rows}
            self._cursors = [
                Cursor(*row) for row in connection.execute(CURSORS.format(schema=schema).encode())
            ]
            self._documents = dict(connection.execute(DOCUMENTS.format(schema=schema).encode()).fetchall())

    def compare(self) -> None:
        """Compare everything with everything; what is wrong is in the verdict."""
        self._count()
        self._compare_bodies()
        self._compare_places()
        self._compare_groups()
        self._compare_ledger()
        self._compare_chains()
        self._compare_documents()

    def _wrong(self, text: str, *evidence: object) -> None:
        self._verdict.wrong.append(" ".join([text, *map(str, evidence)]))

    def _count(self) -> None:
        verdict = self._verdict
        verdict.bodies = len(self._spans)
        for row in self._rows.values():
            verdict.rows[row.state if row.attempt == 1 else f"{row.state} (again)"] += row.number
            if row.state == "skipped":
                verdict.reasons[str(row.reason)] += row.number
            if row.state == "failed":
                error = json.loads(row.error or "{}")
                verdict.errors[f"{error.get('type')}: {error.get('message')}"] += 1
        for span in self._spans:
            if span.begun.attempt == 1:
                verdict.lates.append(span.begun.clock - span.begun.at / SECOND)

    # -- bodies --------------------------------------------------------------------------------------

    def _compare_bodies(self) -> None:
        """Every body is one start of the ledger, every success one body; occurrences begin as promised."""
        of: dict[tuple[str, str, int], list[Span]] = defaultdict(list)
        for span in self._spans:
            row = self._rows.get(span.begun.run)
            if row is None or not self._is_start(span.begun, row):
                self._wrong(f"{span.begun.job}: a body is no start of the ledger:", span.begun, row)
            else:
                of[row.job, row.scope, row.first].append(span)
        ended = {span.begun.run for span in self._spans if span.ended}
        for row in self._rows.values():
            if row.state == "succeeded" and row.id not in ended:
                self._wrong(f"{row.job}: it succeeded, and no body came to its end:", row)
        for (job, _, at), spans in of.items():
            self._compare_occurrence(job, at, spans)

    def _is_start(self, line: Line, row: Row) -> bool:
        same = (line.job, line.attempt, line.at) == (row.job, row.attempt, row.first)
        return same and row.started and line.fence == row.fence

    def _compare_occurrence(self, job: str, at: int, spans: list[Span]) -> None:
        if len(spans) > 1 and self._kinds[job].once:
            self._wrong(f"{job}: {at} began {len(spans)} times:", *self._evidence(spans))
        for before, span in pairwise(spans):
            if span.begun.fence <= before.begun.fence:
                self._wrong(f"{job}: {at} began with an old fence:", *self._evidence((before, span)))
            if self._rows[before.begun.run].state not in ("lost", "failed"):
                self._wrong(f"{job}: {at} began again and was not lost:", *self._evidence((before, span)))
            if span.first < before.last:
                self._wrong(f"{job}: {at} went on after a newer start:", *self._evidence((before, span)))

    def _evidence(self, spans: Iterable[Span]) -> Iterator[object]:
        for span in spans:
            yield from (span.begun, f"until {span.lines[-1].clock:.3f}", self._rows.get(span.begun.run))

    # -- limits --------------------------------------------------------------------------------------

    def _compare_places(self) -> None:
        """No two bodies of an exclusive job at the same time, and none after a later one."""
        of: dict[Place, list[Span]] = defaultdict(list)
        for span in self._spans:
            row = self._rows.get(span.begun.run)
            if row is not None and self._kinds[row.job].exclusive:
                of[row.job, row.scope].append(span)
        for (job, scope), spans in of.items():
            for before, span in pairwise(spans):
                if span.first < before.last or span.begun.fence < before.begun.fence:
                    told = self._evidence((before, span))
                    self._wrong(f"{job} {scope}: two bodies at the same time:", *told)

    def _compare_groups(self) -> None:
        spans = [span for span in self._spans if "group" in self._kinds[span.begun.job].config]
        ends = sorted([(span.first, 1) for span in spans] + [(span.last + 0.5, -1) for span in spans])
        together = 0
        for number, more in ends:
            together += more
            if more > 0 and together > TOGETHER:
                at_once = [span for span in spans if span.first <= number <= span.last]
                self._wrong(f"{together} of a group of {TOGETHER} at once:", *self._evidence(at_once))

    # -- the ledger ----------------------------------------------------------------------------------

    def _compare_ledger(self) -> None:
        of: dict[Place, list[Row]] = defaultdict(list)
        for row in self._rows.values():
            if row.attempt == 1 and row.trigger == "schedule":
                of[row.job, row.scope].append(row)
        places = Counter(cursor.job for cursor in self._cursors)
        for name, kind in self._kinds.items():
            wanted = self._scopes if kind.config.get("runPerMachine") else 1
            if places[name] != wanted:
                self._wrong(f"{name}: {places[name]} cursors instead of {wanted}")
        for cursor in self._cursors:
            rows = of[cursor.job, cursor.scope]
            self._compare_occurrences(cursor, rows)
            self._compare_starts(cursor, rows)

    def _compare_occurrences(self, cursor: Cursor, rows: list[Row]) -> None:
        """Every due instant is in one row, and no row speaks of another."""
        recorded: Counter[int] = Counter()
        step = STEP[self._kinds[cursor.job].schedule]
        for before, row in pairwise(rows):
            if row.first <= before.last:
                self._wrong(f"{cursor.job}: two rows of the same occurrences:", before, row)
        for row in rows:
            instants = range(row.first, row.last + 1, step)
            recorded.update(instants)
            if len(instants) != row.number or instants[-1] != row.last:
                self._wrong(f"{cursor.job}: {row.number} occurrences span another number:", row)
        due = set(_due(self._kinds[cursor.job], cursor))
        self._verdict.due += len(due)
        for at in sorted(due | recorded.keys()):
            if recorded[at] != (at in due):
                said = "was due" if at in due else "was not due"
                self._wrong(f"{cursor.job} {cursor.scope}: {at} {said} and is recorded {recorded[at]} times")

    def _compare_starts(self, cursor: Cursor, rows: list[Row]) -> None:
        started = sum(row.started for row in rows)
        if started != cursor.executions:
            self._wrong(f"{cursor.job}: counted {cursor.executions}, started {started}")
        if "numberOfExecutions" in self._kinds[cursor.job].config and started != LIMIT:
            self._wrong(f"{cursor.job}: {started} scheduled starts instead of {LIMIT}")

    def _compare_chains(self) -> None:
        chains: dict[int, list[Row]] = defaultdict(list)
        for row in self._rows.values():
            chains[row.root].append(row)
            if row.state == "running":
                self._wrong(f"{row.job}: it is running, and no node is left:", row)
        for chain in chains.values():
            chain.sort(key=lambda row: row.attempt)
            if [row.attempt for row in chain] != list(range(1, len(chain) + 1)):
                self._wrong(f"{chain[0].job}: attempts are missing:", *chain)
            if len(chain) > 1 and self._kinds[chain[0].job].once:
                self._wrong(f"{chain[0].job}: tried again:", *chain)
            if any(row.state not in ("lost", "failed") for row in chain[:-1]):
                self._wrong(f"{chain[0].job}: tried again after a good end:", *chain)
            if chain[-1].state == "lost" and not self._kinds[chain[0].job].once and len(chain) < 4:
                self._wrong(f"{chain[0].job}: lost, and not tried again:", *chain)

    def _compare_documents(self) -> None:
        """What exactly-once runs have counted is how often they have succeeded."""
        for name, kind in self._kinds.items():
            if kind.config.get("delivery") == "exactly-once":
                done = sum(row.job == name and row.state == "succeeded" for row in self._rows.values())
                if int(self._documents.get(name, "0")) != done:
                    self._wrong(f"{name}: counted {self._documents.get(name)}, succeeded {done} times")


def _due(kind: Kind, cursor: Cursor) -> Iterator[int]:
    """Return the due instants that the cursor has passed: each whole second, or a grid from its anchor."""
    step = STEP[kind.schedule]
    first = cursor.anchor + step if kind.schedule == TENTH else (cursor.anchor // step + 1) * step
    return iter(range(first, cursor.consumed + 1, step))
