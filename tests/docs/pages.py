"""The fenced blocks of a page, and a temporary project in which they are tried in their order.

    ```python    with `# jobs/x.py` or `# services.py` in its first line: written there; else executed
    ```yaml      written as jobrunner.yaml
    ```console   each line that begins with `$ ` is executed, what follows is what it must print
    ```json      must be JSON
    ```text      left alone: the mark for what cannot be run

A page with `<!-- a database -->` is tried with JOBRUNNER_STATE set to one. In expected output `…` stands for
anything within a line, a line of nothing but `…` for any lines, and runs of blanks are equal.
`<!-- new project -->` between blocks begins again with an empty folder.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
FRESH = "<!-- new project -->"
DATABASE = "<!-- a database -->"
NAMED = {"JOBRUNNER_TIMEZONE": "Europe/Berlin", "JOBRUNNER_NODE": "atlas"}
ELSEWHERE = ("pip install", "git clone", "cd ", "make")  # `make test` has done these to get here

FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)

_FENCE = re.compile(r"^(`{3,})(.*)$")
_NAMED = re.compile(r"# ([\w./-]+\.py)\b")


@dataclass(frozen=True)
class Block:
    """One fenced block; `line` is that of its fence."""

    page: Path
    line: int
    language: str
    text: str

    @property
    def where(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    """Yield the blocks of a page, and one of language FRESH where a new project begins."""
    fence, start, language = "", 0, ""
    body: list[str] = []
    for number, line in enumerate(page.read_text("utf-8").splitlines(), 1):
        match = _FENCE.match(line)
        if not fence and line.strip() == FRESH:
            yield Block(page, number, FRESH, "")
        elif not fence and match:
            fence, start, language, body = match[1], number, match[2].strip(), []
        elif fence and line == fence:
            yield Block(page, start, language, "\n".join(body) + "\n")
            fence = ""
        elif fence:
            body.append(line)
    assert not fence, f"{page}:{start}: the fence is never closed"


class Workbench:
    """Tries blocks, one after the other, in `folder`."""

    def __init__(self, folder: Path, state: str | None = None) -> None:
        self.base = folder
        self.state = {} if state is None else {"JOBRUNNER_STATE": state}
        self.number = 0
        self.fresh()

    def fresh(self) -> None:
        self.number += 1
        self.folder = self.base / f"project{self.number}"
        self.folder.mkdir(parents=True)

    def do(self, block: Block) -> None:
        """Try one block; raises AssertionError with its place when it does not hold."""
        tries: dict[str, Callable[[Block], object]] = {
            "python": self.python, "yaml": self.yaml, "console": self.console,
            "json": lambda one: json.loads(one.text), "text": lambda _: None, FRESH: lambda _: self.fresh(),
        }  # fmt: skip
        assert block.language in tries, (
            f"{block.where}: `{block.language}` blocks cannot be run; mark it text"
        )
        tries[block.language](block)

    def python(self, block: Block) -> None:
        named = _NAMED.match(block.text)
        if named:
            file = self.folder / named[1]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.text, "utf-8")
            self.check(block)
        else:
            done = self.sh(f"{sys.executable} -", given=block.text)
            assert done.returncode == 0, f"{block.where}:\n{done.stdout}"

    def yaml(self, block: Block) -> None:
        (self.folder / "jobrunner.yaml").write_text(block.text, "utf-8")
        (self.folder / "jobs").mkdir(exist_ok=True)
        self.check(block)

    def check(self, block: Block) -> None:
        (self.folder / "jobs").mkdir(exist_ok=True)
        done = self.sh("jobrunner check")
        assert done.returncode == 0, f"{block.where}: jobrunner check says\n{done.stdout}"

    def console(self, block: Block) -> None:
        for command, expected in commands(block.text):
            if command.startswith(ELSEWHERE):
                continue
            done = self.sh(command)
            told = f"{block.where}: $ {command}\n{done.stdout}\nwhere the page has\n\n{expected}"
            assert done.returncode == 0, f"exit code {done.returncode} of {told}"
            assert matches(expected, done.stdout), told

    def sh(self, command: str, given: str = "") -> subprocess.CompletedProcess[str]:
        keep = {key: os.environ[key] for key in ("HOME", "LANG") if key in os.environ}
        path = f"{Path(sys.executable).parent}:{os.environ.get('PATH', '/usr/bin:/bin')}"
        return subprocess.run(
            ["sh", "-c", command],
            cwd=self.folder,
            env={
                **keep,
                **self.state,
                "PATH": path,
                "JOBRUNNER_TIMEZONE": "Europe/Berlin",
                "JOBRUNNER_NODE": "atlas",
            },
            input=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=90,
            check=False,
        )


def commands(text: str) -> Iterator[tuple[str, str]]:
    """Yield each command of a console block with the output that follows it."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, expected = part.partition("\n")
        yield command, expected


def matches(expected: str, actual: str) -> bool:
    """Compare line by line with the placeholders of this module's docstring."""
    pattern = "".join(map(_line_pattern, _lines(expected)))
    return re.fullmatch(pattern, "".join(line + "\n" for line in _lines(actual))) is not None


def _lines(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.strip().splitlines() if line.strip()]


def _line_pattern(line: str) -> str:
    if line == "…":
        return r"(?:.*\n)*"
    return ".*?".join(map(re.escape, line.split("…"))) + r"\n"
