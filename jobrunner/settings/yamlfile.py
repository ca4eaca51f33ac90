"""jobrunner.yaml as data, with the line of each key. Only imported when there is such a file."""

from __future__ import annotations

import os
import stat
from typing import Any

import yaml

from jobrunner.errors import ConfigError

FILE = "jobrunner.yaml"
LARGEST = 1_000_000
DEPTH = 3  # jobs -> name -> key: deeper keys need no line of their own

Lines = dict[tuple[str, ...], int]


def read(path: str) -> tuple[dict[str, Any], Lines]:
    """Return the file's mapping, and the line of each key down to the third level.

    Only plain values are ever built (a safe loader). Raises ConfigError, with the line where it is known,
    for a file that cannot be read, is no YAML mapping, has a key twice, or is over a megabyte.
    """
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(_bytes(path))
    lines: Lines = {}
    try:
        node = loader.get_single_node()
        if node is None:
            return {}, lines
        _note(node, (), lines)
        document = loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        raise _fail(_sentence(error), _line(error), _HINT) from None
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise _fail(f"is not readable as YAML: {str(error).splitlines()[0]}", None, _HINT) from None
    if document is None:
        return {}, lines
    if not isinstance(document, dict):
        raise _fail("is not a mapping of names to values", 1, 'write lines such as "timezone: Europe/Berlin"')
    return document, lines


_HINT = "put values that begin with * or @ or hold a colon in quotes"


def _bytes(path: str) -> bytes:
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise _fail("is not a regular file", None, None)
        with open(path, "rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise _fail(f"cannot be read: {error.strerror}", None, None) from None
    if len(data) > LARGEST:
        raise _fail("is larger than 1 MB", None, None)
    return data


def _note(node: Any, path: tuple[str, ...], lines: Lines) -> None:
    if not isinstance(node, yaml.MappingNode) or len(path) == DEPTH:
        return
    for key, value in node.value:
        if key.tag != "tag:yaml.org,2002:merge":
            _note_key(path, key, lines)
            _note(value, (*path, key.value), lines)


def _note_key(path: tuple[str, ...], key: Any, lines: Lines) -> None:
    line = key.start_mark.line + 1
    if not isinstance(key, yaml.ScalarNode) or key.tag != "tag:yaml.org,2002:str":
        raise _fail("has a key that is not a text", line, "put it in quotes")
    if (*path, key.value) in lines:
        first = lines[*path, key.value]
        raise _fail(f'names "{key.value}" twice, on lines {first} and {line}', line, "keep one of them")
    lines[*path, key.value] = line


def _sentence(error: yaml.MarkedYAMLError) -> str:
    return f"is not YAML: {error.problem or error.context or 'unreadable'}"


def _line(error: yaml.MarkedYAMLError) -> int | None:
    mark = error.problem_mark or error.context_mark
    return mark.line + 1 if mark is not None else None


def _fail(message: str, line: int | None, hint: str | None) -> ConfigError:
    return ConfigError(f"the file {message}", file=FILE, line=line, hint=hint)
