"""Events are values: known by their kind and their fields, however these were given."""

from __future__ import annotations

import json
from io import StringIO

import pytest

from jobrunner.events import DefinitionsOutdated, Draining, Event, JobAdded, JobOrphaned, NotHeld, Skipped
from jobrunner.log import Log


def test_events_are_equal_when_their_kinds_and_fields_are() -> None:
    assert NotHeld("a", "shop") == NotHeld(job="a", module="shop")
    assert NotHeld("a", "shop") != NotHeld("a", "store")
    assert JobAdded("a") != JobOrphaned("a")


def test_an_event_says_what_it_is() -> None:
    assert repr(NotHeld("a", "shop")) == "NotHeld(job='a', module='shop')"


def test_fields_are_matched_in_the_order_in_which_they_are_declared() -> None:
    event: Event = NotHeld("a", "shop")
    match event:
        case NotHeld(job, module):
            assert (job, module) == ("a", "shop")
        case _:
            pytest.fail("it did not match")


def test_each_kind_has_its_own_fields() -> None:
    assert Draining.__match_args__ == ("running",)
    assert JobAdded.__match_args__ == ("job",)


def test_a_field_that_is_left_out_is_there_with_its_value() -> None:
    left_out = DefinitionsOutdated(("a",))
    assert left_out == DefinitionsOutdated(("a",), over=False, node=None, pid=0, count=0)
    assert vars(left_out) == {"jobs": ("a",), "over": False, "node": None, "pid": 0, "count": 0}


def test_a_field_that_has_no_value_cannot_be_left_out() -> None:
    with pytest.raises(AttributeError):
        NotHeld("a")  # type: ignore[call-arg]


def test_moments_in_a_json_log_are_iso_and_the_event_of_a_long_line_has_its_name() -> None:
    stream = StringIO()
    log = Log(stream, lambda: 0, "json")
    log(Skipped("a", 1_000_000, "overlap", 1))
    log.line("info", "x" * 5000, "Banner")
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert first["data"] == {
        "job": "a", "scheduledFor": "1970-01-01T00:00:01.000Z", "reason": "overlap", "count": 1
    }  # fmt: skip
    assert second["event"] == "Banner"
