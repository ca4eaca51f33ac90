"""Whatever is written, the answer is a value or an error of ours: never another exception, never for ever."""

from __future__ import annotations

import json
import string
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jobrunner import added, config, durations
from jobrunner.clock import DAY, from_iso
from jobrunner.config import Place, Written
from jobrunner.errors import ConfigError, JobrunnerError, ScheduleError
from jobrunner.model import Job
from jobrunner.schedule import Schedule, parse
from jobrunner.schedule.build import Builder, from_callable
from jobrunner.schedule.fields import MONTHS, WEEKDAYS
from tests.hostile.values import HOSTILE, PLAIN, Mute, Trap, bounded, keys, values, vast

BASE = {"name": "a", "schedule": "* * * * *"}
START = from_iso("2026-01-01T00:00:00Z")
ALPHABET = string.digits + "*/,-#L@ ;" + "evrymsdhaft" + "JANMONSU?WR.:+" + "٣é\0\n"
SCRAPS = (
    "*", "*/", "/", ",", "-", "#", "L", "W", "?", "R", "@", "@daily", "@every ", "every ", " after end",
    " and ", "5", "59", "60", "0", "7", "31", "1-5", "ms", "s", "m", "h", "d", "minutes", ";", " ", "  ",
    "99999999999", ".5", *MONTHS, *WEEKDAYS,
)  # fmt: skip
texts = st.one_of(
    st.text(ALPHABET, max_size=40), st.lists(st.sampled_from(SCRAPS), max_size=14).map("".join),
    st.lists(st.sampled_from(SCRAPS), min_size=5, max_size=6).map(" ".join), st.text(max_size=30),
)  # fmt: skip
zones = st.sampled_from(["UTC", "Europe/Berlin", "Australia/Lord_Howe", "Pacific/Apia"])


def read(given: dict[str, Any]) -> tuple[Job | None, list[ConfigError]]:
    return config.read(Written({**BASE, **given}, "jobs/a.py", 7), Place("/a.py", "/", "hash"), "UTC")


@bounded(500)
@given(st.dictionaries(keys, values(PLAIN), max_size=4))
@example({"timezone": 2**13_999, "params": {"\x1b[31m": float("nan")}, "schedule": {"a;": 1}, "\x1b": 1})
def test_any_config_is_a_job_or_errors_that_name_file_line_and_key(given: dict[str, Any]) -> None:
    job, errors = read(given)
    assert (job is None) == bool(errors)
    for error in errors:
        assert (error.file, error.line) == ("jobs/a.py", 7)
        assert error.key is not None and error.message and "\n" not in error.message
        assert len(error.message) < 1_000
    if job is not None:
        assert config.read(Written(job.config, "jobs/a.py", 7), Place("/a.py", "/", "hash"), "UTC")[0] == job
        json.dumps(job.config, allow_nan=False).encode()


@bounded(300)
@given(st.sampled_from(sorted(config.keys.KEYS)), values(HOSTILE))
def test_any_python_value_of_any_key_is_a_job_or_an_error_of_ours(key: str, value: Any) -> None:
    try:
        job = added.check("a", "package.module:function", {"schedule": None, key: value})
    except JobrunnerError as error:
        assert error.message and "\n" not in error.message
    else:
        json.dumps(job.config, allow_nan=False)


@bounded(600)
@given(texts, zones)
def test_any_text_is_a_schedule_whose_occurrences_ascend_or_an_error_with_a_hint(
    text: str, zone: str
) -> None:
    try:
        schedule = parse(text, zone)
    except ScheduleError as error:
        assert error.hint and error.message.isprintable()
        return
    assert parse(schedule.text, zone) == schedule
    assert schedule.words().strip() and schedule.words().isprintable()
    assert_ascends(schedule)


def assert_ascends(schedule: Schedule) -> None:
    found, after = 0, START
    for _ in range(5):
        following = schedule.next_after(after, START)
        if following is None:
            break
        assert following >= after + schedule.shortest() or not found
        assert following > after
        found, after = found + 1, following
    assert found, "it never fires, and was not refused"
    if after < START + DAY:
        assert schedule.count(START, after, START) == found


@bounded(300)
@given(values(HOSTILE))
def test_any_value_is_a_schedule_or_an_error_of_ours(value: Any) -> None:
    try:
        assert parse(value).text
    except ScheduleError as error:
        assert error.message and len(error.message) < 1_000
    except RuntimeError as error:
        assert str(error) == "text"  # a property of the user's own object


@bounded(300)
@given(values(HOSTILE) | st.text(string.digits + ".smhd ", max_size=30))
def test_any_value_is_a_duration_or_a_value_error(value: Any) -> None:
    try:
        micros = durations.parse(value)
    except ValueError:
        return
    assert 0 <= micros <= durations.LONGEST
    if micros % 1_000 == 0:
        assert durations.parse(durations.text(micros)) == micros


BUILDERS = ("every", "hourly", "daily", "weekly", "weekdays", "weekends", "monthly", "yearly", "cron")


@bounded(300)
@given(st.sampled_from(BUILDERS), st.lists(values(HOSTILE), max_size=2))
def test_any_call_of_a_builder_is_a_schedule_or_an_error_of_ours(name: str, arguments: list[Any]) -> None:
    def call(builder: Builder) -> Any:
        made = getattr(builder, name)(*arguments)
        return made.minutes if name == "every" else made

    try:
        parse(from_callable(call))
    except ScheduleError as error:
        assert error.message
    except (TypeError, RuntimeError) as error:
        assert (
            "argument" in str(error) or str(error) == "text"
        )  # too many of them; a property of the user's own


CALLS: dict[str, Callable[[Any], object]] = {
    "a schedule": parse,
    "a list of schedules": lambda value: parse([value]),
    "a zone": lambda value: parse("@daily", value),
    "a gap": lambda value: parse("@daily", "UTC", value),
    "every": lambda value: Builder.every(value).minutes,
    "hourly": Builder.hourly,
    "daily": Builder.daily,
    "yearly": Builder.yearly,
    "a callable's result": lambda value: from_callable(lambda _: value),
    "a duration": durations.parse,
    "a param": lambda value: added.check("a", "m:f", {"schedule": None, "params": {"\n\x1b[31m": value}}),
    "a tag": lambda value: added.check("a", "m:f", {"schedule": None, "tags": [value]}),
    "a key": lambda value: _first_error({value: 1}),
    "a time zone": lambda value: _first_error({"timezone": value}),
}


def _first_error(given: dict[Any, Any]) -> None:
    raise read(given)[1][0]


@pytest.mark.parametrize("what", CALLS)
@pytest.mark.parametrize("make", [Mute, Trap, vast], ids=["mute", "trap", "vast"])
def test_what_python_itself_cannot_write_is_refused_in_a_sentence(what: str, make: Callable[[], Any]) -> None:
    if make is Trap and what in ("a schedule", "a list of schedules", "a callable's result"):
        return  # a property of the user's own object may raise what it likes
    with pytest.raises((JobrunnerError, ValueError)) as caught:
        CALLS[what](make())
    said = getattr(caught.value, "message", str(caught.value))
    assert said.isprintable() and len(said) < 300
    assert "Exceeds the limit" not in said
