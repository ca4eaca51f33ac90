"""A block of lines at the foot of a terminal, drawn again in place, and never waited for.

The cursor stands below the block. A frame is one piece of text: hide the cursor, go up over the block,
erase it, write what scrolls by, write the block, show the cursor. So whenever we end, and however, the
cursor is there, below what was drawn last.
"""

from __future__ import annotations

import contextlib
import io
import os
import select
from collections.abc import Sequence
from typing import TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

HIDE, SHOW, ERASE = "\x1b[?25l", "\x1b[?25h", "\x1b[J"
USUAL = 80, 24  # columns and lines of a terminal that does not tell
FAREWELL = 0.1, 5  # seconds, tries: how long the last frame is offered to a terminal that takes nothing


class Outlet:
    """Writes to a terminal as much as it takes, and keeps the rest for later.

    The terminal is opened once more for it: an open file that does not wait must not be the one that we
    share with the shell. Where that cannot be, we write only while somebody reads.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._own = _opened_again(stream)
        self._rest = b""

    @property
    def free(self) -> bool:
        """Say whether all that was written is taken, and more would be."""
        if self._own is None:
            return _is_read(self._stream)
        self._push()
        return not self._rest

    def write(self, text: str) -> None:
        """Write text; a broken stream takes everything, and loses it."""
        if self._own is not None:
            self._rest += text.encode(self._stream.encoding, "backslashreplace")
            self._push()
            return
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)
            self._stream.flush()

    def close(self) -> None:
        """Offer what is left once more, for a moment, and let go of the terminal. Idempotent."""
        if self._own is None:
            return
        seconds, tries = FAREWELL
        for _ in range(tries):
            if self.free:
                break
            select.select([], [self._own], [], seconds)
        os.close(self._own)
        self._own, self._rest = None, b""

    def _push(self) -> None:
        assert self._own is not None
        while self._rest:
            data, self._rest = self._rest, b""  # a Ctrl-C that comes with the write must not repeat it
            try:
                self._rest = data[os.write(self._own, data) :]
            except BlockingIOError:
                self._rest = data
                return
            except OSError:  # the terminal is gone
                return


def _opened_again(stream: TextIO) -> int | None:
    try:
        stream.flush()
        return os.open(os.ttyname(stream.fileno()), os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except (OSError, ValueError):
        return None


def _is_read(stream: TextIO) -> bool:
    try:
        return bool(select.select([], [stream.fileno()], [], 0)[1])
    except (OSError, ValueError):  # no file behind it
        return True


class Canvas:
    """The block, and the lines that scroll by above it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._outlet = Outlet(stream)
        self._console = Console(  # a painter: it writes once more what was captured, so not to the stream
            file=io.StringIO(), force_terminal=True, markup=False, emoji=False, highlight=False
        )
        self._standing: list[int] = []  # how wide each line of the block is

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines of the terminal, as they are now."""
        try:
            size = os.get_terminal_size(self._stream.fileno())
        except (OSError, ValueError):
            return USUAL
        return (size.columns, size.lines) if size.columns and size.lines else USUAL

    @property
    def ascii(self) -> bool:
        """Whether the terminal knows plain letters only."""
        return not (self._stream.encoding or "utf-8").lower().startswith("utf")

    @property
    def free(self) -> bool:
        """Whether the terminal takes what is written."""
        return self._outlet.free

    def draw(self, block: Sequence[Text], above: str = "") -> bool:
        """Draw the block anew below `above`, whole lines; False: the terminal takes nothing at present."""
        if not self.free:
            return False
        if not self._in_front():
            self._standing = []
            self._outlet.write(above)
            return True
        columns, lines = self.size
        shown = list(block[: lines - 1])
        for line in shown:
            line.truncate(max(1, columns - 1), overflow="crop" if self.ascii else "ellipsis")
        self._outlet.write(f"{HIDE}{self._erasing(columns)}{above}{self._rendered(shown)}{SHOW}")
        self._standing = [cell_len(line.plain) for line in shown]
        return True

    def leave(self) -> None:
        """Let the block stand where it is; what is drawn next comes below it."""
        self._standing = []

    def close(self) -> None:
        """Let go of the terminal. Idempotent."""
        self._outlet.close()

    def _erasing(self, columns: int) -> str:
        """Return what takes the block away.

        A terminal that became narrower has broken its lines, so they take more rows than we wrote.
        """
        rows = sum(max(1, -(-width // columns)) for width in self._standing)
        return f"\r\x1b[{rows}A{ERASE}" if rows else ""

    def _rendered(self, lines: Sequence[Text]) -> str:
        with self._console.capture() as captured:
            for line in lines:
                self._console.print(line, no_wrap=True, overflow="ignore", crop=False)
        return captured.get()

    def _in_front(self) -> bool:
        """Say whether the terminal is ours to draw on: behind a shell's prompt only lines are written."""
        try:
            return os.tcgetpgrp(self._stream.fileno()) == os.getpgrp()
        except (OSError, ValueError):  # not the terminal that we were started from
            return True
