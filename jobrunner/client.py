"""For Python outside of jobs: look at what runs, ask for runs, change what nodes go by.

    from jobrunner import connect

    with connect("sqlite:////srv/shop/.jobrunner/state.db") as client:
        run_id = client.trigger("report", month="2026-05")
        print(client.wait(run_id, timeout=60).result)

The verbs are those of the command line, and write the same lines into the audit trail. Everything here
blocks for a short time, `wait` for a long one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from jobrunner import changes, finding, orders, terms
from jobrunner.board import Board, job_object
from jobrunner.clock import SECOND, Instant, SystemClock
from jobrunner.connections import Connections
from jobrunner.desk import Desk, Target, read, writing
from jobrunner.errors import BadArgument, NotEnded, Refused, UnknownJob
from jobrunner.finding import with_stored
from jobrunner.infos import JobInfo, RunInfo, StepInfo, job_info, run_info, step_info
from jobrunner.model import ENDED, OPEN, Job, Run
from jobrunner.registry import Registry
from jobrunner.settings import Settings, load
from jobrunner.store.base import RunFilter, Store

LOOK_EVERY = 0.1  # seconds, while a run is waited for
MOST_ROWS = 1_000_000
LONGEST_NAME = 128  # characters of a job's name
LONGEST_STEP = 1024  # and of a step's path
KEEP: Any = object()  # an argument that was not given

Delay = float | timedelta | str
Moment = datetime | float


def connect(url: str | None = None, *, project: str | os.PathLike[str] | None = None) -> Client:
    """Return a client of the state that `url` names, or of a project's: a folder, or where we are.

    A state in `<project>/.jobrunner` leads to its project, too. Without either it is looked for as by the
    command line: JOBRUNNER_STATE, then jobrunner.yaml, then `.jobrunner` of the project around the working
    folder. Opens nothing yet: a state that there is not is made when something is to be written.
    Raises ConfigError for settings that cannot be used.
    """
    if url is not None and project is None and not os.environ.get("JOBRUNNER_PROJECT"):
        project = _around(url)
    options = {"state": url, "project": None if project is None else os.fspath(project)}
    return Client(load(options, os.environ))


def _around(url: str) -> str | None:
    """Return the project that a state lies in, where it lies where it does by default."""
    folder, name = os.path.split(os.path.dirname(url.removeprefix("sqlite://")))  # noqa: PTH120
    return folder if name == ".jobrunner" and url.startswith("sqlite:///") and os.path.isdir(folder) else None  # noqa: PTH112


class Client:
    """A project, seen from Python. Threads may share it, and a process that was forked may go on with it.

    Each bad argument is a BadArgument that names it, an unknown job UnknownJob, a run that there is not
    UnknownRun, what the present state forbids Refused, a state that cannot be used StateError: all of them
    are JobrunnerErrors.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._connections = Connections(settings)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the state; the client cannot be used afterwards. Idempotent."""
        self._connections.close()

    # -- to look -------------------------------------------------------------------------------------

    def jobs(self) -> list[JobInfo]:
        """Return all jobs, hidden ones too, by name; then what cannot be used, as `ls` does."""
        return [job_info(found) for found in self._lines(None)]

    def job(self, name: str) -> JobInfo:
        """Return one job, in whatever case its name is given. Raises UnknownJob."""
        return job_info(self._lines(_name(name))[0])

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
        return [job_object(line, settings) for line in lines]

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
        run = self._run(run_id)
        return [step_info(step) for step in self._connections.store().steps(run.root_id)]

    def logs(self, run_id: int) -> str:
        """Return what a run has written so far; what was too much is left out, which is said there.

        It is the run's own text: escape it before you show it.
        """
        run, parts, end = self._run(run_id), list[bytes](), 0
        for chunk in self._connections.store().read_log(run.id):
            if chunk.offset > end:
                parts.append(f"\n[… {chunk.offset - end:,} bytes cut …]\n".encode())
            parts.append(chunk.data)
            end = chunk.offset + len(chunk.data)
        return b"".join(parts).decode("utf-8", "backslashreplace")

    def pending(self, job: str | None = None) -> list[RunInfo]:
        """Return the runs that nobody has started yet, the soonest first."""
        store = self._connections.existing()
        name = None if job is None else self._real_name(store, job)
        opened = store.open_runs() if store is not None else []
        return [run_info(run) for run in orders.pending_runs(opened, name)]

    # -- to ask for runs -----------------------------------------------------------------------------

    def trigger(
        self, name: str, /, *, params: Mapping[str, Any] | None = None, force: bool = False,
        queue: bool = False, identity: str = "system", **more: Any,
    ) -> int:  # fmt: skip
        """Ask the nodes to run a job at the soonest; returns the run's id.

        Its params are the other keyword arguments; those that are called like one of ours go into `params`.
        Raises Refused while the job is disabled, paused or busy; `queue` lets it wait for a busy one, `force`
        has it run in any case. Without a node it waits for one.
        """
        job, given = self._call_of(name, params, more)
        terms.flag(force, "force")
        terms.flag(queue, "queue")
        terms.name_of(identity, "identity", LONGEST_NAME)
        with self._writing() as at:
            return orders.trigger(at, job, given, identity=identity, force=force, queue=queue)

    def run_after(
        self, delay: Delay, name: str, /, *, params: Mapping[str, Any] | None = None, **more: Any
    ) -> int:
        """Have a job run after a delay: seconds, a timedelta, or text such as "1h30m"; returns the run's id.

        Params are given as to `trigger`. The run waits while the job is busy, disabled or paused.
        """
        return self._call(partial(_later, terms.delay(delay)), name, params, more)

    def run_at(
        self, when: Moment, name: str, /, *, params: Mapping[str, Any] | None = None, **more: Any
    ) -> int:
        """Have a job run at an aware datetime, or so many seconds after 1970; returns the run's id.

        The past means now. Else as `run_after`.
        """
        at = terms.moment(when)
        return self._call(lambda _: at, name, params, more)

    def _call(
        self, due: Callable[[Instant], Instant], name: str, params: Mapping[str, Any] | None,
        more: Mapping[str, Any],
    ) -> int:  # fmt: skip
        terms.within_reach(due(now := SystemClock().now()), now)  # before a state is made for it
        job, given = self._call_of(name, params, more)
        with self._writing() as at:
            return orders.call(at, job, due(at.now), given)

    def _call_of(
        self, name: str, params: Mapping[str, Any] | None, more: Mapping[str, Any]
    ) -> tuple[Job, dict[str, Any]]:
        given, _ = terms.params_of(params, more)
        job = self._wanted(name)
        orders.check_params(job, given)
        return job, given

    def cancel(self, run_id: int, *, force: bool = False) -> str:
        """Let a run end, and the calls that it has made and that have not started; returns its state now.

        One that waits never starts; one that runs is asked to end, and is still "running". Raises Refused for
        a job that says `cancellable: false`, unless `force`.
        """
        run, store = self._run(run_id), self._connections.store()
        terms.flag(force, "force")
        files = partial(finding.registry, self.settings, store)
        if not force and run.state in OPEN and orders.guarded([run], files, store):
            raise Refused(f"{run.job} says cancellable: false", hint="force=True cancels it all the same")
        ended = orders.cancel(self.settings, store, None, [run])
        return ended[0].state if ended else run.state

    def wait(self, run_id: int, timeout: Delay | None = None) -> RunInfo:
        """Wait for the end of a run, retries included, and return the last attempt.

        Raises NotEnded, which is a TimeoutError too, after `timeout`: seconds, a timedelta, or text. The run
        goes on then.
        """
        clock, limit = SystemClock(), None if timeout is None else terms.length(timeout, "timeout") / SECOND
        run, store, began = self._run(run_id), self._connections.store(), clock.monotonic()
        while (ended := orders.chain_end(store, run)) is None:
            left = LOOK_EVERY if limit is None else limit - (clock.monotonic() - began)
            if left <= 0:
                raise NotEnded(f"run {run_id} has not ended in {limit:g} s", hint="it goes on")
            time.sleep(min(LOOK_EVERY, left))
        return run_info(ended)

    def complete(self, run_id: int, step: str, result: Any = None, error: str | None = None) -> RunInfo:
        """End a step that a run waits for, with a JSON result or, with `error`, as failed; returns the run.

        Raises Refused, naming what the run waits for, when it does not wait for that.
        """
        run = self._run(run_id)
        terms.name_of(step, "step", LONGEST_STEP)
        with self._writing() as at:
            return run_info(orders.complete(at, run.id, step, result, error))

    # -- to change what nodes go by ------------------------------------------------------------------

    def update(
        self, name: str, *, enabled: bool = KEEP, schedule: Any = KEEP, timezone: str = KEEP,
        timeout: Any = KEEP, params: Mapping[str, Any] = KEEP, unset: Iterable[str] = (),
        reason: str | None = None,
    ) -> JobInfo:  # fmt: skip
        """Override keys of a job for every node, as `enable`, `disable` and `set` do; its file stays.

        A schedule is what a job file may have, `params` are laid over the file's, keys in `unset` are left to
        the file again. `reason` is kept with `enabled`. Raises ConfigError for a value that the file could
        not have either.
        """
        given = {"schedule": schedule, "timezone": timezone, "timeout": timeout, "params": params}
        change = changes.asked({key: each for key, each in given.items() if each is not KEEP}, unset)
        if enabled is not KEEP:
            terms.flag(enabled, "enabled")
        base = self._defined(name)
        with self._writing() as at:
            if change.given or change.dropped:
                changes.overrule(at, base, change)
            if enabled is not KEEP:
                at.store.enroll(base, at.now)
                changes.enable_one(at, Target(at.again(base.name), base), reason, enabled=enabled)
        return self.job(base.name)

    def pause(self, reason: str | None = None) -> bool:
        """Let all schedules stand still, on every node, until `resume`; False when they do already."""
        with self._writing() as at:
            return changes.pause(at, reason)

    def resume(self) -> bool:
        """Let the schedules go on; False when they did."""
        if self._connections.existing() is None:
            return False
        with self._writing() as at:
            return changes.resume(at) is not None

    # -- how -----------------------------------------------------------------------------------------

    @contextmanager
    def _writing(self) -> Iterator[Desk]:
        with writing(self.settings, self._connections.store(), None) as at:
            yield at

    def _run(self, run_id: int) -> Run:
        if not isinstance(run_id, int) or isinstance(run_id, bool):
            raise BadArgument(f"run_id is {run_id!r:.100}: it must be the id of a run", argument="run_id")
        return orders.find_run(self._connections.existing(), run_id)

    def _real_name(self, store: Store | None, name: str) -> str:
        return finding.real_name(self.settings, store, _name(name))

    def _files(self, store: Store | None) -> Registry:
        return Registry.load(with_stored(self.settings, store))

    def _wanted(self, name: str) -> Job:
        store = self._connections.existing()
        return orders.wanted(self.settings, store, partial(self._files, store), _name(name))

    def _defined(self, name: str) -> Job:
        """Return a job as its file has it, before anything was laid over it; without files as it was last."""
        store = self._connections.existing()
        files = Registry.load(self.settings)
        if files.missing_folder is not None:
            return self._wanted(name)
        return finding.find(read(files, [_name(name)]), name, lambda: store)


def _later(delay: int, now: Instant) -> Instant:
    return now + delay


# -- arguments -------------------------------------------------------------------------------------------


def _name(value: object) -> str:
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
