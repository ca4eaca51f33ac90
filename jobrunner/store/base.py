"""WHAT IS TRUE: the verbs that every store has, with their conditions.

A store holds rules, never policy: it does not decide *whether* a job should run, it makes sure that
what was decided happens once. Instants are microseconds UTC and `now` is always an argument.

Conditions common to all verbs:

- Every verb that writes is one transaction of its own, or joins the one opened by `transaction()`.
  When a transaction raises, nothing in it happened.
- Whatever cannot be written or read raises `StateError` (never the database's own exception), and
  leaves the store usable for the next call.
- A store object belongs to one thread and one process; it is never carried over a fork.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from jobrunner.clock import Instant
from jobrunner.facts import JobFacts, NodeFacts
from jobrunner.model import Claim, Due, Job, Outcome, Reason, Run, Standing, State
from jobrunner.store.calls import Calls
from jobrunner.store.company import Company
from jobrunner.store.control import Control
from jobrunner.store.documents import Documents
from jobrunner.store.steps import Steps
from jobrunner.store.values import (
    AddedJob,
    Call,
    Document,
    Effects,
    Figure,
    Glance,
    Hold,
    Holding,
    Keep,
    LogChunk,
    Registration,
    RunFilter,
    Write,
)  # fmt: skip

__all__ = [
    "AddedJob", "Call", "Calls", "Claim", "Control", "Document", "Documents", "Effects", "Figure", "Glance",
    "Hold", "Holding", "Keep", "LogChunk", "Registration", "RunFilter", "Steps", "Store", "Write",
]  # fmt: skip


class Store(Company, Control, Calls, Documents, Steps, Protocol):
    """The state of a project. One file, or one schema of a database."""

    url: str

    def close(self) -> None:
        """Release the connection; the store cannot be used afterwards. Idempotent."""
        ...

    def transaction(self) -> AbstractContextManager[None]:
        """Open one write transaction for the verbs inside the block: all of them happen, or none.

        Blocks for a bounded time when another holds the lock, then raises `StateError` with code
        "busy". Nested use joins the outer one.
        """
        ...

    def changed(self) -> bool:
        """Say whether another connection may have committed since the last call; cheap."""
        ...

    def definitions_changed(self) -> bool:
        """Say whether what nodes go by may have changed since the last call; cheap.

        That is: which definitions are current, what is enabled, overridden, paused, reset.
        """
        ...

    def verify(self) -> None:
        """Raise `StateError` when what is open is no longer what the URL names (deleted, replaced)."""
        ...

    # -- nodes ---------------------------------------------------------------------------------------

    def join(self, node: NodeFacts) -> None:
        """Add a node. `nodes()` shows it until `leave` or `recover`."""
        ...

    def seen(self, owner: str, now: Instant) -> bool:
        """Note that the node lives; False when it was given up meanwhile (`recover`)."""
        ...

    def knows(self, owner: str) -> bool:
        """Say whether a node has joined and was not given up; cheap, and writes nothing."""
        ...

    def has_runs(self, owner: str) -> bool:
        """Say whether a node has runs whose end is not recorded; cheap."""
        ...

    def leave(self, owner: str) -> None:
        """Remove a node that ends in good order and what it held; its definitions stop being current
        where another living node holds a different one."""
        ...

    def nodes(self) -> list[NodeFacts]:
        """Return all nodes that joined and neither left nor were recovered, oldest first."""
        ...

    # -- jobs ----------------------------------------------------------------------------------------

    def register(
        self, owner: str, jobs: Sequence[Job], machine: str, now: Instant, gates: Mapping[str, str] = ...
    ) -> Registration:
        """Make `owner` hold exactly these definitions, and make them current.

        A job's cursor is of the scope that it names for `machine` (`Job.scope`). Where a job is new and
        the store knows one of its former names that nobody else bears, that row is renamed: history,
        count and cursor stay.

        `gates` names jobs that may not run on this node, and why (environment, labels, paused …): it claims
        none of their runs, and others can see whether somebody else may.

        A job new to the store gets a row. A (job, scope) without a cursor gets one with consumed =
        anchor = now: nothing before the first sight is due. Where the stored schedule key differs,
        consumed and anchor become now and the count stays; of a cursor that was more than a day ahead is
        forgotten what `rewind` forgets. Names are equal ignoring case.
        """
        ...

    def enroll(self, job: Job, now: Instant) -> int:
        """Return the id of the job's row, made if need be, without a cursor and without making the
        definition current: what `run` needs before the first `start`."""
        ...

    def jobs(self) -> list[JobFacts]:
        """Return the facts of every job ever registered, by name."""
        ...

    def job(self, name: str) -> JobFacts | None:
        """Return one job's facts, ignoring case."""
        ...

    def glance(self) -> list[Glance]:
        """Return of every job ever registered what a list needs, by name: quicker than `jobs`."""
        ...

    # -- the schedule --------------------------------------------------------------------------------

    def standings(self, owner: str, machine: str, job_ids: Sequence[int] | None = None) -> list[Standing]:
        """Return where the jobs stand whose *current* definition `owner` holds; all of them, or these ids.

        Each in the scope that it has on `machine`.
        """
        ...

    def consume(
        self, standing: Standing, until: Instant, due: Sequence[Due], *, job: Job,
        supersede: Reason | None, node: NodeFacts, now: Instant,
    ) -> bool:  # fmt: skip
        """Move the cursor from `standing.consumed` to `until` and write `due`, as one.

        Returns False, and writes nothing, when the cursor is no longer there: another node did it.
        A Due without `skip` becomes a pending run of trigger schedule; one with it a skipped row, in
        which more than 100 consecutive skips of one reason become one row (scheduled_for first,
        last_for, count), extended in place. `supersede` turns the still pending run
        `standing.pending_id` into a skipped one of that reason first. Runs take `exclusive` (concurrency
        is not allow, or the Due is serial), delivery, priority, group and params from `job`; skipped
        rows keep the node that found them due. An occurrence whose row exists already (a clock went
        back) is passed over.
        """
        ...

    def replace(self, standing: Standing, now: Instant) -> list[Run]:
        """Make way for a newer occurrence: ask the running runs of this job and scope to end, as
        `replaced`, and end its waiting retries and what was suspended as canceled/replaced; returns these.
        What takes steps back makes way for nothing."""
        ...

    def rewind(self, standing: Standing, to: Instant, job: Job) -> bool:
        """Set a cursor that stands in the far future back to `to`; False when it moved meanwhile.

        An anchor that lies beyond `to` becomes `to`: the wrong clock gave it too.

        What was written about moments after `to` without starting anything (pending, skipped) is
        forgotten, and rows for many end at `to`: those moments have not come. Runs that did start stay,
        and still forbid a second start of their occurrence. Waiting attempts that are due after `to` are
        due at it: the wrong clock set their time.
        """
        ...

    def waiting_runs(self, job_ids: Collection[int] | None = None) -> list[Run]:
        """Return the pending runs, oldest first, of these jobs (of all: None) that stand for an occurrence.

        Suspended ones that are to go on are not among them, nor what takes steps back.

        Costs what these jobs have waiting, however much other jobs have; next to nothing where nothing is
        open, however many jobs are asked for.
        """
        ...

    def give_up(self, run_id: int, reason: Reason, node: NodeFacts, now: Instant) -> bool:
        """Let a pending scheduled first attempt end as skipped; False when it is pending no more.

        What has started before (a later attempt, a suspended run that is to go on) was canceled, and its
        caller concludes it. What takes steps back is not given up: False.
        """
        ...

    def rekey(self, standing: Standing, schedule_key: str, now: Instant) -> bool:
        """Let the cursor belong to another schedule, which begins `now`: consumed = anchor = now.

        For a node whose older definition has become current again. False when it moved meanwhile. Of a
        cursor that was more than a day ahead is forgotten what `rewind` forgets.
        """
        ...

    # -- runs ----------------------------------------------------------------------------------------

    def claim(self, node: NodeFacts, pids: Sequence[int], now: Instant) -> list[Claim]:
        """Start up to len(pids) pending runs that are due, in the order of due time, in which a level of
        priority counts as much as a minute of waiting; then by id.

        Only of jobs whose current definition the node holds; an exclusive one only while no other run of
        its (job, scope) is running or waiting, and no other exclusive chain of it that has started is to go
        on (a later attempt, a suspended run); one of a group only while fewer than the job's group limit of
        that group run, anywhere; of a scope, only on that machine. A manual run or call of a runPerMachine
        job takes the machine's scope. While all is paused, or the job is disabled, only manual runs start,
        and what is in the midst of its work: suspended runs, and what takes steps back.

        Each gets the next fence, a pid, state running, and started_at = now where it has none. A new run of
        trigger schedule adds one to the count in the same transaction; where the limit is reached it
        becomes skipped/limit instead and is not returned. What is not new brings its chain's steps.
        """
        ...

    def next_pending(self, now: Instant) -> Instant | None:
        """Return when the first pending run is due that is not at `now`, or None; cheap."""
        ...

    def run_here(
        self, job_id: int, job: Job, node: NodeFacts, pid: int, params: Mapping[str, Any], *,
        identity: str, force: bool, now: Instant,
    ) -> Claim:  # fmt: skip
        """Insert and start a manual run in one transaction. Counts in no limit, moves no cursor.

        Raises `Refused`, naming the run in the way, while the job is occupied (it has an open run, calls
        that are new apart, and its concurrency is not allow), unless `force`, which makes the run not
        exclusive.
        """
        ...

    def begun(self, run_id: int, owner: str, pid: int, now: Instant) -> None:
        """Note that the body of this running run of ours has begun in `pid`; the first moment counts."""
        ...

    def progress(self, run_id: int, owner: str, attempt: int, value: Mapping[str, Any], now: Instant) -> bool:
        """Store a running run's progress, if it is still ours."""
        ...

    def stall(self, run_id: int, owner: str, stalled: bool) -> None:
        """Mark a running run of ours as silent for longer than its stallAfter, or as alive again."""
        ...

    def finish(
        self, run: Run, outcome: Outcome, log_bytes: int, now: Instant, *,
        begun: tuple[int, Instant] | None = None,
    ) -> bool:  # fmt: skip
        """End a running run WHERE id, owner and attempt are this claim's and its state is running.

        Returns False and writes nothing otherwise. An outcome that has a cursor becomes the job's. `begun` is
        the pid and the moment in which its body began, where `begun` has not noted these.
        It is an attempt's end, not yet its chain's: `again` or `conclude` follows in the same transaction.
        """
        ...

    def again(self, run: Run, at: Instant, now: Instant, undo: int = 0) -> int | None:
        """Write the next attempt of an ended run's chain, pending and due `at`; returns its id, or None where
        there is one already: then nothing is written. With `undo` it is the how-manieth try to take back the
        chain's steps, and no body."""
        ...

    def conclude(self, run: Run, outcome: Outcome, now: Instant) -> int:
        """Note in the job's row, which is never pruned, how a chain ended: last state, result, error,
        duration; returns its failures in a row. A canceled or skipped chain changes none of them."""
        ...

    def recover(self, owner: str, now: Instant) -> list[Run]:
        """Remove a dead node, and end its running runs as lost; returns those runs, as they are now.

        The caller has proof of the death; `again` or `conclude` follows for each of them. Error message:
        `no sign that the body began`, or `began` with the time. Idempotent: of two callers one gets the
        runs.
        """
        ...

    def cancel(self, run_id: int, now: Instant) -> State | None:
        """Ask a run to end: returns the state that it is in now, or None where there is no such run.

        A pending or waiting one is canceled at once, and its chain concluded, unless it has steps to take
        back: then the chain goes on with that (`again`), and whoever cancels that ends it. Of a running one
        its node hears through `asked_to_end`, and it is still running. One that has ended stays as it is.
        In every case the new calls that its chain made, and that those made, are canceled with it.
        """
        ...

    def asked_to_end(self, owner: str) -> list[tuple[int, str]]:
        """Return (run id, `canceled` or `replaced`) of a node's running runs that shall end; cheap."""
        ...

    def run(self, run_id: int) -> Run | None:
        """Return one run."""
        ...

    def runs(self, which: RunFilter) -> list[Run]:
        """Return runs, newest first."""
        ...

    def open_runs(self) -> list[Run]:
        """Return all pending, running and waiting runs, oldest first."""
        ...

    # -- logs ----------------------------------------------------------------------------------------

    def append_log(
        self, run_id: int, owner: str, chunks: Sequence[LogChunk], cut: tuple[int, int] | None = None
    ) -> None:
        """Add output of a running run of ours; of one that is no longer ours nothing is written.

        With `cut` = (from, to), forget first whole chunks that begin in [from, to).
        """
        ...

    def read_log(self, run_id: int, offset: int = 0) -> list[LogChunk]:
        """Return the kept chunks that begin at or after `offset`, in order."""
        ...

    def add_to_log(self, run_id: int, data: bytes) -> None:
        """Add to the log of a run that has ended, behind all of it: what its hooks said."""
        ...

    # -- the whole -----------------------------------------------------------------------------------

    def info(self) -> Mapping[str, Any]:
        """Return facts by name. Always there: `version` and `min_reader` of the schema, `state_id` (random,
        another state has another one), `created_at`, `bytes` (how many it takes), `library` (what it is kept
        with, and the version of that), `path` (the file, or an address without a password). `journal_mode`
        is None where there is no such thing."""
        ...
