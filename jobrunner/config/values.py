"""The values that config keys may have: each reader returns what is meant, or raises `Invalid`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from jobrunner import clock, durations
from jobrunner.labels import is_label
from jobrunner.model import Chosen, Retries
from jobrunner.settings import jsonvalues, readers

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}")
RESERVED = "jobrunner."
OURS = frozenset({"jobrunner.prune"})  # jobs that come with jobrunner, and may be overridden
LARGEST_PARAMS = 4 * 1024 * 1024
LONGEST_TEXT = 10_000

Reader = Callable[[Any], Any]


class Invalid(ValueError):
    """A value that a key cannot have: the second half of a sentence, and what to write instead.

    `whole` is a sentence of its own, where a part of the value is to blame.
    """

    def __init__(self, why: str, hint: str, whole: str | None = None) -> None:
        super().__init__(why)
        self.hint = hint
        self.whole = whole


def name(value: object) -> str:
    """Return a job's name."""
    if not isinstance(value, str) or not NAME.fullmatch(value):
        raise Invalid(
            "is not a name",
            "use letters, digits and . _ : / - and begin with a letter or digit, e.g. sync-orders",
        )
    if value.isdigit():
        raise Invalid("is all digits, as run ids are", "add a letter")
    if value.lower().startswith(RESERVED):
        raise Invalid(
            f"begins with {RESERVED}, which is kept for jobs of our own", "choose another beginning"
        )
    if ".." in value.split("/"):
        raise Invalid("has .. as a part", "use plain words between the slashes")
    return value


def names(value: object) -> tuple[str, ...]:
    """Return several job names."""
    return tuple(name(each) for each in _list(value))


def text(value: object) -> str:
    """Return a text on one line, its blanks made single."""
    if isinstance(value, str) and len(value) <= LONGEST_TEXT:
        line = " ".join(value.split())
        if line.isprintable():
            return line
    raise Invalid("is not a printable text of at most 10,000 characters", "write it in plain words")


def word(value: object) -> str:
    """Return a text that is not empty and at most 100 characters long."""
    if isinstance(value, str) and value.strip() and value.isprintable() and len(value) <= 100:
        return value.strip()
    raise Invalid("is not a printable text of 1 to 100 characters", "write a word in quotes")


def words(value: object) -> tuple[str, ...]:
    """Return a list of words, each once."""
    return tuple(dict.fromkeys(word(each) for each in _list(value)))


def some_words(value: object) -> tuple[str, ...]:
    """Return a list of at least one word."""
    found = words(value)
    if not found:
        raise Invalid(
            "is empty", "name at least one, or leave the key out; enabled: False keeps a job from running"
        )
    return found


def word_or_words(value: object) -> tuple[str, ...]:
    """Return words, of which a single one may stand without a list."""
    return words([value] if isinstance(value, str) else value)


def labels(value: object) -> tuple[str, ...]:
    """Return labels of nodes, each once; a single one may stand without a list."""
    given = _list([value] if isinstance(value, str) else value)
    for each in given:
        if not is_label(each):
            raise Invalid(
                f"has {readers.shown(each)}, which is no label" if isinstance(value, list) else "is no label",
                "use letters, digits and . _ : / = - and begin with a letter or digit, e.g. gpu",
            )
    return tuple(dict.fromkeys(given))


def _list(value: object) -> list[Any]:
    if isinstance(value, list):
        return value
    hint = f"write [{readers.shown(value)}]" if isinstance(value, str) else "write it in square brackets"
    raise Invalid("is not a list", hint)


def flag(value: object) -> bool:
    """Return a bool; a text such as "no" would be true for Python, so it is refused."""
    if isinstance(value, bool):
        return value
    raise Invalid("is neither True nor False", "write True or False, without quotes")


def whole(least: int) -> Reader:
    """Return a reader of whole numbers from `least` on."""

    def read(value: object) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and least <= value < 2**53:
            return value
        raise Invalid(
            f"is not a whole number of at least {least}",
            f"write {least} or more, or leave the key out",
        )

    return read


def one_of(*known: str) -> Reader:
    """Return a reader of one of some words."""
    listed = ", ".join(f'"{each}"' for each in known[:-1]) + f' or "{known[-1]}"'

    def read(value: object) -> str:
        if isinstance(value, str) and value in known:
            return value
        raise Invalid("is not one of the values that this key has", f"write {listed}")

    return read


def duration(least: int = 0) -> Reader:
    """Return a reader of durations that gives microseconds, more than 0 when `least` is 1."""

    def read(value: object) -> int:
        try:
            micros = durations.parse(value)
        except ValueError:
            raise Invalid(
                "is not a duration", 'write seconds as a number, or text such as "30s", "10m", "1h30m"'
            ) from None
        if micros < least:
            raise Invalid("is no time at all", 'write more than 0, such as "30s", or leave the key out')
        return micros

    return read


def zone(value: object) -> str | None:
    """Return an IANA name; a blank one means unset."""
    if isinstance(value, str) and not value.strip():
        return None
    try:
        return readers.zone(value)
    except ValueError:
        raise Invalid("is not a time zone", _near_zone(value)) from None


def _near_zone(value: object) -> str:
    from difflib import get_close_matches
    from zoneinfo import available_timezones

    wanted = value if isinstance(value, str) else ""
    near = get_close_matches(wanted, sorted(available_timezones()), n=1)
    return f'did you mean "{near[0]}"?' if near else 'write an IANA name such as "Europe/Berlin" or "UTC"'


def instant(value: object) -> int:
    """Return the instant of an ISO text with a zone."""
    try:
        return clock.from_iso(value if isinstance(value, str) else "")
    except (ValueError, OverflowError):
        raise Invalid(
            "is not an ISO date and time with a zone", 'write one such as "2026-03-01T09:00:00Z"'
        ) from None


def params(value: object) -> dict[str, Any]:
    """Return a dict of JSON values of at most 4 MiB."""
    if not isinstance(value, dict):
        raise Invalid("is not a dict", 'write {"name": value}')
    said = jsonvalues.flaw(value, "params")
    if said is not None:
        raise Invalid("is not JSON", jsonvalues.HINT, said)
    written = len(json.dumps(value, ensure_ascii=False).encode())
    if written > LARGEST_PARAMS:
        raise Invalid(
            f"is {written:,} bytes of JSON, more than 4 MiB", "keep the data in a file and pass its path"
        )
    return value


def retries(value: object) -> Retries:
    """Return how often to try again: from a number, or a dict of max, delay, backoff, maxDelay and jitter."""
    if not isinstance(value, dict):
        return Retries(max=whole(0)(value))
    unknown = value.keys() - RETRIES.keys()
    if unknown or "max" not in value:
        said = (
            f"has {readers.shown(min(unknown, key=str))}, which is none of its keys"
            if unknown
            else "lacks max"
        )
        raise Invalid(said, 'write a number, or {"max": 3, "delay": "10s", "backoff": "exponential"}')
    read = {key: _part_of_retries(key, each) for key, each in value.items()}
    _delays_agree(value, read)
    if "maxDelay" in read:
        read["max_delay"] = read.pop("maxDelay")
    elif "delay" in read:
        read["max_delay"] = max(read["delay"], Retries().max_delay)
    return Retries(**read)


def _delays_agree(written: dict[Any, Any], read: dict[str, Any]) -> None:
    """Raise Invalid when no delay could be as long as it is meant to be at least."""
    delay, most = read.get("delay", Retries().delay), read.get("maxDelay")
    if most is not None and most < delay:
        said = (
            readers.shown(written["delay"]) if "delay" in written else f'"{durations.text(delay)}" by default'
        )
        whole = (
            f"retries.maxDelay is {readers.shown(written['maxDelay'])}, which is shorter than delay, {said}"
        )
        raise Invalid("", "make maxDelay at least as long as delay, or leave it out", whole)


def _part_of_retries(key: str, value: object) -> Any:
    try:
        return RETRIES[key](value)
    except Invalid as error:
        said = f"retries.{key} is {readers.shown(value)}, which {error}"
        raise Invalid("", error.hint, said) from None


RETRIES: dict[str, Reader] = {
    "max": whole(0),
    "delay": duration(),
    "backoff": one_of("fixed", "exponential"),
    "maxDelay": duration(),
    "jitter": lambda value: flag(value) if isinstance(value, bool) else duration()(value),
}


PRIORITIES = {"high": 1, "normal": 0, "low": -1}


def priority(value: object) -> int:
    """Return the level of high, normal or low, or a number as it is: each is worth a minute of waiting."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**31:
        return value
    if isinstance(value, str) and value in PRIORITIES:
        return PRIORITIES[value]
    raise Invalid("is no priority", 'write "high", "normal", "low" or a whole number')


def stop_on_error(value: object) -> int:
    """Return after how many failures in a row; true is 1, and false 0: never."""
    return int(value) if isinstance(value, bool) else int(whole(1)(value))


def executor(value: object) -> Chosen:
    """Return an executor and its options, as written: a word, or a dict of its name and options."""
    if not isinstance(value, dict):
        return Chosen(word(value))
    said = jsonvalues.flaw(value, "executor")
    if said is not None:
        raise Invalid("is not JSON", jsonvalues.HINT, said)
    if not isinstance(value.get("name"), str):
        raise Invalid("has no name", 'write {"name": "subprocess", "python": "/path/to/python"}')
    return Chosen(word(value["name"]), {key: each for key, each in value.items() if key != "name"})


HOOKS = ("on_start", "on_success", "on_failure", "on_skip", "on_finish")
HOOK = re.compile(r"(?:[A-Za-z_][\w.]*)?:[A-Za-z_]\w*")


def hooks(value: object) -> dict[str, str]:
    """Return which function hears of what: on_failure -> "package.module:function", ":function" for one
    of the job's own file."""
    if not isinstance(value, dict):
        raise Invalid("is not a dict", 'write {"on_failure": "alerts:page"}')
    found = {}
    for key, target in value.items():
        name = "".join("_" + each.lower() if each.isupper() else each for each in str(key))
        if name not in HOOKS:
            raise Invalid(f"has {readers.shown(key)}, which is no hook", f"write one of {', '.join(HOOKS)}")
        if not isinstance(target, str) or not HOOK.fullmatch(target):
            said = f"hooks.{key} is {readers.shown(target)}, which names no function"
            raise Invalid("", 'write "alerts:page", or ":page" for a function of this file', said)
        found[name] = target
    return found


def memory(value: object) -> int:
    """Return bytes, at least a megabyte."""
    try:
        found = readers.size(value)
    except ValueError:
        raise Invalid("is not a size", 'write one such as "512MB"') from None
    if found < 10**6:
        raise Invalid(
            "is less than a megabyte, too little for any Python process", 'write one such as "512MB"'
        )
    return found
