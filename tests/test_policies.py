"""Every policy, in ordinary times and in bad ones: what is in the ledger, and how often the body ran."""

from __future__ import annotations

import sys
from collections.abc import Collection
from itertools import pairwise
from typing import Any

import pytest

from jobrunner.cli.control import reset_detail
from jobrunner.clock import DAY, HOUR, MINUTE, SECOND, from_iso
from jobrunner.events import CursorAhead, JobDisabled, Retrying
from jobrunner.model import Outcome, Retries, Run
from jobrunner.moving import movable
from tests.desk import BAD, CRASH, ERROR, GOOD, Desk, Ends, House, live
from tests.fakes import NOON, a_job


def all_good(*minutes: float) -> list[str]:
    return [f"{minute:g} succeeded" for minute in minutes]


POLICIES = ("forbid", "queue", "replace", "allow")

# --- concurrency --------------------------------------------------------------------------------


@pytest.mark.parametrize("concurrency", POLICIES)
def test_runs_that_do_not_overlap_all_run(house: House, concurrency: str) -> None:
    desk = house.open(a_job(concurrency=concurrency))
    live(desk, 4 * MINUTE + 30 * SECOND, takes=10 * SECOND)
    assert desk.ledger() == all_good(1, 2, 3, 4)
    assert desk.bodies() == [1, 2, 3, 4]
    assert desk.facts().executions == 4


@pytest.mark.parametrize(
    ("concurrency", "ledger", "bodies"),
    [
        ("forbid", ["1 succeeded", "2 skipped/overlap", "3 succeeded", "4 skipped/overlap"], [1, 3]),
        ("queue", ["1 succeeded", "2 succeeded", "3 skipped/replaced", "4 running"], [1, 2, 4]),
        (
            "replace",
            ["1 canceled/replaced", "2 canceled/replaced", "3 canceled/replaced", "4 running"],
            [1, 2, 3, 4],
        ),
        ("allow", ["1 succeeded", "2 succeeded", "3 succeeded", "4 running"], [1, 2, 3, 4]),
    ],
)
def test_a_run_that_is_still_open_at_the_next_moment_meets_its_policy(
    house: House, concurrency: str, ledger: list[str], bodies: list[float]
) -> None:
    desk = house.open(a_job(concurrency=concurrency))
    live(desk, 4 * MINUTE + 30 * SECOND, takes=90 * SECOND)
    assert desk.ledger() == ledger
    assert desk.bodies() == bodies
    assert desk.facts().executions == len(bodies)


@pytest.mark.parametrize("concurrency", POLICIES)
def test_a_node_that_dies_costs_the_run_it_had_and_no_other(house: House, concurrency: str) -> None:
    job = a_job(concurrency=concurrency)
    first = house.open(job)
    live(first, 70 * SECOND, takes=HOUR)
    second = house.open(job, dead=[house.kill(first)])
    live(second, 2 * MINUTE, takes=10 * SECOND)
    assert second.ledger() == ["1 lost", *all_good(2, 3)]
    assert first.bodies() + second.bodies() == [1, 2, 3]
    assert second.facts().executions == 3


@pytest.mark.parametrize("concurrency", POLICIES)
def test_after_an_outage_the_newest_runs_late_and_the_others_are_missed(
    house: House, concurrency: str
) -> None:
    job = a_job(concurrency=concurrency)
    first = house.open(job)
    live(first, 70 * SECOND, takes=HOUR)
    dead = house.kill(first)
    house.clock.advance(3 * MINUTE)
    second = house.open(job, dead=[dead])
    live(second, MINUTE, takes=10 * SECOND)
    assert second.ledger() == ["1 lost", "2 skipped/missed", "3 skipped/missed", *all_good(4, 5)]
    assert first.bodies() + second.bodies() == [1, 4, 5]


@pytest.mark.parametrize("concurrency", POLICIES)
def test_a_clock_that_steps_back_repeats_nothing_and_waits(house: House, concurrency: str) -> None:
    desk = house.open(a_job(concurrency=concurrency))
    live(desk, 3 * MINUTE + 10 * SECOND, takes=SECOND)
    house.clock.wall -= 2 * MINUTE
    desk.scheduler.stale = True
    live(desk, 3 * MINUTE, takes=SECOND)
    assert desk.ledger() == all_good(1, 2, 3, 4)
    assert desk.bodies() == [1, 2, 3, 4]
    assert len(desk.said(CursorAhead)) == 1


@pytest.mark.parametrize("concurrency", POLICIES)
def test_what_a_clock_steps_over_is_missed_and_its_newest_runs(house: House, concurrency: str) -> None:
    desk = house.open(a_job(concurrency=concurrency))
    live(desk, 70 * SECOND, takes=SECOND)
    house.clock.wall += 3 * MINUTE
    live(desk, MINUTE, takes=SECOND)
    assert desk.ledger() == [
        "1 succeeded", "2 skipped/missed", "3 skipped/missed", *all_good(4, 5)
    ]  # fmt: skip


def test_a_skip_for_overlap_names_the_run_in_the_way(house: House) -> None:
    desk = house.open(a_job())
    live(desk, 2 * MINUTE, takes=HOUR)
    running, skipped = desk.runs()
    assert skipped.blocked_by == running.id


def test_replace_ends_a_chain_that_waits_for_its_next_attempt(house: House) -> None:
    desk = house.open(a_job(concurrency="replace", retries=Retries(max=3, delay=HOUR)))
    live(desk, 2 * MINUTE + 10 * SECOND, ends=lambda spec: BAD if spec["attempt"] == 1 else GOOD)
    assert desk.ledger()[:3] == ["1 failed", "1 canceled/replaced #2", "2 failed"]


def test_a_queued_run_that_waits_longer_than_its_grace_is_skipped(house: House) -> None:
    desk = house.open(a_job(concurrency="queue", misfire_grace=20 * SECOND))
    live(desk, 4 * MINUTE + 30 * SECOND, takes=90 * SECOND)
    assert desk.ledger() == ["1 succeeded", "2 skipped/grace", "3 succeeded", "4 skipped/grace"]


@pytest.mark.parametrize("end", ["replaced", "disabled"])
def test_hooks_hear_of_a_chain_that_ends_while_it_waits(house: House, end: str) -> None:
    hooks = {"on_finish": ":done", "on_skip": ":skipped"}
    desk = house.open(a_job(concurrency="replace", retries=Retries(max=1, delay=HOUR), hooks=hooks))
    live(desk, 90 * SECOND, ends=lambda _: BAD)
    if end == "disabled":
        desk.store.set_enabled(desk.facts().id, False, "ana", house.clock.now())
    live(desk, 40 * SECOND, takes=HOUR)
    assert desk.hooks()[0] == f"on_finish canceled {end}"


def test_hooks_hear_of_a_run_that_is_given_up(house: House) -> None:
    desk = house.open(a_job(misfire_grace=3 * SECOND, hooks={"on_skip": ":skipped"}), slots=0)
    live(desk, 70 * SECOND)
    assert desk.hooks() == ["on_skip skipped grace"]


# --- misfire ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("misfire", "grace", "ledger"),
    [
        ("once", None, ["1 skipped/missed", "2 skipped/missed", "3 succeeded", "4 succeeded"]),
        ("skip", None, ["1 skipped/missed", "2 skipped/missed", "3 skipped/missed", "4 succeeded"]),
        ("all", None, ["1 succeeded", "2 succeeded", "3 succeeded", "4 succeeded"]),
        ("once", 20, ["1 skipped/missed", "2 skipped/missed", "3 skipped/grace", "4 succeeded"]),
        ("once", 40, ["1 skipped/missed", "2 skipped/missed", "3 succeeded", "4 succeeded"]),
        ("skip", 40, ["1 skipped/missed", "2 skipped/missed", "3 skipped/missed", "4 succeeded"]),
        ("all", 20, ["1 skipped/grace", "2 skipped/grace", "3 skipped/grace", "4 succeeded"]),
        ("all", 100, ["1 skipped/grace", "2 succeeded", "3 succeeded", "4 succeeded"]),
    ],
)
@pytest.mark.parametrize("how", ["restart", "busy loop", "clock"])
def test_what_was_not_looked_at_in_time_meets_its_misfire_policy(
    house: House, how: str, misfire: str, grace: int | None, ledger: list[str]
) -> None:
    job = a_job(misfire=misfire, misfire_grace=None if grace is None else grace * SECOND)
    desk = house.open(job)
    live(desk, 30 * SECOND)
    if how == "restart":
        house.kill(desk)
    if how == "clock":
        house.clock.wall += 3 * MINUTE
    else:
        house.clock.advance(3 * MINUTE)
    if how == "restart":
        desk = house.open(job)
    desk.tick()
    live(desk, 45 * SECOND, takes=2 * SECOND)
    assert desk.ledger() == ledger
    ran = [float(line.split()[0]) for line in ledger if "succeeded" in line]
    assert desk.bodies() == ran
    assert desk.facts().executions == len(ran)


@pytest.mark.parametrize("concurrency", POLICIES)
def test_misfire_all_runs_one_after_another_oldest_first_whatever_the_concurrency(
    house: House, concurrency: str
) -> None:
    desk = house.open(a_job(misfire="all", concurrency=concurrency))
    house.clock.advance(4 * MINUTE + 10 * SECOND)
    most = 0
    for _ in range(300):
        live(desk, SECOND, takes=20 * SECOND)
        most = max(most, len(desk.runs("running")))
        if not desk.runs("pending", "running"):
            break
    assert most == 1
    assert desk.ledger() == all_good(1, 2, 3, 4, 5)
    assert desk.bodies() == [1, 2, 3, 4, 5]


def test_misfire_all_runs_the_newest_hundred_and_counts_the_others_as_missed(house: House) -> None:
    desk = house.open(a_job(misfire="all"), slots=1)
    house.clock.advance(350 * MINUTE + 10 * SECOND)
    live(desk, 30 * SECOND, step=100_000)
    assert desk.ledger() == ["1 skipped/missed x250", *all_good(*range(251, 351))]


def test_misfire_all_never_starts_more_often_than_it_may(house: House) -> None:
    desk = house.open(a_job(misfire="all", number_of_executions=3))
    house.clock.advance(10 * MINUTE + 10 * SECOND)
    live(desk, 2 * MINUTE, takes=SECOND)
    assert desk.ledger() == all_good(1, 2, 3)
    assert desk.facts().executions == 3


def test_what_falls_due_in_a_sleep_is_recorded_as_asleep(house: House) -> None:
    desk = house.open(a_job())
    live(desk, 90 * SECOND)
    house.clock.advance(5 * MINUTE)
    desk.scheduler.slept = NOON + 90 * SECOND, NOON + 90 * SECOND + 4 * MINUTE
    live(desk, 10 * SECOND)
    assert desk.ledger() == [
        "1 succeeded", *(f"{minute} skipped/asleep" for minute in (2, 3, 4, 5)), "6 succeeded",
    ]  # fmt: skip


def test_a_sleep_through_everything_is_the_reason_where_nothing_runs_late(house: House) -> None:
    desk = house.open(a_job(misfire="skip"))
    house.clock.advance(150 * SECOND)
    desk.scheduler.slept = NOON, NOON + 150 * SECOND
    live(desk, 5 * SECOND)
    assert desk.ledger() == ["1 skipped/asleep", "2 skipped/asleep"]


def test_a_run_pending_from_before_an_outage_counts_among_the_missed(house: House) -> None:
    job = a_job()
    first = house.open(job, slots=0)
    live(first, 61 * SECOND)
    assert first.ledger() == ["1 pending"]
    dead = house.kill(first)
    house.clock.advance(3 * MINUTE)
    second = house.open(job, dead=[dead])
    live(second, 10 * SECOND)
    assert second.ledger() == ["1 skipped/missed", "2 skipped/missed", "3 skipped/missed", "4 succeeded"]


def test_of_several_pending_from_before_an_outage_the_newest_makes_up_for_all(house: House) -> None:
    job = a_job(concurrency="allow")
    first = house.open(job, slots=0)
    live(first, 130 * SECOND)
    assert first.ledger() == ["1 pending", "2 pending"]
    dead = house.kill(first)
    house.clock.advance(20 * SECOND)
    second = house.open(job, dead=[dead])
    live(second, 5 * SECOND)
    assert second.ledger() == ["1 skipped/missed", "2 succeeded"]


# --- retries ------------------------------------------------------------------------------------

PERMANENT = BAD._replace(error={**ERROR, "permanent": True})
SHUTDOWN = Outcome(state="canceled", reason="shutdown")
ONCE, REPEATED = "at-most-once", "at-least-once"


@pytest.mark.parametrize(
    ("outcome", "delivery", "retries", "attempts"),
    [
        (GOOD, ONCE, 3, 1), (GOOD, REPEATED, 3, 1),
        (BAD, ONCE, 0, 1), (BAD, ONCE, 2, 3), (BAD, REPEATED, 0, 1), (BAD, REPEATED, 2, 3),
        (BAD._replace(state="timed_out"), ONCE, 2, 3), (BAD._replace(state="timed_out"), REPEATED, 2, 3),
        (PERMANENT, ONCE, 2, 1), (PERMANENT, REPEATED, 2, 1),
        (Outcome(state="skipped", reason="body"), ONCE, 2, 1),
        (Outcome(state="skipped", reason="body"), REPEATED, 2, 1),
        (Outcome(state="canceled"), ONCE, 2, 1), (Outcome(state="canceled"), REPEATED, 2, 1),
        (CRASH, ONCE, 2, 1), (CRASH, REPEATED, 2, 3), (CRASH, REPEATED, 0, 4),
        (SHUTDOWN, ONCE, 2, 1), (SHUTDOWN, REPEATED, 2, 3), (SHUTDOWN, REPEATED, 0, 4),
    ],
)  # fmt: skip
def test_a_run_is_tried_again_as_often_as_its_outcome_and_its_delivery_allow(
    house: House, outcome: Outcome, delivery: str, retries: int, attempts: int
) -> None:
    desk = house.open(a_job(schedule="*/10 * * * *", retries=Retries(max=retries), delivery=delivery))
    live(desk, 11 * MINUTE, ends=lambda _: outcome)
    said = outcome.state + (f"/{outcome.reason}" if outcome.reason else "")
    assert desk.ledger() == [f"10 {said}" + (f" #{n}" if n > 1 else "") for n in range(1, attempts + 1)]
    assert [spec["attempt"] for spec in desk.executor.started] == list(range(1, attempts + 1))
    assert len({run.root_id for run in desk.runs()}) == 1
    assert desk.facts().executions == 1, "only the first attempt counts"
    assert desk.facts().consecutive_failures == (outcome.state in ("failed", "timed_out"))
    assert len(desk.said(Retrying)) == attempts - 1


@pytest.mark.parametrize(
    ("delivery", "retries", "losses", "last"),
    [(ONCE, 3, 1, "lost"), (REPEATED, 0, 4, "lost #4"), (REPEATED, 1, 2, "lost #2"),
     (REPEATED, 0, 2, "succeeded #3")],
)  # fmt: skip
def test_a_run_whose_node_died_is_repeated_only_where_it_may_start_twice(
    house: House, delivery: str, retries: int, losses: int, last: str
) -> None:
    job = a_job(schedule="0 13 * * *", delivery=delivery, retries=Retries(max=retries))
    desk = house.open(job)
    live(desk, HOUR, takes=HOUR, step=MINUTE)
    for _ in range(losses):
        assert desk.runs("running")
        desk = house.open(job, dead=[house.kill(desk)])
        live(desk, 3 * SECOND, takes=HOUR)
    live(desk, 10 * SECOND)
    assert desk.ledger()[-1] == f"60 {last}"
    assert desk.facts().executions == 1
    assert desk.facts().consecutive_failures == ("lost" in last)


def test_a_success_after_failed_attempts_is_the_chains_outcome(house: House) -> None:
    desk = house.open(a_job(retries=Retries(max=3)))
    live(desk, 70 * SECOND, ends=lambda spec: GOOD if spec["attempt"] == 3 else BAD)
    assert desk.ledger() == ["1 failed", "1 failed #2", "1 succeeded #3"]
    assert (desk.facts().last_state, desk.facts().consecutive_failures) == ("succeeded", 0)


@pytest.mark.parametrize(
    ("retries", "seconds"),
    [
        (Retries(max=3, delay=5 * SECOND), [60, 65, 70, 75]),
        (Retries(max=3, delay=5 * SECOND, backoff="exponential"), [60, 65, 75, 95]),
        (
            Retries(max=3, delay=5 * SECOND, backoff="exponential", max_delay=7 * SECOND),
            [60, 65, 72, 79],
        ),
    ],
)
def test_attempts_follow_each_other_after_the_delay_that_was_asked_for(
    house: House, retries: Retries, seconds: list[int]
) -> None:
    desk = house.open(a_job(schedule="1 * * * *", retries=retries))
    live(desk, 2 * MINUTE, ends=lambda _: BAD)
    assert [(spec["startedAt"] - NOON) // SECOND for spec in desk.executor.started] == seconds


@pytest.mark.parametrize(("concurrency", "second"), [("forbid", "2 skipped/overlap"), ("queue", "2 pending")])
def test_a_chain_that_waits_for_its_next_attempt_occupies_its_job(
    house: House, concurrency: str, second: str
) -> None:
    desk = house.open(a_job(concurrency=concurrency, retries=Retries(max=1, delay=90 * SECOND)))
    live(desk, 2 * MINUTE + 10 * SECOND, ends=lambda _: BAD)
    assert desk.ledger() == ["1 failed", "1 pending #2", second]


def test_a_retry_outlives_its_node(house: House) -> None:
    job = a_job(schedule="1 13 * * *", retries=Retries(max=1, delay=MINUTE))
    first = house.open(job)
    live(first, 61 * MINUTE + 5 * SECOND, ends=lambda _: BAD)
    first.leave()
    second = house.open(job)
    live(second, 2 * MINUTE)
    assert second.ledger() == ["61 failed", "61 succeeded #2"]


def test_a_retry_given_by_a_clock_that_was_wrong_by_years_does_not_block_its_job(house: House) -> None:
    house.clock.wall += 3650 * DAY
    desk = house.open(a_job(retries=Retries(max=1, delay=MINUTE)))
    live(desk, 61 * SECOND, ends=lambda _: BAD)
    house.clock.wall -= 3650 * DAY
    desk.scheduler.stale = True
    live(desk, 3 * MINUTE)
    assert desk.runs("pending") == []
    assert len(desk.bodies()) >= 4, "the waiting attempt, and all that came due since"


# --- stopOnError --------------------------------------------------------------------------------


@pytest.mark.parametrize("allowed", [1, 3])
def test_after_so_many_failures_in_a_row_a_job_is_disabled_and_says_why(house: House, allowed: int) -> None:
    desk = house.open(a_job(stop_on_error=allowed))
    live(desk, 5 * MINUTE + SECOND, ends=lambda _: BAD)
    failed = [f"{minute} failed" for minute in range(1, allowed + 1)]
    skipped = [f"{minute} skipped/disabled" for minute in range(allowed + 1, 6)]
    assert desk.ledger() == failed + skipped
    facts = desk.facts()
    reason = "after a failure" if allowed == 1 else "after 3 failures in a row"
    assert (facts.enabled_override, facts.enabled_reason) == (False, reason)
    assert len(desk.said(JobDisabled)) == 1
    desk.store.set_enabled(facts.id, True, None, house.clock.now())
    assert desk.facts().consecutive_failures == 0
    live(desk, MINUTE)
    assert desk.ledger()[-1] == "6 succeeded"


@pytest.mark.parametrize(
    "outcome",
    [Outcome(state="canceled"), Outcome(state="skipped", reason="body"), SHUTDOWN, GOOD],
)
def test_what_is_no_failure_disables_nothing(house: House, outcome: Outcome) -> None:
    desk = house.open(a_job(stop_on_error=1))
    live(desk, 3 * MINUTE, ends=lambda _: outcome)
    assert desk.facts().enabled_override is None
    assert len(desk.bodies()) == 3


def test_a_success_between_failures_begins_the_count_anew(house: House) -> None:
    desk = house.open(a_job(stop_on_error=2))
    live(desk, 5 * MINUTE, ends=lambda spec: GOOD if desk_minute(spec) % 2 else BAD)
    assert desk.facts().enabled_override is None
    assert len(desk.bodies()) == 5


def test_attempts_of_one_chain_are_one_failure(house: House) -> None:
    desk = house.open(a_job(stop_on_error=2, retries=Retries(max=3)))
    live(desk, 70 * SECOND, ends=lambda _: BAD)
    assert (len(desk.bodies()), desk.facts().consecutive_failures) == (4, 1)
    assert desk.facts().enabled_override is None


def test_a_loss_counts_against_stop_on_error_though_its_node_is_gone(house: House) -> None:
    job = a_job(stop_on_error=1)
    first = house.open(job)
    live(first, 61 * SECOND, takes=HOUR)
    second = house.open(job, dead=[house.kill(first)])
    live(second, MINUTE)
    assert second.ledger() == ["1 lost", "2 skipped/disabled"]


def desk_minute(spec: Any) -> int:
    return int((spec["scheduledFor"] - NOON) // MINUTE)


# --- numberOfExecutions -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "ends", "ledger"),
    [
        ({}, lambda _: GOOD, all_good(1, 2)),
        ({}, lambda _: BAD, ["1 failed", "2 failed"]),
        ({}, lambda _: Outcome(state="skipped", reason="body"), ["1 skipped/body", "2 skipped/body"]),
        (
            {"retries": Retries(max=1)},
            lambda _: BAD,
            ["1 failed", "1 failed #2", "2 failed", "2 failed #2"],
        ),
        ({"concurrency": "allow"}, lambda _: GOOD, all_good(1, 2)),
        ({"concurrency": "queue"}, lambda _: GOOD, all_good(1, 2)),
        ({"concurrency": "replace"}, lambda _: GOOD, all_good(1, 2)),
    ],
)
def test_a_job_starts_by_its_schedule_as_often_as_it_may_and_no_more(
    house: House, fields: dict[str, Any], ends: Ends, ledger: list[str]
) -> None:
    desk = house.open(a_job(number_of_executions=2, **fields))
    live(desk, 5 * MINUTE, ends=ends)
    assert desk.ledger() == ledger
    assert desk.facts().executions == 2


@pytest.mark.parametrize("concurrency", POLICIES)
def test_skips_and_waits_use_up_no_execution(house: House, concurrency: str) -> None:
    desk = house.open(a_job(number_of_executions=2, concurrency=concurrency))
    live(desk, 9 * MINUTE, takes=90 * SECOND)
    ran = [run for run in desk.runs() if run.started_at is not None]
    assert len(ran) == len(desk.bodies()) == desk.facts().executions == 2
    assert desk.runs("pending", "running") == []


# --- jitter, priority, groups -------------------------------------------------------------------


def test_a_jittered_job_starts_its_own_part_later_and_speaks_of_the_nominal_moment(house: House) -> None:
    desk = house.open(a_job(offset=20 * SECOND))
    live(desk, 2 * MINUTE + 30 * SECOND)
    assert desk.ledger() == all_good(1, 2)
    assert [spec["startedAt"] - NOON for spec in desk.executor.started] == [80 * SECOND, 140 * SECOND]


def test_lateness_counts_from_the_jittered_moment(house: House) -> None:
    desk = house.open(a_job(offset=20 * SECOND, misfire="skip", misfire_grace=3 * SECOND))
    house.clock.advance(82 * SECOND)
    desk.tick()
    desk.end_bodies(0, lambda _: GOOD)
    house.clock.advance(66 * SECOND)
    desk.tick()
    assert desk.ledger() == ["1 succeeded", "2 skipped/missed"]


def test_of_what_waits_for_a_slot_the_more_urgent_starts_first(house: House) -> None:
    jobs = [a_job("low", priority=-1), a_job("normal"), a_job("high", priority=1)]
    desk = house.open(*jobs, slots=1)
    live(desk, 70 * SECOND, takes=SECOND)
    assert [spec["job"] for spec in desk.executor.started] == ["high", "normal", "low"]


def test_a_low_one_that_has_waited_long_enough_goes_before_a_newer_high_one(house: House) -> None:
    jobs = [a_job("low", "1 * * * *", priority=-1), a_job("high", priority=1, concurrency="allow")]
    desk = house.open(*jobs, slots=1)
    live(desk, 10 * MINUTE, takes=65 * SECOND)
    started = [spec["job"] for spec in desk.executor.started]
    assert started[0] == "high"
    assert started.index("low") <= 3


def test_no_more_of_a_group_run_at_once_than_it_allows_over_all_nodes(house: House) -> None:
    jobs = [a_job(f"job-{n}", group="db", group_limit=2) for n in range(5)] + [a_job("free")]
    nodes = [house.open(*jobs), house.open(*jobs)]
    most = 0
    for _ in range(110):
        live(nodes, SECOND, takes=10 * SECOND)
        most = max(most, sum(run.group == "db" for run in nodes[0].runs("running")))
    assert most == 2
    assert nodes[0].ledger() == ["1 succeeded"] * 6
    assert len(nodes[0].bodies()) + len(nodes[1].bodies()) == 6


def test_a_run_of_a_group_that_its_job_has_left_starts(house: House) -> None:
    grouped = a_job(group="db", group_limit=1, retries=Retries(max=1, delay=30 * SECOND))
    desk = house.open(grouped)
    live(desk, 70 * SECOND, ends=lambda _: BAD)
    desk.adopt(grouped._replace(group=None, group_limit=None, hash="without"))
    live(desk, 40 * SECOND)
    assert desk.ledger() == ["1 failed", "1 succeeded #2"]


# --- several machines, environments -------------------------------------------------------------


def test_each_machine_runs_each_occurrence_and_counts_for_itself(house: House) -> None:
    job = a_job(run_per_machine=True, number_of_executions=3)
    one, two = house.open(job, machine="m1"), house.open(job, machine="m2")
    live([one, two], 2 * MINUTE + 10 * SECOND)
    assert (one.bodies(), two.bodies()) == ([1, 2], [1, 2])
    house.kill(two)
    live(one, 3 * MINUTE)
    assert one.bodies() == [1, 2, 3]
    assert one.store.executions_by_machine(one.facts().id) == {"m1": 3, "m2": 2}
    assert one.facts().executions == 3


def test_a_busy_machine_skips_for_itself_alone(house: House) -> None:
    job = a_job(run_per_machine=True)
    one, two = house.open(job, machine="m1"), house.open(job, machine="m2")
    for _ in range(130):
        house.clock.advance(SECOND)
        for desk, takes in ((one, HOUR), (two, SECOND)):
            desk.tick()
            desk.end_bodies(takes, lambda _: GOOD)
            desk.tick()
    rows = [(run.scope, run.state, run.reason) for run in one.runs()]
    assert sorted(rows, key=str) == [
        ("m1", "running", None), ("m1", "skipped", "overlap"),
        ("m2", "succeeded", None), ("m2", "succeeded", None),
    ]  # fmt: skip


def test_a_machine_where_it_may_not_run_keeps_its_own_record(house: House) -> None:
    job = a_job(run_per_machine=True, environments=("prod",))
    dev = house.open(job, machine="m1")
    prod = house.open(job, machine="m2", environ={"JOBRUNNER_ENV": "prod"})
    live([dev, prod], 70 * SECOND)
    rows = [(run.scope, run.state, run.reason) for run in dev.runs()]
    assert sorted(rows, key=str) == [("m1", "skipped", "environment"), ("m2", "succeeded", None)]


def test_a_node_elsewhere_gives_up_nothing_that_another_may_run(house: House) -> None:
    job = a_job(environments=("prod",), concurrency="queue")
    prod = house.open(job, environ={"JOBRUNNER_ENV": "prod"})
    dev = house.open(job)
    live([prod, dev], 5 * MINUTE + 30 * SECOND, takes=70 * SECOND)
    assert dev.bodies() == []
    assert "skipped/environment" not in " ".join(dev.ledger())
    assert prod.bodies() == [1, 2, 3, 4]


def test_start_and_end_bound_what_is_due(house: House) -> None:
    desk = house.open(a_job(start_at=NOON + 2 * MINUTE, end_at=NOON + 3 * MINUTE))
    live(desk, 6 * MINUTE)
    assert desk.ledger() == all_good(2, 3)


def test_what_was_due_before_the_end_still_runs_late_after_it(house: House) -> None:
    desk = house.open(a_job(end_at=NOON + 2 * MINUTE))
    house.clock.advance(HOUR)
    live(desk, 5 * SECOND)
    assert desk.ledger() == ["1 skipped/missed", "2 succeeded"]


# --- paused and disabled ------------------------------------------------------------------------


def test_a_pause_skips_crons_lets_retries_wait_and_ends_what_was_pending(house: House) -> None:
    jobs = [a_job(), a_job("fails", "1 * * * *", retries=Retries(max=1, delay=30 * SECOND)),
            a_job("waits", "1 * * * *")]  # fmt: skip
    desk = house.open(*jobs, slots=2)
    other = house.open(*jobs, slots=0)
    live(desk, 60 * SECOND, ends=lambda spec: BAD if spec["job"] == "fails" else GOOD, takes=0)
    desk.executor.slots = 0
    other.store.pause("ana", None, house.clock.now())
    desk.executor.slots = 2
    live(desk, 90 * SECOND)
    assert desk.ledger("job") == ["1 succeeded", "2 skipped/paused"]
    assert desk.ledger("fails") == ["1 failed", "1 pending #2"]
    other.store.resume(house.clock.now())
    live(desk, 40 * SECOND)
    assert desk.ledger("job") == ["1 succeeded", "2 skipped/paused", "3 succeeded"]
    assert desk.ledger("fails") == ["1 failed", "1 succeeded #2"]


@pytest.mark.parametrize("what", ["paused", "disabled"])
def test_a_first_attempt_that_is_pending_is_skipped_when_its_job_is_shut(house: House, what: str) -> None:
    desk = house.open(a_job("job", "1 * * * *"), slots=0)
    other = house.open(slots=0)
    live(desk, 61 * SECOND)
    assert desk.ledger() == ["1 pending"]
    if what == "paused":
        other.store.pause("ana", None, house.clock.now())
    else:
        other.store.set_enabled(desk.facts().id, False, "ana", house.clock.now())
    live(desk, 2 * SECOND)
    assert desk.ledger() == [f"1 skipped/{what}"]


def test_only_jobs_that_are_shut_or_have_a_grace_are_looked_through_each_second(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = house.open(
        a_job("free"), a_job("graced", misfire_grace=HOUR), a_job("off", enabled=False), slots=0
    )
    live(desk, 61 * SECOND)
    names = {desk.facts(name).id: name for name in ("free", "graced", "off")}
    asked: list[set[str]] = []

    def look(job_ids: Collection[int] | None = None) -> list[Run]:
        asked.append(set(names.values()) if job_ids is None else {names[each] for each in job_ids})
        return []

    monkeypatch.setattr(desk.store, "waiting_runs", look)
    desk.look()
    assert asked == [{"graced", "off"}]
    desk.adopt(a_job("free"), a_job("graced"), a_job("off"))
    desk.look()
    assert asked == [{"graced", "off"}]


def _work_of_a_look(desk: Desk) -> int:
    """Return how many calls a look makes, of Python and of C."""
    calls = [0]

    def count(_frame: object, event: str, _argument: object) -> None:
        calls[0] += event in ("call", "c_call")

    desk.look()
    sys.setprofile(count)
    try:
        desk.look()
    finally:
        sys.setprofile(None)
    return calls[0]


def test_a_look_at_which_nothing_waits_is_no_more_work_with_more_jobs(house: House) -> None:
    desk = house.open(*(a_job(f"job-{i}", misfire_grace=HOUR) for i in range(60)))
    few = _work_of_a_look(desk)
    desk.adopt(*(a_job(f"job-{i}", misfire_grace=HOUR) for i in range(1_000)))
    assert _work_of_a_look(desk) < few + 50


def test_disabling_ends_waiting_retries_and_records_what_is_due(house: House) -> None:
    desk = house.open(a_job(retries=Retries(max=1, delay=10 * MINUTE)))
    other = house.open(slots=0)
    live(desk, 61 * SECOND, ends=lambda _: BAD)
    other.store.set_enabled(desk.facts().id, False, "ana", house.clock.now())
    live(desk, MINUTE)
    assert desk.ledger() == ["1 failed", "1 canceled/disabled #2", "2 skipped/disabled"]
    assert desk.facts().last_state == "canceled"


@pytest.mark.parametrize(
    ("in_file", "said", "runs"),
    [(True, None, True), (False, None, False), (True, False, False), (False, True, True)],
)
def test_what_people_say_of_enabled_wins_over_the_file(
    house: House, in_file: bool, said: bool | None, runs: bool
) -> None:
    desk = house.open(a_job(enabled=in_file))
    desk.store.set_enabled(desk.facts().id, said, None, house.clock.now())
    live(desk, 61 * SECOND)
    assert desk.ledger() == ["1 succeeded" if runs else "1 skipped/disabled"]


def test_a_job_disabled_by_its_own_node_ends_its_retries(house: House) -> None:
    ends = {1: BAD, 2: PERMANENT}
    desk = house.open(a_job(concurrency="allow", stop_on_error=1, retries=Retries(max=1, delay=10 * MINUTE)))
    live(desk, 3 * MINUTE + SECOND, ends=lambda spec: ends[desk_minute(spec)])
    assert desk.ledger() == ["1 failed", "1 canceled/disabled #2", "2 failed", "3 skipped/disabled"]


# --- reset, rename, edits -----------------------------------------------------------------------


def test_a_reset_job_runs_as_often_again(house: House) -> None:
    desk = house.open(a_job(number_of_executions=1))
    live(desk, 3 * MINUTE + SECOND)
    assert desk.ledger() == all_good(1)
    desk.store.reset(desk.facts().id, house.clock.now(), schedule=True)
    live(desk, 2 * MINUTE)
    assert desk.ledger() == all_good(1, 4)
    assert desk.facts().executions == 1


def test_a_reset_starts_nothing_that_would_have_been_due_while_the_job_was_finished(house: House) -> None:
    desk = house.open(a_job(number_of_executions=1))
    live(desk, 3 * MINUTE + SECOND)
    desk.store.reset(desk.facts().id, house.clock.now())
    live(desk, MINUTE)
    assert desk.ledger() == ["1 succeeded", "4 succeeded"]


def test_a_raised_limit_starts_nothing_that_would_have_been_due_while_the_job_was_finished(
    house: House,
) -> None:
    desk = house.open(a_job(number_of_executions=1))
    live(desk, 3 * MINUTE + SECOND)
    desk.adopt(a_job(number_of_executions=2, hash="raised"))
    live(desk, 2 * MINUTE)
    assert desk.ledger() == ["1 succeeded", "4 succeeded"]


def test_an_occurrence_of_which_any_attempt_is_on_record_is_never_planned_again(house: House) -> None:
    wrong = house.clock.wall + 2 * DAY
    right, house.clock.wall = house.clock.wall, wrong
    desk = house.open(a_job(retries=Retries(max=1, delay=0)))
    live(desk, MINUTE + SECOND, ends=lambda spec: BAD if spec["attempt"] == 1 else GOOD)
    with desk.store.transaction():
        desk.store._db.rows("DELETE FROM runs WHERE attempt = 1")  # type: ignore[attr-defined]
    house.clock.wall = right
    desk.scheduler.load(house.clock.now())
    house.clock.wall = wrong + MINUTE + SECOND
    live(desk, 5 * SECOND)
    assert [run.attempt for run in desk.runs() if run.scheduled_for == wrong + MINUTE] == [2]


@pytest.mark.parametrize("concurrency", ["queue", "replace"])
def test_beside_a_forced_run_nothing_starts_by_schedule(house: House, concurrency: str) -> None:
    job = a_job(concurrency=concurrency)
    desk = house.open(job)
    with desk.store.transaction():
        job_id = desk.store.enroll(job, house.clock.now())
        desk.store.run_here(job_id, job, desk.me, 7, {}, identity="ana", force=True, now=house.clock.now())
    live(desk, 2 * MINUTE + SECOND)
    assert [run.trigger for run in desk.runs() if run.started_at is not None] == ["manual"]


def test_history_count_and_cursor_follow_a_renamed_job_and_nothing_fires_twice(house: House) -> None:
    old = a_job("old", number_of_executions=3, hash="old")
    new = a_job("new", number_of_executions=3, hash="new", former_names=("old",))
    first = house.open(old)
    live(first, MINUTE)
    second = house.open(new)
    live([first, second], 4 * MINUTE)
    assert [facts.name for facts in second.store.jobs()] == ["new"]
    assert second.ledger("new") == all_good(1, 2, 3)
    assert (first.bodies(), second.bodies()) == ([1], [2, 3])
    assert second.facts("new").executions == 3


def test_a_node_that_has_a_run_of_the_old_name_records_its_end(house: House) -> None:
    old = a_job("old", hash="old", retries=Retries(max=1))
    first = house.open(old)
    live(first, MINUTE, takes=HOUR)
    second = house.open(old._replace(name="new", hash="new", former_names=("old",)))
    live([first, second], 10 * SECOND, ends=lambda spec: BAD if spec["attempt"] == 1 else GOOD)
    assert second.ledger("new") == ["1 failed", "1 succeeded #2"]


def test_a_reset_counts_from_then_on_also_where_a_clock_had_been_ahead(house: House) -> None:
    desk = house.open(a_job())
    right = house.clock.wall
    house.clock.wall += 2 * HOUR
    live(desk, 3 * MINUTE)
    house.clock.wall = right
    with desk.store.transaction():
        desk.store.reset(desk.facts().id, right, schedule=True)
        desk.store.note("ana", "reset", "job", reset_detail(desk.store), right)
    assert problems(desk) == []
    live(desk, 3 * MINUTE)
    assert problems(desk) == []
    desk.store._db.rows("UPDATE cursors SET executions = 1")  # type: ignore[attr-defined]
    assert problems(desk) == ["job counts 1 executions, and 3 are in its history"]


def problems(desk: Desk) -> list[str]:
    with movable(desk.store).reading() as reading:
        return list(reading.problems())


def test_a_run_of_a_job_that_is_renamed_meanwhile_is_tried_again_as_that_job_says(house: House) -> None:
    old = a_job("old", hash="old", retries=Retries(max=1))
    desk = house.open(old)
    live(desk, MINUTE, takes=HOUR)
    desk.adopt(old._replace(name="new", hash="new", former_names=("old",)))
    live(desk, 10 * SECOND, ends=lambda spec: BAD if spec["attempt"] == 1 else GOOD)
    assert desk.ledger("new") == ["1 failed", "1 succeeded #2"]


def test_when_the_renaming_node_goes_the_old_name_is_back(house: House) -> None:
    old = a_job("old", hash="old")
    first = house.open(old)
    second = house.open(old._replace(name="new", hash="new", former_names=("old",)))
    live([first, second], MINUTE)
    second.leave()
    live(first, MINUTE)
    assert first.ledger("old") == all_good(1, 2)


@pytest.mark.parametrize(
    "edit", [{"schedule": "*/2 * * * *"}, {"timezone": "Asia/Kolkata"}, {"schedule": "every 1m"}]
)
def test_nothing_before_an_edit_is_due_by_the_new_schedule(house: House, edit: dict[str, Any]) -> None:
    old = a_job(number_of_executions=9)
    desk = house.open(old)
    live(desk, 90 * SECOND)
    house.kill(desk)
    house.clock.advance(10 * MINUTE)
    desk = house.open(a_job(number_of_executions=9, hash="new", **edit))
    live(desk, 3 * MINUTE)
    later = [float(line.split()[0]) for line in desk.ledger()[1:]]
    assert desk.ledger()[0] == "1 succeeded"
    assert later and min(later) > 11.5
    assert desk.facts().executions == len(later) + 1, "the count stays"


def test_an_edit_while_the_node_runs_begins_anew_and_repeats_nothing(house: House) -> None:
    desk = house.open(a_job())
    live(desk, 2 * MINUTE)
    desk.adopt(a_job(schedule="*/2 * * * *", hash="new"))
    live(desk, 3 * MINUTE)
    assert desk.ledger() == all_good(1, 2, 4)


def test_an_edit_that_leaves_the_schedule_alone_loses_no_occurrence(house: House) -> None:
    desk = house.open(a_job())
    live(desk, 90 * SECOND)
    house.kill(desk)
    house.clock.advance(2 * MINUTE)
    desk = house.open(a_job(hash="new"))
    live(desk, MINUTE)
    assert desk.ledger() == ["1 succeeded", "2 skipped/missed", "3 succeeded", "4 succeeded"]


# --- files that are broken or gone --------------------------------------------------------------


def test_what_falls_due_while_a_file_is_broken_is_recorded(house: House) -> None:
    job = a_job()
    desk = house.open(job)
    live(desk, 61 * SECOND)
    desk.adopt(broken=[job])
    live(desk, MINUTE)
    desk.adopt(job)
    live(desk, MINUTE)
    assert desk.ledger() == ["1 succeeded", "2 skipped/broken-file", "3 succeeded"]


def test_a_node_whose_file_is_whole_runs_the_job_meanwhile(house: House) -> None:
    job = a_job(concurrency="queue")
    whole = house.open(job)
    broken = house.open(broken=[job])
    live([broken, whole], 3 * MINUTE + 30 * SECOND, takes=70 * SECOND)
    assert whole.bodies() == [1, 2, 3]
    assert "broken-file" not in " ".join(whole.ledger())
    assert broken.bodies() == []


def test_a_run_that_waits_for_a_job_without_a_file_ends_as_orphan(house: House) -> None:
    first = house.open(a_job(), slots=0)
    live(first, 61 * SECOND)
    first.leave()
    second = house.open(a_job("another"))
    live(second, 10 * SECOND)
    assert second.ledger("job") == ["1 skipped/orphan"]


def test_a_retry_that_waits_for_a_job_without_a_file_ends_its_chain(house: House) -> None:
    first = house.open(a_job(retries=Retries(max=1, delay=HOUR)))
    live(first, 61 * SECOND, ends=lambda _: BAD)
    first.leave()
    second = house.open(a_job("another"))
    live(second, 10 * SECOND)
    assert second.ledger("job") == ["1 failed", "1 canceled/orphan #2"]
    assert second.facts().last_state == "canceled"


def test_a_job_without_a_file_is_due_no_more(house: House) -> None:
    desk = house.open(a_job())
    live(desk, 61 * SECOND)
    desk.adopt()
    live(desk, 3 * MINUTE)
    assert desk.ledger() == all_good(1)


# --- kinds of schedules -------------------------------------------------------------------------


def test_what_several_schedules_name_together_is_due_once(house: House) -> None:
    desk = house.open(a_job(schedule=["*/2 * * * *", "*/3 * * * *"], config={}))
    live(desk, 6 * MINUTE + SECOND)
    assert desk.ledger() == all_good(2, 3, 4, 6)


def test_an_interval_keeps_its_grid_over_a_restart(house: House) -> None:
    job = a_job(schedule="every 90s")
    first = house.open(job)
    live(first, 100 * SECOND)
    first.leave()
    house.clock.advance(30 * SECOND)
    second = house.open(job)
    live(second, 150 * SECOND)
    assert second.ledger() == all_good(1.5, 3, 4.5)


def test_an_interval_after_the_end_counts_from_the_end_of_the_chain(house: House) -> None:
    desk = house.open(a_job(schedule="every 1m after end"))
    live(desk, 6 * MINUTE, takes=60 * SECOND)
    assert desk.ledger() == all_good(1, 3, 5)


def test_an_interval_after_the_end_counts_from_the_last_attempt(house: House) -> None:
    desk = house.open(a_job(schedule="every 1m after end", retries=Retries(max=1, delay=30 * SECOND)))
    live(desk, 3 * MINUTE, ends=lambda spec: BAD if spec["attempt"] == 1 else GOOD)
    assert desk.ledger() == ["1 failed", "1 succeeded #2", "2.5 failed", "2.5 succeeded #2"]


def test_nothing_comes_after_the_end_of_a_run_that_has_not_ended_not_even_a_skip(house: House) -> None:
    desk = house.open(a_job(schedule="every 1m after end"))
    live(desk, 61 * SECOND, takes=HOUR)
    desk.store.pause("ana", None, house.clock.now())
    live(desk, 5 * MINUTE, takes=HOUR)
    assert desk.ledger() == ["1 running"]
    desk.store.resume(house.clock.now())
    live(desk, 2 * MINUTE)
    assert [line.split()[1] for line in desk.ledger()] == ["succeeded", "succeeded"]


# --- clock changes ------------------------------------------------------------------------------

BERLIN = {"timezone": "Europe/Berlin"}
EVE = from_iso("2027-03-27T22:00:00Z")  # 23:00 in Berlin; the gap is 01:00Z to 02:00Z local 02:00-03:00


@pytest.mark.parametrize(("gap", "expected"), [("run-after", "succeeded None"), ("skip", "skipped dst")])
def test_a_time_in_a_gap_runs_after_it_or_is_skipped_and_recorded(
    house: House, gap: str, expected: str
) -> None:
    house.clock.wall = EVE
    desk = house.open(_in_gap("30 2 * * *", gap))
    live(desk, 40 * HOUR, step=10 * MINUTE)
    rows = [(f"{run.state} {run.reason}", run.scheduled_for) for run in desk.runs()]
    assert rows == [
        (expected, from_iso("2027-03-28T01:00:00Z")), ("succeeded None", from_iso("2027-03-29T00:30:00Z")),
    ]  # fmt: skip


def test_a_gap_within_a_long_outage_is_recorded_too(house: House) -> None:
    house.clock.wall = EVE
    desk = house.open(_in_gap("30 0-23 * * *", "skip"))
    house.clock.advance(7 * DAY)
    desk.tick()
    rows = desk.runs()
    assert [run.reason for run in rows if run.reason == "dst"] == ["dst"]
    assert sum(run.count for run in rows if run.reason != "dst") == 7 * 24
    spans = sorted((run.scheduled_for or 0, run.last_for or run.scheduled_for or 0) for run in rows)
    assert all(end < start for (_, end), (start, _) in pairwise(spans))


def test_a_whole_day_that_a_zone_leaves_out_is_recorded(house: House) -> None:
    house.clock.wall = from_iso("2011-12-29T20:00:00Z")  # Apia had no 30 December
    desk = house.open(a_job(schedule="0 12 * * *", timezone="Pacific/Apia"))
    live(desk, 60 * HOUR, step=10 * MINUTE)
    assert [(run.state, run.reason) for run in desk.runs()] == [
        ("succeeded", None), ("skipped", "dst"), ("succeeded", None), ("succeeded", None)
    ]  # fmt: skip


def _in_gap(schedule: str, gap: str) -> Any:
    from jobrunner.schedule import parse

    return a_job(**BERLIN)._replace(schedule=parse(schedule, "Europe/Berlin", gap))


def test_a_desk_left_alone_has_an_empty_ledger(house: House) -> None:
    desk: Desk = house.open(a_job(schedule=None))
    live(desk, MINUTE)
    assert (desk.ledger(), desk.bodies()) == ([], [])
