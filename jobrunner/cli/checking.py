"""check: everything that can be known about job files, services and settings before they are needed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import click

from jobrunner.added import is_added, shown
from jobrunner.cli import out, report
from jobrunner.cli.asking import Asked, JobName, Verb
from jobrunner.cli.jsonout import problem_object
from jobrunner.cli.render import local, many
from jobrunner.clock import HOUR, SECOND, Instant, SystemClock
from jobrunner.config.executors import VARIABLE, Executors
from jobrunner.discovery import hooksfile
from jobrunner.discovery.files import NOT_READ
from jobrunner.errors import ConfigError
from jobrunner.executor import memory
from jobrunner.executor.interpreters import missing
from jobrunner.labels import lacking
from jobrunner.model import Job, Problem
from jobrunner.parameters import is_param
from jobrunner.plugins import PROCESS
from jobrunner.registry import Registry
from jobrunner.schedule import Schedule
from jobrunner.settings import FILE, Settings
from jobrunner.settings.readers import shown as of_settings
from jobrunner.store.base import Store
from jobrunner.wording import one_line

SERVICES = "services.py"
SUBPROCESS = "subprocess"
CROWD = 10  # more jobs than this in the same second are worth a word
NAMED = 3  # so many of them are named
SPAN = 25 * HOUR  # a day, also when the clock is set back in it
LOOKS = 500_000  # occurrences, half a second's work


@click.command(cls=Verb, epilog="jobrunner check\njobrunner check --static --json")
@click.argument("name", required=False, type=JobName())
@click.option("--strict", is_flag=True, help="Warnings count as problems.")
@click.option("--static", is_flag=True, help="Read only; execute nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def check(asked: Asked, name: str | None, strict: bool, static: bool, as_json: bool) -> int:
    """Find problems in all job files and settings, or in those of job NAME.

    Job files and services.py are executed in processes of their own, for 10 s at most. Exit code 1 when
    there are problems.
    """
    jobs, problems, warnings = _look(asked, name, static=static)
    if as_json:
        out.json_document(
            {
                "jobs": len(jobs),
                "problems": [problem_object(one) for one in problems],
                "warnings": [problem_object(one) for one in warnings],
            }
        )
    else:
        _print(jobs, problems, warnings)
    return 1 if problems or (strict and warnings) else 0


def _look(
    asked: Asked, name: str | None, *, static: bool
) -> tuple[Mapping[str, Job], list[Problem], list[Problem]]:
    """Return (jobs, problems, warnings); settings that cannot be used are a problem like any other."""
    try:
        settings = asked.told()
    except ConfigError as error:
        if error.file is None:
            raise
        return {}, [Problem(error.file, error.line, error.message, error.hint)], []
    known = Registry.load(settings._replace(import_limit=0) if static else settings)
    jobs, problems = _of(name, known, lambda: asked.state(settings))
    unread = [one for one in problems if one.message == NOT_READ]
    problems = [one for one in problems if one.message != NOT_READ]
    problems += [*hooksfile.problems(jobs.values(), settings.project), *_of_executors(settings, problems)]
    if not static:
        problems += [*interpreters(jobs.values(), settings), *prove(jobs.values(), settings)]
    warnings = [*unread, *unlimited(jobs.values()), *hooksfile.warnings(settings.project)]
    return jobs, problems, warnings + ([] if name else crowds(jobs.values(), settings))


def _of_executors(settings: Settings, known: Iterable[Problem]) -> Iterable[Problem]:
    """Yield what is wrong with what the settings say of executors, unless a job has said so."""
    told = {problem.message for problem in known}
    for each in Executors(settings).problems():
        if each.message not in told:
            yield Problem(each.file or VARIABLE, each.line, each.message, each.hint)


def interpreters(jobs: Iterable[Job], settings: Settings) -> list[Problem]:
    """Return which interpreters this machine lacks for jobs that would run here, each once a place."""
    found: dict[Problem, None] = {}
    for job in jobs:
        if job.executor.name == SUBPROCESS and not lacking(job.runs_on, settings.labels):
            absent = missing(job.executor.options, settings.project)
            if absent is not None:
                found[_no_interpreter(absent, job, settings)] = None
    return list(found)


def _no_interpreter(python: str, job: Job, settings: Settings) -> Problem:
    own, name = job.config.get("executor"), job.name
    said = f"python is {of_settings(python)}, and this machine has no such interpreter"
    hint = "make that environment, or correct it; a relative path counts from the project"
    if "executor" in job.overridden:
        line = settings.lines.get(("jobs", name, "executor"))
        return Problem(FILE, line, f"executor.{said}", hint, name)
    if isinstance(own, Mapping) and "python" in own:
        return Problem(job.file, job.line, f"executor.{said}", hint, name)
    line = settings.lines.get(("executors", SUBPROCESS, "python"))  # that of many jobs
    return Problem(FILE, line, f"executors.{SUBPROCESS}.{said}", hint)


def unlimited(jobs: Iterable[Job]) -> list[Problem]:
    """Return a warning for each memory limit that this system cannot keep."""
    if memory.supported():
        return []
    said = "memoryLimit cannot be kept on this system: only Linux tells what a run's processes hold"
    return [Problem(job.file, job.line, said, None, job.name) for job in jobs if job.memory_limit is not None]


def _of(
    name: str | None, known: Registry, state: Callable[[], Store | None]
) -> tuple[Mapping[str, Job], list[Problem]]:
    """Return the jobs and problems that were asked about. Raises UnknownJob."""
    if name is None:
        missing = None if known.settings.added else known.missing_folder
        return known.jobs, [*known.problems, *([missing] if missing is not None else [])]
    wanted = name.casefold()
    mine = [one for one in known.problems if wanted in ((one.name or "").casefold(), one.file.casefold())]
    if mine:
        return {}, mine
    job = report.find(known, name, state)
    return {job.name: job}, []


def _print(jobs: Mapping[str, Job], problems: list[Problem], warnings: list[Problem]) -> None:
    for sentence in dict.fromkeys(map(_sentence, problems)):  # one of several configs may say the same
        out.line(sentence)
    for warning in warnings:
        out.line("warning: " + _sentence(warning))
    found = [many(len(problems), "problem")] if problems else ["no problems"]
    found += [many(len(warnings), "warning")] if warnings else []
    summary = f"{many(len(jobs), 'job')}, {', '.join(found)}"
    (out.talk if problems else out.line)(summary)


def _sentence(problem: Problem) -> str:
    where = f"{problem.file}:{problem.line}" if problem.line else problem.file
    hint = f" — {problem.hint}" if problem.hint else ""
    return one_line(f"{where}: {problem.message}{hint}" if where else f"{problem.message}{hint}")


# -- what only running the files can tell --------------------------------------------------------------


def check_services(settings: Settings) -> None:
    """Execute the project's services in a child. Raises ConfigError when they cannot be used."""
    problem = next(iter(_services(settings)), None)
    if problem is not None:
        raise ConfigError(problem.message, hint=problem.hint, file=problem.file, line=problem.line)


def prove(jobs: Iterable[Job], settings: Settings) -> list[Problem]:
    """Return why services, or jobs with their parameters, could not run; of those that would run here."""
    from jobrunner import probe

    found = _services(settings)  # what is wrong with them is said once, by no job again
    asked = [job for job in jobs if (job.path or is_added(job)) and job.executor.name == PROCESS]
    answers = probe.ask_all([request(job, settings) for job in asked], settings.import_limit / SECOND)
    for job, answer in zip(asked, answers, strict=True):
        problems = [one for one in said(answer) if not _is_asked_for(one, job)]
        found += [_of_job(_advised(one), job) for one in problems]
    return found


def _of_job(said: Mapping[str, Any], job: Job) -> Problem:
    if is_added(job):  # the line would be one of its module
        return Problem(shown(job.name), None, str(said["message"]), said.get("hint"), job.name)
    return _problem(said, job.file, job.name, job.line)


def _is_asked_for(said: Mapping[str, Any], job: Job) -> bool:
    """Say whether a missing argument is a param that whoever calls a job on demand is to give.

    It may be a misspelt service, too: then one is called alike, or its class is wanted.
    """
    if job.schedule is not None or said.get("source") != "missing" or said.get("near"):
        return False
    if job.parameters is None:  # nobody has read what the function of an added job takes
        return is_added(job)
    return any(one.name == said.get("parameter") and is_param(one) for one in job.parameters or ())


def _services(settings: Settings) -> list[Problem]:
    from jobrunner import probe

    there = Path(settings.project, SERVICES).is_file()
    if not there and not settings.services:
        return []
    answer = probe.ask(request(None, settings), settings.import_limit / SECOND)
    return [_problem(one, SERVICES if there else "jobrunner.yaml", None, None) for one in said(answer)]


def request(job: Job | None, settings: Settings) -> dict[str, Any]:
    """Return what a child is asked about a job, or about the services."""
    return {
        "verb": "check",
        "root": settings.project,
        "settings": dict(settings.settings),
        "services": dict(settings.services),
        "path": job.path if job else str(Path(settings.project, SERVICES)),
        "folder": job.folder if job else "",
        "target": job.target if job else "",
        "job": job.name if job else "",
        "config": dict(job.config) if job else {},
        "params": dict(job.params) if job else {},
    }


def said(answer: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the problems of a child's answer."""
    return [answer["problem"]] if "problem" in answer else list(answer.get("problems", ()))


def _advised(said: Mapping[str, Any]) -> Mapping[str, Any]:
    """Add what to do about a parameter that would have no argument, or two."""
    hints = {"missing": "give it a default", "params": "rename one of the two"}
    return {"hint": hints.get(said.get("source", "")), **{key: said[key] for key in said if said[key]}}


def _problem(said: Mapping[str, Any], file: str, name: str | None, line: int | None) -> Problem:
    return Problem(file, said.get("line") or line, str(said["message"]), said.get("hint"), name)


# -- what is no mistake, but better otherwise ----------------------------------------------------------


class Group(NamedTuple):
    """Jobs that are due together: of one schedule, within one span, as many seconds after its instants."""

    schedule: Schedule
    after: Instant
    until: Instant
    seconds: int
    jobs: list[Job]


def crowds(jobs: Iterable[Job], settings: Settings) -> list[Problem]:
    """Return a warning about the second of the coming day in which most jobs are due, if they are many.

    Jobs with jitter count where it puts them. Intervals, alone or in a list, are left out: their grids
    begin at moments of their own. So are, where all are too many to be looked at, the schedules that fire
    most often.
    """
    due = _due(_groups(jobs, SystemClock().now()))
    sizes = {second: sum(len(group.jobs) for group in groups) for second, groups in due.items()}
    worst = max(sizes, key=lambda second: (sizes[second], -second), default=None)
    if worst is None or sizes[worst] <= CROWD:
        return []
    alike = [second for second, groups in due.items() if groups == due[worst]]
    names = sorted((job.name for group in due[worst] for job in group.jobs), key=str.casefold)
    who = ", ".join(names[:NAMED]) + f" and {len(names) - NAMED} more"
    said = f"{len(names)} jobs are due in the same second, {_pattern(alike, settings.timezone)}: {who}"
    return [Problem("", None, said, "give them jitter, or spread them over other minutes")]


def _groups(jobs: Iterable[Job], now: Instant) -> list[Group]:
    """Return the jobs that will be due, in groups; those that are due least often come first."""
    found: dict[tuple[object, ...], Group] = {}
    for job in jobs:
        if job.schedule is None or not job.enabled or "every " in job.schedule.text:
            continue
        after = now if job.start_at is None else max(now, job.start_at - 1)
        until = now + SPAN if job.end_at is None else min(now + SPAN, job.end_at)
        span = after, until, job.offset // SECOND
        found.setdefault((job.schedule_key, *span), Group(job.schedule, *span, [])).jobs.append(job)
    return sorted(found.values(), key=_looks)


def _looks(group: Group) -> int:
    return group.schedule.count(group.after, group.until, 0)


def _due(groups: Iterable[Group]) -> dict[int, list[Group]]:
    """Return which groups are due in each second, as far as `LOOKS` suffices."""
    due: dict[int, list[Group]] = defaultdict(list)
    left = LOOKS
    for group in groups:
        left -= _looks(group)
        if left < 0:
            break
        instant = group.schedule.next_after(group.after, 0)
        while instant is not None and instant <= group.until:
            due[instant // SECOND + group.seconds].append(group)
            instant = group.schedule.next_after(instant, 0)
    return due


def _pattern(seconds: Iterable[int], zone: str) -> str:
    """Return when these seconds are, as the zone's clock shows it: `at :05:00 of every hour`."""
    clocks = sorted({local(second * SECOND, zone, "%H:%M:%S") for second in seconds})
    for number, start, unit in ((24, 2, "hour"), (24 * 60, 5, "minute")):
        if len(clocks) == number and len({clock[start:] for clock in clocks}) == 1:
            return f"at {clocks[0][start:]} of every {unit}"
    rest = len(clocks) - NAMED
    return (
        f"at {', '.join(clocks[:NAMED])}"
        + (f" and {many(rest, 'other time')}" if rest > 0 else "")
        + f" ({zone})"
    )
