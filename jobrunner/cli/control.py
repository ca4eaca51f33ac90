"""enable, disable, pause, resume, reset, forget: what lasts beyond any node."""

from __future__ import annotations

import click

from jobrunner import status
from jobrunner.cli import out
from jobrunner.cli.asking import Asked, JobName, Verb
from jobrunner.cli.desk import AS, JSON, REASON, Object, Target, desk
from jobrunner.cli.jsonout import iso
from jobrunner.cli.render import many, when
from jobrunner.client import changes
from jobrunner.clock import to_iso
from jobrunner.errors import Refused
from jobrunner.facts import JobFacts, Pause
from jobrunner.registry import Registry
from jobrunner.store import exists
from jobrunner.wording import one_line

NAMES = click.argument("names", nargs=-1, required=True, metavar="NAME...", type=JobName())
NAME = click.argument("name", type=JobName())


@click.command(cls=Verb, epilog="jobrunner enable sync-orders")
@NAMES
@REASON
@AS
@JSON
@click.pass_obj
def enable(asked: Asked, names: tuple[str, ...], reason: str | None, user: str | None, as_json: bool) -> None:
    """Let jobs run by their schedule again, whatever their files say; failures in a row are forgotten.

    `jobrunner set NAME --unset enabled` leaves it to the file again.
    """
    _say_enabled(asked, names, reason, user, enabled=True, as_json=as_json)


@click.command(cls=Verb, epilog='jobrunner disable sync-orders --reason "the shop is down"')
@NAMES
@REASON
@AS
@JSON
@click.pass_obj
def disable(
    asked: Asked, names: tuple[str, ...], reason: str | None, user: str | None, as_json: bool
) -> None:
    """Keep jobs from running by their schedule: on every node, for good, until `enable`.

    What is due is skipped, and recorded. A run that is under way goes on.
    """
    _say_enabled(asked, names, reason, user, enabled=False, as_json=as_json)


def _say_enabled(
    asked: Asked,
    names: tuple[str, ...],
    reason: str | None,
    user: str | None,
    *,
    enabled: bool,
    as_json: bool,
) -> None:
    with desk(asked, user, names) as at:
        found = [changes.enable_one(at, target, reason, enabled=enabled) for target in at.targets(names)]
    if as_json:
        out.json_document(found)
        return
    for each in found:
        before, after = _words(each["was"]), _words(each["is"])
        was, now = ("is", " already") if before == after else (f"was {before}, is", "")
        out.line(one_line(f"{each['id']} {was} {after}{now}"))


def _words(found: Object) -> str:
    word = "enabled" if found["enabled"] else "disabled"
    return word + (f" ({found['enabledReason']})" if found["enabledReason"] else "")


@click.command(cls=Verb, epilog='jobrunner pause --reason "migration"')
@REASON
@AS
@JSON
@click.pass_obj
def pause(asked: Asked, reason: str | None, user: str | None, as_json: bool) -> None:
    """Let all schedules stand still, on every node, until `resume`.

    What is due is skipped, and recorded. Runs that are under way go on, and `run` works.
    """
    with desk(asked, user) as at:
        changed = changes.pause(at, reason)
        found, now = at.store.paused(), at.now
    assert found is not None
    if as_json:
        out.json_document({"paused": True, **_pause_object(found), "changed": changed})
    else:
        since = "" if changed else f" already, since {when(found.at, now)}"
        out.line(one_line(status.paused(found) + since))


def _pause_object(pause: Pause | None) -> Object:
    if pause is None:
        return {"by": None, "reason": None, "since": None}
    return {"by": pause.by, "reason": pause.reason, "since": iso(pause.at)}


@click.command(cls=Verb, epilog="jobrunner resume")
@AS
@JSON
@click.pass_obj
def resume(asked: Asked, user: str | None, as_json: bool) -> None:
    """Let the schedules go on after `pause`."""
    before = None
    settings = asked.settings()
    if exists(settings.state):  # without one there is nothing to make it for
        with desk(asked, user) as at:
            before = changes.resume(at)
    if as_json:
        out.json_document({"paused": False, **_pause_object(before), "changed": before is not None})
    elif before is None:
        out.line("it was not paused")
    else:
        out.line(one_line(f"resumed: it was {status.paused(before)}, since {to_iso(before.at)}"))


@click.command(cls=Verb, epilog="jobrunner reset sync-orders\njobrunner reset sync-orders --schedule")
@NAME
@click.option(
    "--schedule", is_flag=True, help="Its schedule begins now, too: nothing before is due any more."
)
@AS
@JSON
@click.pass_obj
def reset(asked: Asked, name: str, schedule: bool, user: str | None, as_json: bool) -> None:
    """Let a job start over: its count of runs and its failures in a row become 0."""
    with desk(asked, user, [name]) as at:
        target = at.target(name)
        before = target.fact
        at.store.reset(before.id, at.now, schedule=schedule)
        at.note("reset", target.name, "schedule" if schedule else "")
        found = {"id": target.name, "was": _counts(before), "is": _counts(at.again(target.name))}
    if as_json:
        out.json_document(found)
        return
    out.line(
        f"{one_line(target.name)} starts over: it had {many(before.executions, 'execution')} and "
        f"{many(before.consecutive_failures, 'failure')} in a row" + ("; its schedule begins now" * schedule)
    )


def _counts(fact: JobFacts) -> Object:
    return {
        "executions": fact.executions,
        "consecutiveFailures": fact.consecutive_failures,
        "scheduleConsumedUntil": iso(fact.consumed),
    }


@click.command(cls=Verb, epilog="jobrunner forget sync-orders")
@NAME
@AS
@JSON
@click.pass_obj
def forget(asked: Asked, name: str, user: str | None, as_json: bool) -> None:
    """Delete all that the state knows of a job whose file is gone: history, logs, counts, overrides.

    \b
    Exit code: 0 it is forgotten, 3 unknown job, 4 refused: a file defines it, a node holds it, or it runs.
    """
    with desk(asked, user, [name]) as at:
        target = at.target(name)
        _refuse_defined(target, at.files)
        try:
            at.store.forget(target.fact.id)
        except Refused as error:
            said = f"{target.name} cannot be forgotten: {error.message}"
            raise Refused(said, hint=error.hint) from None
        at.note("forgotten", target.name, "")
    if as_json:
        out.json_document({"id": target.name, "forgotten": True})
    else:
        out.line(f"{one_line(target.name)} is forgotten, with its history")


def _refuse_defined(target: Target, registry: Registry) -> None:
    """Raise Refused while a file defines the job, were it a broken one."""
    file = (target.job.file or "code that has added it") if target.job is not None else None
    for problem in registry.problems:
        if problem.file == target.fact.file or (problem.name or "").casefold() == target.name.casefold():
            file = file or problem.file
    if file is not None:
        hint = f"remove it there first; `jobrunner disable {target.name}` keeps it from running"
        raise Refused(f"{target.name} cannot be forgotten: {file} defines it", hint=hint)
