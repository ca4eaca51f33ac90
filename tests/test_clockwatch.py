"""What a node makes of its machine's clock that is not the database's, on both sides of each threshold."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from jobrunner import doctor
from jobrunner.clock import MILLISECOND, MINUTE, SECOND
from jobrunner.clockwatch import APART, ASTRAY, Clocks
from jobrunner.events import ClockApart
from jobrunner.log import sentence
from tests.desk import Desk
from tests.fakes import NOON, FakeClock, a_job
from tests.place import Place

Look = Callable[[int], list[ClockApart]]


@pytest.fixture
def desk(place: Place) -> Iterator[Desk]:
    made = Desk(place, [a_job(schedule="every 10s")], FakeClock())
    yield made
    made.store.close()


@pytest.fixture
def look(desk: Desk) -> Look:
    local = FakeClock()
    said: list[ClockApart] = []
    clocks = Clocks(desk.clock, local, desk.scheduler, desk.store, desk.me, said.append)  # type: ignore[arg-type]

    def looked(apart: int) -> list[ClockApart]:
        """Return what is said when the machine's clock is so much ahead of the database's."""
        said.clear()
        local.set(desk.clock.now() + apart)
        clocks.check()
        return [*said]

    return looked


@pytest.mark.parametrize("side", [1, -1])
def test_a_difference_is_said_that_is_larger_than_two_seconds(look: Look, side: int) -> None:
    assert look(side * APART) == []
    assert look(side * (APART + 1)) == [ClockApart(side * (APART + 1), astray=False)]


@pytest.mark.parametrize("side", [1, -1])
def test_a_node_that_is_off_by_more_than_a_minute_claims_nothing_until_it_is_mended(
    desk: Desk, look: Look, side: int
) -> None:
    look(side * ASTRAY)
    desk.turn(10 * SECOND)
    assert [run.state for run in desk.runs()] == ["running"]
    desk.executor.end_all()
    desk.turn()
    assert look(side * (ASTRAY + 1)) == [ClockApart(side * (ASTRAY + 1), astray=True)]
    desk.clock.advance(10 * SECOND)
    assert not desk.dispatcher.must_turn(desk.clock.now())
    desk.turn()
    assert [run.state for run in desk.runs()] == ["succeeded"]
    assert look(0) == [ClockApart(0, astray=False)]
    assert desk.dispatcher.must_turn(desk.clock.now())
    desk.turn()
    assert [run.state for run in desk.runs()] == ["succeeded", "running"]


def test_what_waits_for_a_node_is_not_claimed_by_one_that_is_astray_and_keeps_nobody_awake(
    desk: Desk, look: Look
) -> None:
    look(2 * ASTRAY)
    job = desk.facts()
    desk.store.trigger(job.id, a_job(), {}, identity="ana", force=False, queue=False, now=NOON)
    desk.dispatcher.look_for_pending()
    assert not desk.dispatcher.must_turn(desk.clock.now())
    assert [run.state for run in desk.runs()] == ["pending"]
    look(0)
    desk.turn()
    assert [run.state for run in desk.runs()] == ["running"]


def test_what_runs_goes_on_where_the_clock_is_astray_and_its_end_is_recorded(desk: Desk, look: Look) -> None:
    desk.turn(10 * SECOND)
    look(2 * ASTRAY)
    desk.executor.end_all()
    desk.turn()
    assert [run.state for run in desk.runs()] == ["succeeded"]


def test_a_difference_is_said_once_until_it_changes(look: Look) -> None:
    assert len(look(10 * SECOND)) == 1
    assert look(10 * SECOND) == []
    assert look(10 * SECOND + 900 * MILLISECOND) == []
    assert look(-10 * SECOND) == [ClockApart(-10 * SECOND, astray=False)]
    assert look(0) == [ClockApart(0, astray=False)]
    assert look(0) == []


def test_a_difference_around_a_threshold_is_not_said_again_and_again(look: Look) -> None:
    around = [apart + tremor for apart in (APART, ASTRAY) for tremor in (1, -1, 1, -1, 1)]
    assert [len(look(each)) for each in around] == [1, 0, 0, 0, 0, 1, 0, 0, 0, 0]


def test_a_clock_that_differs_is_kept_in_the_audit_trail(desk: Desk, look: Look) -> None:
    look(90 * SECOND)
    look(0)
    notes = [note for note in desk.store.notes() if note.action == "clock-apart"]
    assert [note.detail for note in notes][::-1] == ["+90 s", "+0 s"]


@pytest.mark.parametrize(
    ("event", "level", "words"),
    [
        (ClockApart(2500 * MILLISECOND, astray=False), "warning", "2.50s ahead of the database's; what"),
        (ClockApart(-5 * MINUTE, astray=True), "error", "5m behind the database's: this node plans"),
        (ClockApart(0, astray=False), "info", "agrees with the database's again"),
    ],
)  # fmt: skip
def test_the_log_says_how_far_and_on_which_side(event: ClockApart, level: str, words: str) -> None:
    said = sentence(event)
    assert said is not None
    assert said[0] == level
    assert words in said[1]


@pytest.mark.parametrize(
    ("apart", "levels"),
    [
        (APART, []), (-APART, []), (APART + 1, ["warning"]), (-APART - 1, ["warning"]),
        (ASTRAY, ["warning"]), (ASTRAY + 1, ["error"]), (-ASTRAY - 1, ["error"]),
    ],
)  # fmt: skip
def test_doctor_says_how_far_this_machines_clock_is_off(apart: int, levels: list[str]) -> None:
    assert [one.level for one in doctor.of_machine(apart)] == levels
