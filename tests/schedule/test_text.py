"""What cron text means, and what is refused."""

from __future__ import annotations

import calendar
import random
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from cronsim import CronSim, CronSimError

from jobrunner.clock import DAY, HOUR, MINUTE, SECOND, from_iso, to_iso
from jobrunner.errors import ScheduleError
from jobrunner.schedule import parse
from tests.schedule import oracle

JANUARY = from_iso("2026-01-01T00:00:00Z")


def first(text: str, number: int = 3, start: str = "2026-01-01T00:00:00Z") -> list[str]:
    schedule, after, found = parse(text), from_iso(start) - 1, []
    for _ in range(number):
        following = schedule.next_after(after, 0)
        assert following is not None
        found.append(to_iso(following)[5:19])
        after = following
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("*/5 * * * *", ["01-01T00:00:00", "01-01T00:05:00", "01-01T00:10:00"]),
        ("30 2 * * *", ["01-01T02:30:00", "01-02T02:30:00", "01-03T02:30:00"]),
        ("15 30 2 * * *", ["01-01T02:30:15", "01-02T02:30:15", "01-03T02:30:15"]),
        ("* * * * * *", ["01-01T00:00:00", "01-01T00:00:01", "01-01T00:00:02"]),
        ("0 9-9 * * *", ["01-01T09:00:00", "01-02T09:00:00", "01-03T09:00:00"]),
        ("5-5 0 * * SUN-SUN", ["01-04T00:05:00", "01-11T00:05:00", "01-18T00:05:00"]),
        ("0 0 * * 7-7", ["01-04T00:00:00", "01-11T00:00:00", "01-18T00:00:00"]),
        ("0 0 */2 * 1", ["01-05T00:00:00", "01-19T00:00:00", "02-09T00:00:00"]),
        ("0 0 1 * */2", ["01-01T00:00:00", "02-01T00:00:00", "03-01T00:00:00"]),
        ("0 0 13,* * 5", ["01-01T00:00:00", "01-02T00:00:00", "01-03T00:00:00"]),
        ("0 0 13 * 5", ["01-02T00:00:00", "01-09T00:00:00", "01-13T00:00:00"]),
        ("0 0 L * *", ["01-31T00:00:00", "02-28T00:00:00", "03-31T00:00:00"]),
        ("0 0 1,L * *", ["01-01T00:00:00", "01-31T00:00:00", "02-01T00:00:00"]),
        ("0 0 * * 5L", ["01-30T00:00:00", "02-27T00:00:00", "03-27T00:00:00"]),
        ("0 0 * * 7L", ["01-25T00:00:00", "02-22T00:00:00", "03-29T00:00:00"]),
        ("0 0 * * mon#1", ["01-05T00:00:00", "02-02T00:00:00", "03-02T00:00:00"]),
        ("0 0 * * 1,3#1", ["01-05T00:00:00", "01-07T00:00:00", "01-12T00:00:00"]),
        ("0 0 20 * 1#2", ["01-12T00:00:00", "01-20T00:00:00", "02-09T00:00:00"]),
        ("0 0 * * 5/2", ["01-02T00:00:00", "01-04T00:00:00", "01-09T00:00:00"]),
        ("50/5 1 * * *", ["01-01T01:50:00", "01-01T01:55:00", "01-02T01:50:00"]),
        ("0 0 1 jan,Jul *", ["01-01T00:00:00", "07-01T00:00:00", "01-01T00:00:00"]),
        ("0 0 30 2 1", ["02-02T00:00:00", "02-09T00:00:00", "02-16T00:00:00"]),
        ("@hourly", ["01-01T00:00:00", "01-01T01:00:00", "01-01T02:00:00"]),
        ("@DAILY", ["01-01T00:00:00", "01-02T00:00:00", "01-03T00:00:00"]),
        ("@midnight", ["01-01T00:00:00", "01-02T00:00:00", "01-03T00:00:00"]),
        ("@weekly", ["01-04T00:00:00", "01-11T00:00:00", "01-18T00:00:00"]),
        ("@monthly", ["01-01T00:00:00", "02-01T00:00:00", "03-01T00:00:00"]),
        ("@yearly", ["01-01T00:00:00"] * 3),
        ("@annually", ["01-01T00:00:00"] * 3),
    ],
)
def test_text_means_what_debian_and_cronsim_say(text: str, expected: list[str]) -> None:
    assert first(text) == expected


def test_a_leap_day_is_found_eight_years_ahead() -> None:
    assert first("0 0 29 2 *", 1, "2096-03-01T00:00:00Z") == ["02-29T00:00:00"]
    assert parse("0 0 29 2 *").next_after(from_iso("2096-03-01T00:00:00Z"), 0) == from_iso(
        "2104-02-29T00:00:00Z"
    )


REFUSED = [
    ("61 * * * *", 'minute field "61"'),
    ("* 24 * * *", 'hour field "24"'),
    ("60 * * * * *", 'second field "60"'),
    ("0 0 0 * *", 'day-of-month field "0"'),
    ("0 0 32 * *", 'day-of-month field "32"'),
    ("0 0 * 13 *", 'month field "13"'),
    ("0 0 * FOO *", 'month field "FOO"'),
    ("0 0 * * 8", 'day-of-week field "8"'),
    ("0 0 * * FUN", 'day-of-week field "FUN"'),
    ("MON * * * *", 'minute field "MON"'),
    ("*/0 * * * *", 'minute field "*/0"'),
    ("*/61 * * * *", 'minute field "*/61"'),
    ("* */25 * * *", 'hour field "*/25"'),
    ("*/x * * * *", 'minute field "*/X"'),
    ("*/-5 * * * *", 'minute field "*/-5"'),
    ("*/5/2 * * * *", 'minute field "*/5/2"'),
    ("1,,2 * * * *", 'minute field "1,,2"'),
    ("1, * * * *", 'minute field "1,"'),
    ("5* * * * *", 'minute field "5*"'),
    ("1.5 * * * *", 'minute field "1.5"'),
    ("1-2-3 * * * *", 'minute field "1-2-3"'),
    ("-5 * * * *", 'minute field "-5"'),
    ("R * * * *", 'minute field "R"'),
    ("R(0-29) * * * *", 'minute field "R(0-29)"'),
    ("? * * * *", 'minute field "?"'),
    ("0 0 ? * 1", 'day-of-month field "?"'),
    ("0 0 15W * *", 'day-of-month field "15W"'),
    ("0 0 LW * *", 'day-of-month field "LW"'),
    ("0 0 1-L * *", 'day-of-month field "1-L"'),
    ("0 0 L-3 * *", 'day-of-month field "L-3"'),
    ("0 0 L/2 * *", 'day-of-month field "L/2"'),
    ("0 0 * * L", 'day-of-week field "L"'),
    ("0 0 * * L5", 'day-of-week field "L5"'),
    ("0 0 * * FRIL", 'day-of-week field "FRIL"'),
    ("0 0 * * 1#6", 'day-of-week field "1#6"'),
    ("0 0 * * 1#0", 'day-of-week field "1#0"'),
    ("0 0 * * #1", 'day-of-week field "#1"'),
    ("0 0 * * *#1", 'day-of-week field "*#1"'),
    ("0 0 1#2 * *", 'day-of-month field "1#2"'),
    ("* 22-2 * * *", 'hour field "22-2"'),
    ("0 0 * * FRI-MON", 'day-of-week field "FRI-MON"'),
    ("0 0 * * SAT-SUN", 'day-of-week field "SAT-SUN"'),
    ("0 0 31 2 *", "never fires"),
    ("0 0 31 4,6,9,11 *", "never fires"),
    ("0 0 30 2 */2", "never fires"),
    ("0 0 */30 * 1#2", "never fires"),
    ("0 0 * *", "4 fields"),
    ("0 0 0 1 1 * 2026", "7 fields"),
    ("5", "1 fields"),
    ("", "empty"),
    ("   ", "empty"),
    ("@reboot", "@reboot"),
    ("@every 5m", "no known alias"),
    ("@fortnightly", "no known alias"),
    ("* * * *\n*", "not plain text"),
    ("* * * * *\n", "not plain text"),
    ("\u0665 * * * *", "not plain text"),
    ("\uff15 * * * *", "not plain text"),
    ("* * * *\u00a0*", "not plain text"),
    ("1," * 200 + "1 * * * *", "longer than 256"),
    ("9" * 200 + " * * * *", "minute field"),
    (5, "not text"),
    (None, "not text"),
    (b"* * * * *", "not text"),
    ({"minute": 5}, "not text"),
    (True, "not text"),
    ([], "empty"),
    (["* * * * *", []], "empty"),
    (["* * * * *", ""], "empty"),
    (["* * * * *", 5], "not text"),
    ("* * * * *;", "empty"),
    (["* * * * *"] * 101, "more than 100"),
    ("every", "not understood"),
    ("every 5", "not understood"),
    ("every 5 lightyears", "not understood"),
    ("every -5m", "not understood"),
    ("every 5m 5m", "not understood"),
    ("every minute hour", "not understood"),
    ("everything", "not understood"),
    ("every 0s", "100 milliseconds"),
    ("every 99ms", "100 milliseconds"),
    ("every 36500d", "50 years"),
    ("every 0.1005s", "whole number of milliseconds"),
    (["every 10m after end", "0 0 * * *"], "after end"),
]


@pytest.mark.parametrize(("value", "quoted"), REFUSED)
def test_a_schedule_that_cannot_be_used_is_refused_with_its_field_and_a_hint(
    value: object, quoted: str
) -> None:
    with pytest.raises(ScheduleError) as caught:
        parse(value)
    assert quoted in caught.value.message
    assert caught.value.hint
    assert caught.value.key == "schedule"
    assert not caught.value.message.endswith(".")


def test_reboot_hints_at_what_to_use_instead() -> None:
    with pytest.raises(ScheduleError) as caught:
        parse("@reboot")
    assert "runOnStart" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("zone", "near"),
    [
        ("Europe/Berln", "Europe/Berlin"),
        ("europe/berlin", "Europe/Berlin"),
        ("Berlin", "Europe/Berlin"),
        ("New York", "America/New_York"),
        ("../etc/passwd", "IANA"),
        ("/etc/passwd", "IANA"),
        ("Europe", ""),
        ("", ""),
    ],
)
def test_an_unknown_zone_is_refused_with_near_names(zone: str, near: str) -> None:
    for text in ("* * * * *", "every 5m"):
        with pytest.raises(ScheduleError) as caught:
            parse(text, zone)
        assert f'"{zone}"' in caught.value.message
        assert near in (caught.value.hint or "")
        assert caught.value.key == "timezone"


def test_options_are_checked() -> None:
    for options in ({"dst_gap": "sometimes"}, {"dst_fold": "third"}):
        with pytest.raises(ScheduleError, match="dst"):
            parse("* * * * *", **options)
    with pytest.raises(ScheduleError, match="time zone 5"):
        parse("* * * * *", 5)  # type: ignore[arg-type]


def test_blanks_do_not_change_a_schedule() -> None:
    assert parse("  30\t2  * * * ") == parse("30 2 * * *")
    assert parse("  30\t2  * * * ").text == "30 2 * * *"


def test_zone_and_options_are_no_part_of_the_text_but_of_the_schedule() -> None:
    assert parse("0 0 * * *", "Europe/Berlin").text == parse("0 0 * * *").text
    assert parse("0 0 * * *", "Europe/Berlin") != parse("0 0 * * *")
    assert parse("0 0 * * *", dst_fold="both") != parse("0 0 * * *")


def test_the_same_text_is_parsed_once() -> None:
    assert parse("17 3 * * *", "Europe/Paris") is parse("17 3 * * *", "Europe/Paris")


def test_croniter_is_not_imported_for_schedules_without_day_fields() -> None:
    code = (
        "import sys; from jobrunner.schedule import parse\n"
        "for text in ('*/5 * * * *', '30 2 * * *', '@daily', 'every 5m', '0 0 1 1-3 *', '0 0 * * 1-5'):\n"
        "    found = parse(text); found.words()\n"
        "parse('30 2 * 6 *', 'Europe/Berlin').next_after(0, 0)\n"
        "assert 'croniter' not in sys.modules\n"
        "parse('0 0 * * 1').next_after(0, 0)\n"
        "assert 'croniter' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def random_field(rng: random.Random, low: int, high: int, extras: tuple[str, ...] = ()) -> str:
    def term() -> str:
        a, b = sorted((rng.randint(low, high), rng.randint(low, high)))
        forms = ["*", str(a), f"{a}-{b}", f"*/{rng.randint(1, 7)}", f"{a}/{rng.randint(1, 5)}"]
        if a < b:  # cronsim reads a-a/n as a/n
            forms.append(f"{a}-{b}/{rng.randint(1, 5)}")
        return rng.choice(forms + list(extras))

    return ",".join(term() for _ in range(rng.choice((1, 1, 1, 2, 3))))


def test_random_schedules_match_the_oracle_and_cronsim_in_utc() -> None:
    rng = random.Random(7)
    places = ("1#1", "MON#2", "5#5", "5L", "0L", "7#3", "TUE", "SUN")
    refused = 0
    for _ in range(400):
        text = " ".join(
            (
                random_field(rng, 0, 59),
                random_field(rng, 0, 23),
                random_field(rng, 1, 31, ("L",)),
                rng.choice(("*", random_field(rng, 1, 12, ("JAN", "DEC")))),
                random_field(rng, 0, 7, places),
            )
        )
        start = datetime(rng.randint(1999, 2039), rng.randint(1, 12), rng.randint(1, 28), 12, tzinfo=UTC)
        try:
            expected = list(zip(range(20), CronSim(text, start), strict=False))
        except CronSimError:
            refused += 1
            with pytest.raises(ScheduleError):
                parse(text)
            continue
        after = int(start.timestamp()) * SECOND
        schedule, job = parse(text), oracle.Job(text)
        for _, moment in expected:
            following = schedule.next_after(after, 0)
            assert following == int(moment.timestamp()) * SECOND, text
            assert job.at(following // SECOND), text
            after = following
    assert refused < 20


def test_all_forms_of_a_month_have_the_days_that_the_oracle_names() -> None:
    fields = (
        "1 * *",
        "29-31 * *",
        "L * *",
        "31,L * 1",
        "* * 1-5",
        "* * 0",
        "* * 6#5",
        "* * 1#1,3L",
        "*/7 * 5",
    )
    for text in fields:
        job, schedule = oracle.Job(f"0 0 {text}"), parse(f"0 0 {text}")
        for year in range(2000, 2028):
            for month in range(1, 13):
                start = from_iso(f"{year}-{month:02}-01T00:00:00Z")
                length = calendar.monthrange(year, month)[1]
                expected = [day for day in range(1, length + 1) if job.on_day(year, month, day)]
                found = [
                    day
                    for day in range(1, length + 1)
                    if schedule.next_after(start + (day - 1) * DAY - 1, 0) == start + (day - 1) * DAY
                ]
                assert found == expected, (text, year, month)


def test_the_shortest_distance_is_exact_for_simple_schedules() -> None:
    table = {
        "* * * * * *": SECOND,
        "*/10 * * * * *": 10 * SECOND,
        "* * * * *": MINUTE,
        "*/7 * * * *": 4 * MINUTE,
        "5 * * * *": HOUR,
        "0 9,17 * * *": 8 * HOUR,
        "0 0 * * 1": 7 * DAY,
        "0 0 * * 1,4": 3 * DAY,
        "0 0 1 * *": 28 * DAY,
        "0 0 1 1 *": 365 * DAY,
        "0 0 29 2 *": 1461 * DAY,
        "50 23 1 1 *": 365 * DAY,
        "0,30 10 * * *": 30 * MINUTE,
        "every 90s": 90 * SECOND,
        "0 9 * * *; 1 9 * * *": MINUTE,
        "every 4m; every 6m": 2 * MINUTE,
        "every 4m; 0 0 * * *": 1,
    }
    assert {text: parse(text).shortest() for text in table} == table


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("@every 5m", 'write "every 5m"'),
        ("@Every 1h30m", 'write "every 1h30m"'),
        ("@every 5 parsecs", 'write "every 5m"'),
        ("@every", 'write "every 5m"'),
    ],
)
def test_the_every_of_other_schedulers_is_refused_with_ours(text: str, hint: str) -> None:
    with pytest.raises(ScheduleError, match="no known alias") as caught:
        parse(text)
    assert caught.value.hint == hint
    assert parse(hint.split('"')[1])
