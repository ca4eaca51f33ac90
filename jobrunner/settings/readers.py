"""Readers: a setting as written, in any of its places, to the value that is meant.

Each raises ValueError with the second half of a sentence: `is not a whole number of at least 1`.
"""

# ruff: noqa: PTH111  (paths are text here: pathlib costs time)

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from typing import Any

from jobrunner import durations
from jobrunner.errors import written
from jobrunner.labels import is_label

SIZES = {"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "kb": 10**3, "mb": 10**6, "gb": 10**9, "b": 1}
FLAGS = {
    "1": True, "true": True, "yes": True, "on": True,
    "0": False, "false": False, "no": False, "off": False,
}  # fmt: skip


_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.I)  # RFC 3986, 3.1

ROLES = ("all", "worker", "control")


class Names(frozenset[str]):
    """Names of jobs or of secrets; `in` ignores case, as names do everywhere."""

    def __contains__(self, name: object) -> bool:
        found = self and isinstance(name, str) and name.casefold() in {each.casefold() for each in self}
        return bool(found)


NOBODY = Names()


def text(value: object) -> str:
    """Return a printable text of one line, without blanks around it."""
    if not isinstance(value, str):
        raise ValueError("is not a text")
    if not value.strip():
        raise ValueError("is blank")
    if not value.isprintable():
        raise ValueError("has control characters or line ends, which are not allowed")
    return value.strip()


def whole(least: int) -> Callable[[object], int]:
    """Return a reader of whole numbers from `least` on, as a number or in digits."""

    def read(value: object) -> int:
        number = int(value) if isinstance(value, str) and _is_whole(value) else value
        if isinstance(number, int) and not isinstance(number, bool) and least <= number < 2**53:
            return number
        raise ValueError(f"is not a whole number of at least {least}")

    return read


def at_least(read: Callable[[object], int], least: int, words: str) -> Callable[[object], int]:
    """Return a reader that refuses what is less than `least`, which is written `words`."""

    def read_bounded(value: object) -> int:
        found = read(value)
        if found < least:
            raise ValueError(f"is less than {words}")
        return found

    return read_bounded


def flag(value: object) -> bool:
    """Return true or false, from a bool or one of the usual words."""
    meant = value if isinstance(value, bool) else FLAGS.get(str(value).strip().lower())
    if meant is None:
        raise ValueError("is neither true nor false")
    return meant


def duration(value: object) -> int:
    """Return microseconds; digits alone are seconds also in the environment, where all is text."""
    try:
        return durations.parse(float(value) if isinstance(value, str) and _is_number(value) else value)
    except ValueError:
        raise ValueError("is not a duration such as 30s, 10m or 1h30m") from None


def _is_whole(value: str) -> bool:
    return value.strip().isascii() and value.strip().isdecimal() and len(value) < 20


def _is_number(value: str) -> bool:
    return _is_whole(value.replace(".", "", 1))


def size(value: object) -> int:
    """Return the bytes that a number or a text such as "64KiB", "1MB" stands for."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53:
        return value
    written = "".join(value.split()).lower() if isinstance(value, str) else ""
    unit = next((unit for unit in SIZES if written.endswith(unit)), "")
    number = written.removesuffix(unit)
    if not _is_number(number):
        raise ValueError("is not a size such as 512MB or 64KiB")
    return round(float(number) * SIZES[unit or "b"])


def listed(value: object) -> tuple[str, ...]:
    """Return the items of a list, or of a text with commas."""
    items = [value] if isinstance(value, str) else value
    if isinstance(items, Sequence) and all(isinstance(item, str) for item in items):
        parts = (part.strip() for item in items for part in item.split(","))
        return tuple(part for part in parts if part)
    raise ValueError("is not a list of names")


def names(value: object) -> Names:
    """Return names, written as for `listed`."""
    return Names(listed(value))


def labels(value: object) -> tuple[str, ...]:
    """Return labels of a node, each once, written as for `listed`."""
    found = listed(value)
    if not all(map(is_label, found)):
        raise ValueError("is not a list of labels such as gpu or zone:eu-1")
    return tuple(dict.fromkeys(found))


def role(value: object) -> str:
    """Return what a node is there for."""
    if value in ROLES:
        return str(value)
    raise ValueError(f"is none of {', '.join(ROLES)}")


def folders(value: object, root: str = "") -> tuple[str, ...]:
    """Return absolute paths of folders, relative ones counted from `root` (default: where we are)."""
    items = value.split(os.pathsep) if isinstance(value, str) else value
    if isinstance(items, Sequence) and items and all(isinstance(item, str) and item for item in items):
        return tuple(os.path.abspath(os.path.join(root, os.path.expanduser(item))) for item in items)
    raise ValueError("is not a folder or a list of folders")


def zone(value: object) -> str:
    """Return an IANA zone name that this machine knows."""
    import zoneinfo

    try:
        return zoneinfo.ZoneInfo(text(value)).key
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        raise ValueError("is not a time zone such as Europe/Berlin or UTC") from None


def mapping(value: object) -> dict[str, Any]:
    """Return a mapping whose keys are texts."""
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return value
    raise ValueError("is not a mapping of names to values")


def mappings(value: object) -> dict[str, dict[str, Any]]:
    """Return a mapping of mappings; one without a value is empty."""
    return {name: mapping(keys if keys is not None else {}) for name, keys in mapping(value).items()}


def state(value: object) -> str:
    """Return the address of a state, whose form only its store can judge in full."""
    address = text(value)
    if _SCHEME.match(address):
        return address
    raise ValueError("is not an address such as sqlite:////var/lib/app/state.db")


def log_format(value: object) -> str:
    """Return `text` or `json`."""
    if value in ("text", "json"):
        return str(value)
    raise ValueError('is neither "text" nor "json"')


def shown(value: object) -> str:
    """Return a value as a message quotes it: one line, at most 80 characters, nothing a terminal obeys.

    Passwords in URLs are left out.
    """
    quoted = written(value, _quoted)
    return quoted if len(quoted) <= 80 else quoted[:76] + " ..."


def _quoted(value: object) -> str:
    from jobrunner.masking import without_passwords

    if isinstance(value, str) and value.isprintable():
        return f'"{without_passwords(value)}"'
    return ascii(value)
