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
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

from jobrunner import added, terms
from jobrunner.client import changes, finding, orders
from jobrunner.client.desk import Desk, Target, read
from jobrunner.client.infos import JobInfo, RunInfo, run_info
from jobrunner.client.looking import Looking, Moment, name_of
from jobrunner.client.sights import Sight
from jobrunner.clock import Instant, SystemClock
from jobrunner.errors import BadArgument, ConfigError, Refused, UnknownJob
from jobrunner.facts import Footing
from jobrunner.model import OPEN, Job
from jobrunner.registry import Registry
from jobrunner.settings import load
from jobrunner.store.base import Store
from jobrunner.stored import with_added

LONGEST_IDENTITY = 512  # characters of whom a run is for
LONGEST_STEP = 4096  # and of a step's path
T = TypeVar("T")
KEEP: Any = object()  # an argument that was not given

Delay = float | timedelta | str


def connect(url: str | None = None, *, project: str | os.PathLike[str] | None = None) -> Client:
    """Return a client of the state that `url` names, or of a project's: a folder, or where we are.

    A state in `<project>/.jobrunner` leads to its project, too. Without either it is looked for as by the
    command line: JOBRUNNER_STATE, then jobrunner.yaml, then `.jobrunner` of the project around the working
    folder. Opens nothing yet: a state that there is not is made when something is to be written. Job files
    are read, never executed: one whose config is computed is known once a node has registered its job.
    Raises ConfigError for settings that cannot be used.
    """
    if url is not None and project is None and not os.environ.get("JOBRUNNER_PROJECT"):
        project = _around(url)
    options = {"state": url, "project": None if project is None else os.fspath(project)}
    try:
        return Client(load(options, os.environ)._replace(import_limit=0))
    except ConfigError as error:
        error.message = error.message.replace("--state", "url").replace("--project", "project")
        raise


def _around(url: str) -> str | None:
    """Return the project that a state lies in, where it lies where it does by default."""
    folder, name = os.path.split(os.path.dirname(url.removeprefix("sqlite://")))  # noqa: PTH120
    return folder if name == ".jobrunner" and url.startswith("sqlite:///") and os.path.isdir(folder) else None  # noqa: PTH112


class Client(Looking):
    """A project, seen from Python. Threads may share it, and a process that was forked may go on with it.

    Each bad argument is a BadArgument that names it, an unknown job UnknownJob, a run that there is not
    UnknownRun, what the present state forbids Refused, a state that cannot be used StateError: all of them
    are JobrunnerErrors.
    """

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the state; the client cannot be used afterwards. Idempotent."""
        self._connections.close()

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
        given, _ = terms.params_of(params, more)
        terms.flag(force, "force")
        terms.flag(queue, "queue")
        terms.name_of(identity, "identity", LONGEST_IDENTITY)
        return self._order(name, [given], lambda at, job, footing: orders.trigger(
            at, job, given, identity=identity, force=force, queue=queue, footing=footing
        ))  # fmt: skip

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

    def run_many(self, name: str, calls: Iterable[Mapping[str, Any]], /, *, delay: Delay = 0) -> list[int]:
        """Have a job run once for each of these params, all of them or, where one is wrong, none.

        Returns the runs' ids, in the order of the params. Else as `run_after`, but for thousands at once.
        """
        after = terms.delay(delay)
        terms.within_reach(_later(after, now := SystemClock().now()), now)
        given = list(_copied(calls))
        different = [each for at, each in enumerate(given) if at == 0 or each is not given[at - 1]]
        return list(self._order(name, different, lambda at, job, footing: orders.call_all(
            at, job, _later(after, at.now), given, footing.job_id
        )))  # fmt: skip

    def _call(
        self, due: Callable[[Instant], Instant], name: str, params: Mapping[str, Any] | None,
        more: Mapping[str, Any],
    ) -> int:  # fmt: skip
        terms.within_reach(due(now := SystemClock().now()), now)  # before a state is made for it
        given, _ = terms.params_of(params, more)
        return self._order(name, [given], lambda at, job, footing: orders.call(
            at, job, due(at.now), given, job_id=footing.job_id
        ))  # fmt: skip

    def _order(
        self, name: str, params: Sequence[Mapping[str, Any]], ask: Callable[[Desk, Job, Footing], T]
    ) -> T:
        """Ask for runs of a job with these params, by what is known of it. Where that is no longer so, look
        again: not in the transaction, for nodes wait meanwhile."""
        store, sight = self._checked(name, params)
        counter = self._sights.counter(store or self._connections.store())
        while True:
            with counter.open() as at:
                footing = at.store.footing(name)
                if footing == sight.footing:
                    return ask(at, sight.job, footing)
            sight = self._sights.look(counter.store, name)
            orders.check_all_params(self.settings, sight.job, params)

    def _checked(self, name: str, params: Sequence[Mapping[str, Any]]) -> tuple[Store | None, Sight]:
        store = self._connections.existing()
        sight = self._sights.wanted(store, name_of(name))
        try:
            orders.check_all_params(self.settings, sight.job, params)
        except BadArgument:  # by what the job was like
            sight = self._sights.look(store, name)
            orders.check_all_params(self.settings, sight.job, params)
        return store, sight

    def cancel(self, run_id: int, *, force: bool = False) -> str:
        """Let a run end, and the calls that it has made and that have not started; returns its state now.

        One that waits never starts; one that runs is asked to end, and is still "running". Raises Refused for
        a job that says `cancellable: false`, unless `force`.
        """
        run, store = self._run(run_id), self._connections.store()
        terms.flag(force, "force")
        files = partial(self._sights.files, store)
        if not force and run.state in OPEN and orders.guarded([run], files, store):
            raise Refused(f"{run.job} says cancellable: false", hint="force=True cancels it all the same")
        ended = orders.cancel(self.settings, store, None, [run])
        return ended[0].state if ended else run.state

    def wait(self, run_id: int, timeout: Delay | None = None) -> RunInfo:
        """Wait for the end of a run, retries included, and return the last attempt.

        Raises NotEnded, which is a TimeoutError too, after `timeout`: seconds, a timedelta, or text. The run
        goes on then.
        """
        limit = None if timeout is None else terms.length(timeout, "timeout")
        run = self._run(run_id)
        return run_info(orders.wait(self._connections.store(), run, limit))

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
        elif not (change.given or change.dropped):
            raise BadArgument("there is nothing to update: no key is given", argument="enabled")
        base = self._defined(name)
        changes.check(base, change, self.settings)
        with self._writing() as at:
            if change.given or change.dropped:
                changes.overrule(at, base, change)
            if enabled is not KEEP:
                at.store.enroll(base, at.now)
                changes.enable_one(at, Target(at.again(base.name), base), reason, enabled=enabled)
        return self.job(base.name)

    def get_or_add(self, name: str, /, target: str, **config: Any) -> JobInfo:
        """Return a job; where there is none of that name, add one that calls `target`.

        `target` is "package.module:function", which nodes must be able to import; `config` has the keys of a
        job file. What is there is never changed (`update` does that). Raises ConfigError for a config that no
        file could have either.
        """
        job = added.check(name, target, config)
        if not self._is_there(job.name):
            with self._writing() as at:
                if at.store.add_job(job, at.now):
                    at.note("added", job.name, job.target)
        return self.job(job.name)

    def _is_there(self, name: str) -> bool:
        store = self._connections.existing()
        try:
            self._files(store).summary(name)
        except ConfigError:  # its file is broken: it has the name all the same
            return True
        except UnknownJob:
            return self._held_file(store, name) is not None
        return True

    def _held_file(self, store: Store | None, name: str) -> str | None:
        """Return the file of a job whose definition some node holds; None of one that code has added."""
        found = store.definition(name, held=True) if store is not None else None
        return found.file or None if found is not None else None

    def remove(self, name: str) -> bool:
        """Take a job away that code has added; False where there is none. Its history stays.

        Raises Refused for a job that a file defines, and names the file.
        """
        store, removed = self._connections.existing(), False
        if store is not None:
            with self._writing() as at:
                removed = at.store.remove_job(name_of(name))
                if removed:
                    at.note("removed", name, "")
        if not removed:
            self._refuse_defined(store, name)
        return removed

    def _refuse_defined(self, store: Store | None, name: str) -> None:
        try:
            file = self._files(store).summary(name).file
        except UnknownJob:
            file = self._held_file(store, name) or ""
        if file:
            hint = f"remove the file; `jobrunner disable {name}` keeps it from running"
            raise Refused(f"{name} cannot be removed: {file} defines it", hint=hint)

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

    def _writing(self) -> AbstractContextManager[Desk]:
        return self._sights.counter(self._connections.store()).open()

    def _wanted(self, name: str) -> Job:
        return self._sights.look(self._connections.existing(), name_of(name)).job

    def _defined(self, name: str) -> Job:
        """Return a job as its file has it, before anything was laid over it; without files as it was last."""
        store = self._connections.existing()
        files = finding.completed(Registry.load(with_added(self.settings, store)), store)
        if files.missing_folder is not None:
            return self._wanted(name)
        return finding.find(read(files, [name_of(name)]), name, lambda: store)


def _copied(calls: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the params of calls as plain JSON data; of equal ones in a row one copy."""
    before, copy = "", {}  # type: str, dict[str, Any]
    for params in calls:
        text = terms.params_as_text(params, {})
        if text != before:
            before, copy = text, terms.params_from(text)
        yield copy


def _later(delay: int, now: Instant) -> Instant:
    return now + delay
