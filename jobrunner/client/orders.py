"""WHAT IS ASKED FOR FROM OUTSIDE: runs, their end, and the end of a step that waits.

The verbs behind the commands and the client. Those that write take a desk, in whose transaction they write
their line of the audit trail, too. Params never stand in it: they may hold what is nobody's business.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple

from jobrunner import parameters, status, terms
from jobrunner.client.desk import Desk, writing
from jobrunner.clock import SECOND, Instant, SystemClock, to_iso
from jobrunner.discovery.servicesfile import has_services
from jobrunner.errors import JobrunnerError, NotEnded, Refused, UnknownJob, UnknownRun, unknown_job
from jobrunner.facts import Footing
from jobrunner.model import ENDED, Job, Run, State, Step
from jobrunner.restoring import restored
from jobrunner.settings import Settings
from jobrunner.store.base import Call, Store

if TYPE_CHECKING:  # of a job that a node holds nobody need read the files
    from jobrunner.registry import Registry

BATCH = 500  # runs that are canceled in one transaction: nodes want the lock, too
LONGEST_RESULT = 64 * 1024  # bytes of what a step is completed with, as JSON: as of any step
HOW = "give it: {}=…"
LOOK_EVERY = 0.1  # seconds, while a run is waited for


# -- which job -------------------------------------------------------------------------------------------


def wanted(settings: Settings, store: Store | None, files: Callable[[], Registry], name: str) -> Job:
    """Return the definition that a run of this job would have.

    What a node holds is what will run. Of a job that none holds the files decide, where there are some;
    else the definition that was current last. Raises UnknownJob, naming near ones, and ConfigError.
    """
    held = restored(store, settings, name, held=True) if store is not None else None
    return held if held is not None else _in_files(settings, store, files(), name)


def _in_files(settings: Settings, store: Store | None, registry: Registry, name: str) -> Job:
    from jobrunner.client.finding import find

    try:
        return find(registry, name, lambda: store)
    except UnknownJob:
        known = restored(store, settings, name) if store is not None else None
        if registry.missing_folder is None:
            raise
    if known is None:
        raise _unknown(registry, store, name)
    return known


def _unknown(registry: Registry, store: Store | None, name: str) -> UnknownJob:
    names = {each.name for each in registry.summaries}
    names |= {each.name for each in store.definitions()} if store is not None else set()
    return unknown_job(name, names)


def check_params(settings: Settings, job: Job, params: Mapping[str, Any], how: str = HOW) -> None:
    """Raise BadArgument for a param that the job does not take, or that it lacks where no service can bring
    it. `how` is the hint for one that lacks, with {} for its name.
    """
    check_all_params(settings, job, [params], how)


def check_all_params(
    settings: Settings, job: Job, calls: Iterable[Mapping[str, Any]], how: str = HOW
) -> None:
    """Raise as `check_params` does for any of these."""
    takes, own = job.parameters, job.params
    complete: bool | None = None  # whether no service can bring what lacks: asked where something does
    for params in calls:
        parameters.check(job.name, takes, own, params)
        if parameters.missing(takes, own, params):
            complete = (
                _is_here(settings, job) and not has_services(settings) if complete is None else complete
            )
            if complete:
                parameters.refuse_missing(job.name, takes, own, params, how)


def _is_here(settings: Settings, job: Job) -> bool:
    """Say whether a job is of this project; else nobody can tell here which services there are."""
    if job.file:
        return os.path.isfile(os.path.join(settings.project, job.file))  # noqa: PTH113  (each call asks)
    return any(map(os.path.isdir, settings.folders))


# -- runs ------------------------------------------------------------------------------------------------


def call(
    at: Desk, job: Job, due: Instant, params: Mapping[str, Any], identity: str = "system",
    job_id: int | None = None,
) -> int:  # fmt: skip
    """Have a job run once, when it is due; returns the run's id. Whoever knows the job's spares a look.

    Raises BadArgument for a moment more than five years away; the past means now.
    """
    due = terms.within_reach(due, at.now)
    run_id = at.store.call(Call(at=due, params=params, identity=identity), job, at.now, job_id)
    at.note("called", job.name, f"run {run_id}, due {to_iso(due)}")
    return run_id


def call_all(
    at: Desk, job: Job, due: Instant, calls: Sequence[Mapping[str, Any]], job_id: int | None = None
) -> Sequence[int]:
    """Have a job run once for each of these params; returns the runs' ids."""
    due = terms.within_reach(due, at.now)
    ids = at.store.call_all(Call(at=due), calls, job, at.now, job_id)
    if ids:
        at.note("called", job.name, f"runs {ids[0]} to {ids[-1]}, due {to_iso(due)}")
    return ids


class Ways(NamedTuple):
    """How whoever asks can have it all the same, in the words of the surface that is used."""

    force: str
    queue: str


PYTHON = Ways("force=True", "queue=True")


def trigger(
    at: Desk, job: Job, params: Mapping[str, Any], *, identity: str, force: bool, queue: bool,
    ways: Ways = PYTHON, footing: Footing | None = None,
) -> int:  # fmt: skip
    """Ask the nodes to run a job at the soonest; returns the run's id.

    Raises Refused, with the reason, while the job is disabled, paused or busy; `queue` lets it wait for a
    busy one, `force` has it run in any case.
    """
    footing = footing or at.store.footing(job.name)
    resting = None if force else _resting(at, job, footing)
    if resting is not None:
        raise Refused(resting, hint=f"{ways.force} runs it all the same")
    job_id = footing.job_id or at.store.enroll(job, at.now)
    try:
        run_id = at.store.trigger(
            job_id, job, params, identity=identity, force=force, queue=queue, now=at.now
        )
    except Refused as error:
        error.hint = f"{ways.queue} lets it wait for the end of that, {ways.force} runs it beside it"
        raise
    at.note("triggered", job.name, f"run {run_id}" + ", by force" * force)
    return run_id


def _resting(at: Desk, job: Job, footing: Footing) -> str | None:
    """Return why a job is not to run; where a job may run at all is a matter of nodes."""
    enabled, reason = status.enablement(job, footing, at.settings)
    if not enabled:
        return f"{job.name} is disabled" + (f" {reason}" if reason else "")
    pause = footing.pause
    return None if pause is None else f"all is {status.paused(pause)}, {job.name} too"


def hindrance(store: Store, settings: Settings, run: Run) -> str | None:
    """Return why nobody would start a run at present, however free they are; None: somebody may."""
    from jobrunner import vitals

    nodes = vitals.nodes_of(store, settings)
    owners = {node.owner for node in nodes.workers}
    if not owners:
        return nodes.idle or "no `jobrunner start` is at work"
    gates = [hold.gate for hold in store.holders().get(run.job_id, ()) if hold.owner in owners]
    lost = _lost_module(store, settings, run.job) if not gates else None
    if lost is not None:
        return f"no node holds it: its module {lost} cannot be found"
    if not gates or None in gates:  # one that holds no definition yet may be about to read it
        return None
    return f"no node may run it at present ({', '.join(sorted(set(filter(None, gates))))})"


def _lost_module(store: Store, settings: Settings, name: str) -> str | None:
    """Return the module of an added job that nobody finds here; None of any other job."""
    from jobrunner import added

    for each in store.added_jobs():
        if each.name == name and added.module_file(each.target, settings.project) is None:
            return each.target.partition(":")[0]
    return None


def find_run(store: Store | None, run_id: int) -> Run:
    """Return a run. Raises UnknownRun."""
    run = store.run(run_id) if store is not None and 0 < run_id < 1 << 63 else None
    if run is None:
        raise UnknownRun(f"there is no run {run_id}", hint="`jobrunner history` lists the runs")
    return run


def _chain_end(store: Store, run: Run) -> Run | None:
    """Return the last attempt of a run's chain, once the whole chain has ended; else None."""
    chain = store.chain(run.root_id)
    last = chain[-1] if chain else run
    return last if last.state in ENDED else None


def wait(store: Store, run: Run, limit: int | None, hint: str = "it goes on") -> Run:
    """Wait for the end of a run's whole chain, and return its last attempt.

    Raises NotEnded, with this hint, after `limit` microseconds; None: there is no limit.
    """
    clock, most = SystemClock(), inf if limit is None else limit / SECOND
    began = clock.monotonic()
    while (ended := _chain_end(store, run)) is None:
        left = most - (clock.monotonic() - began)
        if left <= 0:
            raise NotEnded(f"run {run.id} of {run.job} has not ended in {most:g} s", hint=hint)
        time.sleep(min(LOOK_EVERY, left))
    return ended


def pending_runs(opened: Iterable[Run], job: str | None = None) -> list[Run]:
    """Return the runs among these that no process has, for they are not begun or wait for an event.

    Those of one job or all, the soonest first.
    """
    found = [run for run in opened if run.state != "running" and job in (None, run.job)]
    return sorted(found, key=lambda run: (run.effective_at, run.id))


# -- steps -----------------------------------------------------------------------------------------------


def awaited(store: Store, run: Run) -> list[Step]:
    """Return the steps of a run's chain that wait for an event."""
    return [step for step in store.steps(run.root_id) if step.state == "waiting"]


def complete(at: Desk, run_id: int, step: str, result: Any, error: str | None) -> Run:
    """End a step that waits for it, with a result or as failed with this message.

    Returns the run that goes on. Raises UnknownRun; Refused, naming what the run waits for, when it does
    not wait for that.
    """
    find_run(at.store, run_id)
    failure = None
    if error is not None:
        failure = {"type": "EventFailed", "message": error, "traceback": "", "phase": "body"}
    else:
        result, _ = terms.plain(result, "result", LONGEST_RESULT)
    run = at.store.complete(run_id, step, result=result, error=failure, now=at.now)
    at.note("completed" if error is None else "step-failed", run.job, f"run {run_id}, step {step}")
    return run


# -- to end runs -----------------------------------------------------------------------------------------


class Canceled(NamedTuple):
    """A run as it was, the state that it is in now, and the pending calls that went with it."""

    run: Run
    state: State
    calls: Sequence[Run]


def cancel(settings: Settings, store: Store, user: str | None, runs: Sequence[Run]) -> list[Canceled]:
    """Cancel runs, a batch in a transaction, and wake the nodes after each."""
    found: list[Canceled] = []
    for start in range(0, len(runs), BATCH):
        with writing(settings, store, user) as at:
            found += _canceled(at, runs[start : start + BATCH])
    return found


def _canceled(at: Desk, runs: Sequence[Run]) -> Iterator[Canceled]:
    for before in runs:
        run = at.store.run(before.id)
        calls = pending_calls(at.store, before.id) if run is not None else []
        state = at.store.cancel(before.id, at.now)
        if run is None or state is None:  # pruned by now
            continue
        if run.state in ("pending", "waiting") or (run.state == "running" and run.asked is None):
            action = "cancel-asked" if run.state == "running" else "canceled"
            also = f", with {len(calls)} pending calls" if calls else ""
            at.note(action, run.job, f"run {run.id}{also}")
        yield Canceled(run, state, calls)


def pending_calls(store: Store, run_id: int) -> list[Run]:
    """Return the calls of a chain, and theirs, that have not started: canceling it cancels them."""
    found, roots, seen = [], [run_id], set[int]()
    while roots:
        for child in store.children(roots.pop()):
            if child.root_id not in seen:
                seen.add(child.root_id)
                roots.append(child.root_id)
            if child.state == "pending" and child.is_new and not child.undo:
                found.append(child)
    return sorted(found, key=lambda run: run.id)


def guarded(found: Sequence[Run], files: Callable[[], Registry], store: Store) -> set[int]:
    """Return the jobs whose runs are not to be canceled: as registered, else as their files say."""
    known = {each.job_id: each.config.get("cancellable", True) for each in store.definitions()}
    for run in found:
        if run.job_id not in known:
            try:
                known[run.job_id] = files().find(run.job).cancellable
            except JobrunnerError:  # nobody says no
                known[run.job_id] = True
    return {job_id for job_id, may in known.items() if may is False}
