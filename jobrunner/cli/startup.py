"""What start does: it reads the files, opens the state, says what will happen, and then what happens."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from jobrunner import events as e
from jobrunner import status
from jobrunner.cli import nodes, report
from jobrunner.cli.asking import Asked
from jobrunner.cli.banner import BANNER, Banner, problems_of
from jobrunner.cli.render import many
from jobrunner.clock import SystemClock
from jobrunner.definitions import Definitions, Filter, of_registry
from jobrunner.discovery.servicesfile import has_services
from jobrunner.errors import BadRequest, ConfigError
from jobrunner.facts import CONTROL
from jobrunner.garbage import keep
from jobrunner.log import Log, sentence
from jobrunner.model import Job, Problem
from jobrunner.registry import Registry
from jobrunner.settings import Settings
from jobrunner.store.base import Store
from jobrunner.stored import with_stored
from jobrunner.wording import one_line

NODE_PATIENCE = 1.0  # seconds: a node has time-outs to keep while somebody else holds the state


def work(asked: Asked, settings: Settings, options: Mapping[str, Any], how: Mapping[str, Any]) -> int:
    """Work until told to stop; returns the exit code. `how` may leave to the settings what it has as None."""
    until_done = how["until_done"] or settings.until_done
    run_for = how["run_for"] if how["run_for"] is not None else settings.run_for
    log = Log(sys.stderr, SystemClock().now, settings.log_format)
    watch = sys.stderr.isatty() if how["watch"] is None else how["watch"]
    with asked.look(settings) as seen:
        settings = with_stored(settings, seen)
    watch = watch and settings.role != CONTROL
    known, definitions = _read(settings, keep_sources=watch, until_done=until_done)
    store = asked.open(settings, patience=NODE_PATIENCE)
    try:
        nodes.refuse_company(store, settings)
        Banner(settings, log).say(definitions.listed, store, known)
        del known  # as of now the process stays with the definitions alone
        keep()
        if (said := nodes.namesake(store, settings)) is not None:
            log.line("warning", one_line(said), BANNER)
        told = {"until_done": until_done, "run_for": run_for, "exclusive": settings.exclusive, "watch": watch}
        told["live"] = how["live"] and _can_be_live(settings)
        return _work(definitions, store, log, lambda: asked.settings(**options), told)
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
    _check(definitions.listed, problems_of(known, definitions.listed), settings, until_done=until_done)
    return known, definitions


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
    if has_services(settings):
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
