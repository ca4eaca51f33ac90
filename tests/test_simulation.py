"""`simulate`: what happens is what a node would do, and it takes no time."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from jobrunner.clock import HOUR, MINUTE, SECOND, from_iso, to_iso
from jobrunner.dispatcher import Dispatcher
from jobrunner.errors import BadArgument, ConfigError, JobrunnerError, UnknownJob
from jobrunner.model import Outcome
from jobrunner.settings import load
from jobrunner.store import open_store
from jobrunner.testing import Entry, FakeClock, Timeline, simulate
from tests.fakes import a_job

DAY: dict[str, Any] = {"start": "2026-01-01", "end": "2026-01-02"}
BERLIN: dict[str, Any] = {"timezone": "Europe/Berlin"}


def job(schedule: Any = "0 * * * *", **keys: Any) -> dict[str, Any]:
    return {"name": "job", "schedule": schedule, **keys}


def lines(timeline: Timeline) -> list[str]:
    """Return the entries as `HH:MM state/reason #attempt xcount`, by when they were due."""
    return [line(entry) for entry in timeline]


def line(entry: Entry) -> str:
    text = f"{to_iso(entry.due)[11:16]} {entry.state}" + (f"/{entry.reason}" if entry.reason else "")
    text += f" #{entry.attempt}" if entry.attempt > 1 else ""
    return text + (f" x{entry.occurrences}" if entry.occurrences > 1 else "")


# --- what is due --------------------------------------------------------------------------------


def test_what_is_due_from_the_start_up_to_the_end_runs_once() -> None:
    timeline = simulate([job()], **DAY)
    assert [entry.scheduled_for for entry in timeline] == [
        datetime(2026, 1, 1, hour, tzinfo=UTC) for hour in range(24)
    ]
    assert {entry.state for entry in timeline} == {"succeeded"}
    assert all(entry.started_at == entry.finished_at == entry.scheduled_for for entry in timeline)


def test_an_interval_counts_from_the_start() -> None:
    timeline = simulate([job("every 6h")], **DAY)
    assert lines(timeline) == ["06:00 succeeded", "12:00 succeeded", "18:00 succeeded"]


def test_a_moment_may_be_a_datetime_or_a_text_in_the_zone_of_the_project() -> None:
    start = datetime(2026, 1, 1, 5, 30, tzinfo=UTC)
    timeline = simulate([job()], start=start, end="2026-01-01T08:30", **BERLIN)  # the end is 07:30 in UTC
    assert lines(timeline) == ["06:00 succeeded", "07:00 succeeded"]


def test_a_moment_without_zone_is_refused_by_name() -> None:
    with pytest.raises(BadArgument, match="start") as raised:
        simulate([job()], start=datetime(2026, 1, 1), end="2026-01-02")
    assert raised.value.argument == "start"
    with pytest.raises(BadArgument, match="end is before start"):
        simulate([job()], start="2026-01-02", end="2026-01-01")


def test_an_after_end_schedule_counts_from_the_end_of_its_runs() -> None:
    timeline = simulate([job("every 2h after end")], takes="1h", **DAY)
    starts = [to_iso(entry.began or 0)[11:16] for entry in timeline]
    assert starts == [f"{hour:02}:00" for hour in range(2, 24, 3)]


def test_an_after_end_schedule_is_on_time_after_short_runs_and_after_long_ones() -> None:
    for takes, expected in (("200ms", [10, 20.2, 30.4]), ("10500ms", [10, 30.5, 51])):
        timeline = simulate(
            [job("every 10s after end")], takes=takes, start="2026-01-01", end="2026-01-01T00:01"
        )
        starts = [(entry.began or 0) - from_iso("2026-01-01T00:00:00Z") for entry in timeline]
        assert [start / SECOND for start in starts][:3] == expected


def test_a_number_of_executions_is_the_end_of_a_job() -> None:
    timeline = simulate([job(numberOfExecutions=3)], **DAY)
    assert lines(timeline) == ["00:00 succeeded", "01:00 succeeded", "02:00 succeeded"]


def test_jobs_that_are_disabled_or_excluded_are_skipped_and_say_why() -> None:
    off, dev = job(enabled=False), {**job(environments=["prod"]), "name": "dev"}
    timeline = simulate([off, dev], start="2026-01-01", end="2026-01-01T02:00")
    assert Counter(entry.reason for entry in timeline) == {"disabled": 2, "environment": 2}


# --- clock changes ------------------------------------------------------------------------------


def test_a_daily_job_runs_once_on_the_days_on_which_clocks_change() -> None:
    for day, due in (("2026-03-29", "01:00"), ("2026-10-25", "00:30")):
        end = date.fromisoformat(day) + timedelta(days=1)
        timeline = simulate([job("30 2 * * *")], start=day, end=end.isoformat(), **BERLIN)
        assert lines(timeline) == [f"{due} succeeded"], day


def test_an_hourly_job_follows_elapsed_time_over_a_clock_change() -> None:
    for day, hours in (("2026-03-29", 23), ("2026-10-25", 25)):
        end = date.fromisoformat(day) + timedelta(days=1)
        timeline = simulate([job("0 * * * *")], start=day, end=end.isoformat(), **BERLIN)
        assert len(timeline) == hours, day
        assert list(timeline.by_day()) == [date.fromisoformat(day)]


def test_an_occurrence_that_a_clock_change_drops_is_a_skip() -> None:
    timeline = simulate([job("30 2 * * *", dstGap="skip")], start="2026-03-29", end="2026-03-31", **BERLIN)
    assert lines(timeline) == ["01:00 skipped/dst", "00:30 succeeded"]


def test_a_timeline_tells_when_clocks_change_and_where() -> None:
    jobs = [job(), {**job(), "name": "there", "timezone": "America/New_York"}]
    timeline = simulate(jobs, start="2026-03-01", end="2026-04-01", plan_only=True, **BERLIN)
    assert [(to_iso(at), by, zones) for at, by, zones in timeline.clock_changes()] == [
        ("2026-03-08T07:00:00.000Z", 3600, ("America/New_York",)),
        ("2026-03-29T01:00:00.000Z", 3600, ("Europe/Berlin",)),
    ]


# --- policies -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("concurrency", "expected"),
    [
        ("forbid", ["00:00 succeeded", "01:00 skipped/overlap", "02:00 succeeded", "03:00 skipped/overlap"]),
        ("queue", ["00:00 succeeded", "01:00 succeeded", "02:00 skipped/replaced", "03:00 running"]),
        ("replace", ["00:00 canceled/replaced", "01:00 canceled/replaced", "02:00 canceled/replaced",
                     "03:00 running"]),
        ("allow", ["00:00 succeeded", "01:00 succeeded", "02:00 succeeded", "03:00 running"]),
    ],
)  # fmt: skip
def test_runs_that_overlap_meet_their_policy(concurrency: str, expected: list[str]) -> None:
    timeline = simulate(
        [job(concurrency=concurrency)], start="2026-01-01", end="2026-01-01T03:59", takes="90m"
    )
    assert lines(timeline) == expected


def test_overlaps_are_what_was_due_before_the_one_before_had_ended() -> None:
    for concurrency, due in (("forbid", ["01:00", "03:00"]), ("allow", ["01:00", "02:00", "03:00"])):
        timeline = simulate(
            [job(concurrency=concurrency)], start="2026-01-01", end="2026-01-01T03:59", takes="90m"
        )
        assert [to_iso(entry.due)[11:16] for entry in timeline.overlaps] == due, concurrency
    assert not simulate([job()], takes="59m", **DAY).overlaps


def test_what_is_due_between_two_attempts_overlaps_too() -> None:
    again = job(retries={"max": 1, "delay": "150m"})
    bad = Outcome(state="failed")
    timeline = simulate([again], bodies={"job": bad}, start="2026-01-01", end="2026-01-01T02:59")
    assert lines(timeline) == [
        "00:00 failed", "00:00 failed #2", "01:00 skipped/overlap", "02:00 skipped/overlap"
    ]  # fmt: skip
    assert [line(entry) for entry in timeline.overlaps] == ["01:00 skipped/overlap", "02:00 skipped/overlap"]


def test_what_is_due_while_the_one_before_waits_for_a_slot_overlaps_too() -> None:
    jobs = [{**job("0 0 * * *"), "name": "hog"}, job(priority="low")]
    timeline = simulate(jobs, slots=1, takes="5h", start="2026-01-01", end="2026-01-01T02:59")
    assert [line(entry) for entry in timeline.of("job")] == [
        "00:00 pending", "01:00 skipped/overlap", "02:00 skipped/overlap"
    ]  # fmt: skip
    assert [line(entry) for entry in timeline.overlaps] == ["01:00 skipped/overlap", "02:00 skipped/overlap"]


def test_a_body_may_take_long_for_one_job_and_no_time_for_another() -> None:
    jobs = [job(), {**job(), "name": "other"}]
    timeline = simulate(jobs, start="2026-01-01", end="2026-01-01T02:00", takes={"other": "90m"})
    assert [line(entry) for entry in timeline.of("job")] == ["00:00 succeeded", "01:00 succeeded"]
    assert [line(entry) for entry in timeline.of("other")] == ["00:00 succeeded", "01:00 skipped/overlap"]


def test_a_body_that_takes_longer_than_its_time_out_is_timed_out_and_tried_again() -> None:
    timeline = simulate(
        [job("0 0 * * *", timeout="10m", retries={"max": 1, "delay": "5m"})], takes="11m", **DAY
    )
    assert lines(timeline) == ["00:00 timed_out", "00:00 timed_out #2"]
    assert [(entry.took, entry.began) for entry in timeline] == [
        (10 * MINUTE, from_iso("2026-01-01T00:00:00Z")), (10 * MINUTE, from_iso("2026-01-01T00:15:00Z")),
    ]  # fmt: skip


def test_there_are_as_many_runs_at_once_as_there_are_slots() -> None:
    jobs = [{**job("0 0 * * *"), "name": f"job{number}"} for number in range(5)]
    timeline = simulate(jobs, slots=2, takes="10m", **DAY)
    assert sorted(entry.took or 0 for entry in timeline) == [10 * MINUTE] * 5
    assert Counter(to_iso(entry.began or 0)[11:16] for entry in timeline) == {
        "00:00": 2, "00:10": 2, "00:20": 1
    }  # fmt: skip


def test_a_run_that_waits_for_a_slot_longer_than_its_grace_is_given_up_at_that_moment() -> None:
    jobs = [{**job("0 0 * * *"), "name": "long"}, job("0 0 * * *", misfireGrace="5m", priority="low")]
    timeline = simulate(jobs, slots=1, takes="1h", **DAY)
    (late,) = timeline.of("job")
    assert (late.state, late.reason) == ("skipped", "grace")
    assert late.ended == late.due + 5 * MINUTE + 1


def test_schedules_stand_still_in_a_pause_and_nothing_is_made_up_for() -> None:
    pause = ("2026-01-01T01:30", "2026-01-01T03:30")
    timeline = simulate([job()], start="2026-01-01", end="2026-01-01T05:00", pauses=[pause])
    assert lines(timeline) == [
        "00:00 succeeded", "01:00 succeeded", "02:00 skipped/paused", "03:00 skipped/paused",
        "04:00 succeeded",
    ]  # fmt: skip


def test_what_waits_when_a_pause_begins_is_given_up_then() -> None:
    jobs = [{**job("0 0 * * *"), "name": "long"}, job("0 0 * * *", priority="low")]
    pause = ("2026-01-01T00:20", "2026-01-01T00:30")
    timeline = simulate(jobs, slots=1, takes="1h", pauses=[pause], **DAY)
    (entry,) = timeline.of("job")
    assert (entry.state, entry.reason) == ("skipped", "paused")
    assert entry.ended == from_iso("2026-01-01T00:20:00Z")


# --- bodies -------------------------------------------------------------------------------------


def test_a_stub_says_how_a_run_ends() -> None:
    def flaky(ctx: Any) -> dict[str, int]:
        if ctx.attempt == 1:
            raise ValueError("no")
        return {"attempt": ctx.attempt}

    timeline = simulate(
        [job("0 0 * * *", retries={"max": 2, "delay": "5m"})], bodies={"job": flaky}, takes="1m", **DAY
    )
    assert lines(timeline) == ["00:00 failed", "00:00 succeeded #2"]
    first, second = timeline
    assert first.error is not None
    assert (first.error["type"], first.error["message"]) == ("ValueError", "no")
    assert second.result == {"attempt": 2}
    assert second.began == from_iso("2026-01-01T00:06:00Z")


def test_a_stub_is_injected_as_a_body_is() -> None:
    seen = []

    def body(container: Any, rows: int, logger: Any) -> int:
        logger.info("here")
        seen.append(container.resolve("ctx").job)
        return rows

    async def waits(rows: int) -> int:
        return rows + 1

    for stub, result in ((body, 5), (waits, 6)):
        (entry,) = simulate([job("0 0 * * *", params={"rows": 5})], bodies={"job": stub}, **DAY)
        assert (entry.state, entry.result) == ("succeeded", result)
    assert seen == ["job"]


def test_a_stub_may_be_or_return_an_outcome() -> None:
    lost = Outcome(state="failed", error={"type": "Down", "message": "db", "traceback": "", "phase": "body"})
    for stub in (lost, lambda: lost):
        (entry,) = simulate([job("0 0 * * *")], bodies={"job": stub}, **DAY)
        assert (entry.state, entry.error and entry.error["type"]) == ("failed", "Down")


def test_stop_on_error_disables_a_job_and_the_rest_is_skipped() -> None:
    bad = Outcome(state="failed")
    timeline = simulate([job(stopOnError=2)], start="2026-01-01", end="2026-01-01T04:00", bodies={"job": bad})
    assert lines(timeline) == [
        "00:00 failed", "01:00 failed", "02:00 skipped/disabled", "03:00 skipped/disabled"
    ]  # fmt: skip


def test_what_is_said_of_a_job_that_there_is_not_is_refused() -> None:
    for wrong in ({"bodies": {"jbo": print}}, {"takes": {"jbo": 1}}):
        with pytest.raises(BadArgument, match="'jbo'"):
            simulate([job()], **DAY, **wrong)
    with pytest.raises(UnknownJob, match="'jbo'"):
        simulate([job()], names=["jbo"], **DAY)
    with pytest.raises(BadArgument, match="neither"):
        simulate([job()], bodies={"job": 5}, **DAY)  # type: ignore[dict-item]
    with pytest.raises(ConfigError, match="shedule"):
        simulate([{"name": "job", "shedule": None}], **DAY)


# --- time ---------------------------------------------------------------------------------------


def test_time_goes_from_event_to_event_and_never_second_by_second(monkeypatch: pytest.MonkeyPatch) -> None:
    turns: list[Dispatcher] = []
    turn = Dispatcher.turn

    def counted(dispatcher: Dispatcher) -> None:
        turns.append(dispatcher)
        turn(dispatcher)

    monkeypatch.setattr(Dispatcher, "turn", counted)
    jobs = [
        job("every 2h after end", timeout="5h"),
        {**job("0 * * * *", numberOfExecutions=4, concurrency="queue"), "name": "limited"},
        {**job("0 0 * * *", retries={"max": 1, "delay": "6h"}), "name": "again"},
    ]
    bodies = {"again": Outcome(state="failed")}
    how: dict[str, Any] = {"takes": {"job": "4h", "limited": "2h"}, "bodies": bodies, "slots": 2}
    timeline = simulate(jobs, start="2026-01-01", end="2026-02-01", **how)
    assert len(turns) < 4 * len(timeline)


def test_a_job_that_calls_for_itself_without_time_passing_is_named() -> None:
    bad = Outcome(state="failed")
    endless = job("0 0 * * *", retries={"max": 10**9, "delay": 0})
    with pytest.raises(JobrunnerError, match="time does not go on"):
        simulate([endless], bodies={"job": bad}, **DAY)


# --- the schedule alone -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"schedule": "30 2 * * *"},
        {"schedule": "30 2 * * *", "dstGap": "skip"},
        {"schedule": "*/7 3-5 * * mon,fri", "timezone": "America/New_York"},
        {"schedule": ["0 9 * * *", "30 17 * * *"]},
        {"schedule": "every 7h"},
        {"schedule": "every 2h after end"},
        {"schedule": "every 2h after end", "takes": "1h"},
        {"numberOfExecutions": 3},
        {"numberOfExecutions": 1, "runOnStart": True},
        {"startAt": "2026-03-28T03:00:00Z", "endAt": "2026-03-29T12:00:00Z"},
        {"jitter": "10m"},
        {"enabled": False},
    ],
    ids=str,
)
def test_the_plan_alone_is_what_a_node_does_with_bodies_that_take_no_time(keys: dict[str, Any]) -> None:
    how: dict[str, Any] = {
        "start": "2026-03-28", "end": "2026-03-31",
        "pauses": [("2026-03-30T08:00", "2026-03-30T10:00")], **BERLIN,
    }  # fmt: skip
    keys = dict(keys)
    how["takes"] = keys.pop("takes", None)
    ran = simulate([job(**keys)], **how)
    planned = simulate([job(**keys)], plan_only=True, **how)
    assert [(one.due, one.reason) for one in planned] == [(one.due, one.reason) for one in ran]
    assert {one.state for one in planned} <= {"pending", "skipped"}


# --- a project ----------------------------------------------------------------------------------


FORBIDDEN = "raise RuntimeError('nobody may run this file')"


def a_project(root: Path, **jobs: dict[str, Any]) -> str:
    (root / "jobs").mkdir()
    (root / "jobrunner.yaml").write_text("timezone: UTC\nslots: 4\n")
    for name, config in jobs.items():
        text = f"config = { ({'name': name, **config})!r}\n\n\ndef default():\n    pass\n\n\n{FORBIDDEN}\n"
        (root / "jobs" / f"{name}.py").write_text(text)
    return f"sqlite:///{root}/.jobrunner/state.db"


def test_a_project_is_simulated_without_running_or_writing_anything(tmp_path: Path) -> None:
    a_project(tmp_path, one={"schedule": "0 */6 * * *"}, two={"schedule": None})
    before = sorted(tmp_path.rglob("*.db*"))
    timeline = simulate(tmp_path, **DAY)
    assert lines(timeline) == [f"{hour:02}:00 succeeded" for hour in (0, 6, 12, 18)]
    assert sorted(tmp_path.rglob("*.db*")) == before == []


def test_what_the_state_knows_is_where_the_simulation_begins(tmp_path: Path) -> None:
    url = a_project(
        tmp_path,
        limited={"schedule": "0 * * * *", "numberOfExecutions": 3},
        off={"schedule": "0 0 * * *"},
        grid={"schedule": "every 6h"},
    )
    clock = FakeClock("2025-12-31T22:00Z")
    remember(url, tmp_path, clock)
    digest = hashlib.sha256((tmp_path / ".jobrunner" / "state.db").read_bytes()).hexdigest()
    timeline = simulate(tmp_path, **DAY)
    assert [line(entry) for entry in timeline.of("limited")] == ["00:00 succeeded", "01:00 succeeded"]
    assert [line(entry) for entry in timeline.of("off")] == ["00:00 skipped/disabled"]
    assert [line(entry)[:5] for entry in timeline.of("grid")] == ["04:00", "10:00", "16:00", "22:00"]
    assert {entry.took for entry in timeline.of("limited")} == {20 * MINUTE}, "as long as it has taken"
    assert simulate(tmp_path, takes="1m", **DAY).of("limited")[0].took == MINUTE
    assert hashlib.sha256((tmp_path / ".jobrunner" / "state.db").read_bytes()).hexdigest() == digest


def remember(url: str, root: Path, clock: FakeClock) -> None:
    """Let `limited` have run once, for 20 minutes, and `off` be disabled."""
    from jobrunner.definitions import load as load_definitions
    from jobrunner.simulation.node import SimulatedNode
    from jobrunner.simulation.standins import StandIns

    bodies = StandIns(clock, 4)
    definitions = load_definitions(load({"project": str(root)}, {}))
    node = SimulatedNode(open_store(url, create=True), definitions, bodies, clock, lambda _: None)
    for passing in (HOUR, 20 * MINUTE):
        clock.pass_by(passing)
        node.tick()
        for run_id, spec in list(bodies.specs.items()):
            if spec["startedAt"] < clock.now():
                bodies.end(run_id)
        node.tick()
    off = node.store.job("off")
    assert off is not None
    node.store.set_enabled(off.id, False, "by ana", clock.now())
    node.leave()


def test_files_that_are_no_jobs_are_problems_of_the_timeline(tmp_path: Path) -> None:
    a_project(tmp_path, one={"schedule": "0 0 * * *"}, bad={"schedule": "0 25 * * *"})
    timeline = simulate(tmp_path, **DAY)
    assert [problem.name for problem in timeline.problems] == ["bad"]
    assert [entry.job for entry in timeline] == ["one"]


def test_only_named_jobs_are_simulated(tmp_path: Path) -> None:
    a_project(tmp_path, one={"schedule": "0 0 * * *"}, two={"schedule": "0 0 * * *"})
    assert [entry.job for entry in simulate(tmp_path, names=["TWO"], **DAY)] == ["two"]


# --- the timeline -------------------------------------------------------------------------------


def test_a_timeline_is_plain_data_for_programs() -> None:
    timeline = simulate([job(concurrency="forbid")], takes="90m", start="2026-01-01", end="2026-01-01T02:00")
    document = json.loads(json.dumps(timeline.to_json()))
    assert document["from"] == "2026-01-01T00:00:00.000Z"
    assert document["entries"][1] == {
        "job": "job", "trigger": "schedule", "scheduledFor": "2026-01-01T01:00:00.000Z", "startedAt": None,
        "finishedAt": "2026-01-01T01:00:00.000Z", "state": "skipped", "reason": "overlap", "attempt": 1,
        "count": 1, "lastFor": None, "result": None, "error": None,
    }  # fmt: skip
    assert [entry.reason for entry in timeline.skips] == ["overlap"]
    assert len(timeline.runs) == 1


def test_a_timeline_can_be_read_by_job_and_by_day() -> None:
    jobs = [a_job("b", "0 */12 * * *"), a_job("a", "0 0 * * *")]
    timeline = simulate(jobs, start="2026-01-01", end="2026-01-03")
    assert {name: len(found) for name, found in timeline.by_job().items()} == {"a": 2, "b": 4}
    assert {day.isoformat(): len(found) for day, found in timeline.by_day().items()} == {
        "2026-01-01": 3, "2026-01-02": 3
    }  # fmt: skip
    assert next(iter(timeline.by_day("America/New_York"))) == date(2025, 12, 31)
    assert [entry.job for entry in timeline][:2] == ["a", "b"], "equal moments are told by name"


# --- calls, documents, steps --------------------------------------------------------------------


def test_calls_that_a_stub_makes_are_made_if_it_succeeds_or_at_once() -> None:
    def parent(ctx: Any, scheduler: Any) -> None:
        scheduler.run_after("10m", "child", n=ctx.scheduled_for.hour)
        if ctx.scheduled_for.hour:
            scheduler.run_after("20m", "child", immediate=True, n=99)
            raise ValueError("no")

    jobs = [job(), {"name": "child", "schedule": None}]
    timeline = simulate(jobs, start="2026-01-01", end="2026-01-01T02:00", bodies={"job": parent})
    assert [(line(entry), entry.trigger, entry.params) for entry in timeline.of("child")] == [
        ("00:10 succeeded", "call", {"n": 0}), ("01:20 succeeded", "call", {"n": 99})
    ]  # fmt: skip


def test_what_a_stub_keeps_in_state_is_there_for_the_next_run_and_for_no_other_simulation() -> None:
    def counts(state: Any) -> int:
        state.set("runs", (state.get("runs") or 0) + 1)
        return int(state.get("runs"))

    for delivery in ("exactly-once", "at-most-once"):
        how: dict[str, Any] = {"bodies": {"job": counts}, "start": "2026-01-01", "end": "2026-01-01T03:00"}
        timeline = simulate([job(delivery=delivery)], **how)
        assert [entry.result for entry in timeline] == [1, 2, 3], delivery


def test_a_step_that_is_done_is_not_done_again_by_the_next_attempt() -> None:
    done: list[str] = []

    def flow(ctx: Any) -> None:
        ctx.step("charge", lambda: done.append("charge"))
        done.append("attempt")
        if ctx.attempt == 1:
            raise ValueError("no")

    simulate([job("0 0 * * *", retries=1)], bodies={"job": flow}, **DAY)
    assert done == ["charge", "attempt", "attempt"]


def test_a_step_that_waits_in_vain_goes_on_at_its_deadline() -> None:
    def flow(ctx: Any) -> Any:
        return ctx.wait_for("approval", timeout="2h")

    (entry,) = simulate([job("0 0 * * *")], bodies={"job": flow}, **DAY)
    assert (entry.state, entry.ended) == ("failed", from_iso("2026-01-01T02:00:00Z"))
    assert entry.error is not None
    assert entry.error["type"] == "TimeoutError"


# --- the jobs' own bodies, in this process ------------------------------------------------------


def test_real_bodies_run_in_this_process_with_services_overridden(tmp_path: Path) -> None:
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobrunner.yaml").write_text("timezone: UTC\n")
    (tmp_path / "services.py").write_text(
        "def register(container):\n    container.register('mailer', lambda: 1 / 0, 'singleton')\n"
    )
    (tmp_path / "jobs" / "mail.py").write_text(
        "config = {'name': 'mail', 'schedule': '0 * * * *'}\n\n\n"
        "def default(mailer, ctx):\n    mailer.append(ctx.scheduled_for.hour)\n"
    )
    before, sent = Path.cwd(), list[int]()
    timeline = simulate(
        tmp_path, start="2026-01-01", end="2026-01-01T03:00", run="inline", overrides={"mailer": sent}
    )
    assert [entry.error for entry in timeline] == [None] * 3
    assert sent == [0, 1, 2]
    assert Path.cwd() == before


# --- the jobs' own bodies, each in a process of its own -----------------------------------------


def test_real_bodies_run_in_processes_and_take_as_long_as_they_took(tmp_path: Path) -> None:
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobrunner.yaml").write_text("timezone: UTC\nslots: 2\n")
    (tmp_path / "jobs" / "count.py").write_text(
        "import os, time\n\n"
        "config = {'name': 'count', 'schedule': '0 * * * *', 'delivery': 'exactly-once', 'retries': 1}\n\n\n"
        "def default(ctx, state, scheduler):\n"
        "    if ctx.attempt == 1 and ctx.scheduled_for.hour == 1:\n"
        "        raise ValueError('no')\n"
        "    time.sleep(0.05)\n"
        "    state.set('n', state.get('n', 0) + 1)\n"
        "    scheduler.run_after('10m', 'other', at=ctx.scheduled_for.hour)\n"
        "    print('counted', state.get('n'))\n"
        "    return os.getpid()\n"
    )
    (tmp_path / "jobs" / "other.py").write_text(
        "config = {'name': 'other', 'schedule': None}\n\n\ndef default(at):\n    return at\n"
    )
    timeline = simulate(tmp_path, start="2026-01-01", end="2026-01-01T03:00", run=True)
    assert [line(entry) for entry in timeline.of("count")] == [
        "00:00 succeeded", "01:00 failed", "01:00 succeeded #2", "02:00 succeeded"
    ]  # fmt: skip
    assert [(line(entry), entry.result) for entry in timeline.of("other")] == [
        ("00:10 succeeded", 0), ("01:10 succeeded", 1), ("02:10 succeeded", 2)
    ]  # fmt: skip
    good = [entry for entry in timeline.of("count") if entry.state == "succeeded"]
    assert all(0.05 * SECOND <= (entry.took or 0) < MINUTE for entry in good)
    assert os.getpid() not in {entry.result for entry in good}
    assert [entry.log for entry in good] == ["counted 1\n", "counted 2\n", "counted 3\n"]
    assert timeline.documents == {"n": 3}
    assert not (tmp_path / ".jobrunner").exists()


def test_real_bodies_need_a_project_and_their_processes_know_no_stubs(tmp_path: Path) -> None:
    with pytest.raises(BadArgument, match="without a project"):
        simulate([job()], run=True, **DAY)
    with pytest.raises(BadArgument, match="run=True"):
        simulate(tmp_path, run=True, overrides={"mailer": 1}, **DAY)


def test_what_is_meant_for_the_test_and_not_for_the_run_goes_through() -> None:
    for stop in (KeyboardInterrupt, pytest.fail.Exception):

        def body(stop: type[BaseException] = stop) -> None:
            raise stop("enough")

        with pytest.raises(stop):
            simulate([job("0 0 * * *")], bodies={"job": body}, **DAY)


@pytest.mark.parametrize("immediate", [True, False])
def test_a_run_of_the_same_node_that_another_cancels_ends_then(immediate: bool) -> None:
    def stop(scheduler: Any) -> None:
        scheduler.cancel(1, immediate=immediate)

    jobs = [job("0 0 * * *"), {"name": "stop", "schedule": "30 0 * * *"}]
    timeline = simulate(jobs, bodies={"stop": stop}, takes={"job": "2h"}, **DAY)
    (long,) = timeline.of("job")
    assert (long.state, long.ended) == ("canceled", from_iso("2026-01-01T00:30:00Z"))


def test_a_long_run_overlaps_all_that_comes_while_it_lasts_whatever_ended_meanwhile() -> None:
    """The second ends before the first, which is still there when the third comes."""
    entries = [
        Entry("job", due, "succeeded", began=due, ended=end, run_id=due + 1, root_id=due + 1)
        for due, end in ((0, 100), (10, 20), (30, 40), (100, 110))
    ]
    timeline = Timeline(0, 200, "UTC", tuple(entries))
    assert [entry.due for entry in timeline.overlaps] == [10, 30]


def test_the_state_of_a_simulation_is_made_without_waiting_for_any_disk(tmp_path: Path) -> None:
    modes = {}
    for durable in (True, False):
        store = open_store(f"sqlite:///{tmp_path}/{durable}.db", create=True, durable=durable)
        modes[durable] = store.info()["journal_mode"]
        store.close()
    assert modes == {True: "wal", False: "memory"}
