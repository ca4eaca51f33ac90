from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobrunner.clock import DAY, HOUR, MINUTE, SECOND, from_iso
from jobrunner.model import Reason
from jobrunner.plan import MISSED_AFTER, SINGLES, Plan, next_due, overtaken, plan
from jobrunner.schedule import parse
from tests.fakes import NOON, a_job, standing


def decided(todo: Plan | None) -> list[tuple[int, str | None]]:
    assert todo is not None
    return [(due.scheduled_for - NOON, due.skip) for due in todo.due]


def test_nothing_is_due_before_its_moment() -> None:
    job = a_job()
    assert plan(job, standing(job), NOON + MINUTE - 1) is None


def test_an_occurrence_runs_at_its_moment_and_moves_the_cursor_to_it() -> None:
    job = a_job()
    todo = plan(job, standing(job), NOON + MINUTE)
    assert decided(todo) == [(MINUTE, None)]
    assert todo is not None
    assert todo.until == NOON + MINUTE


def test_a_job_without_schedule_is_never_due() -> None:
    job = a_job(schedule=None)
    assert plan(job, standing(job), NOON + 1000 * DAY) is None
    assert next_due(job, standing(job)) is None


def test_after_an_outage_the_newest_runs_once_and_the_others_are_missed() -> None:
    job = a_job()
    todo = plan(job, standing(job), NOON + 3 * MINUTE + 30 * SECOND)
    assert decided(todo) == [(MINUTE, "missed"), (2 * MINUTE, "missed"), (3 * MINUTE, None)]


def test_misfire_skip_runs_nothing_late_and_says_so() -> None:
    job = a_job(misfire="skip")
    todo = plan(job, standing(job), NOON + 2 * MINUTE + MISSED_AFTER + 1)
    assert decided(todo) == [(MINUTE, "missed"), (2 * MINUTE, "missed")]


def test_misfire_skip_still_runs_what_is_on_time() -> None:
    job = a_job(misfire="skip")
    todo = plan(job, standing(job), NOON + 2 * MINUTE + MISSED_AFTER)
    assert decided(todo) == [(MINUTE, "missed"), (2 * MINUTE, None)]


def test_a_run_later_than_its_grace_is_skipped() -> None:
    job = a_job(misfire_grace=10 * SECOND)
    assert decided(plan(job, standing(job), NOON + MINUTE + 10 * SECOND)) == [(MINUTE, None)]
    assert decided(plan(job, standing(job), NOON + MINUTE + 11 * SECOND)) == [(MINUTE, "grace")]


def test_forbid_skips_what_falls_due_while_a_run_is_open() -> None:
    job = a_job()
    assert decided(plan(job, standing(job, open=1), NOON + MINUTE)) == [(MINUTE, "overlap")]


def test_allow_starts_beside_an_open_run() -> None:
    job = a_job(concurrency="allow")
    assert decided(plan(job, standing(job, open=1), NOON + MINUTE)) == [(MINUTE, None)]


def test_a_run_left_pending_by_an_outage_gives_way_to_the_newest() -> None:
    job = a_job()
    todo = plan(job, standing(job, open=1, pending=1, pending_id=7), NOON + 2 * MINUTE)
    assert decided(todo) == [(MINUTE, "missed"), (2 * MINUTE, None)]
    assert todo is not None
    assert todo.supersede


def test_a_run_pending_for_want_of_a_slot_keeps_its_place() -> None:
    job = a_job()
    todo = plan(job, standing(job, open=1, pending=1, pending_id=7), NOON + MINUTE)
    assert decided(todo) == [(MINUTE, "overlap")]
    assert todo is not None
    assert not todo.supersede


def test_a_finished_job_has_no_further_occurrences() -> None:
    job = a_job(number_of_executions=3)
    assert plan(job, standing(job, executions=3), NOON + DAY) is None
    assert next_due(job, standing(job, executions=3)) is None


def test_no_occurrence_is_consumed_while_the_last_allowed_start_is_still_queued() -> None:
    job = a_job(number_of_executions=3)
    assert plan(job, standing(job, executions=2, open=1, pending=1, pending_id=7), NOON + MINUTE) is None


def test_a_gate_skips_every_due_occurrence_with_its_reason() -> None:
    job = a_job(enabled=False)
    todo = plan(job, standing(job), NOON + 2 * MINUTE, "disabled")
    assert decided(todo) == [(MINUTE, "disabled"), (2 * MINUTE, "disabled")]


def test_many_skips_are_one_row_that_counts_them() -> None:
    job = a_job(schedule="* * * * * *")
    todo = plan(job, standing(job), NOON + DAY)
    assert todo is not None
    many, last = todo.due
    assert (many.skip, many.count, many.scheduled_for, many.last_for) == (
        "missed", DAY // SECOND - 1, NOON + SECOND, NOON + DAY - SECOND,
    )  # fmt: skip
    assert (last.skip, last.scheduled_for) == (None, NOON + DAY)


def test_an_outage_of_ten_years_is_planned_without_enumerating_it() -> None:
    job = a_job(schedule="* * * * * *")
    todo = plan(job, standing(job), NOON + 3650 * DAY)
    assert todo is not None
    assert sum(due.count for due in todo.due) == 3650 * DAY // SECOND
    assert len(todo.due) == 2


def test_start_and_end_frame_the_occurrences() -> None:
    job = a_job(start_at=NOON + 2 * MINUTE, end_at=NOON + 3 * MINUTE)
    assert next_due(job, standing(job)) == NOON + 2 * MINUTE
    todo = plan(job, standing(job), NOON + HOUR)
    assert decided(todo) == [(2 * MINUTE, "missed"), (3 * MINUTE, None)]
    assert next_due(job, standing(job, consumed=NOON + 3 * MINUTE)) is None


def test_an_interval_keeps_its_grid_whatever_the_delay() -> None:
    job = a_job(schedule="every 30s")
    late = NOON + 30 * SECOND + 4 * SECOND
    todo = plan(job, standing(job), late)
    assert decided(todo) == [(30 * SECOND, None)]
    after = standing(job, consumed=NOON + 30 * SECOND, anchor=NOON)
    assert next_due(job, after) == NOON + 60 * SECOND


def test_an_interval_after_the_end_waits_for_the_end_of_the_run() -> None:
    job = a_job(schedule="every 10m after end")
    running = standing(job, consumed=NOON + 10 * MINUTE, anchor=NOON, open=1)
    assert plan(job, running, NOON + 30 * MINUTE) is None
    ended = running._replace(open=0, ended_at=NOON + 14 * MINUTE)
    assert next_due(job, ended) == NOON + 24 * MINUTE
    assert decided(plan(job, ended, NOON + 50 * MINUTE)) == [(24 * MINUTE, None)]


@given(
    st.sampled_from(
        ["* * * * * *", "*/7 * * * * *", "* * * * *", "*/5 9-17 * * 1-5", "every 13s", "30 2 * * *"]
    ),
    st.lists(st.integers(1, 3 * HOUR), min_size=1, max_size=12),
    st.sampled_from(["once", "skip"]),
    st.booleans(),
)
def test_every_due_occurrence_is_decided_exactly_once_however_time_advances(
    schedule: str, steps: list[int], misfire: str, occupied: bool
) -> None:
    job = a_job(schedule=schedule, misfire=misfire)
    where, now, decided_count = standing(job, open=int(occupied)), NOON, 0
    last = NOON
    for step in steps:
        now += step
        todo = plan(job, where, now)
        if todo is None:
            continue
        for due in todo.due:
            assert last < due.scheduled_for <= (due.last_for or due.scheduled_for) <= now
            last = due.last_for or due.scheduled_for
            decided_count += due.count
            assert due.count == 1 or due.count > SINGLES
        where = where._replace(consumed=todo.until)
    assert job.schedule is not None
    assert decided_count == job.schedule.count(NOON, now, NOON)


# --- policies -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("concurrency", "open_", "pending", "expected"),
    [
        ("forbid", 0, 0, (None, None, False)),
        ("forbid", 1, 0, ("overlap", None, False)),
        ("forbid", 1, 1, ("overlap", None, False)),
        ("queue", 0, 0, (None, None, False)),
        ("queue", 1, 0, (None, None, False)),
        ("queue", 2, 1, (None, "replaced", False)),
        ("replace", 0, 0, (None, None, False)),
        ("replace", 1, 0, (None, None, True)),
        ("replace", 2, 1, (None, "replaced", True)),
        ("replace", 1, 1, (None, "replaced", False)),
        ("allow", 5, 2, (None, None, False)),
    ],
)
def test_what_is_due_meets_what_is_open_as_concurrency_says(
    concurrency: str, open_: int, pending: int, expected: tuple[str | None, str | None, bool]
) -> None:
    job = a_job(concurrency=concurrency)
    where = standing(job, open=open_, pending=pending, pending_id=7 if pending else None, occupant=3)
    todo = plan(job, where, NOON + MINUTE)
    assert todo is not None
    (due,) = todo.due
    assert (due.skip, todo.supersede, todo.replace) == expected
    assert due.blocked_by == (3 if due.skip == "overlap" else None)


def test_a_gate_skips_the_run_that_is_still_pending_too() -> None:
    job = a_job(concurrency="queue")
    todo = plan(job, standing(job, open=1, pending=1, pending_id=7), NOON + MINUTE, "paused")
    assert todo is not None
    assert (decided(todo), todo.supersede) == ([(MINUTE, "paused")], "paused")


def test_a_gate_consumes_though_the_last_allowed_start_is_queued() -> None:
    job = a_job(number_of_executions=1)
    where = standing(job, open=1, pending=1, pending_id=7)
    assert plan(job, where, NOON + MINUTE) is None
    assert decided(plan(job, where, NOON + MINUTE, "disabled")) == [(MINUTE, "disabled")]


def test_misfire_all_plans_what_is_late_to_run_one_after_another() -> None:
    job = a_job(misfire="all")
    todo = plan(job, standing(job), NOON + 3 * MINUTE + 30 * SECOND)
    assert todo is not None
    assert decided(todo) == [(MINUTE, None), (2 * MINUTE, None), (3 * MINUTE, None)]
    assert all(due.serial and due.effective_at == due.scheduled_for for due in todo.due)


def test_misfire_all_on_time_is_like_any_other() -> None:
    job = a_job(misfire="all")
    todo = plan(job, standing(job), NOON + MINUTE)
    assert todo is not None
    assert [due.serial for due in todo.due] == [False]


def test_what_falls_due_while_others_catch_up_waits_behind_them() -> None:
    job = a_job(misfire="all")
    where = standing(job, open=2, pending=1, pending_id=7, catching_up=True)
    todo = plan(job, where, NOON + MINUTE)
    assert todo is not None
    assert [(due.skip, due.serial) for due in todo.due] == [(None, True)]


def test_misfire_all_takes_no_more_than_a_hundred_with_those_that_wait_already() -> None:
    job = a_job(misfire="all")
    todo = plan(job, standing(job, open=60, pending=60, pending_id=7), NOON + 200 * MINUTE)
    assert todo is not None
    assert sum(due.count for due in todo.due if due.skip == "missed") == 160
    assert [due.scheduled_for for due in todo.due if due.skip is None] == [
        NOON + minute * MINUTE for minute in range(161, 201)
    ]
    full = plan(job, standing(job, open=100, pending=100, pending_id=7), NOON + 2 * MINUTE)
    assert decided(full) == [(MINUTE, "missed"), (2 * MINUTE, "overlap")]


def test_misfire_all_leaves_what_is_beyond_the_limit_where_it_is() -> None:
    job = a_job(misfire="all", number_of_executions=5)
    todo = plan(job, standing(job, executions=2), NOON + 9 * MINUTE)
    assert todo is not None
    assert len(todo.due) == 3
    assert todo.until == NOON + 3 * MINUTE


def test_jitter_moves_the_moment_and_not_the_name_of_an_occurrence() -> None:
    job = a_job(offset=20 * SECOND)
    assert plan(job, standing(job), NOON + MINUTE + 20 * SECOND - 1) is None
    todo = plan(job, standing(job), NOON + MINUTE + 20 * SECOND)
    assert todo is not None
    (due,) = todo.due
    assert (due.scheduled_for, due.effective_at) == (NOON + MINUTE, NOON + MINUTE + 20 * SECOND)
    assert todo.until == NOON + MINUTE


def test_what_was_due_before_during_and_after_a_sleep_has_each_its_reason() -> None:
    job = a_job()
    slept = NOON + 90 * SECOND, NOON + 3 * MINUTE
    todo = plan(job, standing(job), NOON + 5 * MINUTE, slept=slept)
    assert decided(todo) == [
        (MINUTE, "missed"), (2 * MINUTE, "asleep"), (3 * MINUTE, "asleep"), (4 * MINUTE, "missed"),
        (5 * MINUTE, None),
    ]  # fmt: skip


@pytest.mark.parametrize("gate", [None, "paused", "disabled", "environment", "broken-file"])
def test_before_the_end_that_a_schedule_counts_from_nothing_is_due_and_nothing_skipped(
    gate: Reason | None,
) -> None:
    job = a_job(schedule="every 10m after end")
    running = standing(job, consumed=NOON + 10 * MINUTE, anchor=NOON, open=1)
    assert plan(job, running, NOON + DAY, gate) is None


def test_no_row_for_many_reaches_over_a_clock_change_that_has_its_own() -> None:
    start, gap = from_iso("2027-03-20T12:00:00Z"), from_iso("2027-03-28T01:00:00Z")
    job = a_job(timezone="Europe/Berlin")._replace(schedule=parse("30 0-23 * * *", "Europe/Berlin", "skip"))
    todo = plan(job, standing(job, start), start + 30 * DAY)
    assert todo is not None
    assert [(due.skip, due.count > 1) for due in todo.due] == [
        ("missed", True), ("dst", False), ("missed", True), (None, False),
    ]  # fmt: skip
    before, change, after, _ = todo.due
    assert before.last_for is not None
    assert before.last_for < change.scheduled_for == gap < after.scheduled_for
    assert job.schedule is not None
    counted = sum(due.count for due in todo.due if due.skip != "dst")
    assert counted == job.schedule.count(start, start + 30 * DAY, start)


@pytest.mark.parametrize(
    ("fields", "late", "outage", "last", "expected"),
    [
        ({}, 3600, True, True, None), ({}, 3600, True, False, "missed"), ({}, 3600, False, False, None),
        ({}, 5, True, False, None), ({}, 6, True, False, "missed"),
        ({"misfire": "skip"}, 6, True, True, "missed"), ({"misfire": "skip"}, 6, False, True, None),
        ({"misfire": "all"}, 3600, True, False, None),
        ({"misfire_grace": 10 * SECOND}, 10, False, True, None),
        ({"misfire_grace": 10 * SECOND}, 11, False, True, "grace"),
        ({"misfire_grace": 10 * SECOND, "misfire": "all"}, 11, True, True, "grace"),
    ],
)  # fmt: skip
def test_what_still_waits_starts_unless_misfire_or_grace_forbid_it(
    fields: dict[str, Any], late: int, outage: bool, last: bool, expected: str | None
) -> None:
    job = a_job(**fields)
    assert overtaken(job, NOON, NOON + late * SECOND, outage=outage, last=last) == expected
