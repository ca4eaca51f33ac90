"""What bodies have written, in the order in which it arrived."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple


class Line(NamedTuple):
    """`what`: B for the beginning of a body, S for a sign of life, E for its end. `clock` in seconds."""

    what: str
    run: int
    attempt: int
    fence: int
    job: str
    at: int
    node: str
    clock: float

    def __str__(self) -> str:
        who = f"run {self.run} attempt {self.attempt} fence {self.fence} {self.node}"
        return f"[{self.what} {who} {self.clock:.3f}]"


@dataclass(slots=True)
class Span:
    """The lines of one body: the number of its first and of its last."""

    first: int
    last: int
    lines: list[Line] = field(default_factory=list)

    @property
    def begun(self) -> Line:
        """Its first line."""
        return self.lines[0]

    @property
    def ended(self) -> bool:
        """Whether the body came to its end."""
        return self.lines[-1].what == "E"


def read(texts: Iterable[str]) -> list[Line]:
    """Return the lines of a sink."""
    return [_line(text.split()) for text in texts]


def _line(words: Sequence[str]) -> Line:
    what, run, attempt, fence, job, at, node, clock = words
    return Line(what, int(run), int(attempt), int(fence), job, int(at), node, float(clock))


def bodies(lines: Sequence[Line]) -> list[Span]:
    """Return the bodies in the order in which they began; each B begins one."""
    found: list[Span] = []
    of: dict[tuple[int, int], Span] = {}
    for number, line in enumerate(lines):
        if line.what == "B":
            of[line.run, line.fence] = Span(number, number)
            found.append(of[line.run, line.fence])
        span = of[line.run, line.fence]
        span.last = number
        span.lines.append(line)
    return found
