"""A job's name in a file that is not Python: a mistake in its body must not make the job unknown."""

from __future__ import annotations

import re

_BEGIN = re.compile(r"^configs?\b[^=\n]*=", re.MULTILINE)
_NEXT = re.compile(r"^[A-Za-z_@\0]", re.MULTILINE)  # a new statement on the top level
_COMMENT = re.compile(r"^\s*#.*$", re.MULTILINE)
_NAME = re.compile(r"""(["'])name\1\s*:\s*(["'])([^"'\n]*)\2""")


def configs(source: bytes) -> str:
    """Return the statements that seem to assign `config` or `configs`, whatever is broken around them."""
    text = source.decode("utf-8", "replace")
    return "\n".join(_statement(text, found.start(), found.end()) for found in _BEGIN.finditer(text))


def _statement(text: str, start: int, end: int) -> str:
    following = _NEXT.search(text, end)
    return text[start : following.start() if following else len(text)]


def only_name(text: str) -> str | None:
    """Return what stands behind "name", if that is there just once: to guess would blame another job."""
    found = _NAME.findall(_COMMENT.sub("", text))
    return found[0][2] if len(found) == 1 else None
