"""One run in this process: its body, container and store, and the node that answers it; no other process."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any

from jobrunner import config as configs
from jobrunner import housekeeping, parameters
from jobrunner.clock import SystemClock, to_datetime
from jobrunner.definitions import Definitions
from jobrunner.errors import BadArgument, JobrunnerError
from jobrunner.masking import masker_of
from jobrunner.model import Claim, Job, Run, Step
from jobrunner.registry import Registry
from jobrunner.settings import Settings, load
from jobrunner.simulation.clock import FakeClock, When, instant
from jobrunner.simulation.inside import Inside, Performance
from jobrunner.simulation.node import SimulatedNode
from jobrunner.simulation.standins import StandIns
from jobrunner.store import open_store
from jobrunner.store.base import RunFilter, Write

What = str | os.PathLike[str] | Callable[..., Any]
NOTHING: Mapping[str, Any] = {}
ALL = 1 << 40  # rows


class RunFailed(JobrunnerError):
    """A run failed, and not because its body raised: it could not be cleaned up, or not be committed."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call that a run has made: `job` is to run at `at` with `params`."""

    id: int
    job: str
    at: datetime
    params: Mapping[str, Any]
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InlineRun:
    """What became of a run.

    `state`, `reason` and `result` are as in the history; `error` is the exception itself, `failure` what is
    kept of it. `log` is what it printed and logged, `progress` what it said of that; `calls` those that it
    made, committed or immediate; `documents` all of `state`, and `steps` those of its chain, as they are now.
    """

    id: int
    job: str
    state: str
    reason: str | None
    result: Any
    error: BaseException | None
    failure: Mapping[str, Any] | None
    log: str
    progress: tuple[Mapping[str, Any], ...]
    calls: tuple[Call, ...]
    documents: Mapping[str, Any]
    steps: tuple[Step, ...]


def run_inline(
    job: What, *, project: str | os.PathLike[str] | None = None, clock: FakeClock | None = None, **how: Any
) -> InlineRun:
    """Run one body in this process and return what became of it; see `Runner` for what can be said."""
    with Runner(project, clock=clock) as runner:
        return runner(job, **how)


class Runner(AbstractContextManager["Runner"]):
    """Runs bodies in this process, one after another; `state`, `once` and cursors last as long as it does.

    `project` is the folder of the project, by default the one that the command line would find from here: its
    services, settings and jobs are known. `clock` is the node's; bodies that ask the system get the system's.
    """

    def __init__(
        self, project: str | os.PathLike[str] | None = None, *, clock: FakeClock | None = None
    ) -> None:
        self.clock = clock or FakeClock(SystemClock().now())
        self._open = ExitStack()
        folder = self._open.enter_context(TemporaryDirectory(prefix="jobrunner-"))
        asked = None if project is None else os.fspath(project)
        self._settings = load({"project": asked}, os.environ)._replace(state=f"sqlite:///{folder}/state.db")
        self._store = open_store(self._settings.state, create=True, durable=False)
        self._open.callback(self._store.close)
        self._bodies = StandIns(self.clock, 1)
        self._known: dict[str, Job] | None = None
        self._node: SimulatedNode | None = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    @property
    def documents(self) -> dict[str, Any]:
        """What there is in `state`."""
        return {found.key: found.value for found in self._store.documents("")}

    def __call__(
        self,
        job: What,
        *,
        params: Mapping[str, Any] | None = None,
        overrides: Mapping[Any, Any] | None = None,
        state: Mapping[str, Any] | None = None,
        events: Mapping[str, Any] | None = None,
        config: Mapping[str, Any] | None = None,
        scheduled_for: When | None = None,
        identity: str = "system",
        raises: bool = True,
    ) -> InlineRun:
        """Run a job's body, by its name or file, or a function as if it were one: `config` has its keys.

        `overrides` are services by key, in place of the project's: values, or `factory(function)`. `state` is
        written before, `events` are what the steps get that wait for them, by path. `scheduled_for` makes it
        look like a run by schedule. What the body raises is raised, unless `raises` is false.
        """
        found, function = self._find(job, config)
        given = dict(params or {})
        parameters.check(found.name, found.parameters, found.params, given)
        node = self._holding(found)
        claim = self._claim(node, found, given, identity)
        self._store.write_documents(
            claim.run, [Write(*one) for one in (state or {}).items()], self.clock.now()
        )
        inside = Inside(node, self._bodies, overrides, quiet=False)
        shown = claim if scheduled_for is None else _as_scheduled(claim, scheduled_for, self._settings)
        done = self._see_through(inside, shown, function)
        while self._go_on(claim.run, events or {}):
            done = self._again(inside, claim.run.id, function) or done
        for undo in [
            one for one in self._store.chain(claim.run.root_id) if one.undo and one.state == "pending"
        ]:
            self._again(inside, undo.id, None)
        return _raised(self._told(claim.run, done), raises=raises)

    # -- what to run ---------------------------------------------------------------------------------

    def _find(self, job: What, config: Mapping[str, Any] | None) -> tuple[Job, Callable[..., Any] | None]:
        if callable(job):
            return self._of_function(job, config or {}), job
        if config:
            raise BadArgument("config is for functions; a job has its own", argument="config")
        text = os.fspath(job)
        if not text.endswith(".py"):
            return self._registry().find(text), None
        return self._of_file(text), None

    def _of_function(self, function: Callable[..., Any], config: Mapping[str, Any]) -> Job:
        name = getattr(function, "__name__", "")
        written = {"name": name if name.isidentifier() else "function", "schedule": None, **config}
        place = configs.Place("", self._settings.project, "")
        job, errors = configs.read(configs.Written(written, "config"), place, self._settings.timezone)
        if job is None:
            raise errors[0]
        return job

    def _of_file(self, text: str) -> Job:
        """Return the job that a file defines; one without config is a body all the same."""
        path = Path(self._settings.project, text).resolve()
        here = [one for one in self._jobs().values() if Path(one.path).resolve() == path]
        if not here and path.is_file():
            beside = load({"project": self._settings.project, "jobs": [str(path.parent)]}, {})
            here = [one for one in Registry.load(beside).jobs.values() if Path(one.path).resolve() == path]
        if len(here) > 1:
            names = ", ".join(one.name for one in here)
            raise BadArgument(
                f"{text} has several jobs: {names}", argument="job", hint="say which, by its name"
            )
        if here:
            return here[0]
        bare = housekeeping.exec_job(str(path), self._settings)
        return bare._replace(name=path.stem, config={"name": path.stem, "schedule": None})

    def _registry(self) -> Registry:
        return Registry.load(self._settings)

    def _jobs(self) -> dict[str, Job]:
        if self._known is None:
            self._known = dict(self._registry().jobs)
        return self._known

    # -- the node ------------------------------------------------------------------------------------

    def _holding(self, job: Job) -> SimulatedNode:
        """Return the node, which holds the project's jobs and this one."""
        jobs = {**self._jobs(), job.name: job}
        held = Definitions(jobs=jobs, problems=(), settings=self._settings)
        if self._node is None:
            self._node = SimulatedNode(
                self._store, held, self._bodies, self.clock, lambda _: None, slots=1, repeats=False,
                masker=masker_of(self._settings), restore=self._imagine,
            )  # fmt: skip
            self._node.dispatcher.claiming = False  # what a body calls is told, not run
        else:
            self._node.hold(held)
        return self._node

    def _imagine(self, name: str) -> Job | None:
        """Return a job that a body calls: where no project says which there are, there is every one."""
        if self._jobs():
            return None
        written = configs.Written({"name": name, "schedule": None}, "call")
        job, _ = configs.read(written, configs.Place("", "", ""), self._settings.timezone)
        if job is not None:
            self._store.enroll(job, self.clock.now())
        return job

    def _claim(self, node: SimulatedNode, job: Job, params: Mapping[str, Any], identity: str) -> Claim:
        now = self.clock.now()
        job_id = self._store.enroll(job, now)
        return self._store.run_here(job_id, job, node.me, 1, params, identity=identity, force=True, now=now)

    def _see_through(self, inside: Inside, claim: Claim, function: Callable[..., Any] | None) -> Performance:
        assert self._node is not None
        dispatcher, done = self._node.dispatcher, None
        dispatcher.hand_out(claim)
        while dispatcher.running:
            for body in self._bodies.taken():
                done = inside.perform(body.spec, function)
                self._bodies.end(body.spec["runId"], done.outcome)
            dispatcher.notice()
            if not dispatcher.must_turn(self.clock.now()):
                self.clock.pass_by(max(1, (dispatcher.next_wake() or 0) - self.clock.now()))
            dispatcher.turn()
        assert done is not None
        return done

    def _again(self, inside: Inside, run_id: int, function: Callable[..., Any] | None) -> Performance | None:
        assert self._node is not None
        claim = self._store.start(run_id, self._node.me, 1, self.clock.now())
        return None if claim is None else self._see_through(inside, claim, function)

    def _go_on(self, run: Run, events: Mapping[str, Any]) -> bool:
        """Say whether a run that waits has got what it waits for."""
        now, steps = self.clock.now(), self._store.steps(run.root_id)
        come = [step for step in steps if step.state == "waiting" and step.path in events]
        for step in come:
            self._store.complete(run.id, step.path, result=events[step.path], error=None, now=now)
        return bool(come)

    # -- what became of it ---------------------------------------------------------------------------

    def _told(self, claimed: Run, done: Performance) -> InlineRun:
        run = self._store.run(claimed.id)
        assert run is not None
        log = b"".join(chunk.data for chunk in self._store.read_log(run.id))
        made = [one for one in self._store.runs(RunFilter(limit=ALL)) if one.parent_id == run.root_id]
        return InlineRun(
            id=run.id, job=run.job, state=run.state, reason=run.reason, result=run.result,
            error=done.error if run.state == "failed" else None, failure=run.error,
            log=log.decode("utf-8", "replace"), progress=tuple(done.progress),
            calls=tuple(_calls(made)), documents=self.documents,
            steps=tuple(self._store.steps(run.root_id)),
        )  # fmt: skip


def _calls(made: Iterable[Run]) -> Iterable[Call]:
    for run in sorted(made, key=lambda one: one.id):
        yield Call(run.id, run.job, to_datetime(run.effective_at), run.params, run.state)


def _as_scheduled(claim: Claim, when: When, settings: Settings) -> Claim:
    at = instant(when, "scheduled_for", settings.timezone)
    return claim._replace(run=claim.run._replace(trigger="schedule", scheduled_for=at))


def _raised(run: InlineRun, *, raises: bool) -> InlineRun:
    if not raises or run.state != "failed":
        return run
    if run.error is not None:
        raise run.error
    failure = run.failure or {}
    raise RunFailed(f"{run.job} failed: {failure.get('type')}: {failure.get('message')}")
