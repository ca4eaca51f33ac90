"""The live view of `start`: what happens scrolls by, and below it stands what is going on.

running   sync-orders #12   3 s  ━━━━━━━━━━━━━━━━━━━━  45 % copying
next      backup  in 12 s
last      sync-orders #11  succeeded  230ms
"""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, TextIO

from rich.text import Text

from jobrunner import events as e
from jobrunner.cli.canvas import Canvas
from jobrunner.cli.render import STYLES, fraction, lasting, progress_words, relative
from jobrunner.clock import MILLISECOND, SECOND, Instant
from jobrunner.log import Log
from jobrunner.wording import brief, one_line, printable

FRAMES = 4  # in a second, at most
BAR = 20  # columns
LABEL = 10  # columns
NAME = 40  # columns that names are padded to at most
LAST = 3
COMING = 5

Row = list[Text]  # its cells


@dataclass(slots=True)
class Going:
    """A run that goes on."""

    run_id: int
    job: str
    since: Instant
    progress: Mapping[str, Any] | None = None


@dataclass(slots=True)
class Scene:
    """What a node is doing, as far as its events have told."""

    running: dict[int, Going] = field(default_factory=dict)
    upcoming: tuple[tuple[str, Instant], ...] = ()
    last: deque[e.Finished] = field(default_factory=lambda: deque(maxlen=LAST))

    def notice(self, event: e.Event, at: Instant) -> None:
        """Take in one event."""
        match event:
            case e.Started(run_id=run_id, job=job):
                self.running[run_id] = Going(run_id, job, at)
            case e.Progressed(run_id=run_id, progress=progress) if run_id in self.running:
                self.running[run_id].progress = progress
            case e.Finished(run_id=run_id):
                self.running.pop(run_id, None)
                self.last.appendleft(event)
            case e.ClaimLost(run_id=run_id):
                self.running.pop(run_id, None)
            case e.Looked(upcoming=upcoming):
                self.upcoming = upcoming


def block(scene: Scene, at: Instant, lines: int, *, ascii_only: bool = False) -> list[Text]:
    """Return the scene as lines, which take two thirds of a terminal of so many lines at most."""
    room = max(1, lines * 2 // 3 - 1)
    roomy = room > 2 * LAST
    ended = list(scene.last) if roomy else []
    coming = scene.upcoming[: COMING if room > 4 * LAST else LAST] if roomy else ()
    running = _running(list(scene.running.values()), room - len(ended) - len(coming), at, ascii_only)
    found = [
        *_section("running", running),
        *_section("next", [[_plain(name), Text(relative(due - at))] for name, due in coming]),
        *_section("last", [_ended(event) for event in ended]),
    ]
    return [Text(), *found] if found and roomy else found


def _running(going: list[Going], room: int, at: Instant, ascii_only: bool) -> list[Row]:
    shown = going if len(going) <= room else going[: max(0, room - 1)]
    names = [_plain(f"{each.job} #{each.run_id}", "cyan") for each in shown]
    width = min(NAME, max((name.cell_len for name in names), default=0))
    for name in names:
        name.truncate(width, overflow="ellipsis", pad=True)
    rows = [
        [name, Text(f"{lasting(at - each.since):>6}"), *bar(each.progress, ascii_only=ascii_only)]
        for name, each in zip(names, shown, strict=True)
    ]
    rest = len(going) - len(shown)
    return [*rows, [Text(f"and {rest} more", "dim")]] if rest else rows


def bar(progress: Mapping[str, Any] | None, *, ascii_only: bool = False) -> Row:
    """Return how far a run is: a bar where that is known, and what it says of itself."""
    done, words = fraction(progress), progress_words(progress)
    if done is None:
        return [Text(words)] if words else []
    full, rest = ("#", ".") if ascii_only else ("━", "─")
    filled = int(done * BAR)
    return [Text.assemble((full * filled, "green"), (rest * (BAR - filled), "dim")), Text(words)]


def _ended(event: e.Finished) -> Row:
    words = event.outcome.state.replace("_", " ")
    style = STYLES.get(words.partition(" ")[0], "")
    return [
        _plain(f"{event.job} #{event.run_id}"),
        Text(words, style),
        Text(brief(max(event.took, MILLISECOND))),
    ]


def _plain(text: str, style: str = "") -> Text:
    return Text(one_line(text), style)


def _section(label: str, rows: list[Row]) -> list[Text]:
    """Return rows as lines, the first of which bears the label."""
    return [
        Text.assemble((f"{'' if number else label:<{LABEL}}", "bold"), Text("  ").join(cells))
        for number, cells in enumerate(rows)
    ]


class View:
    """Shows events as a live view on a terminal; what is no picture is a line, as `Log` writes it.

    The terminal is never waited for: while it takes nothing, frames are dropped, and lines counted. A
    line stands there with the next frame: at once, or where there were enough of them in this second,
    with an event of the next one; the node looks around, and says so, once a second.
    """

    def __init__(self, stream: TextIO, now: Callable[[], Instant]) -> None:
        self._now = now
        self._canvas = Canvas(stream)
        self._sheet = io.StringIO()
        self._log = Lines(self._sheet, now, self._canvas)
        self._scene = Scene()
        self._drawn: deque[Instant] = deque(maxlen=FRAMES)  # when the last frames were

    def __call__(self, event: e.Event) -> None:
        """Show one event."""
        at = self._now()
        self._scene.notice(event, at)
        self._log(event)
        if len(self._drawn) < FRAMES or not 0 <= at - self._drawn[0] < SECOND:
            self._draw(block(self._scene, at, self._canvas.size[1], ascii_only=self._canvas.ascii))
            self._drawn.append(at)

    def close(self) -> None:
        """Take the block away, and leave the lines. Idempotent."""
        self._draw([])
        self._canvas.close()

    def __enter__(self) -> View:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _draw(self, lines: list[Text]) -> None:
        if self._canvas.draw(lines, printable(self._sheet.getvalue())):
            self._sheet.seek(0)
            self._sheet.truncate()


class Lines(Log):
    """Lines that wait for the next frame; those that come while nobody takes frames are counted."""

    def __init__(self, sheet: TextIO, now: Callable[[], Instant], canvas: Canvas) -> None:
        super().__init__(sheet, now)
        self._canvas = canvas

    def _is_read(self) -> bool:
        return self._canvas.free
