"""Writing to stdout (data) and stderr (talk), whatever is at the other end.

A reader that goes away (`| head`) ends the writing, silently; a full disk is an error that is said.
"""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress
from typing import Any

from jobrunner.errors import JobrunnerError


def prepare() -> None:
    """Let every text be written: what the terminal's encoding lacks is shown as an escape."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def on_terminal() -> bool:
    """Say whether a person reads stdout."""
    return sys.stdout is not None and sys.stdout.isatty()


def width() -> int:
    """Return how many columns a help text takes: those of the terminal, from 50 to 78."""
    columns = os.environ.get("COLUMNS", "").strip()
    found = int(columns) if columns.isdecimal() else 0
    if not found:
        with suppress(OSError):  # no terminal
            found = os.get_terminal_size().columns
    return max(min(found or 80, 80) - 2, 50)


def write(text: str | bytes) -> bool:
    """Write data to stdout at once; returns False when nobody reads it any more.

    Raises JobrunnerError when it cannot be written for another reason.
    """
    if sys.stdout is None:  # closed by whoever started us
        raise JobrunnerError(
            "the output cannot be written: stdout is closed", hint="for no output: >/dev/null"
        )
    try:
        if isinstance(text, bytes):
            sys.stdout.flush()
            sys.stdout.buffer.write(text)
        else:
            sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        return _hung_up(error)
    return True


def line(text: str) -> bool:
    """Write one line of data."""
    return write(text + "\n")


def talk(text: str) -> None:
    """Write a line to stderr; nobody has to listen."""
    try:
        print(text, file=sys.stderr, flush=True)
    except (OSError, ValueError):
        return


def json_document(value: Any) -> bool:
    """Write one JSON document: indented for people, on one line for programs."""
    return line(json_text(value, pretty=on_terminal()))


def json_text(value: Any, *, pretty: bool = False) -> str:
    """Return JSON in which no character can act on a terminal."""
    import json

    if pretty:
        text = json.dumps(value, ensure_ascii=False, indent=2)
    else:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char == "\n" else json.dumps(char)[1:-1] for char in text)


def _hung_up(error: OSError) -> bool:
    """Give stdout an end that takes everything: the interpreter flushes it once more when it exits."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
    if error.errno == errno.EPIPE:
        return False
    raise JobrunnerError(
        f"the output cannot be written: {error.strerror}", hint="is the disk full?"
    ) from error
