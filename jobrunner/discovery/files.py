"""What job files say: bytes read with care, then the syntax tree, else an import in a child.

It knows neither settings nor keys: what a config means is for `config`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any, NamedTuple

from jobrunner.discovery import syntax
from jobrunner.discovery.syntax import Syntax, Written
from jobrunner.errors import ConfigError
from jobrunner.fingerprint import sha256
from jobrunner.model import Parameter

LARGEST = 1_000_000
DEEPEST = 1_000  # characters of a path; deeper ones cannot be opened everywhere


class Found(NamedTuple):
    """A job file, the jobs folder it lies in and the project root; all absolute."""

    path: str
    folder: str
    root: str


@dataclass(slots=True)
class Description:
    """What one file says. Without `problems` it has one config or more.

    `files` are hashes of other project files that a computed config came from. `transient` marks a
    failed import: another try may succeed although the file is the same. `unread`: nobody has tried.
    """

    content_hash: str = ""
    doc: str = ""
    imports: list[str] = field(default_factory=list)
    configs: list[Written] = field(default_factory=list)
    problems: list[ConfigError] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    transient: bool = False
    unread: bool = False
    parameters: tuple[Parameter, ...] | None = None  # what its function takes; None: nobody can tell
    names: list[Any] = field(default_factory=list)  # as far as they are known without configs


NOT_READ = "the config is computed, and nothing was executed to read it"


def describe(found: Sequence[Found], limit: float) -> list[Description]:
    """Return what each file says, in order. `limit` is the seconds a child may take to import one.

    Files without a literal config are imported in children, as many at a time as there are cores; with a
    limit of 0 nothing is executed, and they say `NOT_READ`.
    """
    described = [_describe(each) for each in found]
    computed = [i for i, (_, said) in enumerate(described) if said is not None and said.configs is None]
    answers = _ask([found[i] for i in computed], limit)
    for i, answer in zip(computed, answers, strict=True):
        description, said = described[i]
        assert said is not None
        _fill(description, said, answer, found[i])
        description.unread = limit <= 0
    return [description for description, _ in described]


def _ask(found: Sequence[Found], limit: float) -> list[dict[str, Any]]:
    if not found:
        return []
    if limit > 0:
        from jobrunner import probe

        return probe.ask_all([_request(each) for each in found], limit)
    problem = {"message": NOT_READ, "hint": "`jobrunner check` executes it, and so does a node", "line": None}
    return [{"problem": problem} for _ in found]


def digest(path: str) -> str | None:
    """Return the sha256 of a file as hex, or None when it cannot be read as a job file."""
    try:
        return sha256(read_source(path))
    except ConfigError:
        return None


def read_source(path: str) -> bytes:
    """Return a file's bytes. Raises ConfigError unless it is a regular file of at most 1 MB.

    A pipe that took the file's place since the walk must not make us wait, hence O_NONBLOCK.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise ConfigError(
            f"the file cannot be read: {error.strerror}", hint="check its permissions"
        ) from None
    with open(descriptor, "rb", closefd=True) as file:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise ConfigError("it is not a regular file", hint="move it out of the jobs folder")
        data = file.read(LARGEST + 1) if facts.st_size <= LARGEST else b""
    if facts.st_size > LARGEST or len(data) > LARGEST:
        said = f"the file is larger than 1 MB ({max(facts.st_size, len(data)):,} bytes)"
        raise ConfigError(said, hint="move data out of it, into a file that the job reads")
    return data


def _describe(found: Found) -> tuple[Description, Syntax | None]:
    try:
        _check_name(found)
        source = read_source(found.path)
    except ConfigError as error:
        return Description(problems=[error]), None
    description = Description(sha256(source))
    try:
        said = syntax.read(source)
    except (ConfigError, RecursionError, MemoryError) as error:
        description.problems.append(error if isinstance(error, ConfigError) else syntax.too_deep())
        description.names = syntax.names(source)
        return description, None
    description.names = [frame.config.get("name") for frame in said.frames]
    description.doc, description.imports = said.doc, said.imports
    description.configs, description.problems = said.configs or [], said.problems
    description.parameters = said.parameters
    return description, None if said.problems else said


def _check_name(found: Found) -> None:
    name = os.path.relpath(found.path, found.folder)
    if not name.isprintable():
        raise ConfigError("the file's name holds characters that cannot be shown", hint="rename it")
    if len(found.path) > DEEPEST:
        raise ConfigError("the file's path is longer than 1,000 characters", hint="move it up")


def _request(found: Found) -> dict[str, str]:
    return {"verb": "config", "folder": found.folder, "path": found.path, "root": found.root}


def _fill(description: Description, said: Syntax, answer: Mapping[str, Any], found: Found) -> None:
    """Put a child's answer where a literal config would have been."""
    frames = said.frames or [Written({}, 1)]
    problem = answer.get("problem")
    if problem is not None:
        line = problem["line"] or frames[0].line
        description.problems.append(ConfigError(problem["message"], hint=problem["hint"], line=line))
        description.transient = True
        return
    for config, frame in zip_longest(
        answer["configs"], frames[: len(answer["configs"])], fillvalue=frames[0]
    ):
        description.configs.append(Written(config, frame.line, frame.lines))
    if not description.configs:
        description.problems.append(
            ConfigError("configs is empty", hint="add a dict to it", line=frames[0].line)
        )
    others = (path for path in answer["files"] if path != found.path)
    description.files = {path: digest(path) or "" for path in others}
