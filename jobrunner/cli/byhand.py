"""run: one job, here and now. What it writes goes to stderr, marked; its result is the data."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import click

from jobrunner import status
from jobrunner.cli import out, params, report
from jobrunner.cli.asking import Asked, JobName, Length, Text
from jobrunner.cli.jsonout import run_object
from jobrunner.clock import SECOND
from jobrunner.events import Draining, Event, Output
from jobrunner.executor import birth
from jobrunner.labels import lacking, said
from jobrunner.log import sentence
from jobrunner.model import Job, Run
from jobrunner.settings import Settings
from jobrunner.stored import with_stored
from jobrunner.wording import Cleaner, one_line, printable

# all else: the job failed; one that waits has done so far what it should
EXIT = {"succeeded": 0, "skipped": 0, "waiting": 0, "timed_out": 5, "canceled": 6}
INTERRUPTED = 130
USUAL_GRACE = 2 * SECOND  # unless somebody said how long: a person waits here
WANTED = re.compile(r"parameter '(\w+)': no param of that name")  # what the run's process says, and of which
ASKED = "info", "the job was asked to end; a second Ctrl-C kills it"
TIMEOUT = click.option("--timeout", type=Length(least=1), metavar="D", help="End it after so long, e.g. 30s.")
LABEL = click.option(
    "--label",
    "labels",
    multiple=True,
    type=Text(),
    metavar="L",
    help="A label of this node; may be repeated.",
)
GRACE = click.option(
    "--grace",
    type=Text(),
    metavar="D",
    help="From being asked to end (Ctrl-C, time-out) until KILL; TERM comes at half of it.  [default: 2s]",
)
AS = click.option("--as", "identity", metavar="USER", default="system", help="For whom: ctx.identity.")
JSON = click.option("--json", "as_json", is_flag=True, help="Print the run as JSON, not only its result.")


class Speaker:
    """Says what happens. Each line of the job's output is marked, so that it cannot pass for one of ours."""

    def __init__(self) -> None:
        self._clean = Cleaner()
        self._line = ""

    def __call__(self, event: Event) -> None:
        """Say one event."""
        if isinstance(event, Output):
            self._feed(self._clean(event.data))
            return
        said = ASKED if isinstance(event, Draining) else sentence(event)
        if said is not None:
            self.end()
            out.talk(("" if said[0] == "info" else f"{said[0]}: ") + said[1])

    def end(self) -> None:
        """Finish a line that the job left open."""
        self._feed(self._clean(b"", final=True))
        if self._line:
            self._feed("\n")
        self._clean = Cleaner()

    def _feed(self, text: str) -> None:
        *whole, self._line = (self._line + text).split("\n")
        if whole:
            out.talk("\n".join(f"| {line}" for line in whole))


@click.command(
    cls=params.JobVerb,
    epilog="jobrunner run sync-orders -p since=2026-05-01 -p full=true\njobrunner run report | jq .rows",
)
@click.argument("name", type=JobName())
@params.options
@TIMEOUT
@GRACE
@LABEL
@click.option("--force", is_flag=True, help="Run it although it runs already.")
@click.option(
    "--dry-run", is_flag=True, help="Only say what it would be: arguments, policy, what is in the way."
)
@AS
@JSON
@click.pass_obj
def run(
    asked: Asked,
    name: str,
    pairs: tuple[str, ...],
    text: str | None,
    timeout: int | None,
    grace: str | None,
    labels: tuple[str, ...],
    force: bool,
    dry_run: bool,
    identity: str,
    as_json: bool,
) -> int:
    """Run one job here and now, with or without a running `jobrunner start`.

    It counts in no limit and moves no schedule. The job's output and our talk go to stderr, its result
    to stdout as JSON. With NAME, --help lists the params that the job takes.

    With --dry-run nothing of the body is executed and nothing is written; services.py and the job's file
    are loaded in a process of their own. Exit code 0 if it would run, 3 if something is missing, 4 if it
    would be refused.

    \b
    Exit code: 0 it succeeded, skipped or waits, 1 it failed, 2 usage, 3 unknown job, or a file or setting
    that cannot be used, 4 it is running already, 5 it timed out, 6 it was canceled, 7 the state
    cannot be used, 130 interrupted.
    """
    typed = params.words(pairs, text)
    settings = patient(asked.settings(grace=grace, labels=labels), grace)
    with nullcontext() if dry_run else birth.begun(settings):  # a process comes up while we read the files
        with asked.look(settings) as seen:
            settings = with_stored(settings, seen)
            job = report.find(report.load_all(settings), name, lambda: seen)
            given = typed.of(job.name, job.parameters, job.params)
            if dry_run:
                from jobrunner.cli.dryrun import show

                job = job._replace(timeout=timeout if timeout is not None else job.timeout)
                return show(job, given, settings, seen, force=force, as_json=as_json)
        params.refuse_missing(job, given, settings)
        return perform(
            asked, settings, job, given, timeout=timeout, identity=identity, force=force, as_json=as_json
        )


def perform(
    asked: Asked,
    settings: Settings,
    job: Job,
    given: Mapping[str, Any],
    *,
    timeout: int | None,
    identity: str,
    force: bool,
    as_json: bool,
) -> int:
    """Run a job here and now, print its result, and return the exit code."""
    from jobrunner.once import Once

    store = asked.open(settings)
    speaker = Speaker()
    try:
        _say_if_resting(status.resting(job, store.job(job.name), settings, store.paused()))
        _say_if_lacking(job, settings)
        once = Once(settings, job, store, speaker, timeout=timeout)
        ended = once.run(given, identity=identity, force=force)
    finally:
        speaker.end()
        store.close()
    tell(ended, as_json=as_json)
    _say_what_lacks(job, given, ended)
    return INTERRUPTED if once.interrupted and ended.state == "canceled" else EXIT.get(ended.state, 1)


def _say_what_lacks(job: Job, given: Mapping[str, Any], ended: Run) -> None:
    """Name the param that was wanted, where the run found no service to take its place."""
    error = ended.error or {}
    if error.get("phase") != "resolve":
        return
    named = WANTED.match(str(error.get("message")))
    if named and (job.parameters is None or named[1] in params.lacking_params(job, given)):
        out.talk(f"hint: give it what it needs: -p {named[1]}=…; --help lists what it takes")


def patient(settings: Settings, grace: str | None) -> Settings:
    """Return the settings with the grace of a run by hand, where nobody has set another."""
    said = grace or os.environ.get("JOBRUNNER_GRACE", "").strip() or ("grace",) in settings.lines
    return settings if said else settings._replace(grace=USUAL_GRACE)


def _say_if_resting(reason: str | None) -> None:
    if reason is not None:
        out.talk(f"note: it would not run by its schedule ({one_line(reason)}); running it by hand")


def _say_if_lacking(job: Job, settings: Settings) -> None:
    missing = lacking(job.runs_on, settings.labels)
    if missing:
        out.talk(f"note: by its schedule it would not run here, without {said(missing)}; running it by hand")


def tell(ended: Run, *, as_json: bool) -> None:
    """Print what a run that has ended leaves: its traceback to people, its result (or all of it) as data."""
    traceback = str((ended.error or {}).get("traceback") or "").strip()
    if "\n" in traceback and ended.state != "canceled":  # one line is what the sentence said
        out.talk(printable(traceback))
    if ended.state == "waiting":
        out.talk(
            f"note: after `jobrunner complete {ended.id} STEP` a running `jobrunner start` goes on with it"
        )
    if ended.truncated:
        out.talk("warning: the result was no JSON, or too large: this is a shortened text of it")
    if as_json:
        out.json_document(run_object(ended))
    elif ended.result is not None:
        out.json_document(ended.result)
