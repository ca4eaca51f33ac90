"""cancel: runs are asked to end; what has not started never does."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import click

from jobrunner.cli import nodes, out, report
from jobrunner.cli.app import say_error
from jobrunner.cli.asking import Asked, JobName, Text, Verb
from jobrunner.cli.desk import AS, JSON, Object
from jobrunner.cli.moments import Moment
from jobrunner.cli.past import find_run, is_run
from jobrunner.cli.render import many
from jobrunner.client import orders
from jobrunner.client.orders import Canceled
from jobrunner.clock import Instant
from jobrunner.errors import BadRequest, Refused
from jobrunner.model import OPEN, Run, State
from jobrunner.registry import Registry
from jobrunner.settings import Settings
from jobrunner.store.base import Store
from jobrunner.stored import with_added
from jobrunner.wording import one_line

LOOK_EVERY = 0.1  # seconds, while we wait for runs to end


class Which(NamedTuple):
    """Which runs are meant: these, or all open ones that fit."""

    runs: tuple[str, ...]
    job: str | None
    everything: bool
    states: tuple[str, ...]
    before: Instant | None

    def check(self) -> None:
        """Raise BadRequest unless it is plain what is meant."""
        chosen = self.job is not None or self.everything or self.states or self.before is not None
        if self.runs and chosen:
            raise BadRequest("runs are named, and others chosen", hint="either numbers, or --job and --all")
        if not self.runs and self.job is None and not self.everything:
            raise BadRequest("which run?", hint="give its number, or --job NAME, or --all")
        for run in self.runs:
            if not is_run(run):
                raise BadRequest(f'"{run}" is no number of a run', hint=f"for all of a job: --job {run}")


@click.command(cls=Verb, epilog="jobrunner cancel 1742 --wait\njobrunner cancel --all --state pending --yes")
@click.argument("runs", nargs=-1, metavar="[RUN]...", type=Text())
@click.option("--job", type=JobName(), metavar="NAME", help="All open runs of this job.")
@click.option("--all", "everything", is_flag=True, help="All open runs; asks in a terminal.")
@click.option("--state", "states", multiple=True, type=click.Choice(sorted(OPEN)), help="Only these.")
@click.option("--before", type=Moment(), help="Only what started, or was due, before this moment.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--force", is_flag=True, help="Also runs of jobs that say cancellable: false.")
@click.option("--wait", is_flag=True, help="Wait until they have ended.")
@AS
@JSON
@click.pass_obj
def cancel(
    asked: Asked, runs: tuple[str, ...], job: str | None, everything: bool, states: tuple[str, ...],
    before: Instant | None, yes: bool, force: bool, wait: bool, user: str | None, as_json: bool,
) -> int:  # fmt: skip
    """Let runs end: what waits never starts; what runs is asked, then told, by its node within its grace.

    \b
    Exit code: 0 done, or nothing to do, 2 usage, 3 no such run or job, 4 a job says cancellable: false,
    or --wait waits in vain: the node is dead.
    """
    which = Which(runs, job, everything, states, before)
    which.check()
    settings = asked.settings()
    store = asked.state(settings)
    found = chosen(which, settings, store)
    if store is None or not found:
        out.json_document([]) if as_json else out.line("no run is open that fits")
        return 0
    try:
        willing = _willing(found, settings, store, which, force=force)
        if not (yes or not everything or _agreed(len(willing))):
            out.talk("nothing was canceled")
            return 0
        ended = orders.cancel(settings, store, user, willing)
        if wait:
            ended = [each._replace(state=_wait(store, settings, each.run)) for each in ended]
        deaf = nodes.forsaken(store, settings, [each.run._replace(state=each.state) for each in ended])
    finally:
        store.close()
    _tell(ended, deaf, as_json=as_json)
    refused = [*_spared(found, willing), *(_unheard(deaf) if wait else ())]
    if refused:
        hint = "; ".join(error.hint or "" for error in refused)
        say_error(Refused.code, "; ".join(error.message for error in refused), hint, as_json=as_json)
    return Refused.exit_code if refused else 0


def _spared(found: Sequence[Run], willing: Sequence[Run]) -> Iterator[Refused]:
    """Yield a refusal where some of the runs may not be canceled."""
    left = [run for run in found if run not in willing]
    if left:
        are = "is left as it is" if len(left) == 1 else "are left as they are"
        said = f"{many(len(left), 'run')} {are}: {_guards(left[0])}"
        yield Refused(said, hint="--force cancels all of them")


def _unheard(deaf: Mapping[int, str]) -> Iterator[Refused]:
    """Yield a refusal where runs cannot be waited for, since nobody is there to end them."""
    for run_id, said in [*deaf.items()][:1]:
        more = f" (and {len(deaf) - 1} more)" if len(deaf) > 1 else ""
        yield Refused(f"run {run_id}{more} cannot be waited for: {said}", hint="`jobrunner start`")


def chosen(which: Which, settings: Settings, store: Store | None) -> list[Run]:
    """Return the runs that are meant, oldest first. Raises UnknownRun and UnknownJob."""
    if which.runs:
        return [find_run(store, number) for number in dict.fromkeys(which.runs)]
    name = report.real_name(settings, store, which.job) if which.job is not None else None
    return [run for run in (store.open_runs() if store is not None else []) if _fits(run, name, which)]


def _fits(run: Run, name: str | None, which: Which) -> bool:
    """Say whether a run is among many that are meant; taking steps back is canceled by its number only."""
    moment = run.started_at if run.started_at is not None else run.effective_at
    return (
        not run.undo
        and (name is None or run.job.casefold() == name.casefold())
        and (not which.states or run.state in which.states)
        and (which.before is None or moment < which.before)
    )


def _willing(
    found: Sequence[Run], settings: Settings, store: Store, which: Which, *, force: bool
) -> list[Run]:
    """Return the runs that may be canceled. Raises Refused for one that was named and may not be."""
    guarded = (
        set() if force else orders.guarded(found, partial(Registry.load, with_added(settings, store)), store)
    )
    left = [run for run in found if run.state in OPEN and run.job_id in guarded]
    if not left:
        return list(found)
    if which.runs or len(left) == len(found):
        raise Refused(_guards(left[0]), hint="--force cancels it all the same")
    return [run for run in found if run not in left]


def _guards(run: Run) -> str:
    return f"{run.job} says cancellable: false (run {run.id})"


def _agreed(number: int) -> bool:
    """Ask a person; a script has said what it wants."""
    return not sys.stdin.isatty() or click.confirm(f"Cancel {many(number, 'run')}?", err=True)


def _wait(store: Store, settings: Settings, run: Run) -> State:
    """Wait for the end of a run, as long as a node lives that can record one; returns its state."""
    while True:
        found = store.run(run.id)
        if found is None or found.state not in OPEN:
            return run.state if found is None else found.state
        if nodes.is_left(store, settings, found):
            return found.state
        time.sleep(LOOK_EVERY)


def _tell(ended: Sequence[Canceled], deaf: Mapping[int, str], *, as_json: bool) -> None:
    if as_json:
        out.json_document([_object(each) for each in ended])
        return
    for each in ended:
        run = each.run
        said = one_line(deaf[run.id]) if run.id in deaf else _words(run, each.state)
        out.line(f"run {run.id} of {one_line(run.job)}: {said}")
        for call in each.calls:
            out.line(f"run {call.id} of {one_line(call.job)}: canceled with it, before it started")


def _object(canceled: Canceled) -> Object:
    run = canceled.run
    calls = [call.id for call in canceled.calls]
    return {"id": run.id, "job": run.job, "was": run.state, "is": canceled.state, "calls": calls}


def _words(run: Run, state: State) -> str:
    if run.state not in OPEN:
        return f"nothing to do, it has ended already: {state}"
    if run.state == "pending":
        return "canceled before it started" if state == "canceled" else state
    return "asked; its node ends it within its grace" if state in OPEN else f"ended: {state}"
