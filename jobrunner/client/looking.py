"""What Python outside of jobs can look at: jobs, runs, steps and logs, as the commands show them."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from jobrunner import terms
from jobrunner.client import finding, orders
from jobrunner.client.board import Board, job_object
from jobrunner.client.connections import Connections
from jobrunner.client.infos import JobInfo, RunInfo, StepInfo, job_info, moment, run_info, step_info
from jobrunner.clock import SystemClock
from jobrunner.errors import BadArgument, UnknownJob
from jobrunner.masking import masker_of
from jobrunner.model import ENDED, OPEN, Run
from jobrunner.registry import Lately, Registry
from jobrunner.settings import Settings
from jobrunner.store.base import RunFilter, Store
from jobrunner.stored import with_stored
from jobrunner.wording import bytes_cut

MOST_ROWS = 1_000_000
LONGEST_NAME = 128  # characters of a job's name

Moment = datetime | float


class Looking:
    """The verbs that change nothing, and never make a state."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._connections = Connections(settings)
        self._lately = threading.local()

    def jobs(self) -> list[JobInfo]:
        """Return all jobs, hidden ones too, by name; then what cannot be used, as `ls` does."""
        return [job_info(found) for found in self._lines(None)]

    def job(self, name: str) -> JobInfo:
        """Return one job, in whatever case its name is given. Raises UnknownJob."""
        return job_info(self._lines(name_of(name))[0])

    def _lines(self, name: str | None) -> list[dict[str, Any]]:
        store = self._connections.existing()
        settings = with_stored(self.settings, store)
        registry = finding.registry(settings, store)
        board = Board(registry, finding.seen(store), settings, SystemClock().now())
        lines = board.lines(own=name is not None)
        if name is not None:
            lines = [line for line in lines if line.is_called(name)]
            if not lines:
                registry.summary(name)  # raises, and names near ones
                raise UnknownJob(f"there is no job {name!a}")
        return [job_object(line, settings, moment) for line in lines]

    def runs(
        self, job: str | None = None, *, states: Iterable[str] | None = None, since: Moment | None = None,
        until: Moment | None = None, limit: int = 50,
    ) -> list[RunInfo]:  # fmt: skip
        """Return runs, newest first: of one job or all, in these states, after `since` and before `until`."""
        store = self._connections.existing()
        which = RunFilter(
            job=None if job is None else self._real_name(store, job),
            states=_states(states),
            since=None if since is None else terms.moment(since, "since"),
            until=None if until is None else terms.moment(until, "until"),
            limit=_limit(limit),
        )
        return [run_info(run) for run in store.runs(which)] if store is not None else []

    def run(self, run_id: int) -> RunInfo:
        """Return one run. Raises UnknownRun."""
        return run_info(self._run(run_id))

    def steps(self, run_id: int) -> list[StepInfo]:
        """Return the steps of the chain that a run belongs to, in the order in which they began."""
        run, masker = self._run(run_id), masker_of(self.settings)
        return [step_info(each, masker) for each in self._connections.store().steps(run.root_id)]

    def logs(self, run_id: int) -> str:
        """Return what a run has written so far; what was too much is left out, which is said there.

        It is the run's own text: escape it before you show it.
        """
        run, parts, end = self._run(run_id), list[bytes](), 0
        for chunk in self._connections.store().read_log(run.id):
            parts += [_gap(chunk.offset - end), chunk.data]
            end = chunk.offset + len(chunk.data)
        if run.state in ENDED:
            parts.append(_gap(run.log_bytes - end))
        return b"".join(parts).decode("utf-8", "backslashreplace")

    def pending(self, job: str | None = None) -> list[RunInfo]:
        """Return the runs that nobody has started, or that wait for an event, the soonest first."""
        store = self._connections.existing()
        name = None if job is None else self._real_name(store, job)
        opened = store.open_runs() if store is not None else []
        return [run_info(run) for run in orders.pending_runs(opened, name)]

    # -- how -----------------------------------------------------------------------------------------

    def _run(self, run_id: int) -> Run:
        if not isinstance(run_id, int) or isinstance(run_id, bool):
            raise BadArgument(f"run_id is {run_id!r:.100}: it must be the id of a run", argument="run_id")
        return orders.find_run(self._connections.existing(), run_id)

    def _real_name(self, store: Store | None, name: str) -> str:
        return finding.real_name(self.settings, store, name_of(name))

    def _files(self, store: Store | None) -> Registry:
        return finding.completed(Registry.load(with_stored(self.settings, store)), store)

    def _files_lately(self, store: Store | None) -> Registry:
        """Return what the files said a second ago at most: who makes many calls reads them once."""
        if not hasattr(self._lately, "files"):
            self._lately.files = Lately()
        return finding.completed(self._lately.files.load(with_stored(self.settings, store)), store)


def _gap(size: int) -> bytes:
    """Return what stands where output is missing."""
    return f"\n{bytes_cut(size)}".encode() if size > 0 else b""


# -- arguments -------------------------------------------------------------------------------------------


def name_of(value: object) -> str:
    """Return what can be a job's name. Raises BadArgument."""
    return terms.name_of(value, "name", LONGEST_NAME)


def _states(value: Iterable[str] | None) -> tuple[str, ...] | None:
    if value is None:
        return None
    found = (value,) if isinstance(value, str) else tuple(value)
    for each in found:
        if each not in OPEN | ENDED:
            known = ", ".join(sorted(OPEN | ENDED))
            raise BadArgument(f"{each!r:.100} is no state of a run", argument="states", hint=known)
    return found


def _limit(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= MOST_ROWS:
        raise BadArgument(f"limit is {value!r:.100}: it must be 1 to {MOST_ROWS:,}", argument="limit")
    return value
