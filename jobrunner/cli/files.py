"""new and init: files to begin with. Nothing that exists is ever overwritten."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import click

from jobrunner.cli import out, report, templates
from jobrunner.cli.asking import Asked, Text, Verb
from jobrunner.errors import BadRequest, ConfigError, Refused, ScheduleError
from jobrunner.settings import Settings

LEFT_OUT = re.compile(r"[_.].*|test_.*|.*_test|conftest|tests")  # names that discovery passes over
DAILY = "0 9 * * *"
NONE = "None"


@click.command(cls=Verb, epilog='jobrunner new sync-orders --schedule "*/5 * * * *"')
@click.argument("name", type=Text())
@click.option(
    "--schedule",
    type=Text(),
    default=DAILY,
    show_default=True,
    help='Cron text, @daily, "every 30s", or none: on demand.',
)
@click.pass_obj
def new(asked: Asked, name: str, schedule: str) -> None:
    """Write a job file called NAME, to begin with."""
    settings = asked.settings()
    _check(name)
    written, words = _written(schedule, settings)
    taken = next((known for known in report.names(settings) if known.casefold() == name.casefold()), None)
    if taken is not None:
        raise Refused(f'there is a job called "{taken}" already', hint=f"jobrunner show {shlex.quote(taken)}")
    path = Path(settings.folders[0], _stem(name) + ".py")
    _write(path, _job(name, written, words))
    out.line(_shown(path))
    starts = f", `jobrunner start` runs it {words}" if written != NONE else ""
    out.talk(f"next: edit it; `jobrunner run {shlex.quote(name)}` {'tries' if starts else 'runs'} it{starts}")


@click.command(cls=Verb, epilog="jobrunner init\njobrunner init billing")
@click.argument("folder", required=False, type=click.Path(file_okay=False))
@click.pass_obj
def init(asked: Asked, folder: str | None) -> None:
    """Write a project into FOLDER, or here: jobrunner.yaml, and jobs/ with a first job."""
    root = Path(folder or asked.options.get("project") or ".")
    _begin(root / "jobrunner.yaml", templates.SETTINGS)
    if not any((root / "jobs").glob("**/*.py")):
        _begin(root / "jobs" / "hello.py", templates.HELLO)
    _ignore(root / ".gitignore")
    there = f"cd {shlex.quote(str(root))}, then " if folder else ""
    out.talk(f"next: {there}`jobrunner ls` shows the jobs, `jobrunner start` runs them")


def _check(name: str) -> None:
    from jobrunner.config import values

    try:
        values.name(name)
    except values.Invalid as error:
        raise BadRequest(f'"{name}" cannot be the name of a job: it {error}', hint=error.hint) from None


def _written(schedule: str, settings: Settings) -> tuple[str, str]:
    """Return a schedule as Python, and in words. Raises BadRequest."""
    from jobrunner.schedule import parse

    if schedule.strip().casefold() == NONE.casefold():
        return NONE, "on demand"
    try:
        return json.dumps(" ".join(schedule.split())), parse(schedule, settings.timezone).words()
    except ScheduleError as error:
        raise BadRequest(f"--schedule: {error.message}", hint=error.hint) from None


def _stem(name: str) -> str:
    """Return a file name for a job, one that discovery does not pass over."""
    stem = re.sub(r"[^A-Za-z0-9_-]", "_", name)
    return f"job_{stem}_" if LEFT_OUT.fullmatch(stem) else stem


def _job(name: str, schedule: str, words: str) -> str:
    title = name.replace("-", " ").replace("_", " ").capitalize() + "."
    return templates.JOB.format(
        title=title,
        name=json.dumps(name),
        schedule=schedule,
        comment=f"  # {words}",
    )


def _begin(path: Path, text: str) -> None:
    """Write a file of a new project, or leave the one that is there."""
    try:
        _write(path, text)
    except Refused:
        out.talk(f"{_shown(path)} is there already, and stays as it is")
        return
    out.line(_shown(path))


def _ignore(path: Path) -> None:
    """Keep the state out of version control."""
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        text = ""
    except (OSError, ValueError):
        return
    if ".jobrunner" in {line.strip().strip("/") for line in text.splitlines()}:
        return
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(("\n" if text and not text.endswith("\n") else "") + templates.IGNORE)
    except OSError as error:
        raise _unwritable(path, error) from None
    out.line(_shown(path))


def _write(path: Path, text: str) -> None:
    """Write a file that does not exist yet. Raises Refused when it does, ConfigError when it cannot."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(path, error) from None
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise Refused(
            f"{_shown(path)} exists already", hint="remove it first, or choose another name"
        ) from None
    except OSError as error:
        raise _unwritable(path, error) from None


def _unwritable(path: Path, error: OSError) -> ConfigError:
    hint = "is the folder one, and yours, and is there room on the disk? --project DIR names another"
    return ConfigError(f"{_shown(path)} cannot be written: {error.strerror}", hint=hint)


def _shown(path: Path) -> str:
    """Return a path as people would type it here."""
    whole = path.absolute()
    return str(whole.relative_to(Path.cwd()) if whole.is_relative_to(Path.cwd()) else path)
