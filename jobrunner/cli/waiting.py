"""pending: the runs that no process has yet, and what each waits for."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import click

from jobrunner import labels, status
from jobrunner.cli import out, report
from jobrunner.cli.asking import Asked, JobName, Verb
from jobrunner.cli.jsonout import run_object
from jobrunner.cli.moments import time_of
from jobrunner.cli.render import table, when
from jobrunner.client import orders
from jobrunner.clock import Instant, to_iso
from jobrunner.errors import JobrunnerError
from jobrunner.masking import Masker, masker_of
from jobrunner.model import Run
from jobrunner.registry import Registry
from jobrunner.settings import Settings
from jobrunner.store.base import Store
from jobrunner.stored import with_stored
from jobrunner.wording import one_line

if TYPE_CHECKING:
    from jobrunner.model import Job
    from jobrunner.vitals import Nodes

HEAD = ("RUN", "JOB", "TRIGGER", "DUE", "ATTEMPT", "PARAMS", "FROM", "WAITS FOR")


@click.command(cls=Verb, epilog="jobrunner pending\njobrunner pending --job sync-orders --json")
@click.option("--job", "name", type=JobName(), metavar="NAME", help="Only runs of this job.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def pending(asked: Asked, name: str | None, as_json: bool) -> None:
    """List the runs that will be: retries, calls, queued ones, and those that wait for an event."""
    settings = asked.settings()
    store = asked.state(settings)
    if name is not None:
        name = report.real_name(settings, store, name)
    opened = store.open_runs() if store is not None else []
    runs = orders.pending_runs(opened, name)
    if store is None or not runs:
        out.json_document([]) if as_json else out.talk("nothing is pending")
        return
    now = time_of(store)
    reasons = Reasons(settings, store, opened, now)
    if as_json:
        out.json_document([{**run_object(run), "waitsFor": reasons.of(run)} for run in runs])
    else:
        table(HEAD, [_row(run, reasons, now) for run in runs])


def _row(run: Run, reasons: Reasons, now: Instant) -> tuple[str, ...]:
    return (
        str(run.id),
        run.job,
        run.trigger,
        when(run.effective_at, now),
        str(run.attempt),
        out.json_text(dict(run.params)) if run.params else "-",
        f"run {run.parent_id}" if run.parent_id is not None else "-",
        one_line(reasons.of(run)),
    )


def event_words(store: Store, run: Run, masker: Masker) -> str:
    """Return which events a run waits for, and until when: `the event approval, until …`."""
    steps = orders.awaited(store, run)
    until = min((step.deadline for step in steps if step.deadline is not None), default=None)
    names = " and ".join(masker.text(step.path) for step in steps)
    words = f"the event{'s' if len(steps) > 1 else ''} {names}"
    return words if until is None else f"{words}, until {to_iso(until)}"


class Reasons:
    """Knows why pending runs wait; what several of them need is asked once."""

    def __init__(self, settings: Settings, store: Store, opened: Sequence[Run], now: Instant) -> None:
        self._settings = settings
        self._store = store
        self._opened = opened
        self._now = now

    def of(self, run: Run) -> str:
        """Return what a run waits for: the first that keeps it from starting."""
        if run.state == "waiting":
            return event_words(self._store, run, self._masker)
        if run.effective_at > self._now:
            return "its next attempt" if run.attempt > 1 else "its time"
        if not self._nodes.workers:
            return self._nodes.idle or "a node: no `jobrunner start` is at work"
        return self._resting(run) or self._busy(run) or "a free slot"

    @cached_property
    def _masker(self) -> Masker:
        return masker_of(self._settings)

    @cached_property
    def _nodes(self) -> Nodes:
        from jobrunner import vitals

        return vitals.nodes_of(self._store, self._settings)

    @cached_property
    def _seen(self) -> report.Seen:
        return report.seen(self._store, whole=False)

    @cached_property
    def _registry(self) -> Registry:
        return Registry.load(with_stored(self._settings, self._store))

    def _job(self, run: Run) -> Job | None:
        try:
            return self._registry.find(self._registry.renamed(run.job) or run.job)
        except JobrunnerError:  # its file is gone or broken
            return None

    def _resting(self, run: Run) -> str | None:
        """Return what keeps the job of a run from its schedule; a run by hand does not mind."""
        job = self._job(run)
        if job is None:
            return "its job: no file that can be used defines it here"
        if run.trigger == "manual":
            unreached = labels.unreached(job.runs_on, self._nodes.reach)
            return f"a node: {unreached}" if unreached else None
        fact = status.fact_of(self._seen.facts, job.name, job.former_names)
        pause, reach = self._seen.pause, self._nodes.reach
        reason = status.resting(job, fact, self._settings, pause, reach)
        return f"its job, which is {reason}" if reason else None

    def _busy(self, run: Run) -> str | None:
        """Return which run of the same job and scope is in the way, where two may not run at once."""
        job = self._job(run)
        if job is not None and job.concurrency == "allow":
            return None
        for other in self._opened:
            same = (other.job_id, other.scope) == (run.job_id, run.scope)
            if same and other.root_id != run.root_id and other.state != "pending":
                return f"run {other.id} to end, which is {other.state}"
        return None
