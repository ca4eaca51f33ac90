from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from jobrunner.clock import DAY, HOUR, MINUTE, SECOND
from jobrunner.plan import MISSED_AFTER, SINGLES, Plan, next_due, plan
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
    ended = replace(running, open=0, ended_at=NOON + 14 * MINUTE)
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
        where = replace(where, consumed=todo.until)
    assert job.schedule is not None
    assert decided_count == job.schedule.count(NOON, now, NOON)
