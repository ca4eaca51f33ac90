"""Jobs that code adds: a name, the address of a function and a config, kept in the state.

Their configs are held to the rules of job files. Here no module is imported: where one is, is looked up as
Python would, from the outermost package inwards, and nothing of it is executed.
"""

from __future__ import annotations

import ast
import json
import keyword
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from importlib.machinery import ModuleSpec, PathFinder
from typing import TYPE_CHECKING, Any, NamedTuple

from jobrunner import config as configs
from jobrunner.config.values import OURS
from jobrunner.discovery import signature
from jobrunner.discovery.entries import Overrides
from jobrunner.discovery.files import digest, read_source
from jobrunner.discovery.function import named
from jobrunner.discovery.walk import ProblemRow, stamp_of
from jobrunner.errors import BadArgument, ConfigError
from jobrunner.fingerprint import sha256
from jobrunner.model import Job, Parameter, Problem
from jobrunner.settings import Settings
from jobrunner.store.values import AddedJob

if TYPE_CHECKING:
    from jobrunner.discovery.summary import Summary

EXAMPLE = "write package.module:function"


class Added(NamedTuple):
    """What became of the added jobs: `jobs` by name; `lost` are the modules, by job, that are not here.

    `files` lie in the project, or will: an edit of one makes another definition of a job.
    """

    jobs: dict[str, Job]
    problems: list[Problem]
    lost: dict[str, str]
    files: list[str]


def check(name: str, target: str, config: Mapping[str, Any]) -> AddedJob:
    """Return a job to be kept: its config with canonical keys, as plain JSON.

    Raises BadArgument for a target that is no address, ConfigError for a name or config that no job file
    could have either.
    """
    _check_target(target)
    if "name" in config:
        raise BadArgument(
            "the config has a name, too", argument="name", hint="the first argument is the name"
        )
    plain = {key: _plain(key, value) for key, value in config.items()}
    job, errors = configs.read(configs.Written({"name": name, **plain}, ""), configs.Place("", "", ""), "UTC")
    if job is None:
        errors[0].file = None  # there is none
        raise errors[0]
    return AddedJob(job.name, target, {key: each for key, each in job.config.items() if key != "name"})


def _check_target(target: object) -> None:
    if not isinstance(target, str):
        called = getattr(target, "__qualname__", None)
        hint = f'write "{getattr(target, "__module__", "")}:{called}"' if isinstance(called, str) else EXAMPLE
        raise BadArgument(f"target is {target!r:.100}: it must be text", argument="target", hint=hint)
    module, _, function = target.partition(":")
    if not all(map(_is_identifier, (*module.split("."), *function.split(".")))):
        said = f"target is {target!r:.200}, which is no address of a function"
        raise BadArgument(said, argument="target", hint=EXAMPLE)
    if module == "__main__":
        said = f"target is {target!r:.200}: another process has another __main__"
        raise BadArgument(said, argument="target", hint="move the function to a module that can be imported")


def _is_identifier(part: str) -> bool:
    return part.isidentifier() and not keyword.iskeyword(part)


def _plain(key: str, value: object) -> Any:
    """Return a value in JSON types. Raises ConfigError for what has none."""
    from jobrunner.settings.jsonvalues import HINT, flaw, plain

    found = plain(value)
    said = None if isinstance(found, float) else flaw(found, key)  # infinity: each key has its own words
    if said is not None:
        raise ConfigError(said, hint=HINT, key=key)
    return found


# -- beside the job files ------------------------------------------------------------------------------


def merged(settings: Settings, summaries: Iterable[Summary], broken: Iterable[ProblemRow]) -> Added:
    """Return the added jobs of a project whose files say this; a file with a name of one of them wins.

    So does a broken one that still tells its name.
    """
    files = {row[4].casefold(): row[0] for row in broken if row[4] is not None}
    files |= {name.casefold(): each.file for each in summaries for name in (each.name, *each.former)}
    added = Added({}, [], {}, [])
    overrides, formers = Overrides(settings), _formers(settings.added)
    files_of = cache(lambda module: module_file(module, settings.project))  # many jobs share few modules
    for each in settings.added:
        file = files_of(each.target.partition(":")[0])
        added.files.extend(_in_project(each.target, file, settings.project))
        clash = next(_clashes(each, files, formers), None)
        job, errors = (None, [clash]) if clash is not None else _build(each, file, settings, overrides)
        added.problems.extend(_problem(each, error, named=clash is None) for error in errors)
        if job is not None:
            added.jobs[job.name] = job
            if file is None:
                added.lost[job.name] = _module(each.target)
    return added


def _formers(added: Sequence[AddedJob]) -> dict[str, str]:
    """Return the added job that may have each name: whose own it is, else the first that had it."""
    found = {former.casefold(): each.name for each in reversed(added) for former in _former(each)}
    return found | {each.name.casefold(): each.name for each in added}


def _former(added: AddedJob) -> list[str]:
    names = added.config.get("formerNames", ())
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def _clashes(added: AddedJob, files: Mapping[str, str], names: Mapping[str, str]) -> Iterator[ConfigError]:
    for name in (added.name, *_former(added)):
        file, other = files.get(name.casefold()), names[name.casefold()]
        if file is not None:
            said = f'the name "{name}" is also used by {file}, and a job file comes before an added job'
        elif other != added.name:
            said = f'the former name "{name}" is also used by the added job {other}'
        else:
            continue
        hint = f'remove one of them: client.remove("{added.name}") takes the added job away'
        yield ConfigError(said, hint=hint)


def _problem(added: AddedJob, error: ConfigError, *, named: bool) -> Problem:
    """Return what is wrong; with `named` the job of that name is it, else a file has the name."""
    file = error.file or shown(added.name)
    if file == configs.SET:
        file = f"set {added.name} {error.key}"
    return Problem(
        file, error.line, error.message, error.hint, added.name if named else None, place(added.name)
    )


def place(name: str) -> str:
    """Return what stands for the path of an added job in problems."""
    return f"added:{name.casefold()}"


def shown(name: str) -> str:
    """Return what stands for the file of an added job where people read of its problems."""
    return f"added {name}"


def is_added(job: Job) -> bool:
    """Say whether code has added a job: it has no file, and is none of ours."""
    return bool(job.target) and not job.file and job.name not in OURS


def _build(
    added: AddedJob, file: str | None, settings: Settings, overrides: Overrides
) -> tuple[Job | None, list[ConfigError]]:
    written = configs.Written({**added.config, "name": added.name}, shown(added.name))
    doc, takes = function(file or "", added.target.partition(":")[2])
    content = [
        added.target,
        dict(added.config),
        digest(file) if file and _lies_in(file, settings.project) else None,
        signature.written(takes),
    ]
    hash_ = sha256(json.dumps(content, sort_keys=True).encode())
    try:
        over = overrides.of(added.name)
    except ConfigError as error:
        return None, [error]
    place = configs.Place(
        "", "", hash_, doc, (), takes,
        services_look=overrides.services_look, executors=overrides.executors,
    )  # fmt: skip
    job, errors = configs.read(written, place, settings.timezone, over)
    return None if job is None else job._replace(file="", line=0, target=added.target), errors


# -- where a module is, and what a function of it takes ------------------------------------------------


def function(file: str, name: str) -> tuple[str, tuple[Parameter, ...] | None]:
    """Return (the first line of a function's docstring, what it takes), read from the module's source.

    ("", None) where nobody can tell: it is no source, or defines none of that name plainly and once.
    """
    return _function(file, name, tuple(stamp_of(file))) if file.endswith(".py") else ("", None)


@lru_cache(maxsize=1000)
def _function(file: str, name: str, _stamp: tuple[int, ...]) -> tuple[str, tuple[Parameter, ...] | None]:
    try:
        found = named(ast.parse(read_source(file)), name)
    except (ConfigError, SyntaxError, ValueError, RecursionError, MemoryError):
        return "", None  # what is wrong with it shows when it is run
    if found is None:
        return "", None
    lines = (ast.get_docstring(found) or "").strip().splitlines()[:1]
    doc = "".join(lines).strip()
    return " ".join(each for each in doc.split() if each.isprintable()), signature.parameters(found)


def module_file(target: str, project: str) -> str | None:
    """Return the file of a target's module, "" for one without, or None where Python would find none."""
    top, *rest = _module(target).split(".")
    spec = _top(top, project)
    for part in rest:
        places = spec.submodule_search_locations if spec is not None else None
        # By its last name alone: looked for by its whole one, the packages around it would have to be loaded.
        spec = PathFinder.find_spec(part, list(places)) if places is not None else None
    if spec is None:
        return None
    return spec.origin if spec.has_location and spec.origin else ""


def _top(name: str, project: str) -> ModuleSpec | None:
    """Look for a package or module as the child of a run does: without our own folder, with the project."""
    start = 0 if sys.flags.safe_path else 1
    path = [*(each for each in sys.path[start:] if each), project]
    for finder in sys.meta_path:
        spec = finder.find_spec(name, path if finder is PathFinder else None)
        if spec is not None:
            return spec
    return None


def _module(target: str) -> str:
    return target.partition(":")[0]


def _lies_in(file: str, project: str) -> bool:
    return file.startswith(os.path.join(project, ""))


def _in_project(target: str, file: str | None, project: str) -> list[str]:
    """Return the file whose edits count; of a module that is not there, those that it could be."""
    if file is None:
        path = os.path.join(project, *_module(target).split("."))
        return [path + ".py", os.path.join(path, "__init__.py")]
    return [file] if _lies_in(file, project) else []
