"""Text that others have written, shown so that nothing in it acts on a terminal or forges a line."""

from __future__ import annotations

import re

# C0 and C1 controls but newline and tab, bidi controls, zero-width marks, line separators
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)


def printable(text: str) -> str:
    """Return text with every character that could act on a terminal shown as an escape."""
    return _UNSAFE.sub(_escape, text)


def one_line(text: str) -> str:
    """Return text as one printable line."""
    return printable(text).replace("\n", "\\n").replace("\t", " ")


def bytes_cut(count: int) -> str:
    """Return the line that stands where so much of a run's output was not kept."""
    return f"[… {count:,} bytes cut …]\n"


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
