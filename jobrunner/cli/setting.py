"""set: say otherwise than a job's file does, without touching the file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, NamedTuple

import click

from jobrunner import config, status
from jobrunner.cli import out, report
from jobrunner.cli.asking import Asked, JobName, Verb
from jobrunner.cli.desk import AS, JSON, Desk, Object, because, desk
from jobrunner.cli.jsonout import iso
from jobrunner.cli.render import when
from jobrunner.clock import Instant
from jobrunner.config import Place, Written
from jobrunner.config.keys import SETTABLE
from jobrunner.errors import BadRequest, ConfigError
from jobrunner.facts import JobFacts
from jobrunner.log import one_line
from jobrunner.model import Job

KEYS = (*SETTABLE, "enabled")
PARAM = "params."


class Change(NamedTuple):
    """What was asked for: values to keep, and keys to drop."""

    given: dict[str, Any]
    dropped: tuple[str, ...]


@click.command(
    "set",
    cls=Verb,
    epilog='jobrunner set sync-orders schedule="*/10 * * * *" timeout=5m\n'
    "jobrunner set sync-orders params.region=eu\njobrunner set sync-orders --unset schedule",
)
@click.argument("name", type=JobName())
@click.argument("pairs", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "--unset", multiple=True, metavar="KEY", help="Leave this key to the file again; may be repeated."
)
@AS
@JSON
@click.pass_obj
def set_(
    asked: Asked, name: str, pairs: tuple[str, ...], unset: tuple[str, ...], user: str | None, as_json: bool
) -> None:
    """Override keys of a job until they are unset: schedule, timezone, timeout, params, enabled.

    A value is JSON or a plain word as in YAML. Every node goes by it within a second; the file stays as
    it is. `params` is laid over the file's, key by key; `params.KEY` is one of them.

    \b
    Exit code: 0 it is set, 2 usage, 3 unknown job, or a value that its file could not have either.
    """
    change = asked_for(pairs, unset)
    with desk(asked, user, [name]) as at:
        found = _set(at, name, change)
        now = at.now
    if as_json:
        coming = found.pop("next")
        out.json_document({**found, "nextExecutionAt": {key: iso(each) for key, each in coming.items()}})
    else:
        _say(found, now)


def asked_for(pairs: Sequence[str], unset: Sequence[str]) -> Change:
    """Return what the arguments mean. Raises BadRequest for a key that cannot be set, or is named twice."""
    given: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals:
            raise BadRequest(f'set takes key=value, not "{pair}"', hint="for example timeout=5m")
        _check_key(key.strip())
        if key.strip() in given:
            raise BadRequest(f"{key.strip()} is given twice", hint="keep one of them")
        given[key.strip()] = value(text)
    for key in unset:
        _check_key(key)
        if key in given:
            raise BadRequest(f"{key} is both set and unset", hint="keep one of them")
    if not given and not unset:
        raise BadRequest("there is nothing to set", hint="for example schedule=@daily, or --unset schedule")
    return Change(given, tuple(dict.fromkeys(unset)))


def _check_key(key: str) -> None:
    if key in KEYS or (key.startswith(PARAM) and key != PARAM):
        return
    near = get_close_matches(key, KEYS, n=1)
    hint = f"did you mean {near[0]}?" if near else f"set knows {', '.join(KEYS)}"
    raise BadRequest(f'"{key}" cannot be set from outside', hint=hint)


WORDS = {"true": True, "false": False, "null": None, "~": None}  # as YAML has them, however capitalised


def value(text: str) -> Any:
    """Return what a value means: JSON, else one of YAML's words that no text is likely to be, else text.

    YAML's yes, no, on and off stay texts: `params.country=no` means Norway.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return WORDS.get(text.lower(), text)


# -- to do it ----------------------------------------------------------------------------------------------


def _set(at: Desk, name: str, change: Change) -> Object:
    base = report.find(at.files, name, lambda: at.store)
    at.store.enroll(base, at.now)
    fact = at.again(base.name)
    keys = overlaid(fact.overrides, change)
    before = _job(base, fact.overrides, at.settings.timezone)[0] or base
    after, errors = _job(base, keys, at.settings.timezone)
    if after is None:
        raise _named(errors[0], base.name)
    was = _shown(before, fact)
    _enable(at, fact, change)
    if keys != fact.overrides:
        at.store.override(fact.id, keys, at.now)
    _note(at, base.name, change)
    now = at.again(base.name)
    shown = _shown(after, now)
    touched = dict.fromkeys(key.partition(".")[0] for key in (*change.given, *change.dropped))
    return {
        "id": base.name,
        "changed": {key: {"was": was[key], "is": shown[key]} for key in touched},
        "overrides": dict(keys),
        "next": {"was": _next(at, before, fact), "is": _next(at, after, now)},
    }


def overlaid(stored: Mapping[str, Any], change: Change) -> dict[str, Any]:
    """Return the overrides that there will be; `enabled` is kept elsewhere."""
    keys = {key: each for key, each in stored.items() if key not in change.dropped}
    keys |= {key: each for key, each in change.given.items() if key in SETTABLE}
    single = {key.removeprefix(PARAM): each for key, each in change.given.items() if key.startswith(PARAM)}
    gone = {key.removeprefix(PARAM) for key in change.dropped if key.startswith(PARAM)}
    params = keys.get("params", {})
    if isinstance(params, Mapping) and (single or gone):
        left = {key: each for key, each in params.items() if key not in gone} | single
        keys = {**keys, "params": left} if left else {key: keys[key] for key in keys if key != "params"}
    return keys


def _job(base: Job, keys: Mapping[str, Any], timezone: str) -> tuple[Job | None, list[ConfigError]]:
    """Return the job as it would be with these overrides, read as from its file."""
    place = Place(base.path, base.folder, base.content_hash, base.description, base.imports)
    over = [Written(keys, config.SET)] if keys else []
    return config.read(Written(base.config, base.file, base.line), place, timezone, over)


def _named(error: ConfigError, name: str) -> ConfigError:
    """Return the error with the place of who wrote the value: a command, not a file."""
    if error.file == config.SET:
        error.file = f"set {name} {error.key}"
    return error


def _enable(at: Desk, fact: JobFacts, change: Change) -> None:
    if "enabled" in change.dropped:
        at.store.set_enabled(fact.id, None, None, at.now)
    elif "enabled" in change.given:
        said = change.given["enabled"]
        if not isinstance(said, bool):
            shown = out.json_text(said)
            message = f"enabled is {shown}, which is neither true nor false"
            raise ConfigError(
                message, hint="write enabled=true or enabled=false", file=f"set {fact.name} enabled"
            )
        at.store.set_enabled(fact.id, said, because(at.actor, None), at.now)


def _note(at: Desk, name: str, change: Change) -> None:
    """Write what was set, but no params: they may hold what is nobody's business."""
    if change.given:
        hidden = ("params", PARAM)
        said = [
            key if key.startswith(hidden) else f"{key}={out.json_text(each)}"
            for key, each in change.given.items()
        ]
        at.note("set", name, " ".join(said))
    if change.dropped:
        at.note("unset", name, " ".join(change.dropped))


# -- to tell it --------------------------------------------------------------------------------------------


def _shown(job: Job, fact: JobFacts) -> Object:
    """Return the settable keys as they hold."""
    stored = fact.enabled_override
    return {
        "schedule": job.schedule.text if job.schedule is not None else None,
        "timezone": job.timezone,
        "timeout": job.config.get("timeout"),
        "params": dict(job.params),
        "enabled": job.enabled if stored is None else stored,
    }


def _next(at: Desk, job: Job, fact: JobFacts) -> Instant | None:
    if status.resting(job, fact, at.settings, at.store.paused()) is not None:
        return None
    return status.next_at(job, fact, at.now)


def _say(found: Object, now: Instant) -> None:
    for key, each in found["changed"].items():
        was, now_is = (out.json_text(each[side]) for side in ("was", "is"))
        same = f"{key} is {now_is} already" if was == now_is else f"{key} was {was}, is {now_is}"
        out.line(f"{one_line(found['id'])}: {same}")
    was, coming = (when(found["next"][side], now) for side in ("was", "is"))
    out.line(f"{one_line(found['id'])}: next was {was}, is {coming}")
