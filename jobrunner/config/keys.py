"""Every config key, its default, and which of its values this version has. One line each.

`has` None: all values work. Otherwise the values that do; a valid value that is not among them is
refused as not yet supported, never ignored. To support a key, take its `has` away.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from jobrunner.config import values as v
from jobrunner.model import Chosen, Retries


class Key(NamedTuple):
    """How a value is read, what holds without one, and what this version can do."""

    read: v.Reader
    default: Any = None
    has: tuple[Any, ...] | None = None


def later(read: v.Reader, default: Any = None) -> Key:
    """Return a key that is checked, and refused unless it says what holds anyway."""
    return Key(read, default, (default,))


def _as_written(value: object) -> object:
    return value


# fmt: off
KEYS: dict[str, Key] = {
    "name": Key(v.name),
    "schedule": Key(_as_written),                     # read by `jobrunner.schedule`
    "numberOfExecutions": Key(v.whole(1)),
    "timezone": Key(v.zone),
    "description": Key(v.text),
    "tags": Key(v.words, ()),
    "enabled": Key(v.flag, True),
    "environments": Key(v.some_words),
    "runsOn": Key(v.labels, ()),
    "params": Key(v.params, {}),
    "timeout": Key(v.duration(1)),
    "retries": Key(v.retries, Retries()),
    "concurrency": Key(v.one_of("forbid", "allow", "queue", "replace"), "forbid"),
    "misfire": Key(v.one_of("once", "skip", "all"), "once"),
    "misfireGrace": Key(v.duration()),
    "jitter": Key(v.duration(), 0),
    "priority": Key(v.priority, 0),
    "delivery": Key(v.one_of("at-most-once", "at-least-once", "exactly-once"), "at-most-once"),
    "stopOnError": Key(v.stop_on_error, 0),
    "runPerMachine": Key(v.flag, False),
    "hidden": Key(v.flag, False),
    "runsPerProcess": Key(v.whole(1), 1),
    "memoryLimit": Key(v.memory),
    "group": Key(v.word),
    "groupLimit": Key(v.whole(1)),
    "startAt": Key(v.instant),
    "endAt": Key(v.instant),
    "formerNames": Key(v.names, ()),
    "dstGap": Key(v.one_of("run-after", "skip"), "run-after"),
    "dstFold": Key(v.one_of("first", "second", "both"), "first"),
    "executor": Key(v.executor, Chosen()),
    "skipOn": later(v.word_or_words, ()),
    "onlyOn": later(v.word_or_words, ()),
    "shift": later(v.one_of("next-business-day", "previous-business-day")),
    "runOnStart": Key(v.flag, False),
    "cancellable": Key(v.flag, True),
    "stallAfter": Key(v.duration(1)),
    "hooks": Key(v.hooks, {}),
}
# fmt: on
REQUIRED = ("name", "schedule")
SETTABLE = ("schedule", "timezone", "timeout", "params")  # by `jobrunner set`; enabled is kept elsewhere
MAY_BE_NONE = {name for name, key in KEYS.items() if key.default is None} - {"name"}


def _snake(name: str) -> str:
    return "".join("_" + each.lower() if each.isupper() else each for each in name)


CANONICAL = {_snake(name): name for name in KEYS} | {name: name for name in KEYS}
PLAIN = {  # keys whose meaning is a field of `Job` as it is
    key: _snake(key)
    for key in KEYS.keys()
    - {"name", "schedule", "timezone", "description", "jitter", "groupLimit", "dstGap", "dstFold"}
    - {"executor", "skipOn", "onlyOn", "shift"}
}
