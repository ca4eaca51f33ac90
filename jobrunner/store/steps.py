"""The verbs that keep how far a workflow has come. A step belongs to a chain: retries find it done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from jobrunner.clock import Instant
from jobrunner.facts import NodeFacts
from jobrunner.model import Claim, Run, Step

Error = Mapping[str, Any]


class Steps(Protocol):
    """Verbs that take a `run` write nothing, and say so, unless it is running and still that claim's."""

    def steps(self, root_id: int) -> list[Step]:
        """Return the steps of a chain in the order in which they first began."""
        ...

    def begin_step(self, run: Run, path: str, undo: Mapping[str, Any] | None, now: Instant) -> bool:
        """Note that a step begins, and how it could be taken back; one that has failed before begins anew."""
        ...

    def end_step(
        self, run: Run, path: str, *, tries: int, result: Any, effects: Mapping[str, Any] | None,
        error: Error | None, now: Instant,
    ) -> bool:  # fmt: skip
        """Keep how a step ended: done, or failed where there is an `error`.

        `effects` is what it would have the run's commit apply, as JSON. A done step stays as it is.
        """
        ...

    def redo_step(self, run: Run, path: str) -> bool:
        """Make a done step outdated: it is to be taken back and done again, for what it rests on has changed.
        Its result stays, for whoever takes it back."""
        ...

    def wait_step(self, run: Run, path: str, deadline: Instant | None, now: Instant) -> Step | None:
        """Let a step wait for `complete`, until `deadline` at most; one that waits or has ended already
        stays as it is. Returns the step as it is now; None: the run is no longer ours."""
        ...

    def suspend(self, run: Run, log_bytes: int, now: Instant) -> bool:
        """Let a running run go without an end: waiting while one of its steps does, else pending at once.

        `log_bytes` is how much it has written. Pending, too, when a step was ended from outside and the run
        was not told of it yet, by a claim or by `wait_step`. One that was asked to end is canceled instead.
        False when it is no longer this claim's.
        """
        ...

    def complete(self, run_id: int, path: str, *, result: Any, error: Error | None, now: Instant) -> Run:
        """End a waiting step from outside, done or with an error; its run becomes pending.

        `run_id` is any attempt of the chain. Returns the run that goes on, which may be running: then
        `suspend` sees to it. Raises `Refused`, naming what the chain waits for, when the step does not wait.
        """
        ...

    def expire_steps(self, now: Instant) -> list[tuple[Run, str]]:
        """End the waiting steps whose deadline has come as failed (error type TimeoutError); their runs
        become pending. Returns (run, path)."""
        ...

    def next_deadline(self) -> Instant | None:
        """Return the first deadline of a waiting step, or None; cheap."""
        ...

    def to_undo(self, root_id: int) -> bool:
        """Say whether a chain has steps that are to be taken back and are not yet: those that are done, and
        of those that began and did not end well the ones whose `undo` needs no result."""
        ...

    def undone(self, run: Run, path: str, error: Error | None, now: Instant) -> bool:
        """Note that a step was taken back, or why that failed (it may be tried again)."""
        ...

    def repeat(self, run: Run, now: Instant) -> Run | None:
        """Count a conflict: the run stays running, with the next fence. None: it is no longer ours."""
        ...

    def start(self, run_id: int, node: NodeFacts, pid: int, now: Instant) -> Claim | None:
        """Claim this one pending run here, whoever holds its job; None when it is pending no more, or while
        another excludes it."""
        ...
