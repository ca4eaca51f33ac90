"""`jobrunner simulate`: what will happen, told without making it happen."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobrunner.clock import DAY, MINUTE, SystemClock, from_iso
from tests.cli.house import House

pytestmark = pytest.mark.usefixtures("store_kind")

SPRING = ("--from", "2026-03-28T23:00", "--to", "2026-03-29T04:00", "--timezone", "Europe/Berlin")
MONTHS = ("--from", "2026-03-01", "--to", "2026-05-01", "--timezone", "Europe/Berlin")


def files(root: Path) -> set[str]:
    """Return what is there, but for what may be thrown away at any time."""
    found = {str(path.relative_to(root)) for path in root.rglob("*")}
    return {name for name in found if "__pycache__" not in name and ".jobrunner/cache" not in name}


def test_a_short_time_is_told_occurrence_by_occurrence_and_clock_changes_are_marked(house: House) -> None:
    house.job("backup", schedule="30 2 * * *", dstGap="skip")
    house.job("sync", schedule="*/30 * * * *")
    done = house.call("simulate", *SPRING, "--takes", "40m")
    assert (done.code, done.err) == (0, "")
    assert done.out == (
        "Saturday, 28 March 2026\n"
        "  23:00:00  sync  succeeded, took 40 min\n"
        "  23:30:00  sync  skipped (overlap)\n"
        "Sunday, 29 March 2026  (clocks go forward 1 h at 02:00, Europe/Berlin)\n"
        "  00:00:00  sync    succeeded, took 40 min\n"
        "  00:30:00  sync    skipped (overlap)\n"
        "  01:00:00  sync    succeeded, took 40 min\n"
        "  01:30:00  sync    skipped (overlap)\n"
        "  03:00:00  backup  skipped (dst)\n"
        "  03:00:00  sync    succeeded, took 40 min\n"
        "  03:30:00  sync    skipped (overlap)\n"
        "4 runs, 1 skipped (dst), 4 skipped (overlap); 2 jobs\n"
    )


def test_what_is_still_under_way_or_late_at_the_end_is_told_as_that(house: House) -> None:
    house.write("jobrunner.yaml", "slots: 1\ntimezone: UTC\n")
    house.job("a", schedule="0 0 * * *")
    house.job("b", schedule="0 0 * * *")
    house.job("c", schedule="59 2 * * *", concurrency="allow")
    told = house.call("simulate", "--from", "2026-01-01", "--to", "2h59m30s", "--takes", "1h30m").out
    assert told.splitlines()[1:] == [
        "  00:00:00  a  succeeded, took 1 h 30 min",
        "  00:00:00  b  running, still at the end, 1 h late",
        "  02:59:00  c  pending at the end",
        "2 runs, 1 pending, 1 running; 3 jobs",
    ]


def test_a_long_time_is_summed_up_by_job_and_day_and_a_longer_one_by_job(house: House) -> None:
    house.job("often", schedule="0 * * * *")
    house.job("daily", schedule="0 9 * * *")
    told = house.call("simulate", "--from", "2026-01-01", "--to", "2026-01-05", "--takes", "61m").out
    assert "Sunday, 04 January 2026\n  daily  1 run\n  often  12 runs, 12 skipped (overlap)\n" in told
    told = house.call("simulate", *MONTHS, "--takes", "10m").out
    assert told == (
        "  daily  61 runs\n"
        "  often  1,463 runs\n"
        "Sunday, 29 March 2026: clocks go forward 1 h at 02:00, Europe/Berlin\n"
        "1,524 runs; 2 jobs\n"
    )


def test_runs_beside_others_are_named_in_the_sum(house: House) -> None:
    house.job("often", schedule="0 * * * *", concurrency="allow")
    told = house.call("simulate", *MONTHS, "--takes", "61m").out
    assert "  often  1,463 runs, 1,462 of them due while the one before was not over, 1 running\n" in told


def test_the_plan_alone_is_what_is_due(house: House) -> None:
    house.job("often", schedule="0 * * * *")
    done = house.call("simulate", "--plan", "--from", "2026-01-01", "--to", "2h")
    assert done.out.splitlines()[1:] == ["  00:00:00  often  due", "  01:00:00  often  due", "2 due; 1 job"]
    assert house.call("simulate", "--plan", *MONTHS).out.startswith("  often  1,463 due\n")
    assert house.call("simulate", "--plan", "--run").code == 2


def test_nothing_is_executed_and_nothing_is_written(house: House) -> None:
    house.job("a", "open('ran', 'w')", schedule="0 * * * *")
    house.ran("a", at=SystemClock().now() - DAY)
    before = files(house.root)
    state = house.content()
    assert house.call("simulate", "--to", "2h").code == 0
    assert files(house.root) == before
    assert house.content() == state


@pytest.mark.stateless
def test_asked_to_it_runs_the_bodies_and_says_how_they_end(house: House) -> None:
    house.job("a", "print('here', container.resolve('ctx').scheduled_for)", schedule="0 0 * * *")
    house.job("b", "1 / 0", schedule="0 0 * * *", retries={"max": 1, "delay": "5m"})
    done = house.call("simulate", "--run", "--takes", "1m", "--from", "2026-01-01", "--to", "1d")
    assert done.code == 1, "a run failed"
    assert done.out.splitlines()[1:] == [
        "  00:00:00  a  succeeded, took 1 min",
        "  00:00:00  b  failed, took 1 min, ZeroDivisionError: division by zero",
        "  00:00:00  b  failed, attempt 2, 6 min late, took 1 min, ZeroDivisionError: division by zero",
        "3 runs, 2 failed; 2 jobs",
    ]
    assert "here 2026-01-01 00:00:00+00:00" in done.err
    assert house.stateless


def test_it_is_about_named_jobs_or_all(house: House) -> None:
    house.job("sync-orders", schedule="0 * * * *")
    house.job("other", schedule="0 * * * *")
    found = house.call("simulate", "Sync-Orders", "--to", "1h", "--json").json
    assert {entry["job"] for entry in found["entries"]} == {"sync-orders"}
    done = house.call("simulate", "sync-order")
    assert done.code == 3
    assert 'did you mean "sync-orders"?' in done.err


def test_programs_get_one_document(house: House) -> None:
    house.job("a", schedule="30 2 * * *", dstGap="skip")
    found = house.call("simulate", *SPRING, "--json").json
    assert found["timezone"] == "Europe/Berlin"
    assert found["clockChanges"] == [
        {"at": "2026-03-29T01:00:00.000Z", "seconds": 3600, "timezones": ["Europe/Berlin"]}
    ]
    (entry,) = found["entries"]
    assert (entry["state"], entry["reason"], entry["scheduledFor"]) == (
        "skipped", "dst", "2026-03-29T01:00:00.000Z"
    )  # fmt: skip


def test_runs_take_as_long_as_they_usually_do(house: House) -> None:
    house.job("a", schedule="0 0 * * *")
    house.ran("a", at=from_iso("2026-01-01T00:00:00Z"))
    (entry,) = house.call("simulate", "--from", "2026-01-02", "--to", "1d", "--json").json["entries"]
    took = from_iso(entry["finishedAt"]) - from_iso(entry["startedAt"])
    assert 0 < took < MINUTE, "half a second, as the one that there was"


def test_what_it_leaves_aside_it_says(house: House) -> None:
    house.job("a", schedule="0 0 * * *")
    house.write(
        "jobs/bad.py", "config = {'name': 'bad', 'schedule': '0 25 * * *'}\n\n\ndef default():\n    pass\n"
    )
    house.call("pause")
    done = house.call("simulate", "--from", "2026-01-01", "--to", "1d")
    assert "note: jobs/bad.py: " in done.err
    assert "note: schedules are paused at present" in done.err
    assert done.out.endswith("1 run; 1 job\n")


def test_moments_that_are_none_are_refused(house: House) -> None:
    house.job("a")
    for args, said in (
        (("--from", "soon"), "--from is soon, which is no moment"),
        (("--to", "2026-13-01"), "--to is 2026-13-01, which is no moment"),
        (("--from", "2026-01-02", "--to", "2026-01-01"), "--to is not after --from"),
    ):
        done = house.call("simulate", *args)
        assert done.code == 2, args
        assert said in done.err


def test_a_missing_jobs_folder_is_one_sentence(house: House) -> None:
    (house.root / "jobs").rmdir()
    done = house.call("simulate")
    assert done.code == 3
    assert "there is no folder jobs" in done.err


def test_nothing_due_is_said(house: House) -> None:
    house.job("a", schedule=None)
    assert house.call("simulate").out == "nothing is due\n"
