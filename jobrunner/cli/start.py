"""start: run the schedule. Says first what will happen, then what happens."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import click

from jobrunner import __version__, durations, labels, status
from jobrunner import events as e
from jobrunner.cli import nodes, out, report
from jobrunner.cli.app import not_yet
from jobrunner.cli.asking import Asked, JobName, Length, Text, Verb
from jobrunner.cli.render import many, relative
from jobrunner.clock import SystemClock, to_iso
from jobrunner.definitions import Definitions, Filter, of_registry
from jobrunner.errors import BadRequest, ConfigError
from jobrunner.facts import CONTROL, JobFacts, Pause
from jobrunner.log import Log, sentence
from jobrunner.masking import without_passwords
from jobrunner.model import Job, Problem
from jobrunner.registry import Registry
from jobrunner.settings import Settings
from jobrunner.settings.readers import ROLES
from jobrunner.store.base import Store
from jobrunner.stored import with_stored
from jobrunner.wording import one_line

NODE_PATIENCE = 1.0  # seconds: a node has time-outs to keep while somebody else holds the state

LATER = {"ui": "leave --ui out; ls, history and show tell what happens"}


@click.command(
    cls=Verb,
    epilog="jobrunner start\njobrunner start --jobs examples/jobs\njobrunner start --until-done",
)
@click.option(
    "--slots", type=click.IntRange(1), metavar="N", help="Runs at once; default: cores, at least 4."
)
@click.option(
    "--until-done", is_flag=True, help="End once every job with numberOfExecutions has had its runs."
)
@click.option("--for", "run_for", type=Length(), metavar="D", help="End after so long, e.g. 1h.")
@click.option("--only", multiple=True, type=JobName(), metavar="NAME", help="Only this job; may be repeated.")
@click.option(
    "--except",
    "exclude",
    multiple=True,
    type=JobName(),
    metavar="NAME",
    help="Not this job; may be repeated.",
)
@click.option(
    "--tag", multiple=True, type=Text(), metavar="T", help="Only jobs with this tag; may be repeated."
)
@click.option(
    "--grace", type=Text(), metavar="D", help="How long runs may go on after a stop.  [default: 30s]"
)
@click.option("--exclusive", is_flag=True, help="Refuse to work beside another start.")
@click.option("--paused", is_flag=True, help="Skip everything that is due, and record it.")
@click.option("--strict", is_flag=True, help="Refuse to start while a job file has a problem.")
@click.option("--log-format", type=click.Choice(["text", "json"]), help="Lines for people, or JSON lines.")
@click.option(
    "--no-live", is_flag=True, envvar="JOBRUNNER_NO_LIVE", help="At a terminal, too: lines, and no live view."
)
@click.option(
    "--watch/--no-watch",
    default=None,
    help="Take over edits of job files and settings.  [default: in a terminal]",
)
@click.option("--ui", is_flag=False, flag_value="on", hidden=True)
@click.option(
    "--label", "labels", multiple=True, type=Text(), metavar="L",
    help="What this node has, for jobs that say runsOn; may be repeated.",
)  # fmt: skip
@click.option(
    "--role", type=click.Choice(ROLES),
    help="all: plan and work. worker: so, and serve no dashboard. control: only watch over the others."
    "  [default: all]",
)  # fmt: skip
@click.pass_obj
def start(
    asked: Asked, /, until_done: bool, run_for: int | None, watch: bool | None, no_live: bool, **options: Any
) -> int:
    """Run the schedule until told to stop: Ctrl-C or TERM; a second one ends at once.

    Any number of them may work on one state: each due moment is run once.
    """
    _refuse_later(options)
    options["except"] = options.pop("exclude")
    settings = asked.settings(**options)
    until_done = until_done or settings.until_done
    run_for = run_for if run_for is not None else settings.run_for
    log = Log(sys.stderr, SystemClock().now, settings.log_format)
    watch = sys.stderr.isatty() if watch is None else watch
    with asked.look(settings) as seen:
        settings = with_stored(settings, seen)
    watch = watch and settings.role != CONTROL
    known, definitions = _read(settings, keep_sources=watch, until_done=until_done)
    store = asked.open(settings, patience=NODE_PATIENCE)
    how = {"until_done": until_done, "run_for": run_for, "exclusive": settings.exclusive, "watch": watch}
    try:
        nodes.refuse_company(store, settings)
        Banner(settings, log).say(definitions.listed, store, known)
        if (said := nodes.namesake(store, settings)) is not None:
            log.line("warning", one_line(said), BANNER)
        how["live"] = not no_live and _can_be_live(settings)
        return _work(definitions, store, log, lambda: asked.settings(**options), how)
    finally:
        store.close()


def _read(settings: Settings, *, keep_sources: bool, until_done: bool) -> tuple[Registry | None, Definitions]:
    """Return what the files say, and what is held of it: nothing where nothing is to run. Raises what makes
    a start pointless, before anything is written."""
    if settings.role == CONTROL:
        if until_done:
            raise BadRequest(
                "--until-done is for a node that works, and the role is control",
                hint="leave out one of the two; --for ends it after a time",
            )
        return None, Definitions(jobs={}, problems=[], settings=settings)
    known = report.load_all(settings)
    definitions = of_registry(known, _wanted(known, settings), keep_sources=keep_sources)
    _check(definitions.listed, _problems(known, definitions.listed), settings, until_done=until_done)
    return known, definitions


def _problems(known: Registry, jobs: Mapping[str, Job]) -> list[Problem]:
    """Return what is wrong with the files, and which interpreters are not there that jobs want."""
    from jobrunner.cli.checking import interpreters

    return [*known.problems, *interpreters(jobs.values(), known.settings)]


def _wanted(known: Registry, settings: Settings) -> Filter | None:
    """Return which jobs --only, --except and --tag leave, or None: all. Raises UnknownJob."""
    if not (settings.only or settings.exclude or settings.tag):
        return None
    for name in sorted(settings.only):
        known.summary(name)
    return lambda job: status.excluded(job, settings) in (None, status.ENVIRONMENT)


def _can_be_live(settings: Settings) -> bool:
    """Say whether a person reads stderr, at a terminal on which lines can be drawn again."""
    able = os.environ.get("TERM", "dumb") not in ("", "dumb", "unknown")
    return able and settings.log_format == "text" and sys.stderr is not None and sys.stderr.isatty()


@contextmanager
def _shown(log: Log, *, live: bool) -> Iterator[Callable[[e.Event], None]]:
    """Yield what shows events: a live view until the end, or the log."""
    if not live:
        yield log
        return
    from jobrunner.cli.live import View

    with View(sys.stderr, SystemClock().now) as view:
        yield view


def _refuse_later(options: dict[str, Any]) -> None:
    if options.pop("ui"):
        not_yet("--ui", LATER["ui"])


def _check(jobs: Mapping[str, Job], problems: list[Problem], settings: Settings, *, until_done: bool) -> None:
    """Raise what makes a start of a node that works pointless."""
    if settings.strict and problems:
        first = sentence(e.FileBroken(problems[0]))
        assert first is not None
        raise ConfigError(
            f"{many(len(problems), 'problem')}, and --strict: {first[1]}", hint="jobrunner check"
        )
    if not jobs:
        raise ConfigError("there is no job to run", hint=_no_jobs_hint(problems, settings))
    if until_done:
        from jobrunner.goal import check_until_done

        check_until_done(jobs)
    from jobrunner.cli.checking import check_services

    check_services(settings)


def _no_jobs_hint(problems: list[Problem], settings: Settings) -> str:
    if problems:
        first = sentence(e.FileBroken(problems[0]))
        return f"`jobrunner check` lists the problems; the first: {first[1] if first else ''}"
    if settings.only or settings.exclude or settings.tag:
        return "no job fits --only, --except and --tag"
    return "`jobrunner new NAME` writes one"


def _work(
    definitions: Definitions,
    store: Store,
    log: Log,
    again: Callable[[], Settings],
    how: Mapping[str, Any],
) -> int:
    from jobrunner.node import Options
    from jobrunner.rejoining import work

    with _shown(log, live=how["live"]) as emit:
        code, node = work(definitions, store, emit, Options(**how), again=again)
    return _verdict(code, node.stuck, definitions.problems, log) if how["until_done"] else code


def _verdict(code: int, stuck: tuple[tuple[str, str], ...], problems: Sequence[Problem], log: Log) -> int:
    """Name what will never be done; returns the exit code of `--until-done`."""
    for name, why in stuck:
        log.line("error", f"{name} has not had all its runs, and never will: {one_line(why)}", "Verdict")
    for problem in problems:
        name = one_line(problem.name or problem.file)
        log.line("error", f"{name} could not run: its file has a problem", "Verdict")
    return 1 if problems and code == 0 else code


BANNER = "Banner"  # what lines about no event are called in JSON


class Banner:
    """What `start` says before it works."""

    def __init__(self, settings: Settings, log: Log) -> None:
        self._settings = settings
        self._log = log
        self._now = SystemClock().now()
        self._pause: Pause | None = None

    def say(self, jobs: Mapping[str, Job], store: Store, known: Registry | None) -> None:
        """Say who works on what, when each job is due, and what is wrong; `known` None: it only controls."""
        settings = self._settings
        state = one_line(without_passwords(settings.state))
        if known is None:
            self._line(f"jobrunner {__version__}: role control, it runs no jobs")
            self._line(f"state {state}")
            return
        has = f", labels {', '.join(settings.labels)}" if settings.labels else ""
        self._line(f"jobrunner {__version__}: {many(len(jobs), 'job')}, {many(settings.slots, 'slot')}{has}")
        self._line(f"state {state}, time zone {settings.timezone}, grace {durations.text(settings.grace)}")
        facts, self._pause = report.by_name(store), store.paused()
        self._jobs(jobs, facts)
        for problem in _problems(known, jobs):
            self._event(e.FileBroken(problem))
        for fact in report.orphans(facts, known):
            self._event(e.JobOrphaned(fact.name))
        self._warn(jobs, facts)

    def _jobs(self, jobs: Mapping[str, Job], facts: Mapping[str, JobFacts]) -> None:
        rows = [(job.name, self._words(job), self._next(job, facts)) for job in jobs.values()]
        first, second = (max(len(row[column]) for row in rows) for column in (0, 1))
        for name, words, due in rows:
            self._line(f"  {name:<{first}}  {words:<{second}}  {due}".rstrip())

    def _words(self, job: Job) -> str:
        said = job.schedule.words() if job.schedule is not None else "on demand"
        return report.words(said, job.timezone, self._settings)

    def _next(self, job: Job, facts: Mapping[str, JobFacts]) -> str:
        fact = _fact(job, facts)
        reason = self._resting(job, fact)
        if reason is not None:
            return reason
        if status.starts_at_once(job, fact):
            return "next now"
        instant = status.next_at(job, fact, self._now)
        if instant is None:
            return "" if job.schedule is None else "no more runs"
        return f"next {relative(instant - self._now)}, {to_iso(instant)}"

    def _resting(self, job: Job, fact: JobFacts | None) -> str | None:
        """Return why a job does not run by its schedule on this node at present, or None."""
        reason = status.resting(job, fact, self._settings, self._pause)
        missing = labels.lacking(job.runs_on, self._settings.labels)
        if reason is None and missing:
            return f"not here, without {labels.said(missing)}"
        return "paused" if reason is None and self._settings.paused else reason

    def _warn(self, jobs: Mapping[str, Job], facts: Mapping[str, JobFacts]) -> None:
        if self._settings.paused:
            self._log.line("warning", "started with --paused: what is due is skipped, and recorded", BANNER)
        if self._pause is not None:
            said = f"{status.paused(self._pause)}: nothing runs by its schedule until `jobrunner resume`"
            self._log.line("warning", one_line(said), BANNER)
        able = (
            job for job in jobs.values()
            if self._resting(job, _fact(job, facts)) is None and self._comes(job, _fact(job, facts))
        )  # fmt: skip
        if next(able, None) is None:
            self._log.line("warning", "nothing can run: no job is enabled and has a moment to come", BANNER)

    def _comes(self, job: Job, fact: JobFacts | None) -> bool:
        return status.starts_at_once(job, fact) or status.next_at(job, fact, self._now) is not None

    def _line(self, text: str) -> None:
        if self._settings.log_format == "json":
            self._log.line("info", text.strip(), BANNER)
        else:
            out.talk(text)

    def _event(self, event: e.Event) -> None:
        said = sentence(event)
        if said is None or self._settings.log_format == "json":
            self._log(event)
        else:
            out.talk(f"{said[0]}: {said[1]}")


def _fact(job: Job, facts: Mapping[str, JobFacts]) -> JobFacts | None:
    return status.fact_of(facts, job.name, job.former_names)
