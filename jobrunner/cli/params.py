"""Params as people type them: `-p key=value`, `--params JSON`; with help, completion and errors by name."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from jobrunner.cli.asking import Asked, Verb
from jobrunner.cli.jsonout import Object
from jobrunner.errors import BadArgument, BadRequest, JobrunnerError

if TYPE_CHECKING:
    from jobrunner.model import Job, Parameter
    from jobrunner.parameters import Takes
    from jobrunner.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])
EXAMPLE = "for example --params '{\"rows\": 100}'"
PAIRS = re.compile(r" -p \S+")
TEXTS = {"date": "date, as text", "datetime": "datetime, as text"}
HOW = "-p {}=…; --help lists what it takes"  # to give a param that lacks


class Pair(click.ParamType[str]):
    """key=value, whose key a shell can complete once the job is named."""

    name = "key=value"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
        """Return the names of the job's params that begin so, each with its `=`."""
        from jobrunner.cli.completion import params_of

        return params_of(ctx, incomplete)


def options(command: F) -> F:
    """Give a command `-p` and `--params`, as its arguments `pairs` and `text`."""
    command = click.option(
        "--params", "text", metavar="JSON", help="Params as one JSON object; @FILE reads it, - reads stdin."
    )(command)
    return click.option(
        "-p",
        "--param",
        "pairs",
        multiple=True,
        metavar="KEY=VALUE",
        type=Pair(),
        help="A param: of the type that the job's function names, else JSON if it is JSON, else text.",
    )(command)


class JobVerb(Verb):
    """A command on a job NAME that takes params: with NAME, its help lists them."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep the words, for the help."""
        ctx.meta[WORDS] = [*args]
        return super().parse_args(ctx, args)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what the job says of itself, then what every command has."""
        name = _named(self, ctx)
        if name:
            _describe(name, ctx, formatter)
        super().format_epilog(ctx, formatter)

    def examples(self, ctx: click.Context) -> str:
        """Return the examples, for the job where one is named."""
        name = _named(self, ctx)
        return _examples(name, self, ctx) if name else super().examples(ctx)


def _examples(name: str, verb: click.Command, ctx: click.Context) -> str:
    """Return the examples of a command for the job that is named, with the params that it wants."""
    from jobrunner import parameters
    from jobrunner.wording import one_line

    try:
        job = find(ctx, name)
    except (JobrunnerError, OSError):
        return verb.epilog or ""
    has = dict.fromkeys(own_params(job))
    wanted = "".join(f" -p {each}=…" for each in parameters.lacking(job.parameters, job.params, has))
    place = 2 + _place(verb)
    lines = [PAIRS.sub("", line).split() for line in (verb.epilog or "").splitlines()]
    said = [" ".join([*line[:place], f"{name}{wanted}", *line[place + 1 :]]) for line in lines]
    return "\n".join(map(one_line, dict.fromkeys(said)))


WORDS = "jobrunner.words"


def named(ctx: click.Context) -> str | None:
    """Return the job, or file, that a command line names so far; it may break off behind a `-p`."""
    place = _place(ctx.command)
    places = [each.name for each in ctx.command.params if isinstance(each, click.Argument)]
    found = ctx.params.get(places[place] or "") or next(iter(ctx.args[place:]), None)
    return str(found) if found else None


def _place(verb: click.Command) -> int:
    """Return which argument of a command names the job, or file; 0 for the first."""
    places = [each.name for each in verb.params if isinstance(each, click.Argument)]
    return next(i for i, each in enumerate(places) if each in ("name", "file"))


def _named(verb: click.Command, ctx: click.Context) -> str | None:
    words = ctx.meta.get(WORDS, [])
    with verb.make_context(ctx.info_name, [*words], parent=ctx.parent, resilient_parsing=True) as seen:
        ctx.params.update(seen.params)
        return named(seen)


def _describe(name: str, ctx: click.Context, formatter: click.HelpFormatter) -> None:
    """Write the job's description and params; of one that cannot be used, why."""
    from jobrunner.wording import one_line

    try:
        job = find(ctx, name)
    except (JobrunnerError, OSError) as error:
        formatter.write(f"\n{one_line(str(error))}\n")
        return
    with formatter.section(f"Job {job.name}" if "file" not in ctx.params else one_line(job.file)):
        formatter.write_text(one_line(job.description or "It has no description."))
    known = listed(job)
    width = max((len(one.name) for one in known), default=0)
    rows = [(f"{one.name:{width}}  {type_words(one, job)}", _origin(one, job)) for one in known]
    with formatter.section("Its params, for -p"):
        formatter.write_dl([(one_line(left), one_line(right)) for left, right in rows] or [("(none)", "")])


def find(ctx: click.Context, name: str) -> Job:
    """Return what a command line is about: a job, or for `exec` a file. Raises JobrunnerError."""
    asked = ctx.find_object(Asked) or Asked()
    if "file" in ctx.params:
        from jobrunner.housekeeping import exec_job

        return exec_job(name, asked.settings())
    from jobrunner.registry import Registry

    return Registry.load(asked.told()).find(name)


def listed(job: Job) -> list[Parameter]:
    """Return what may be given with -p: the function's parameters, then the job's own other params."""
    from jobrunner.model import Parameter
    from jobrunner.parameters import BUILT_IN, OTHERS

    ours = BUILT_IN | {OTHERS.name, *(own_params(job))}
    takes = [one for one in job.parameters or () if one.name not in ours]
    others = [key for key in job.params if key not in {one.name for one in takes}]
    return takes + [Parameter(key, "", False) for key in others]


def own_params(job: Job) -> Collection[str]:
    """Return the params that `exec` itself gives."""
    from jobrunner.housekeeping import EXEC, EXEC_PARAMS

    return EXEC_PARAMS if job.name == EXEC else ()


def type_words(one: Parameter, job: Job) -> str:
    """Return the type that a param is to have, as people are told it; "" for any."""
    from jobrunner import parameters

    kind = one.kind.removesuffix("?")
    if not kind:
        value = job.params.get(one.name, one.default)
        return "" if value is None else type(value).__name__
    allowed = " | ".join(json.dumps(each, ensure_ascii=False) for each in parameters.choices(kind))
    words = allowed or TEXTS.get(kind, kind)
    return f"{words} or null" if kind != one.kind else words


def _origin(one: Parameter, job: Job) -> str:
    from jobrunner.parameters import is_param

    if one.name in job.params:
        return f"[params: {_short(job.params[one.name])}]"
    if not one.required:
        known = one.default is not None or one.kind.endswith("?")
        return f"[default: {_short(one.default)}]" if known else "[default: computed]"
    return "[required, unless it is a service]" if is_param(one) else "[a service]"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."


# -- from words to values ------------------------------------------------------------------------------


class Words(NamedTuple):
    """What was typed: the pairs of `-p` as texts, and the object of `--params`."""

    pairs: Sequence[tuple[str, str]]
    whole: Object

    def of(self, name: str, takes: Takes, own: Mapping[str, Any]) -> Object:
        """Return the params for the job `name` with these `parameters` and `params`; `-p` goes over the rest.

        Raises BadArgument for one that the job has not, and for a value that does not fit.
        """
        from jobrunner import parameters

        found = {**self.whole, **parameters.typed(takes, own, self.pairs)}
        for key, value in found.items():
            _check_finite(key, value)
        parameters.check(name, takes, own, found)
        return found


def words(pairs: Sequence[str], text: str | None) -> Words:
    """Return what `-p key=value` and `--params JSON` say. Raises BadRequest for what cannot be meant."""
    whole = _json_object(text) if text is not None else {}
    for key, value in whole.items():
        _check_finite(key, value)
    return Words([_split(pair) for pair in pairs], whole)


def refuse_missing(job: Job, params: Mapping[str, Any], settings: Settings) -> None:
    """Raise BadArgument for a parameter that nothing can bring, where the project has no services."""
    from jobrunner import parameters
    from jobrunner.discovery.servicesfile import has_services
    from jobrunner.housekeeping import EXEC

    if not has_services(settings):
        who = job.file if job.name == EXEC else job.name
        has = {**params, **dict.fromkeys(own_params(job))}
        parameters.refuse_missing(who, job.parameters, job.params, has, HOW)


def lacking_params(job: Job, params: Mapping[str, Any]) -> list[str]:
    """Return the parameters without a value that no class tells to be a service."""
    from jobrunner import parameters

    has = {**params, **dict.fromkeys(own_params(job))}
    return parameters.lacking(job.parameters, job.params, has)


def _split(pair: str) -> tuple[str, str]:
    key, equals, value = pair.partition("=")
    if not equals or not key.strip():
        raise BadRequest(f'-p takes key=value, not "{pair}"', hint="for example -p rows=100")
    return key.strip(), value


def _json_object(text: str) -> Object:
    try:
        found = json.loads(_read(text))
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"--params is not JSON: {error}", hint=EXAMPLE) from None
    if not isinstance(found, Mapping):
        raise BadRequest("--params is not a JSON object", hint=EXAMPLE)
    return dict(found)


def _read(text: str) -> str:
    """Return the JSON itself: of `@FILE` what the file says, of `-` what comes on stdin."""
    if text == "-":
        return sys.stdin.read()
    if not text.startswith("@"):
        return text
    try:
        return Path(text[1:]).read_text("utf-8")
    except OSError as error:
        raise BadRequest(f"--params {text} cannot be read: {error.strerror}", hint=EXAMPLE) from None


def _check_finite(key: str, value: Any) -> None:
    """Raise BadArgument for a param that no store could keep, by its name."""
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        raise BadArgument(
            f'param "{key}" is or holds NaN, or a number that is too large, which is not JSON',
            argument=key,
            hint=f"as a text it is fine: -p '{key}=\"NaN\"'",
        ) from None
