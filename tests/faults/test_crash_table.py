"""Every row of the crash table, whatever happens there, for every delivery, on every store.

Processes and time are stand-ins, node and store are real; `tests.faults.real` has real processes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.faults.grounds import Hasty, in_a_database, in_a_file
from tests.faults.matrix import ACTIONS, DELIVERIES, ONCE, POINTS, Point, may_begin, promised
from tests.faults.stage import Stage, Told
from tests.place import Place
from tests.postgres.cut import Cut
from tests.postgres.server import Server

SOLE = {"name": "sole", "schedule": "0 0 1 1 *", "runOnStart": True, "numberOfExecutions": 1}
MOST_TURNS = 400  # of a node in a minute or two: it looks around each second
MakeStage = Callable[[str], Stage]


@pytest.fixture(scope="module")
def line(request: pytest.FixtureRequest) -> Iterator[Callable[[], tuple[Server, Cut]]]:
    """Yield what returns the server, and a line to it that can be cut."""
    made: list[tuple[Server, Cut]] = []

    def make() -> tuple[Server, Cut]:
        if not made:
            server: Server = request.getfixturevalue("postgres")
            made.append((server, Cut(server)))
        return made[0]

    yield make
    for _, cut in made:
        cut.close()


@pytest.fixture
def stage(
    place: Place, store_kind: str, line: Callable[[], tuple[Server, Cut]], monkeypatch: pytest.MonkeyPatch
) -> MakeStage:
    monkeypatch.setattr("jobrunner.store.postgres.connection.time", Hasty())

    def make(delivery: str) -> Stage:
        ground = in_a_file(place.folder) if store_kind == "sqlite" else in_a_database(place.url, *line())
        config: dict[str, Any] = {**SOLE, "delivery": delivery, "retries": {"max": 0, "delay": "100ms"}}
        return Stage(place.folder, ground, config)

    return make


def _whatever_happens(told: Told) -> None:
    assert told.executions == 1, "a start is counted once, however often it is tried"
    assert not told.overlaps, "two bodies of one run are never at work at once"
    assert told.problems == [], "the ledger contradicts none of its rules"
    assert told.nodes == 0, "nobody is left in the state who is gone"
    assert told.turns < MOST_TURNS, "no node turns in circles"


@pytest.mark.parametrize("delivery", DELIVERIES)
@pytest.mark.parametrize("action", [*ACTIONS, pytest.param("away", marks=pytest.mark.postgres)])
@pytest.mark.parametrize("point", POINTS, ids=str)
def test_whatever_happens_at_a_point_what_was_promised_holds(
    stage: MakeStage, store_kind: str, point: Point, action: str, delivery: str
) -> None:
    world = stage(delivery)
    told = world.play(point.shot(action))
    assert world.fired
    ledger = promised(point, action, delivery, store_kind)
    assert told.ledger == ledger, "\n".join(told.said)
    assert told.begun.count(1) in may_begin(point, action, ledger)
    assert told.begun.count(2) == len(ledger) - 1
    assert told.written == (delivery == "exactly-once"), "what it wrote is there once"
    _whatever_happens(told)


@pytest.mark.parametrize("delivery", DELIVERIES)
def test_a_child_that_dies_is_a_failure_at_once_and_tried_again_as_its_delivery_says(
    stage: MakeStage, delivery: str
) -> None:
    told = stage(delivery).play(None, crashes=True)
    again = delivery != "at-most-once"
    assert told.ledger == [(1, "failed", None), *([(2, "succeeded", None)] if again else [])]
    assert told.begun == [1, 2][: 1 + again]
    assert told.written == (delivery == "exactly-once")
    _whatever_happens(told)


@pytest.mark.parametrize("delivery", DELIVERIES)
def test_where_nothing_happens_it_runs_once(stage: MakeStage, delivery: str) -> None:
    told = stage(delivery).play(None)
    assert (told.ledger, told.begun, told.ends) == (ONCE, [1], ["0", "0"])
    _whatever_happens(told)
