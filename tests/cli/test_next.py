"""next: the preview is made by the code that runs the jobs."""

from __future__ import annotations

import pytest

from jobrunner.clock import HOUR, SystemClock, from_iso
from tests.cli.house import House

pytestmark = pytest.mark.usefixtures("store_kind")

FROM = ["--from", "2026-05-01T00:00:00Z"]


def due(house: House, *args: str) -> list[str]:
    return [one["scheduledFor"] for one in house.call("next", *args, "--json").json]


def test_an_expression_needs_no_project(house: House) -> None:
    (house.root / "jobs").rmdir()
    assert due(house, "0 9 * * mon", "-n", "2", *FROM) == [
        "2026-05-04T09:00:00.000Z",
        "2026-05-11T09:00:00.000Z",
    ]


def test_it_counts_in_the_zone_that_is_asked_for(house: House) -> None:
    found = house.call("next", "0 9 * * *", "-n", "1", *FROM, "--timezone", "Europe/Berlin", "--json").json
    assert found == [
        {
            "job": None,
            "scheduledFor": "2026-05-01T07:00:00.000Z",
            "timezone": "Europe/Berlin",
            "local": "2026-05-01 09:00:00 CEST",
        }
    ]


@pytest.mark.parametrize("text", ["@daily", "every 10m", "Every 10m", "*/5 * * * * *", " 0 9 * * * "])
def test_what_is_a_schedule_is_taken_for_one(house: House, text: str) -> None:
    assert len(due(house, text)) == 20


def test_a_job_may_be_called_every_something(house: House) -> None:
    house.job("everything", schedule="0 9 * * *")
    assert len(due(house, "everything", "-n", "3")) == 3


def test_from_is_included_and_until_too(house: House) -> None:
    found = due(house, "0 9 * * *", "--from", "2026-05-01T09:00:00Z", "--until", "2026-05-03T09:00:00Z")
    assert found == [f"2026-05-0{day}T09:00:00.000Z" for day in (1, 2, 3)]


def test_all_jobs_are_merged_in_order(house: House) -> None:
    house.job("a", schedule="0 */2 * * *")
    house.job("b", schedule="0 */3 * * *")
    house.job("off", schedule="* * * * *", enabled=False)
    house.job("by-hand", schedule=None)
    found = house.call("next", "-n", "4", "--from", "2099-05-01T00:30:00Z", "--json").json
    assert [(one["job"], one["scheduledFor"][11:16]) for one in found] == [
        ("a", "02:00"), ("b", "03:00"), ("a", "04:00"), ("a", "06:00")
    ]  # fmt: skip


def test_the_count_that_is_left_limits_it(house: House) -> None:
    house.job("a", numberOfExecutions=3)
    assert len(due(house, "a")) == 3


def test_start_and_end_limit_it(house: House) -> None:
    house.job("a", startAt="2099-05-01T00:00:00Z", endAt="2099-05-03T00:00:00Z")
    assert due(house, "a") == ["2099-05-01T09:00:00.000Z", "2099-05-02T09:00:00.000Z"]


def test_it_goes_on_where_the_state_stands(house: House) -> None:
    house.job("a", schedule="* * * * *")
    ahead = SystemClock().now() + 3 * HOUR
    house.register(started_at=ahead)
    assert from_iso(due(house, "a", "-n", "1")[0]) > ahead


def test_interval_grids_are_those_of_the_state(house: House) -> None:
    house.job("a", schedule="every 1h")
    began = from_iso("2026-05-01T00:07:11.250Z")
    house.register(started_at=began)
    assert due(house, "a", "-n", "1")[0].endswith(":07:11.250Z")


def test_what_follows_the_end_of_a_run_is_not_invented(house: House) -> None:
    house.write(
        "jobs/a.py",
        "from jobrunner.schedules import every\n"
        'config = {"name": "a", "schedule": every(10).minutes.after_end}\ndef default(): pass\n',
    )
    assert len(due(house, "a")) == 1


def test_a_disabled_job_is_previewed_with_a_note(house: House) -> None:
    house.job("a", enabled=False)
    done = house.call("next", "a", "-n", "1")
    assert len(done.out.splitlines()) == 1
    assert "note: a does not run by its schedule at present: disabled" in done.err


def test_nothing_due_is_said(house: House) -> None:
    house.job("a", schedule=None)
    done = house.call("next", "a")
    assert (done.code, done.out, done.err) == (0, "", "nothing is due: a runs on demand only\n")
    assert house.call("next", "a", "--json").json == []


def test_at_a_pipe_it_is_a_line_each(house: House) -> None:
    house.job("a", schedule="0 9 * * *")
    assert (
        house.call("next", "-n", "1", "--from", "2099-05-01T00:00:00Z").out == "2099-05-01T09:00:00.000Z  a\n"
    )


def test_at_a_terminal_it_is_grouped_by_day(house: House) -> None:
    house.job("a", schedule="0 9,10 * * *")
    seen = house.terminal("next", "a", "-n", "3", "--from", "2099-05-01T00:00:00Z")
    assert seen.splitlines()[0] == "Friday, 01 May 2099"
    assert seen.splitlines()[3] == "Saturday, 02 May 2099"
    assert seen.splitlines()[1].split()[:2] == ["09:00:00", "UTC"]


def test_an_unknown_job_is_code_3_and_a_broken_one_says_why(house: House) -> None:
    house.job("a", schedule="61 * * * *")
    assert house.call("next", "nobody").code == 3
    done = house.call("next", "a")
    assert done.code == 3
    assert "jobs/a.py" in done.err


def test_from_a_moment_in_the_past_the_schedule_is_shown_not_the_state(house: House) -> None:
    house.job("a", schedule="0 9 * * *", numberOfExecutions=1)
    house.job("grid", schedule="every 1h")
    first = ["2026-05-01T09:00:00.000Z", "2026-05-02T09:00:00.000Z"]
    assert due(house, "a", "-n", "2", *FROM) == first
    house.register()
    house.ran("a")
    assert due(house, "a", "-n", "2", *FROM) == first
    assert [one["job"] for one in house.call("next", "-n", "2", "--json", *FROM).json] == ["a", "a"]


def test_an_interval_never_seen_counts_from_the_moment_asked_for(house: House) -> None:
    house.job("grid", schedule="every 1h")
    assert due(house, "grid", "-n", "1", *FROM) == ["2026-05-01T01:00:00.000Z"]


def test_why_nothing_is_due_is_said(house: House) -> None:
    house.job("a", numberOfExecutions=1)
    house.job("over", endAt="2020-01-01T00:00:00Z")
    house.job("off", schedule=None, enabled=False)
    house.register()
    house.rows("UPDATE cursors SET executions = 1")
    assert house.call("next", "a").err == "nothing is due: a has had its last of 1 scheduled start\n"
    assert house.call("next", "over").err == (
        "nothing is due: over has no moment left, for its endAt has passed\n"
    )
    assert "disabled: in its file" in house.call("next", "off").err
    assert "no job is enabled and has a moment to come" in house.call("next").err
    assert house.call("next", "--until", "2020-01-01").err.startswith("nothing is due until 2020-01-01T")


def test_a_new_job_with_run_on_start_is_due_at_once(house: House) -> None:
    house.job("a", runOnStart=True, numberOfExecutions=2)
    first, second = due(house, "a")
    assert abs(from_iso(first) - SystemClock().now()) < 60_000_000
    assert second.endswith("T09:00:00.000Z")
    house.register()
    assert all(one.endswith("T09:00:00.000Z") for one in due(house, "a"))


def test_an_expression_that_begins_with_a_minus_is_one(house: House) -> None:
    done = house.call("next", "-5 * * * *")
    assert done.code == 2
    assert '"-5"' in done.err
    assert "No such option" not in done.err
    assert len(due(house, "0 9 * * *", "-n 5")) == 5
