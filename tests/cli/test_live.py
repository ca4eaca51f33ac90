"""The live view of start: what a person sees, and that nothing on a terminal can hold the schedule up."""

from __future__ import annotations

import io
import os
import pty
import signal
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

import pytest

from jobrunner import events as e
from jobrunner.cli import canvas as canvas_module
from jobrunner.cli.live import View
from jobrunner.cli.render import fraction
from jobrunner.clock import SECOND
from jobrunner.log import sentence
from jobrunner.model import Outcome
from tests.cli.house import House
from tests.cli.terminal import AtTerminal, Paper
from tests.fakes import NOON, FakeClock

STEP = SECOND // 4


class Seen:
    """A view on a stream that is no file, a clock that stands still, and what a person sees."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, columns: int = 100, lines: int = 40) -> None:
        self.size = columns, lines
        monkeypatch.setattr(canvas_module.Canvas, "size", property(lambda _: self.size))
        self.clock = FakeClock()
        self.stream = io.StringIO()
        self.view = View(self.stream, self.clock.now)

    def tell(self, *events: e.Event) -> Seen:
        """Tell events, each a quarter of a second after the one before."""
        for event in events:
            self.clock.advance(STEP)
            self.view(event)
        return self

    @property
    def raw(self) -> str:
        return self.stream.getvalue()

    @property
    def text(self) -> str:
        return Paper(self.size[0]).write(self.raw).text


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    return Seen(monkeypatch)


def started(run_id: int = 1, job: str = "sync") -> e.Started:
    return e.Started(run_id, job, 1, None)


def finished(run_id: int = 1, job: str = "sync", state: Any = "succeeded") -> e.Finished:
    return e.Finished(run_id, job, Outcome(state=state), 230_000)


def progressed(value: object, whole: object, message: object = None, run_id: int = 1) -> e.Progressed:
    return e.Progressed(run_id, "sync", {"value": value, "max": whole, "message": message})


NOTHING = e.Looked(())


# -- what is drawn ---------------------------------------------------------------------------------------


def test_lines_scroll_by_and_what_runs_stands_below(seen: Seen) -> None:
    text = seen.tell(started(), started(2, "backup")).text
    log, _, block = text.partition("\n\n")
    assert [line[10:] for line in log.splitlines()] == ["sync #1 started", "backup #2 started"]
    assert block.splitlines() == ["running   sync #1       0 s", "          backup #2     0 s"]


def test_elapsed_time_goes_on_with_each_look(seen: Seen) -> None:
    seen.tell(started())
    seen.clock.advance(125 * SECOND)
    assert "sync #1   2 min" in seen.tell(NOTHING).text


def test_a_bar_is_drawn_where_value_and_max_are_known(seen: Seen) -> None:
    assert "━" * 9 + "─" * 11 + "  45 % copying" in seen.tell(started(), progressed(45, 100, "copying")).text
    assert "━" * 20 + "  100 %" in seen.tell(progressed(300, 100)).text
    assert "─" * 20 + "  0 %" in seen.tell(progressed(-1, 100)).text


@pytest.mark.parametrize(
    ("value", "whole", "message", "words"),
    [(17, None, "copying", "17 copying"), (None, None, "copying", "copying"), (3, 0, "copying", "copying"),
     ("half", 2, None, "half"), (17, None, None, "17")],
)  # fmt: skip
def test_without_a_max_what_the_run_says_is_shown(
    seen: Seen, value: object, whole: object, message: object, words: str
) -> None:
    assert seen.tell(started(), progressed(value, whole, message)).text.endswith(f"   0 s  {words}\n")


@pytest.mark.parametrize(
    "value", [10**400, 1e308, float("nan"), float("inf"), [1], {"a": 1}, True, None, "x"]
)
@pytest.mark.parametrize("whole", [10**400, 5e-324, float("nan"), float("inf"), [1], {}, False, -1, "y"])
def test_no_progress_that_a_run_can_send_harms_the_node(seen: Seen, value: object, whole: object) -> None:
    assert "sync #1" in seen.tell(started(), progressed(value, whole, [value])).text


@pytest.mark.parametrize(("value", "whole"), [(float("nan"), 1), (1, 0), (1, -1), ("1", 2), (1, None)])
def test_what_is_no_part_of_a_whole_has_no_bar(value: object, whole: object) -> None:
    assert fraction({"value": value, "max": whole}) is None


def test_a_run_that_ends_or_is_no_longer_ours_leaves_the_block(seen: Seen) -> None:
    text = seen.tell(started(), started(2, "other"), finished(), e.ClaimLost(2, "other"), NOTHING).text
    assert "running " not in text
    assert text.endswith("last      sync #1  succeeded  230ms\n")


def test_the_last_three_results_are_shown_newest_first(seen: Seen) -> None:
    for number in range(1, 6):
        seen.tell(started(number), finished(number, state="timed_out"))
    assert [line[10:] for line in seen.text.splitlines()[-3:]] == [
        "sync #5  timed out  230ms", "sync #4  timed out  230ms", "sync #3  timed out  230ms"
    ]  # fmt: skip


def test_what_is_due_next_is_shown_with_its_distance(seen: Seen) -> None:
    coming = tuple((f"job-{number}", NOON + (12 + number) * SECOND + STEP) for number in range(9))
    lines = seen.tell(e.Looked(coming)).text.splitlines()
    assert lines[-5:] == [
        "next      job-0  in 12 s", *(f"          job-{number}  in {12 + number} s" for number in range(1, 5))
    ]  # fmt: skip
    assert "next " not in seen.tell(NOTHING).text


@pytest.mark.parametrize("lines", [2, 5, 10, 24, 60])
def test_as_many_runs_are_named_as_fit_and_the_others_counted(
    monkeypatch: pytest.MonkeyPatch, lines: int
) -> None:
    seen = Seen(monkeypatch, lines=lines)
    seen.tell(*(started(number) for number in range(100)), e.Looked((("next-one", NOON + 99 * SECOND),)))
    block = seen.text.rpartition("started\n")[2].splitlines()
    named = [line for line in block if "sync #" in line]
    assert len(block) < lines
    assert f"and {100 - len(named)} more" in seen.text
    assert len(named) >= lines * 2 // 3 - 6


@pytest.mark.parametrize("columns", [10, 40, 80, 200])
def test_a_line_of_the_block_never_breaks(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    seen = Seen(monkeypatch, columns=columns)
    seen.tell(started(job="n" * 128), progressed(1, 2, "日本" * 50), finished(2, "日本" * 40))
    above = seen.view._canvas._standing
    assert len(above) == 3
    assert max(above) < columns


# -- how it is drawn -------------------------------------------------------------------------------------


def test_it_draws_four_times_a_second_at_most_and_loses_no_line(seen: Seen) -> None:
    seen.tell(NOTHING)
    for number in range(1000):
        seen.clock.advance(SECOND // 1000)
        seen.view(started(number))
    seen.tell(NOTHING)
    frames = Paper(100).write(seen.raw).hidden
    assert frames == 1 + 4 + 1
    assert seen.text.count(" started") == 1000


def test_a_clock_that_is_set_back_does_not_freeze_the_view(seen: Seen) -> None:
    for number in range(5):  # as many frames as a second may have, and one that has to wait
        seen.view(started(number))
    assert "#4" not in seen.text
    seen.clock.wall -= 3600 * SECOND
    seen.view(started(5, "later"))
    assert "later #5     0 s" in seen.text


def test_an_event_that_is_no_news_is_no_line(seen: Seen) -> None:
    seen.tell(NOTHING, e.Output(1, b"x"), progressed(1, 2))
    assert seen.text.strip() == ""


def test_user_text_cannot_act_on_the_terminal(seen: Seen) -> None:
    evil = "\x1b[2J\x07\r\u202e\x9b[red]x[/red]:smile:"
    seen.tell(
        started(1, evil), progressed(1, 2, f"\n\t{evil}"), finished(2, evil),
        e.Looked(((evil, NOON + 99 * SECOND),)),
    )  # fmt: skip
    for bad in ("\x1b[2J", "\x07", "\u202e", "\x9b", "\t"):
        assert bad not in seen.raw
    assert "[red]x[/red]:smile:" in seen.text
    assert "\\x1b[2J" in seen.text


def test_the_cursor_is_there_after_every_frame(seen: Seen) -> None:
    paper = Paper()
    for event in (started(), progressed(1, 2), finished(), NOTHING):
        before = len(seen.raw)
        paper.write(seen.tell(event).raw[before:])
        assert paper.cursor
    assert paper.hidden == 4


def test_at_the_end_the_block_is_gone_and_the_lines_stay(seen: Seen) -> None:
    seen.tell(started(), e.Looked((("next-one", NOON + 99 * SECOND),)))
    seen.view(finished())  # less than a frame later: only the end can show it
    seen.view.close()
    lines = seen.text.splitlines()
    assert [line[10:] for line in lines if line] == ["sync #1 started", "sync #1 succeeded after 230ms"]
    assert seen.raw.endswith("\x1b[?25h")


def test_an_exception_takes_the_block_away_too(seen: Seen) -> None:
    with pytest.raises(ZeroDivisionError), seen.view:
        seen.tell(started())
        raise ZeroDivisionError
    assert "running" not in seen.text
    assert seen.raw.endswith("\x1b[?25h")


def test_a_narrower_terminal_leaves_nothing_of_the_old_block(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Seen(monkeypatch, columns=90)
    seen.tell(started(job="a" * 38), progressed(1, 2, "copying " * 5), finished(2), started(3, "b"))
    paper = Paper(90).write(seen.raw)
    old = len(seen.raw)
    for columns in (50, 33):
        seen.size = columns, 40
        paper.narrow(columns)
        paper.write(seen.tell(NOTHING).raw[old:])
        old = len(seen.raw)
        assert paper.text.count("running ") == 1
        assert paper.text.count("last ") == 1
        assert paper.text.count("b #3 started") == 1


def test_a_wider_terminal_leaves_nothing_either(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Seen(monkeypatch, columns=30)
    seen.tell(started(job="a" * 60), finished(2))
    seen.size = 200, 40
    assert Paper(200).write(seen.tell(NOTHING).raw).text.count("running ") == 1


def test_behind_a_shells_prompt_only_lines_are_written(seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    seen.tell(started())
    before = len(seen.raw)
    monkeypatch.setattr(seen.stream, "fileno", lambda: 0)
    monkeypatch.setattr(os, "tcgetpgrp", lambda _: os.getpgrp() + 1)
    monkeypatch.setattr(canvas_module, "_is_read", lambda _: True)
    seen.tell(finished(), NOTHING)
    assert seen.raw[before:] == "12:00:00Z sync #1 succeeded after 230ms\n"
    monkeypatch.setattr(os, "tcgetpgrp", lambda _: os.getpgrp())
    assert "last " in seen.tell(NOTHING).raw[before:]


# -- a terminal that takes nothing -----------------------------------------------------------------------


@contextmanager
def a_terminal() -> Iterator[tuple[int, TextIO]]:
    """Yield the end of a person, and the stream of a program."""
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (30, 100))
    with os.fdopen(slave, "w", encoding="utf-8") as stream:
        try:
            yield master, stream
        finally:
            os.close(master)


def drained(master: int) -> str:
    """Return what there is to read, all of it."""
    os.set_blocking(master, False)
    parts = []
    try:
        while data := os.read(master, 65536):
            parts.append(data)
    except BlockingIOError:
        return b"".join(parts).decode().replace("\r\n", "\n")
    return b"".join(parts).decode()


def test_a_terminal_that_nobody_reads_holds_nothing_up_and_is_right_afterwards() -> None:
    clock = FakeClock()
    with a_terminal() as (master, stream):
        view = View(stream, clock.now)
        for number in range(20_000):
            clock.advance(STEP)
            view(started(number, "job"))
            view(finished(number, "job"))
        first = drained(master)
        clock.advance(STEP)
        view(NOTHING)
        view(started(1, "after"))
        view.close()
        paper = Paper(100).write(first + drained(master))
    assert "lines are missing here: nobody read them" in paper.text
    assert paper.text.rstrip().endswith("after #1 started")
    assert paper.text.count("\nrunning ") == 0
    assert paper.cursor


def test_a_terminal_stopped_by_its_user_holds_nothing_up() -> None:
    clock = FakeClock()
    with a_terminal() as (master, stream):
        view = View(stream, clock.now)
        termios.tcflow(stream.fileno(), termios.TCOOFF)
        for number in range(2_000):
            clock.advance(STEP)
            view(started(number, "job"))
        termios.tcflow(stream.fileno(), termios.TCOON)
        clock.advance(STEP)
        view(NOTHING)
        view(started(1, "after"))
        view.close()
        assert "lines are missing here" in drained(master)


def test_a_terminal_that_went_away_is_ignored() -> None:
    clock = FakeClock()
    master, slave = pty.openpty()
    with os.fdopen(slave, "w", encoding="utf-8") as stream:
        view = View(stream, clock.now)
        view(started())
        os.close(master)
        for number in range(100):
            clock.advance(STEP)
            view(started(number))
        view.close()


def test_a_closed_stream_is_ignored() -> None:
    stream, clock = io.StringIO(), FakeClock()
    view = View(stream, clock.now)
    stream.close()
    view(started())
    view.close()
    view.close()


def test_the_terminal_of_the_shell_still_waits_for_its_reader() -> None:
    """The file that we share with the shell keeps its mode: we write through one of our own."""
    with a_terminal() as (_, stream):
        view = View(stream, FakeClock().now)
        view(started())
        assert os.get_blocking(stream.fileno())
        view.close()


def test_letters_that_a_terminal_lacks_are_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    master, slave = pty.openpty()
    with os.fdopen(slave, "w", encoding="ascii") as stream:
        view = View(stream, FakeClock().now)
        view._scene.notice(started(), NOON)
        view(progressed(1, 2, "日"))
        view.close()
        assert "#" * 10 in (written := drained(master))
        assert "." * 10 in written
        assert "\\u65e5" in written
    os.close(master)


# -- sentences of the new events -------------------------------------------------------------------------


def test_a_retry_is_told_with_its_distance_or_else_its_moment() -> None:
    event = e.Retrying(12, "sync", 2, NOON + 10 * SECOND)
    assert sentence(event, NOON) == ("warning", "sync #12: attempt 2 follows in 10 s")
    assert sentence(event, NOON + 60 * SECOND) == ("warning", "sync #12: attempt 2 follows in 0 s")
    assert sentence(event) == ("warning", "sync #12: attempt 2 follows at 2026-11-20T12:00:10.000Z")
    assert sentence(NOTHING) is None
    assert sentence(progressed(1, 2)) is None


# -- start -----------------------------------------------------------------------------------------------


@pytest.fixture
def at(house: House) -> Iterator[list[AtTerminal]]:
    """Commands at a terminal, ended with the test."""
    running: list[AtTerminal] = []
    yield running
    for one in running:
        one.kill()


def test_start_at_a_terminal_shows_what_runs_and_leaves_only_lines(
    house: House, at: list[AtTerminal]
) -> None:
    house.job("quick", schedule="* * * * * *")
    house.job("slow", "import time; time.sleep(600)", schedule="* * * * * *", numberOfExecutions=1)
    node = AtTerminal(house.root, "start", "--grace", "0s")
    at.append(node)
    node.read(lambda raw: "quick #" in raw and "\x1b[1mrunning" in raw and "slow #" in raw)
    node.child.send_signal(signal.SIGINT)
    assert node.end() == 0
    paper = node.paper
    assert paper.hidden
    assert paper.cursor
    assert not any(line.startswith(("running ", "last ", "next ")) for line in paper.lines)
    assert "slow #" in paper.text
    assert "stopping" in paper.text
    assert "canceled (shutdown)" in paper.text


def test_a_second_signal_leaves_the_terminal_as_it_was(house: House, at: list[AtTerminal]) -> None:
    house.job("slow", "import time; time.sleep(600)", schedule="* * * * * *")
    node = AtTerminal(house.root, "start")
    at.append(node)
    node.read(lambda raw: "\x1b[1mrunning" in raw)
    node.child.send_signal(signal.SIGTERM)
    node.read(lambda raw: "a second signal ends at once" in raw)
    node.child.send_signal(signal.SIGTERM)
    assert node.end() == 130
    assert node.paper.cursor
    assert not any(line.startswith("running ") for line in node.paper.lines)


@pytest.mark.parametrize(
    ("args", "env"),
    [(["--no-live"], {}), ([], {"JOBRUNNER_NO_LIVE": "1"}), ([], {"TERM": "dumb"}),
     (["--log-format", "json"], {})],
    ids=str,
)  # fmt: skip
def test_it_can_be_switched_off(
    house: House, at: list[AtTerminal], args: list[str], env: dict[str, str]
) -> None:
    house.job("quick", schedule="* * * * * *", numberOfExecutions=1)
    node = AtTerminal(house.root, "start", "--until-done", *args, **env)
    at.append(node)
    assert node.end() == 0
    assert "quick #1" in node.raw
    assert "\x1b" not in node.raw


def test_at_a_pipe_there_are_lines_alone(house: House) -> None:
    house.job("quick", schedule="* * * * * *", numberOfExecutions=1)
    done = house.process("start", "--until-done", env={"TERM": "xterm"})
    assert done.code == 0
    assert "quick #1 succeeded" in done.err
    assert "\x1b" not in done.err
