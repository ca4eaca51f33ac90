"""What is said once it is committed: to people, and to the hooks that it concerns."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from jobrunner.clock import Instant
from jobrunner.errors import StateError
from jobrunner.events import ChainEnded, Event, Skipped
from jobrunner.executor import HookEnded, HookOutput
from jobrunner.facts import NodeFacts
from jobrunner.hooks import Hooks
from jobrunner.model import Job, Run
from jobrunner.store.base import Store
from jobrunner.underway import Live


class Telling:
    """Hands events on. `find` returns a job's definition; what hooks print waits here for their run's log."""

    def __init__(
        self, store: Store, hooks: Hooks, me: NodeFacts, find: Callable[[str], Job | None],
        emit: Callable[[Event], None],
    ) -> None:  # fmt: skip
        self._store = store
        self._hooks = hooks
        self._me = me
        self._find = find
        self._emit = emit
        self._postscripts: list[tuple[int, bytes]] = []  # what hooks said of runs that have ended

    @property
    def pending(self) -> bool:
        """Whether something that hooks have said is not in the store yet."""
        return bool(self._postscripts)

    def tell(self, event: Event) -> None:
        """Say what a commit has made true, and have the hooks called that it concerns."""
        with suppress(StateError):  # hooks are at most once; what else is committed must go its way
            self._call(event)
        self._emit(event)

    def _call(self, event: Event) -> None:
        match event:
            case ChainEnded(run=run, outcome=outcome):
                self._hooks.ended(run, outcome, self._find(run.job))
            case Skipped(job=job, scheduled_for=at):
                self._hooks.skipped(event, self._find(job), lambda: self._row_of(job, at))

    def hear(self, happening: HookOutput | HookEnded, live: dict[int, Live]) -> None:
        """Take in what a hook did; of a run that goes on it belongs into the log at once."""
        for run, log, event in self._hooks.hear(happening):
            if run.id in live:
                live[run.id].log.feed(log)
            elif run.id and log:
                self._postscripts.append((run.id, log))
            if event is not None:
                self._emit(event)

    def write(self) -> None:
        """Add what hooks said to the logs of their runs, inside the caller's transaction."""
        for run_id, data in self._postscripts:
            self._store.add_to_log(run_id, data)

    def settle(self) -> None:
        """What `write` wrote is committed."""
        self._postscripts.clear()

    def _row_of(self, name: str, at: Instant) -> Run | None:
        """Return the row that stands for an occurrence."""
        job = self._store.job(name)
        found = self._store.due_before(job.id, at) if job is not None else []
        return next((run for run in found if run.scope in ("", self._me.machine)), None)
