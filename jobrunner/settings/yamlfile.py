"""jobrunner.yaml as data, with the line of each key. Only imported when there is such a file."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from typing import Any

import yaml

from jobrunner.errors import ConfigError

FILE = "jobrunner.yaml"
LARGEST = 1_000_000
DEEPEST = 100  # levels; the parser of the C library ends the process at some ten thousands
MOST = 1_000_000  # values, each as often as an alias repeats it
DEPTH = 3  # jobs -> name -> key: deeper keys need no line of their own

Lines = dict[tuple[str, ...], int]


def read(path: str) -> tuple[dict[str, Any], Lines]:
    """Return the file's mapping, and the line of each key down to the third level.

    Only plain values are ever built (a safe loader). Raises ConfigError, with the line where it is known,
    for a file that cannot be read, is no YAML mapping, has a key twice, or is over a megabyte.
    """
    data = _bytes(path)
    lines: Lines = {}
    try:
        _weigh(data)
        loader = _LOADER(data)
        node = loader.get_single_node()
        if node is None:
            return {}, lines
        _note(node, (), lines)
        document = _constructed(loader, node)
    except yaml.MarkedYAMLError as error:
        raise _fail(_sentence(error), _line(error), _HINT) from None
    except (yaml.YAMLError, RecursionError) as error:
        raise _fail(f"is not readable as YAML: {str(error).splitlines()[0]}", None, _HINT) from None
    if document is None:
        return {}, lines
    if not isinstance(document, dict):
        raise _fail("is not a mapping of names to values", 1, 'write lines such as "timezone: Europe/Berlin"')
    return document, lines


_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
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


def _weigh(data: bytes) -> None:
    """Refuse what is nested too deeply, or would be too large when all its aliases are followed.

    Ten short lines of aliases can stand for billions of values; here each is added up, not made.
    """
    open_ones: list[tuple[str | None, int]] = []  # anchor and weight so far of what has begun
    weights: dict[str, int] = {}
    events: Iterator[Any] = yaml.parse(data, Loader=_LOADER)
    for event in events:
        if isinstance(event, yaml.CollectionStartEvent):
            open_ones.append((event.anchor, 1))
        elif isinstance(event, yaml.NodeEvent | yaml.CollectionEndEvent):
            anchor, weight = _closed(event, open_ones, weights)
            if anchor is not None:
                weights[anchor] = weight
            if open_ones:
                open_ones[-1] = open_ones[-1][0], open_ones[-1][1] + weight
        _check_size(event, open_ones)


def _closed(
    event: Any, open_ones: list[tuple[str | None, int]], weights: dict[str, int]
) -> tuple[str | None, int]:
    """Return the anchor and the weight of what ends with an event."""
    if isinstance(event, yaml.CollectionEndEvent):
        return open_ones.pop()
    name, line = event.anchor, event.start_mark.line + 1
    if not isinstance(event, yaml.AliasEvent):
        return name, 1
    if any(anchor == name for anchor, _ in open_ones):
        raise _fail("holds a value that is part of itself", line, "write it out")
    return None, weights.get(name, 1)  # of an unknown one the loader complains


def _check_size(event: Any, open_ones: list[tuple[str | None, int]]) -> None:
    line = event.start_mark.line + 1
    if len(open_ones) > DEEPEST:
        raise _fail(f"is nested more than {DEEPEST} deep", line, "flatten it")
    if open_ones and open_ones[-1][1] > MOST:
        raise _fail(f"holds more than {MOST:,} values, with what aliases repeat", line, "make it smaller")


def _constructed(loader: Any, node: Any) -> Any:
    """Return the node's value. A text that is not what it is tagged as makes the library raise anything."""
    try:
        return loader.construct_document(node)
    except yaml.YAMLError:
        raise
    except Exception:
        raise _fail("has a value that is not of its type", _first_bad(node), "put it in quotes") from None


def _first_bad(node: Any) -> int | None:
    """Return the line of the first plain value that cannot be made."""
    todo = [node]
    while todo:
        each = todo.pop()
        if isinstance(each, yaml.ScalarNode):
            if not _can_be_made(each):
                return int(each.start_mark.line) + 1
        elif isinstance(each, yaml.MappingNode):
            todo += [part for pair in reversed(each.value) for part in reversed(pair)]
        else:
            todo += reversed(each.value)
    return None


def _can_be_made(node: Any) -> bool:
    try:
        yaml.constructor.SafeConstructor().construct_object(node)
    except Exception:
        return False
    return True


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
