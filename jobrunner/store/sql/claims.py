"""Claims: the moment in which a run becomes ours and is running."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from jobrunner.clock import Instant, to_iso
from jobrunner.errors import Refused
from jobrunner.facts import NodeFacts
from jobrunner.model import Claim, Job, Run, Step
from jobrunner.store.sql.database import Row
from jobrunner.store.sql.rows import COLUMNS, OCCUPYING, dumps, loads, occupying, run_of
from jobrunner.store.sql.runs import FAILURES
from jobrunner.store.sql.steps import Steps


class Candidate(NamedTuple):
    """A pending run that may start, and its job's limits: of scheduled starts, and of its group.

    `scope` is the one that it starts in, and `new` whether nothing of its chain has started yet.
    """

    id: int
    job_id: int
    scope: str
    exclusive: bool
    scheduled: bool
    new: bool
    limit: int | None
    group: str | None
    group_limit: int | None


# What each machine runs for itself has its scope, also when somebody else than its schedule asked for it.
PLACE = """CASE WHEN d.per_machine = 1 AND r.scope = '' AND r.trigger != 'schedule'
        THEN :machine ELSE r.scope END"""

CANDIDATE = f"""
    SELECT r.id, r.job_id, {PLACE}, r.exclusive, r.trigger = 'schedule',
           r.attempt = 1 AND r.started_at IS NULL, d.execution_limit, r.run_group, d.group_limit"""


class Claims(Steps):
    """The verbs claim, next_pending, run_here, start and repeat."""

    def claim(self, node: NodeFacts, pids: Sequence[int], now: Instant) -> list[Claim]:
        """See `Store.claim`.

        What was looked up may be used up by the claims before it (the next run of a busy job, the last one
        of a limit or a group), so it looks again until all pids are taken or there was no more to find:
        nothing can start because something else has.
        """
        claims: list[Claim] = []
        with self._db.transaction():
            more = True
            while more and len(claims) < len(pids):
                wanted = len(pids) - len(claims)
                found = self._candidates(node, wanted, now)
                claims += self._start_all(found, node, pids[len(claims) :], now) if found else []
                more = len(found) == wanted
        return claims

    # The order is the index's. A chain that has begun keeps others out while it waits to go on; of two that
    # do the older goes first. What is in the midst of its work goes on while its job is disabled or paused.
    CANDIDATES = f"""{CANDIDATE}
        FROM runs r
        CROSS JOIN jobs j ON j.id = r.job_id
        CROSS JOIN holdings h ON h.job_id = r.job_id AND h.owner = :owner AND h.hash = j.definition_hash
        CROSS JOIN definitions d ON d.job_id = h.job_id AND d.hash = h.hash
        WHERE r.state = 'pending' AND r.effective_at <= :now AND (r.scope = '' OR r.scope = :machine)
          AND r.effective_at - r.priority * 60000000 <= :now - 60000000 * coalesce(
              (SELECT min(l.priority) FROM runs l WHERE l.state = 'pending' AND l.priority < 0), 0)
          AND CASE WHEN r.trigger = 'manual' OR r.started_at IS NOT NULL OR r.undo > 0
              THEN h.gate IS NULL OR NOT (
                  h.gate = 'environment' OR h.gate = 'labels' OR h.gate = 'broken-file')
              ELSE h.gate IS NULL AND coalesce(j.enabled_override, d.enabled) = 1
                   AND (SELECT paused_at IS NULL FROM meta) END
          AND (r.exclusive = 0 OR NOT EXISTS (
              SELECT 1 FROM runs o WHERE o.job_id = r.job_id AND o.scope = {PLACE}
              AND {occupying("o")}
              AND (o.state != 'pending' OR (
                  o.exclusive = 1 AND (o.attempt > 1 OR o.started_at IS NOT NULL)
                  AND (r.attempt = 1 AND r.started_at IS NULL
                       OR coalesce(o.root_id, o.id) < coalesce(r.root_id, r.id))))))
          AND (r.run_group IS NULL OR d.group_limit IS NULL OR d.group_limit > (
              SELECT count(*) FROM runs g WHERE g.run_group = r.run_group AND g.state = 'running'))
        ORDER BY r.effective_at - r.priority * 60000000, r.id LIMIT :wanted"""  # noqa: S608

    def _candidates(self, node: NodeFacts, wanted: int, now: Instant) -> list[Candidate]:
        values = {"owner": node.owner, "machine": node.machine, "now": now, "wanted": wanted}
        return self._db.made(_candidate, self.CANDIDATES, values)

    def _start_all(
        self, found: Sequence[Candidate], node: NodeFacts, pids: Sequence[int], now: Instant
    ) -> list[Claim]:
        claims: list[Claim] = []
        busy: set[tuple[int, str]] = set()
        noted: dict[int, Row] = {}
        fence = self._fences(len(found))
        for each in found:
            if each.exclusive and (each.job_id, each.scope) in busy:
                continue
            if self._full(each.group, each.group_limit) or not self._count(each, now):
                continue
            busy.add((each.job_id, each.scope))
            fence += 1
            claims.append(self._start(each, node, pids[len(claims)], fence, now, noted))
        return claims

    IN_GROUP = "SELECT count(*) FROM runs WHERE run_group = ? AND state = 'running'"

    def _full(self, group: str | None, limit: int | None) -> bool:
        if group is None or limit is None:
            return False
        row = self._db.row(self.IN_GROUP, (group,))
        return row is not None and row[0] >= limit

    NEXT_PENDING = "SELECT min(effective_at) FROM runs WHERE state = 'pending' AND effective_at > ?"

    def next_pending(self, now: Instant) -> Instant | None:
        """See `Store.next_pending`."""
        row = self._db.row(self.NEXT_PENDING, (now,))
        return row[0] if row is not None else None

    FENCES = "UPDATE meta SET fence = fence + ? RETURNING fence"

    def _fences(self, number: int) -> int:
        """Reserve fences; returns the one before the first. Unused ones are gaps, which harm nobody."""
        row = self._db.row(self.FENCES, (number,))
        assert row is not None
        return int(row[0]) - number

    # the limit is a condition of the count itself: two nodes cannot both take the last one
    COUNT = """
        UPDATE cursors SET executions = executions + 1
        WHERE job_id = ?1 AND scope = ?2 AND (CAST(?3 AS BIGINT) IS NULL OR executions < ?3)"""
    OVER_LIMIT = "UPDATE runs SET state = 'skipped', reason = 'limit', finished_at = ?2 WHERE id = ?1"

    def _count(self, run: Candidate, now: Instant) -> bool:
        """Count a new scheduled start; where the limit is reached the run is skipped instead."""
        if not (run.scheduled and run.new):
            return True
        if self._db.change(self.COUNT, (run.job_id, run.scope, run.limit)):
            return True
        self._db.rows(self.OVER_LIMIT, (run.id, now))
        return False

    START = f"""
        UPDATE runs SET state = 'running', started_at = coalesce(started_at, :now), owner = :owner,
                        node = :node, machine = :machine, pid = :pid, fence = :fence, scope = :scope
        WHERE id = :id AND state = 'pending'
        RETURNING {COLUMNS}"""  # noqa: S608

    def _start(
        self, run: Candidate, node: NodeFacts, pid: int, fence: int, now: Instant, noted: dict[int, Row]
    ) -> Claim:
        values = {**_who(node, pid, fence, now), "id": run.id, "scope": run.scope}
        return self._claimed(self._db.row(self.START, values), run.limit, now, noted, new=run.new)

    FACTS = "SELECT last_state, last_result, last_error, last_finished_at, cursor FROM jobs WHERE id = ?"
    STARTED = """
        UPDATE jobs SET last_started_at = ?2, last_scheduled_for = coalesce(?3, last_scheduled_for)
        WHERE id = ?1
        RETURNING last_state, last_result, last_error, last_finished_at, cursor"""

    def _claimed(
        self, row: Row | None, limit: int | None, now: Instant, noted: dict[int, Row], *, new: bool
    ) -> Claim:
        assert row is not None  # the write lock is ours since we saw it pending
        run = run_of(row)
        *last, cursor = self._facts(run, now, noted)
        return Claim(
            run=run, is_last=self._is_last(run, limit), last=_last(*last), cursor=loads(cursor),
            steps=() if new else self._told(run),
        )  # fmt: skip

    def _facts(self, run: Run, now: Instant, noted: dict[int, Row]) -> Row:
        """Return how its job has fared; and note there that it starts, once for all calls that do so now."""
        if run.scheduled_for is None and run.job_id in noted:
            return noted[run.job_id]
        if run.started_at != now:  # it goes on
            known = self._db.row(self.FACTS, (run.job_id,))
            assert known is not None
            return known
        known = self._db.row(self.STARTED, (run.job_id, now, run.scheduled_for))
        assert known is not None
        return noted.setdefault(run.job_id, known)

    TOLD_OF_STEPS = "UPDATE steps SET run_id = ?2 WHERE root_id = ?1 AND run_id = 0"

    def _told(self, run: Run) -> tuple[Step, ...]:
        """Return what the chain has done before; of what was completed outside the run knows from now on."""
        self._db.rows(self.TOLD_OF_STEPS, (run.root_id, run.id))
        return tuple(self.steps(run.root_id))

    EXECUTIONS = "SELECT executions FROM cursors WHERE job_id = ? AND scope = ?"

    def _is_last(self, run: Run, limit: int | None) -> bool:
        if limit is None:
            return False
        row = self._db.row(self.EXECUTIONS, (run.job_id, run.scope))
        return row is not None and row[0] >= limit

    # -- one by its number ---------------------------------------------------------------------------

    # whoever asks for it by its number may start it beside what it was let run beside, and nothing else
    THIS_ONE = f"""{CANDIDATE}
        FROM runs r
        CROSS JOIN jobs j ON j.id = r.job_id
        LEFT JOIN definitions d ON d.job_id = j.id AND d.hash = j.definition_hash
        WHERE r.id = :id AND r.state = 'pending'
          AND (r.exclusive = 0 OR NOT EXISTS (
              SELECT 1 FROM runs o WHERE o.job_id = r.job_id AND o.scope = {PLACE}
              AND {occupying("o")} AND o.state != 'pending' AND o.exclusive = 1))"""  # noqa: S608

    def start(self, run_id: int, node: NodeFacts, pid: int, now: Instant) -> Claim | None:
        """See `Steps.start`."""
        with self._db.transaction():
            found = self._db.made(_candidate, self.THIS_ONE, {"id": run_id, "machine": node.machine})
            claims = self._start_all(found, node, [pid], now)
        return claims[0] if claims else None

    REPEAT = f"""
        UPDATE runs SET conflicts = conflicts + 1, fence = ?2, stalled = 0 WHERE id = ?1
        RETURNING {COLUMNS}"""  # noqa: S608

    def repeat(self, run: Run, now: Instant) -> Run | None:
        """See `Steps.repeat`."""
        with self._db.transaction():
            if not self._is_ours(run):
                return None
            return self._db.made(run_of, self.REPEAT, (run.id, self._fences(1) + 1))[0]

    # -- by hand -------------------------------------------------------------------------------------

    RUN_HERE = f"""
        INSERT INTO runs (job_id, trigger, scope, effective_at, state, exclusive, priority, run_group,
                          delivery, params, identity, created_at, started_at, owner, node, machine, pid,
                          fence)
        VALUES (:job_id, 'manual', :scope, :now, 'running', :exclusive, :priority, :group,
                :delivery, :params, :identity, :now, :now, :owner, :node, :machine, :pid, :fence)
        RETURNING {COLUMNS}"""  # noqa: S608

    def run_here(
        self, job_id: int, job: Job, node: NodeFacts, pid: int, params: Mapping[str, Any], *,
        identity: str, force: bool, now: Instant,
    ) -> Claim:  # fmt: skip
        """See `Store.run_here`. `params` are kept as given; the job's defaults are the caller's to add."""
        alone = job.concurrency != "allow" and not force
        text = dumps(dict(params))
        scope = job.scope(node.machine)
        with self._db.transaction():
            if alone:
                self._refuse_if_busy(job_id, job, scope)
            if not force and self._full(job.group, job.group_limit):
                said = f"{job.name} is in group {job.group}, of which {job.group_limit} may run at once"
                raise Refused(said, hint="wait for their end, or use --force to run beside them")
            own = {
                "job_id": job_id, "scope": scope, "exclusive": int(alone), "delivery": job.delivery,
                "priority": job.priority, "group": job.group,
            }  # fmt: skip
            who = _who(node, pid, self._fences(1) + 1, now)
            row = self._db.row(self.RUN_HERE, {**own, **who, "params": text, "identity": identity})
            return self._claimed(row, job.number_of_executions, now, {}, new=True)

    OCCUPANT = f"""
        SELECT id, state, coalesce(started_at, effective_at) FROM runs INDEXED BY runs_occupying
        WHERE job_id = ?1 AND scope = coalesce(?2, scope) AND {OCCUPYING}
        ORDER BY state = 'pending', id LIMIT 1"""  # noqa: S608

    def _refuse_if_busy(self, job_id: int, job: Job, scope: str | None) -> None:
        """Raise Refused while the job is occupied in this scope, or in any: None."""
        found = self._db.row(self.OCCUPANT, (job_id, scope))
        if found is not None:
            run_id, state, since = found
            raise Refused(
                f"{job.name} is busy: run {run_id} is {state} since {to_iso(since)}",
                hint="wait for its end, or use --force to run beside it",
            )


def _candidate(row: Row) -> Candidate:
    run_id, job_id, scope, exclusive, scheduled, new, limit, group, group_limit = row
    return Candidate(
        run_id, job_id, scope, bool(exclusive), bool(scheduled), bool(new), limit, group, group_limit
    )


def _who(node: NodeFacts, pid: int, fence: int, now: Instant) -> dict[str, object]:
    facts = {"owner": node.owner, "node": node.node, "machine": node.machine}
    return {**facts, "pid": pid, "fence": fence, "now": now}


def _last(
    state: str | None, result: str | None, error: str | None, finished_at: Instant | None
) -> Mapping[str, Any] | None:
    """The row keeps the last success's result and the last failure's error; only one is this chain's."""
    if state is None:
        return None
    return {
        "state": state,
        "result": loads(result) if state == "succeeded" else None,
        "error": loads(error) if state in FAILURES else None,
        "finishedAt": finished_at,
    }
