"""set: say otherwise than a job's file does, without touching the file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

import click

from jobrunner.cli import out, report
from jobrunner.cli.asking import Asked, JobName, Verb
from jobrunner.cli.desk import AS, JSON, Object, desk
from jobrunner.cli.jsonout import iso
from jobrunner.cli.render import when
from jobrunner.client.changes import KEYS, PARAM, Change, overrule
from jobrunner.clock import Instant
from jobrunner.errors import BadRequest
from jobrunner.wording import one_line


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
        found = overrule(at, report.find(at.files, name, lambda: at.store), change)
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


def _say(found: Object, now: Instant) -> None:
    for key, each in found["changed"].items():
        was, now_is = (out.json_text(each[side]) for side in ("was", "is"))
        same = f"{key} is {now_is} already" if was == now_is else f"{key} was {was}, is {now_is}"
        out.line(f"{one_line(found['id'])}: {same}")
    was, coming = (when(found["next"][side], now) for side in ("was", "is"))
    out.line(f"{one_line(found['id'])}: next was {was}, is {coming}")
