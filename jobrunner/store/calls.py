"""The verbs by which code and people ask for runs, and add jobs without a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from jobrunner.clock import Instant
from jobrunner.facts import Footing
from jobrunner.model import Job, Run
from jobrunner.store.values import AddedJob, Call


class Calls(Protocol):
    """Calls are pending runs of trigger call; a triggered run is a pending one of trigger manual."""

    def reserve(self, count: int) -> int:
        """Return the first of `count` consecutive run ids that nobody else will be given."""
        ...

    def call(self, call: Call, job: Job, now: Instant, job_id: int | None = None) -> int:
        """Write a call as a pending run, due at `call.at` but not before `now`; returns its id.

        A job without a row gets one; whoever knows its id spares the look. A call occupies its job only from
        its start on.
        """
        ...

    def call_all(
        self, call: Call, params: Sequence[Mapping[str, Any]], job: Job, now: Instant,
        job_id: int | None = None,
    ) -> Sequence[int]:  # fmt: skip
        """Write a call for each of these params, all else as `call` says, which has no id yet: much faster
        than one by one. Returns their ids, one after another, in the order of the params.
        """
        ...

    def footing(self, name: str) -> Footing:
        """Return what calls of a job go by, ignoring case, whether or not there is one; cheap, however many
        runs there are."""
        ...

    def trigger(
        self, job_id: int, job: Job, params: Mapping[str, Any], *, identity: str, force: bool, queue: bool,
        now: Instant,
    ) -> int:  # fmt: skip
        """Write a manual run that is due at once, for any node to claim; returns its id.

        Raises `Refused`, naming the run in the way, while the job is occupied, unless `queue` (it waits) or
        `force` (it is not exclusive); whether the job is enabled is the caller's to know. A runPerMachine
        job is occupied while it is on any machine.
        """
        ...

    def orphaned_calls(self, now: Instant) -> list[Run]:
        """Return the pending calls that are due, and of whose job no living node holds the current
        definition; cheap. A suspended one that is to go on waits for its job to come back."""
        ...

    def fail_call(self, run_id: int, error: Mapping[str, Any], now: Instant) -> Run | None:
        """End a pending call that cannot be made as failed, reason orphan; None when it is pending no more.

        `conclude` follows in the same transaction.
        """
        ...

    def children(self, run_id: int) -> list[Run]:
        """Return the runs that a chain (of which `run_id` is any attempt) has called, oldest first, each
        with its later attempts."""
        ...

    def add_job(self, job: AddedJob, now: Instant) -> bool:
        """Keep a job that has no file; False, and nothing is changed, where one of that name was added."""
        ...

    def added_jobs(self) -> list[AddedJob]:
        """Return the jobs that were added, by name."""
        ...

    def remove_job(self, name: str) -> bool:
        """Take an added job away, ignoring case; False where none is of that name. Its history stays."""
        ...
