"""A terminal in which tests look at what a person would see, and commands that run at one."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import termios
import time
from collections.abc import Callable
from pathlib import Path

from tests.cli.house import command

COLUMNS, LINES = 120, 30
PIECE = re.compile(r"\x1b\[(\??)([\d;]*)([A-Za-z])|(\r)|(\n)|([^\x00-\x1f\x7f-\x9f]+)")


class Paper:
    """What stands on a terminal after all that was written to it. Other controls than ours are refused."""

    def __init__(self, columns: int = 80) -> None:
        self.columns = columns
        self.rows: list[str] = [""]
        self.row = self.column = 0
        self.cursor = True
        self.hidden = 0  # how often the cursor was hidden

    def write(self, text: str) -> Paper:
        at = 0
        while at < len(text):
            match = PIECE.match(text, at)
            assert match, f"a control that nobody expects: {text[at : at + 20]!r}"
            self._put(match)
            at = match.end()
        return self

    def narrow(self, columns: int) -> None:
        """Become narrower, as terminals do that break their lines anew."""
        broken = [row[at : at + columns] for row in self.rows for at in range(0, max(1, len(row)), columns)]
        self.columns, self.rows, self.row = columns, broken, len(broken) - 1

    @property
    def lines(self) -> list[str]:
        return [row.rstrip() for row in self.rows]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def _put(self, match: re.Match[str]) -> None:
        private, numbers, final, back, newline, words = match.groups()
        if final == "A":
            self.row = max(0, self.row - int(numbers or 1))
        elif final == "J":
            self.rows[self.row :] = [self.rows[self.row][: self.column]]
        elif final in ("h", "l"):
            assert (private, numbers) == ("?", "25")
            self.cursor = final == "h"
            self.hidden += final == "l"
        elif back:
            self.column = 0
        elif newline:
            self._down()
        elif words:
            for letter in words:
                self._letter(letter)
        else:
            assert final == "m", match[0]

    def _down(self) -> None:
        self.row, self.column = self.row + 1, 0
        if self.row == len(self.rows):
            self.rows.append("")

    def _letter(self, letter: str) -> None:
        if self.column == self.columns:
            self._down()
        line = self.rows[self.row].ljust(self.column)
        self.rows[self.row] = line[: self.column] + letter + line[self.column + 1 :]
        self.column += 1


class AtTerminal:
    """A command whose stdout and stderr are a terminal."""

    def __init__(self, root: Path, *args: str, **env: str) -> None:
        self._master, slave = pty.openpty()
        self.raw = ""
        self._bytes = b""
        termios.tcsetwinsize(slave, (LINES, COLUMNS))
        keep = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES")}
        self.child = subprocess.Popen(
            command(args), cwd=root, stdout=slave, stderr=slave, stdin=subprocess.DEVNULL,
            env={**keep, "TERM": "xterm-256color", "PYTHONUTF8": "1", **env}, start_new_session=True,
        )  # fmt: skip
        os.close(slave)

    def read(self, until: Callable[[str], object], patience: float = 60.0) -> str:
        """Read until what was written so far fulfils a condition; returns it."""
        end = time.monotonic() + patience
        while not until(self.raw):
            assert time.monotonic() < end, f"waited in vain; there is {self.raw!r}"
            if select.select([self._master], [], [], 0.1)[0] and not self._more():
                assert until(self.raw), f"it ended; there is {self.raw!r}"
                break
        return self.raw

    def end(self) -> int:
        """Read to the end; returns the exit code."""
        while self._more():
            pass
        os.close(self._master)
        return self.child.wait(timeout=60)

    def kill(self) -> None:
        if self.child.poll() is None:
            self.child.kill()
            self.child.wait()

    @property
    def paper(self) -> Paper:
        return Paper(COLUMNS).write(self.raw)

    def _more(self) -> bool:
        try:
            data = os.read(self._master, 65536)
        except OSError:  # Linux says EIO when the last one has closed it
            return False
        self._bytes += data
        self.raw = self._bytes.decode("utf-8", "ignore").replace("\r\n", "\n")
        return bool(data)
