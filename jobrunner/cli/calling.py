"""at, in, trigger: have the nodes run a job, at a moment or at the soonest."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from datetime import time as time_of_day
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from jobrunner import terms
from jobrunner.cli import out, params
from jobrunner.cli.asking import Asked, JobName, Length, Text
from jobrunner.cli.jsonout import run_object
from jobrunner.client import orders
from jobrunner.client.desk import Desk, writing
from jobrunner.clock import Instant, SystemClock, from_datetime, to_datetime, to_iso
from jobrunner.errors import BadArgument
from jobrunner.model import Job, Outcome, Run
from jobrunner.settings import Settings
from jobrunner.store.base import Store
from jobrunner.stored import with_stored
from jobrunner.wording import one_line

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from jobrunner.registry import Registry

WAYS = orders.Ways("--force", "--queue")
MOMENTS = "2026-05-01T09:30, 2026-05-01T09:30Z, 09:30, or seconds since 1970"
AS = click.option(
    "--as", "identity", type=Text(), metavar="USER",
    help="For whom: ctx.identity, and who asks, for the audit trail.",
)  # fmt: skip
JSON = click.option("--json", "as_json", is_flag=True, help="Print the run as JSON.")


class Asking(NamedTuple):
    """An open state, the job that is wanted, and its params."""

    settings: Settings
    store: Store
    job: Job
    params: Mapping[str, Any]

    def order(self, user: str | None, ask: Callable[[Desk], int]) -> Run:
        """Have something asked for in a transaction; returns the run that came of it."""
        with writing(self.settings, self.store, user) as at:
            run_id = ask(at)
            return orders.find_run(self.store, run_id)


@contextmanager
def asking(asked: Asked, name: str, pairs: tuple[str, ...], text: str | None) -> Iterator[Asking]:
    """Open the state to ask for a run of a job, made if need be. Raises UnknownJob before it is made."""
    typed = params.words(pairs, text)
    settings = asked.settings()
    store = asked.state(settings)
    try:
        job = orders.wanted(settings, store, partial(_files, settings, store), name)
        given = typed.of(job.name, job.parameters, job.params)
        terms.params_text(given)
        orders.check_params(settings, job, given, params.HOW)
        store = store or asked.make(settings)
        yield Asking(settings, store, job, given)
    finally:
        if store is not None:
            store.close()


def _files(settings: Settings, store: Store | None) -> Registry:
    from jobrunner.registry import Registry

    return Registry.load(with_stored(settings, store))


# -- at, in ----------------------------------------------------------------------------------------------


@click.command(
    "at",
    cls=params.JobVerb,
    epilog="jobrunner at 2026-05-01T09:30 report -p month=4\njobrunner at 18:00 sync-orders",
)
@click.argument("when", type=Text())
@click.argument("name", type=JobName())
@params.options
@AS
@JSON
@click.pass_obj
def at(
    asked: Asked, when: str, name: str, pairs: tuple[str, ...], text: str | None, identity: str | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Have a job run once, at a moment: an ISO time, HH:MM (the next one), or seconds since 1970.

    A time without an offset is one of the project's time zone. The past means now.

    \b
    Exit code: 0 it is called, 2 usage, or params that the job does not take, 3 unknown job.
    """
    zone = asked.settings().timezone
    due = moment(when, zone, SystemClock().now())
    _call(asked, name, pairs, text, identity, lambda _: due, as_json=as_json)


class Later(params.JobVerb):
    """`in`, which takes `-1h` for the delay that it is meant to be, and no option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Raise BadArgument for a delay below 0."""
        words = [*args]
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption:
            for word in words:
                if re.match(r"-[\d.]", word):
                    terms.delay(word)
            raise


@click.command("in", cls=Later, epilog="jobrunner in 2h remind -p order=17\njobrunner in 90s sync-orders")
@click.argument("delay", type=Text())
@click.argument("name", type=JobName())
@params.options
@AS
@JSON
@click.pass_obj
def in_(
    asked: Asked, delay: str, name: str, pairs: tuple[str, ...], text: str | None, identity: str | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Have a job run once, after a delay: 90s, 2h, 3d; digits alone are seconds.

    \b
    Exit code: 0 it is called, 2 usage, or params that the job does not take, 3 unknown job.
    """
    wait = terms.delay(float(delay) if delay.replace(".", "", 1).isdecimal() else delay)
    _call(asked, name, pairs, text, identity, lambda now: now + wait, as_json=as_json)


def _call(
    asked: Asked, name: str, pairs: tuple[str, ...], text: str | None, identity: str | None,
    due: Callable[[Instant], Instant], *, as_json: bool,
) -> None:  # fmt: skip
    now = SystemClock().now()
    terms.within_reach(due(now), now)  # before a state is made for it
    with asking(asked, name, pairs, text) as it:
        run = it.order(
            identity, lambda at: orders.call(at, it.job, due(at.now), it.params, identity or "system")
        )
    if as_json:
        out.json_document(run_object(run))
        return
    from jobrunner.cli.render import local, relative

    said = f"{to_iso(run.effective_at)}, {relative(run.effective_at - now)}"
    here = local(run.effective_at, it.settings.timezone)
    out.line(f"run {run.id} of {one_line(run.job)}: due {said} ({here})")


def moment(text: str, zone: str, now: Instant) -> Instant:
    """Return the moment that a text means, in `zone` where it names no offset. Raises BadArgument."""
    from zoneinfo import ZoneInfo

    written = text.strip()
    if written.replace(".", "", 1).isdecimal():
        return terms.moment(float(written))
    try:
        if ":" in written[:3]:
            return _next_time(written, ZoneInfo(zone), now)
        found = datetime.fromisoformat(written)
    except (ValueError, OverflowError):
        raise BadArgument(
            f"when is {text!a:.100}: that is no moment", argument="when", hint=MOMENTS
        ) from None
    return from_datetime(found.replace(tzinfo=found.tzinfo or ZoneInfo(zone)))


def _next_time(written: str, zone: ZoneInfo, now: Instant) -> Instant:
    """Return the next moment at which the clock on the wall shows this time, also on a day it does twice."""
    clock = time_of_day.fromisoformat(written)
    today = to_datetime(now).astimezone(zone).date()
    for days, fold in ((0, 0), (0, 1), (1, 0)):
        shown = datetime.combine(today + timedelta(days), clock.replace(fold=fold), zone)
        if from_datetime(shown) > now:
            break
    return from_datetime(shown)


# -- trigger ---------------------------------------------------------------------------------------------


@click.command(
    "trigger",
    cls=params.JobVerb,
    epilog="jobrunner trigger sync-orders\njobrunner trigger report -p month=4 --wait",
)
@click.argument("name", type=JobName())
@params.options
@click.option("--wait", is_flag=True, help="Wait for the end, print the result, and exit as `run` does.")
@click.option("--timeout", type=Length(least=1), metavar="D", help="With --wait: no longer than this.")
@click.option("--queue", is_flag=True, help="If the job is busy, let it wait for the end of that.")
@click.option("--force", is_flag=True, help="Although it is disabled, paused or busy.")
@AS
@JSON
@click.pass_obj
def trigger(
    asked: Asked, name: str, pairs: tuple[str, ...], text: str | None, wait: bool, timeout: int | None,
    queue: bool, force: bool, identity: str | None, as_json: bool,
) -> int:  # fmt: skip
    """Ask the running nodes to run a job at the soonest; one of them does, once.

    It counts in no limit and moves no schedule. Without a node it waits for one. With --wait, Ctrl-C ends
    the waiting, not the run.

    \b
    Exit code: 0 it was asked for, 2 usage, 3 unknown job, 4 refused: disabled, paused or busy; with
    --wait that of `run`: 1 it failed, 5 it timed out, or has not ended in --timeout, 6 canceled.
    """
    if timeout is not None and not wait:
        raise BadArgument("--timeout goes with --wait only", argument="timeout")
    if wait:  # loaded now: Python itself would end by the Ctrl-C that comes while it defines a class
        from jobrunner.cli import byhand  # noqa: F401
    with asking(asked, name, pairs, text) as it:
        run = it.order(
            identity,
            lambda at: orders.trigger(
                at, it.job, it.params, identity=identity or "system", force=force, queue=queue, ways=WAYS
            ),
        )
        with _going_on(run):
            said = orders.hindrance(it.store, it.settings, run)
            if said is not None:
                out.talk(f"note: {one_line(said)}; run {run.id} waits for one")
            if wait:
                return _see_through(it.store, run, timeout, as_json=as_json)
    if as_json:
        out.json_document(run_object(run))
    else:
        out.line(f"run {run.id} of {one_line(run.job)}: triggered")
    return 0


@contextmanager
def _going_on(run: Run) -> Iterator[None]:
    """Say, when Ctrl-C ends what we do here, that it ends no run."""
    try:
        yield
    except KeyboardInterrupt:
        out.talk(f"run {run.id} of {one_line(run.job)} goes on: jobrunner cancel {run.id} ends it")
        raise


def _see_through(store: Store, run: Run, timeout: int | None, *, as_json: bool) -> int:
    """Wait for the end of a run, tell it, and return the exit code that `run` would have."""
    from jobrunner.cli import byhand
    from jobrunner.events import Finished
    from jobrunner.log import sentence

    hint = f"it goes on: jobrunner show {run.id}; jobrunner cancel {run.id}"
    ended = orders.wait(store, run, timeout, hint)
    outcome = Outcome(
        state=ended.state, reason=ended.reason, result=ended.result, truncated=ended.truncated,
        error=ended.error,
    )  # fmt: skip
    began, finished = ended.started_at or ended.effective_at, ended.finished_at or ended.effective_at
    said = sentence(Finished(ended.id, ended.job, outcome, finished - began))
    if said is not None:
        out.talk(("" if said[0] == "info" else f"{said[0]}: ") + said[1])
    byhand.tell(ended, as_json=as_json)
    return byhand.EXIT.get(ended.state, 1)
