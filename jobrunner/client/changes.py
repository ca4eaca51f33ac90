"""What people and programs change of a job that outlasts any node: whether it is enabled, and its keys."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from jobrunner import config, status, terms
from jobrunner.client.desk import Desk, Target, because
from jobrunner.clock import Instant
from jobrunner.config import Place, Written
from jobrunner.config.keys import SETTABLE
from jobrunner.errors import BadArgument, ConfigError
from jobrunner.facts import JobFacts, Pause
from jobrunner.model import Job
from jobrunner.record import Object
from jobrunner.settings import Settings, jsonvalues

KEYS = (*SETTABLE, "enabled")
PARAM = "params."


class Change(NamedTuple):
    """What was asked for: values to keep, and keys to drop."""

    given: dict[str, Any]
    dropped: tuple[str, ...]


def enable_one(at: Desk, target: Target, reason: str | None, *, enabled: bool) -> Object:
    """Enable or disable one job; whoever says again what holds, without a reason, changes no reason."""
    fact = target.fact
    before = _enabled(target, fact, at.settings)
    if fact.enabled_override is not enabled or reason or (enabled and fact.consecutive_failures):
        at.store.set_enabled(fact.id, enabled, because(at.actor, reason), at.now)
        at.note("enabled" if enabled else "disabled", target.name, reason or "")
    return {
        "id": target.name, "was": before, "is": _enabled(target, at.again(target.name), at.settings)
    }  # fmt: skip


def _enabled(target: Target, fact: JobFacts, settings: Settings) -> Object:
    if target.job is not None:
        enabled, reason = status.enablement(target.job, fact, settings)
    else:
        enabled, reason = fact.enabled_override is not False, fact.enabled_reason
    return {"enabled": enabled, "enabledReason": reason}


def pause(at: Desk, reason: str | None) -> bool:
    """Let all schedules stand still; False when they do already."""
    changed = at.store.pause(at.actor, reason, at.now)
    if changed:
        at.note("paused", None, reason or "")
    return changed


def resume(at: Desk) -> Pause | None:
    """Let the schedules go on; returns the pause that there was."""
    before = at.store.paused()
    if at.store.resume(at.now):
        at.note("resumed", None, "")
    return before


# -- keys ---------------------------------------------------------------------------------------------------


def asked(given: Mapping[str, Any], unset: Iterable[str]) -> Change:
    """Return what keyword arguments mean, as plain JSON: schedules become their text, durations seconds.

    Raises BadArgument for a key that cannot be unset, and for what is no JSON.
    """
    dropped = tuple(dict.fromkeys([unset] if isinstance(unset, str) else unset))
    for key in dropped:
        if key not in KEYS:
            known = ", ".join(KEYS)
            raise BadArgument(f"{key!r:.100} cannot be unset", argument="unset", hint=f"there are {known}")
        if key in given:
            raise BadArgument(f"{key} is both set and unset", argument=key)
    plain = {
        key: terms.plain(jsonvalues.plain(each), key, terms.LONGEST_PARAMS)[0] for key, each in given.items()
    }
    return Change(plain, dropped)


def check(base: Job, change: Change, settings: Settings) -> None:
    """Raise ConfigError for a value that the job's file could not have either."""
    job, errors = _job(base, overlaid({}, change), settings.timezone)
    if job is None:
        raise _named(errors[0], base.name)


def overrule(at: Desk, base: Job, change: Change) -> Object:
    """Override keys of a job, and say what they were and are.

    Raises ConfigError for a value that the job's file could not have either.
    """
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
            shown = _json(said)
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
            key if key.startswith(hidden) else f"{key}={_json(each)}" for key, each in change.given.items()
        ]
        at.note("set", name, " ".join(said))
    if change.dropped:
        at.note("unset", name, " ".join(change.dropped))


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


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
