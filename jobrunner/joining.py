"""How a node comes among the living, and how it makes new definitions hold: one transaction each."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from jobrunner.clock import SECOND, Instant
from jobrunner.definitions import Definitions
from jobrunner.drift import Drift
from jobrunner.errors import Refused, StateError
from jobrunner.events import (
    ChainEnded,
    Event,
    FileBroken,
    Finished,
    JobAdded,
    JobUpdated,
    KeptOld,
    Mended,
    NotHeld,
    Reloaded,
    Skipped,
)  # fmt: skip
from jobrunner.facts import NodeFacts
from jobrunner.housekeeping import is_ours
from jobrunner.model import Job, Outcome, Run
from jobrunner.restoring import restore
from jobrunner.scheduler import Scheduler
from jobrunner.store.base import Registration, Store

CALLS_EVERY = 10 * SECOND


class Adopted(NamedTuple):
    """What became of new definitions."""

    found: Registration
    appeared: tuple[str, ...]  # held now, and not before
    removed: tuple[str, ...]  # the other way round
    events: list[Event]


class Joining:
    """What a node does in the store besides running: it comes, changes its mind, and goes."""

    def __init__(self, store: Store, scheduler: Scheduler, me: NodeFacts) -> None:
        self._store = store
        self._scheduler = scheduler
        self._me = me
        self._drift = Drift(store, me)
        self._sought_at: Instant = 0  # when we last looked for calls of jobs that are no more

    def join(self, definitions: Definitions, dead: Sequence[NodeFacts], now: Instant) -> list[Event]:
        """Become one of the living. Raises Refused or StateError where others do not let us."""
        with self._store.transaction():
            gone = {node.owner for node in dead}
            alone = not self._check_company(gone) and self._me.works
            self._store.join(self._me)
            self._store.note(self._me.node, "node-start", None, self._as_noted(), now)
            adopted = self.adopt(definitions, now)
            events: list[Event] = [JobAdded(name) for name in adopted.found.added if not is_ours(name)]
            events += [NotHeld(name, module) for name, module in definitions.lost.items()]
            events += [JobUpdated(name, name in adopted.found.rescheduled) for name in adopted.found.updated]
            if alone:
                events += self._scheduler.give_up(now, outage=True) + self._give_up_orphans(definitions, now)
            events += self._drift.look(gone, now, changed=True)
        return events + adopted.events

    def adopt(self, definitions: Definitions, now: Instant) -> Adopted:
        """Hold these definitions and no others, inside the caller's transaction or one of its own."""
        before = {job.name for job in self._scheduler.held}
        held = self._scheduler.holding
        try:
            with self._store.transaction():
                found = self._hold(definitions, now)
                now_held = {job.name for job in self._scheduler.held}
                appeared, removed = tuple(sorted(now_held - before)), tuple(sorted(before - now_held))
                self._note(definitions, found, now)
                events = self._scheduler.load(now) + self._give_up_gone(removed, now)
        except BaseException:
            self._scheduler.hold(held)  # what the store does not know of is not to be planned or claimed by
            raise
        return Adopted(found, appeared, removed, events)

    def _hold(self, definitions: Definitions, now: Instant) -> Registration:
        if not self._me.works:  # deployed first, it must not make its definitions current
            definitions = definitions._replace(jobs={}, problems=())
        broken = broken_jobs(self._store, definitions)
        self._scheduler.adopt(definitions.jobs, definitions.settings, broken)
        me, gates = self._me, self._scheduler.gates
        found = self._store.register(me.owner, self._scheduler.held, me.machine, now, gates)
        self._scheduler.start_at_once(found.added, now)
        return found

    def leave(self, now: Instant) -> None:
        """Go in good order. Who still has a run stays, to be found dead: only so it becomes lost."""
        with self._store.transaction():
            if self._store.has_runs(self._me.owner):
                return
            self._store.leave(self._me.owner)
            self._store.note(self._me.node, "node-stop", None, f"pid {self._me.pid}", now)

    def look(
        self, definitions: Definitions, dead: Iterable[NodeFacts], now: Instant, *, changed: bool
    ) -> list[Event]:
        """Do what is to be done now and then; `changed`: definitions may be others."""
        gone = {node.owner for node in dead}
        return self.fail_calls(definitions, now) + self._drift.look(gone, now, changed=changed)

    def _as_noted(self) -> str:
        """Return what a note says of the start of this node."""
        return f"pid {self._me.pid}" + ("" if self._me.works else f", role {self._me.role}")

    def _check_company(self, gone: set[str]) -> bool:
        """Return whether another start is at work; raise where the two cannot work together."""
        living = [node for node in self._store.nodes() if node.owner not in gone and node.role != "run"]
        others = () if self._store.leased else living
        stranger = next((node for node in others if node.boot_id != self._me.boot_id), None)
        if stranger is not None:
            raise StateError(
                f"the state is in use on another machine ({stranger.machine})",
                hint="one SQLite file serves one machine; several need PostgreSQL",
            )
        alone = next((node for node in living if node.exclusive or self._me.exclusive), None)
        if alone is not None:
            raise Refused(
                f"another start (pid {alone.pid}) works on this state, and one of the two is exclusive",
                hint="stop it first, or leave --exclusive out on both",
            )
        return any(node.works for node in living)

    # -- what is gone --------------------------------------------------------------------------------

    def _give_up_orphans(self, definitions: Definitions, now: Instant) -> list[Event]:
        """Let runs end that wait for a job which nothing defines any more; nobody would start them."""
        if definitions.only is not None:  # then we do not know what all files define
            return []
        runs = [run for run in self._store.open_runs() if self._scheduler.job(run.job) is None]
        return self._give_up(self._undefined(runs), now)

    def _give_up_gone(self, names: Collection[str], now: Instant) -> list[Event]:
        """The same for jobs that we held until now, unless another node holds them still."""
        runs = [run for run in self._store.open_runs() if run.job in names] if names else []
        held = self._store.holders() if runs else {}
        return self._give_up(self._undefined([run for run in runs if not held.get(run.job_id)]), now)

    def _undefined(self, runs: Sequence[Run]) -> list[Run]:
        """Return all but the runs of added jobs: another node may hold these, or we ourselves soon."""
        added = {each.name.casefold() for each in self._store.added_jobs()} if runs else set()
        return [run for run in runs if run.job.casefold() not in added]

    def _give_up(self, runs: Iterable[Run], now: Instant) -> list[Event]:
        events: list[Event] = []
        for run in runs:
            if run.state != "pending" or run.scheduled_for is None:
                continue
            if not self._store.give_up(run.id, "orphan", self._me, now):
                continue
            if not run.is_new:
                self._store.conclude(run, Outcome(state="canceled", reason="orphan"), now)
            events.append(Skipped(run.job, run.scheduled_for, "orphan", 1))
        return events

    def fail_calls(self, definitions: Definitions, now: Instant) -> list[Event]:
        """Let calls fail that are due and whose job is no more, anywhere; looks now and then only."""
        if definitions.only is not None or 0 <= now - self._sought_at < CALLS_EVERY:
            return []
        self._sought_at = now
        events: list[Event] = []
        runs = self._store.orphaned_calls(now)
        for run in filter(self._is_gone, self._undefined(runs)):
            said = f"nothing defines the job {run.job} any more: its file is gone, or it was removed"
            error = {"type": "UnknownJob", "message": said, "traceback": "", "phase": "import"}
            with self._store.transaction():
                ended = self._store.fail_call(run.id, error, now)
                if ended is not None:
                    outcome = Outcome(state="failed", reason="orphan", error=error)
                    self._store.conclude(ended, outcome, now)
                    events += [Finished(run.id, run.job, outcome, 0), ChainEnded(ended, outcome)]
        return events

    def _is_gone(self, run: Run) -> bool:
        """Say whether nothing defines a job that nobody holds. Who works holds all there is; a node that only
        controls goes by the file, and where it has no job files by nothing."""
        if self._me.works:
            return True
        fact, settings = self._store.job(run.job), self._scheduler.settings
        if fact is None or not fact.file:
            return True
        return any(map(os.path.isdir, settings.folders)) and not os.path.exists(
            os.path.join(settings.project, fact.file)
        )

    def _note(self, definitions: Definitions, found: Registration, now: Instant) -> None:
        """Write down what is different from what was, for `why` and `audit`."""
        me = self._me.node
        lines = [("job-added", name, self._file(name)) for name in found.added]
        for name in found.updated:
            detail = "new schedule" if name in found.rescheduled else "changed"
            lines.append(("job-updated", name, f"{self._file(name)}{self._set(name)}: {detail}"))
        self._store.note_all(me, lines, now)
        for problem in definitions.problems:
            if problem.name is not None:
                where = f"{problem.file}:{problem.line}" if problem.line else problem.file
                self._note_once("file-broken", problem.name, f"{where}: {problem.message}", now)

    def _set(self, name: str) -> str:
        """Return the words for what is otherwise than in the file."""
        job = self._scheduler.job(name)
        return f" with {', '.join(job.overridden)} overridden" if job is not None and job.overridden else ""

    def _file(self, name: str) -> str:
        job = self._scheduler.job(name)
        return (job.file or job.target) if job is not None else ""

    def _note_once(self, action: str, job: str, detail: str, now: Instant) -> None:
        last = next((note for note in self._store.notes(job, limit=20) if note.job is not None), None)
        if last is None or (last.action, last.detail) != (action, detail):
            self._store.note(self._me.node, action, job, detail, now)


def broken_jobs(store: Store, definitions: Definitions) -> Mapping[str, Job]:
    """Return the jobs that were registered once and whose file has a problem now: they are still due."""
    if not definitions.problems:
        return {}
    names = {(problem.name or "").casefold() for problem in definitions.problems}
    files = {problem.file for problem in definitions.problems}
    found: dict[str, Job] = {}
    for each in store.definitions():
        here = each.name in definitions.jobs
        if not here and (each.name.casefold() in names or each.file in files):
            job = restore(each.name, each.config, each.file, each.hash, definitions.settings)
            if job is not None:
                found[each.name] = job
    return found


def differences(before: Definitions, after: Definitions, adopted: Adopted) -> list[Event]:
    """Return what a reload has changed, and what is wrong with files now that was not wrong before."""
    events: list[Event] = []
    kept = {name.casefold() for name in after.kept}
    for problem in after.problems:
        if problem not in before.problems:
            held = problem.name if (problem.name or "").casefold() in kept else None
            events.append(KeptOld(held, problem) if held else FileBroken(problem))
    lost = {name: module for name, module in after.lost.items() if before.lost.get(name) != module}
    events += [NotHeld(name, module) for name, module in lost.items()]
    broken = {problem.path for problem in after.problems}
    mended = {problem.file: problem for problem in before.problems if problem.path not in broken}
    events += [Mended(file) for file in sorted(mended)]
    updated = tuple(name for name in adopted.found.updated if name not in adopted.appeared)
    if adopted.appeared or updated or adopted.removed:
        events.append(Reloaded(adopted.appeared, updated, adopted.removed))
    return events
