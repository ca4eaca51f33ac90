"""Every key of the table: what it may be, what it may not, and what a later version will do."""

# ruff: noqa: E501  (what a file says reads best on one line)

from __future__ import annotations

import ast
import re
from typing import Any

import pytest

from jobrunner.config import SET, Place, Written, read
from jobrunner.config.keys import CANONICAL, KEYS
from jobrunner.config.values import Invalid, whole
from jobrunner.errors import ConfigError, NotYetSupported, ScheduleError
from jobrunner.model import Job, Retries

PLACE = Place("/p/jobs/a.py", "/p/jobs", "c" * 64, "The doc.", ("json",))
SECOND = 1_000_000
HOUR = 3600 * SECOND


def said(
    config: dict[str, Any], override: dict[str, Any] | None = None
) -> tuple[Job | None, list[ConfigError]]:
    lines = {key: 10 + i for i, key in enumerate(config)}
    over = [] if override is None else [Written(override, "jobrunner.yaml", 2, dict.fromkeys(override, 3))]
    return read(Written(config, "jobs/a.py", 9, lines), PLACE, "UTC", over)


def job(**keys: Any) -> Job:
    made, errors = said({"name": "a", "schedule": "@hourly", **keys})
    assert errors == []
    assert made is not None
    return made


def error(**keys: Any) -> ConfigError:
    made, errors = said({"name": "a", "schedule": "@hourly", **keys})
    assert made is None
    assert len(errors) == 1, errors
    return errors[0]


VALID: list[tuple[str, Any, str, Any]] = [
    ("name", "a", "name", "a"),
    ("name", "A0._:/-" + "x" * 121, "name", "A0._:/-" + "x" * 121),
    ("schedule", None, "schedule", None),
    ("numberOfExecutions", 3, "number_of_executions", 3),
    ("numberOfExecutions", None, "number_of_executions", None),
    ("timezone", "Europe/Berlin", "timezone", "Europe/Berlin"),
    ("timezone", "", "timezone", "UTC"),
    ("timezone", " ", "timezone", "UTC"),
    ("timezone", None, "timezone", "UTC"),
    ("description", " two\n words ", "description", "two words"),
    ("tags", ["b", "a", "b"], "tags", ("b", "a")),
    ("enabled", False, "enabled", False),
    ("environments", ["prod"], "environments", ("prod",)),
    ("params", {"x": [1, None, {"y": "é"}]}, "params", {"x": [1, None, {"y": "é"}]}),
    ("timeout", 1.5, "timeout", 1_500_000),
    ("timeout", "1h30m", "timeout", HOUR * 3 // 2),
    ("concurrency", "forbid", "concurrency", "forbid"),
    ("concurrency", "allow", "concurrency", "allow"),
    ("misfire", "once", "misfire", "once"),
    ("misfire", "skip", "misfire", "skip"),
    ("misfireGrace", 0, "misfire_grace", 0),
    ("misfireGrace", "500ms", "misfire_grace", 500_000),
    ("delivery", "at-most-once", "delivery", "at-most-once"),
    ("hidden", True, "hidden", True),
    ("runsPerProcess", 5, "runs_per_process", 5),
    ("runOnStart", True, "run_on_start", True),
    ("startAt", "1970-01-01T01:00:00Z", "start_at", HOUR),
    ("endAt", "1970-01-01T03:00:00+02:00", "end_at", HOUR),
    ("concurrency", "queue", "concurrency", "queue"),
    ("concurrency", "replace", "concurrency", "replace"),
    ("misfire", "all", "misfire", "all"),
    ("delivery", "at-least-once", "delivery", "at-least-once"),
    ("jitter", 0, "offset", 0),
    ("priority", "high", "priority", 1),
    ("priority", "normal", "priority", 0),
    ("priority", "low", "priority", -1),
    ("priority", -7, "priority", -7),
    ("stopOnError", True, "stop_on_error", 1),
    ("stopOnError", False, "stop_on_error", 0),
    ("stopOnError", 3, "stop_on_error", 3),
    ("runPerMachine", True, "run_per_machine", True),
    ("memoryLimit", "512MB", "memory_limit", 512_000_000),
    ("memoryLimit", None, "memory_limit", None),
    ("group", "database", "group", "database"),
    ("group", "database", "group_limit", 1),
    ("formerNames", ["old", "older"], "former_names", ("old", "older")),
    ("cancellable", False, "cancellable", False),
    ("stallAfter", "5m", "stall_after", HOUR // 12),
    ("stallAfter", None, "stall_after", None),
    ("hooks", {"on_failure": "alerts:page"}, "hooks", {"on_failure": "alerts:page"}),
    ("hooks", {"onStart": ":begin", "on_skip": "a.b:c"}, "hooks", {"on_start": ":begin", "on_skip": "a.b:c"}),
    ("runsOn", "gpu", "runs_on", ("gpu",)),
    ("runsOn", ["zone:eu-1", "gpu", "gpu"], "runs_on", ("zone:eu-1", "gpu")),
    ("runsOn", [], "runs_on", ()),
    ("retries", 0, "retries", Retries()),
    ("retries", 3, "retries", Retries(max=3, delay=SECOND, backoff="fixed", max_delay=HOUR, jitter=False)),
    ("retries", {"max": 2}, "retries", Retries(max=2)),
    ("retries", {"max": 2, "delay": "10s", "backoff": "exponential", "maxDelay": 60, "jitter": True}, "retries",
     Retries(max=2, delay=10 * SECOND, backoff="exponential", max_delay=60 * SECOND, jitter=True)),
    ("retries", {"max": 1, "jitter": "5s"}, "retries", Retries(max=1, jitter=5 * SECOND)),
    ("retries", {"max": 1, "delay": 0}, "retries", Retries(max=1, delay=0)),
    ("retries", {"max": 1, "delay": "2h"}, "retries", Retries(max=1, delay=2 * HOUR, max_delay=2 * HOUR)),
]  # fmt: skip


@pytest.mark.parametrize(("key", "value", "field", "expected"), VALID)
def test_a_valid_value_arrives_in_the_job(key: str, value: Any, field: str, expected: Any) -> None:
    made = job(**{key: value})
    assert getattr(made, field) == expected
    assert made.config[key] == value


def tried(key: str, *values: Any) -> list[tuple[str, Any]]:
    return [(key, value) for value in values]


INVALID: list[tuple[str, Any]] = [
    *tried("name", None, "", "a b", "_a", "-a", "é", "a\n", "x" * 129, "123", 7, "jobrunner.x", "Jobrunner.x",
                                   "a/../b", "a\x00", "<b>", "a\u202e"),
    *tried("schedule", "", "* * * *", "61 * * * *", "0 0 31 2 *", "nonsense", 5, True, {}, [], ["@daily", 3], "@reboot"),
    *tried("numberOfExecutions", 0, -1, 1.5, "3", True, 2**60),
    *tried("timezone", "Europe/Berln", "../../etc/passwd", 3, "America", "a\x00b"),
    *tried("description", 3, "a\x1b[31m", "x" * 10_001, "\ud800"),
    *tried("tags", "a", [3], [""], ["a\nb"], ["x" * 101], None, {"a": 1}),
    *tried("enabled", "no", 0, 1, None),
    *tried("environments", "prod", [], [None]),
    *tried("params", [], "x", {"x": float("inf")}, {"x": float("nan")}, {"x": "\ud800"}, {"x": "y" * 5_000_000}, None),
    *tried("timeout", 0, -1, "0s", "5 parsecs", "", True, [], float("inf"), float("nan"), "1e3", 1e300),
    *tried("retries", -1, "3", True, {"delay": 3}, {"max": 1, "nope": 1}, {"max": 1, "backoff": "x"}),
    *tried("concurrency", "Forbid", "", None, 1, ["allow"]),
    *tried("misfire", "never", None, []),
    *tried("misfireGrace", -1, "x"),
    *tried("jitter", -1, "x", None),
    *tried("priority", "urgent", 1.5, True, []),
    *tried("delivery", "once", None),
    *tried("stopOnError", 0, -1, "yes", None),
    *tried("runPerMachine", "yes", 1),
    *tried("hidden", "yes", 1),
    *tried("runsPerProcess", 0, "1", 1.0),
    *tried("memoryLimit", "lots", -1, "1kb", True),
    *tried("group", "", 3),
    *tried("groupLimit", 0, "x"),
    *tried("startAt", "2026-01-01", "2026-01-01T00:00:00", "soon", 3, "9999-99-99T00:00:00Z"),
    *tried("endAt", "2026-01-01", ""),
    *tried("formerNames", "old", [3], ["1"]),
    *tried("dstGap", "later", None),
    *tried("dstFold", "third", 1),
    *tried("runsOn", 3, [3], None, "", "a b", "a,b", ["gpu", ""], ["-x"], "x" * 101, {"gpu": 1}),
    *tried("executor", 3, "", None, {}, {"python": "x"}, {"name": 3}, {"name": ""}, {"name": "a", "x": float("nan")}),
    *tried("skipOn", 3, [3]),
    *tried("onlyOn", 3, [3]),
    *tried("shift", "tomorrow", 1),
    *tried("runOnStart", "yes", 1, None),
    *tried("cancellable", "no", 0),
    *tried("stallAfter", 0, "x"),
    *tried("hooks", None, "alerts:page", [], {"when": "a:b"}, {"on_failure": "page"}, {"on_failure": 3}, {"on_failure": "a:b c"},
                    {"on_failure": "a:b:c"}, {3: "a:b"}, {"on_failure": "\u202e:x"}),
    *tried("retries", None, [], {}, 1.5, {"max": -1}, {"max": "3"}, {"max": True}, {"max": 1, "delay": -1}, {"max": 1, "maxDelay": "x"},
                      {"max": 1, "jitter": "x"}, {"max": 1, "jitter": -1}, {"max": 1, 2: 3, "x": 4}),
]  # fmt: skip


@pytest.mark.parametrize(("key", "value"), INVALID)
def test_an_invalid_value_is_refused_with_its_line_its_key_and_what_to_do(key: str, value: Any) -> None:
    found = error(**{key: value})
    assert not isinstance(found, NotYetSupported)
    assert (found.file, found.key) == ("jobs/a.py", key)
    assert found.line == (10 + ["name", "schedule", key].index(key))
    assert found.hint
    assert key in found.message or isinstance(found, ScheduleError)
    assert "\n" not in found.message and found.message.isprintable() and len(found.message) < 300


@pytest.mark.parametrize(("key", "value"), [each for each in INVALID if KEYS[each[0]].has is not None])
def test_the_hint_to_an_invalid_value_offers_nothing_that_is_refused_next(key: str, value: Any) -> None:
    hint = error(**{key: value}).hint
    quoted = [ast.literal_eval(each) for each in re.findall(r'"[^"]*"', hint or "")]
    assert hint == "remove it" or quoted
    for each in quoted:
        assert job(**{key: each}).config[key] == each


@pytest.mark.parametrize(
    ("keys", "hint"), [({"groupLimit": 3}, "add group"), ({"jitter": "1h"}, "make it shorter")]
)
def test_a_hint_on_keys_together_says_how_they_agree(keys: dict[str, Any], hint: str) -> None:
    _, errors = said({"name": "a", "schedule": "@hourly", **keys})
    assert [each.hint for each in errors] == [hint]


def test_a_number_that_may_be_zero_is_hinted_so() -> None:
    with pytest.raises(Invalid) as caught:
        whole(0)("x")
    assert caught.value.hint.startswith("write 0 or more")


def test_params_that_are_not_json_are_named_by_their_path() -> None:
    assert error(params={"x": [1, float("nan")]}).message == "params.x[1] is nan, which is no finite number"
    assert "params is nested" in error(params=_deep(60)).message


def _deep(levels: int) -> dict[str, Any]:
    return {"x": _deep(levels - 1)} if levels else {}


def test_every_key_was_tried_with_an_invalid_value() -> None:
    assert {key for key, _ in INVALID} == set(KEYS)


LATER: list[tuple[str, Any, Any]] = [
    ("skipOn", [], ["holidays"]),
    ("onlyOn", [], "holidays"),
    ("shift", None, "next-business-day"),
]


@pytest.mark.parametrize(("key", "default", "value"), LATER)
def test_a_key_of_a_later_version_is_refused_and_its_default_is_fine(
    key: str, default: Any, value: Any
) -> None:
    job(**{key: default})
    found = error(**{key: value})
    assert isinstance(found, NotYetSupported)
    assert "not yet supported" in found.message and found.hint
    assert (found.file, found.line, found.key) == ("jobs/a.py", 12, key)


def test_every_key_that_this_version_lacks_is_among_those_tried() -> None:
    assert {key for key, each in KEYS.items() if each.has is not None} == {key for key, _, _ in LATER}


PROMISED = """
    name schedule numberOfExecutions timezone description tags enabled environments params timeout retries
    concurrency misfire misfireGrace jitter priority delivery stopOnError runPerMachine hidden runsPerProcess
    memoryLimit group groupLimit startAt endAt formerNames dstGap dstFold runsOn executor skipOn onlyOn shift
    runOnStart cancellable stallAfter hooks
"""


def test_every_promised_key_is_known_and_no_other() -> None:
    assert set(PROMISED.split()) == set(KEYS)


# --- spelling ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in CANONICAL if "_" in name])
def test_the_snake_case_of_each_key_is_accepted_and_kept_as_camel_case(name: str) -> None:
    key = CANONICAL[name]
    default = KEYS[key].default
    value = {
        "stopOnError": False,
        "retries": 0,
        "numberOfExecutions": 3,
        "startAt": "2026-01-01T00:00:00Z",
        "endAt": "2026-01-01T00:00:00Z",
    }.get(key, list(default) if isinstance(default, tuple) else default)
    assert job(**{name: value}).config[key] == value


def test_both_spellings_at_once_are_an_error() -> None:
    found = error(numberOfExecutions=3, number_of_executions=3)
    assert "numberOfExecutions and number_of_executions" in found.message
    assert found.line == 13


@pytest.mark.parametrize(
    ("key", "hint"),
    [("timeuot", '"timeout"'), ("number_of_execution", '"numberOfExecutions"'), ("Schedule", '"schedule"'), ("zzz", "params")],
)  # fmt: skip
def test_an_unknown_key_is_an_error_with_a_guess(key: str, hint: str) -> None:
    found = error(**{key: 1})
    assert f'"{key}" is no config key' in found.message
    assert found.hint is not None and hint in found.hint


@pytest.mark.parametrize("key", ["name", "schedule"])
def test_a_required_key_that_is_missing_is_named(key: str) -> None:
    config = {"name": "a", "schedule": None}
    del config[key]
    _, errors = said(config)
    assert [(each.message, each.line) for each in errors] == [(f"config has no {key}", 9)]


def test_everything_that_is_wrong_is_said_at_once() -> None:
    _, errors = said({"name": "1", "schedule": "x", "tags": 1, "nope": 1, "retries": -2})
    assert [each.key for each in errors] == ["name", "tags", "nope", "retries", "schedule"]


# --- keys together ----------------------------------------------------------------------------


def test_a_schedule_error_keeps_its_sentence_and_gets_a_line() -> None:
    found = error(schedule="0 0 31 2 *")
    assert isinstance(found, ScheduleError)
    assert (found.file, found.line) == ("jobs/a.py", 11)


def test_the_schedule_counts_in_the_jobs_own_zone() -> None:
    made = job(schedule="0 12 * * *", timezone="Asia/Tokyo")
    assert made.schedule is not None
    assert made.schedule.next_after(0, 0) == 3 * HOUR


def test_a_window_must_end_after_it_begins() -> None:
    assert "not after" in error(startAt="2026-01-02T00:00:00Z", endAt="2026-01-01T00:00:00Z").message


def test_a_group_limit_needs_a_group() -> None:
    _, errors = said({"name": "a", "schedule": None, "groupLimit": 3})
    assert "without a group" in errors[-1].message


def test_a_group_may_have_a_limit_of_its_own() -> None:
    assert job(group="db", groupLimit=4).group_limit == 4
    assert job().group_limit is None


def test_jitter_becomes_a_part_of_it_that_is_the_jobs_own_and_always_the_same() -> None:
    found = {name: job(name=name, jitter="30m").offset for name in map("job-{}".format, range(100))}
    assert found == {name: job(name=name.upper(), jitter="30m").offset for name in found}
    assert 0 <= min(found.values()) < HOUR // 20
    assert HOUR // 2 - HOUR // 20 < max(found.values()) < HOUR // 2


def test_a_name_is_no_former_name_of_itself() -> None:
    found = error(formerNames=["A"])
    assert (found.key, found.hint) == ("formerNames", "take it out")


@pytest.mark.parametrize(
    ("retries", "sentence"),
    [
        ({"max": -1}, "retries.max is -1, which is not a whole number of at least 0"),
        ({"max": 1, "delay": "soon"}, 'retries.delay is "soon", which is not a duration'),
        (
            {"max": 1, "backoff": "x"},
            'retries.backoff is "x", which is not one of the values that this key has',
        ),
        ({"max": 1, "maxDelay": -1}, "retries.maxDelay is -1, which is not a duration"),
        (
            {"max": 1, "delay": "10s", "maxDelay": "5s"},
            'retries.maxDelay is "5s", which is shorter than delay, "10s"',
        ),
        (
            {"max": 1, "maxDelay": 0.5},
            'retries.maxDelay is 0.5, which is shorter than delay, "1s" by default',
        ),
        ({"max": 1, "jitter": "x"}, 'retries.jitter is "x", which is not a duration'),
    ],
)
def test_what_is_wrong_within_retries_is_named_by_its_path(retries: dict[str, Any], sentence: str) -> None:
    assert error(retries=retries).message == sentence


def test_a_hook_that_is_none_is_told_which_there_are() -> None:
    assert "on_start, on_success, on_failure, on_skip, on_finish" in str(error(hooks={"when": "a:b"}).hint)
    assert (
        error(hooks={"on_failure": "page"}).message == 'hooks.on_failure is "page", which names no function'
    )


def test_jitter_must_be_shorter_than_the_time_between_runs() -> None:
    _, errors = said({"name": "a", "schedule": "@hourly", "jitter": "1h"})
    assert "shortest" in errors[-1].message


def test_the_docstring_is_the_description_of_last_resort() -> None:
    assert job().description == "The doc."
    assert job(description="own").description == "own"


def test_the_hash_depends_on_content_config_and_zone_and_on_nothing_else() -> None:
    first = job(tags=["a"], hidden=False)
    assert first.hash == job(hidden=False, tags=["a"]).hash
    assert (
        len({first.hash, job(tags=["b"]).hash, job(timezone="Asia/Tokyo", tags=["a"]).hash, job().hash}) == 4
    )
    other, _ = read(Written({"name": "a", "schedule": "@hourly"}, "x.py"), Place("/x", "/", "d" * 64), "UTC")
    assert other is not None and other.hash != job().hash


# --- jobrunner.yaml ---------------------------------------------------------------------------


def test_an_override_wins_and_is_part_of_the_definition() -> None:
    made, errors = said({"name": "a", "schedule": "@hourly", "timeout": 3}, {"timeout": "5s", "tags": ["x"]})
    assert errors == []
    assert made is not None
    assert (made.timeout, made.tags, made.config["timeout"]) == (5_000_000, ("x",), "5s")
    assert made.hash != job(timeout=3).hash


@pytest.mark.parametrize(
    "override", [{"timeout": "x"}, {"nope": 1}, {"retries": -3}, {"schedule": "x"}, {"name": "b"}]
)
def test_what_is_wrong_with_an_override_names_jobrunner_yaml(override: dict[str, Any]) -> None:
    made, errors = said({"name": "a", "schedule": "@hourly"}, override)
    assert made is None
    assert [(each.file, each.line) for each in errors] == [("jobrunner.yaml", 3)]


def layered(
    config: dict[str, Any], in_file: dict[str, Any], stored: dict[str, Any]
) -> tuple[Job | None, list[ConfigError]]:
    over = [Written(in_file, "jobrunner.yaml", 2, dict.fromkeys(in_file, 3)), Written(stored, SET)]
    return read(Written({"name": "a", "schedule": "@hourly", **config}, "jobs/a.py", 9), PLACE, "UTC", over)


def test_what_is_stored_wins_over_jobrunner_yaml_which_wins_over_the_file() -> None:
    made, errors = layered(
        {"timeout": 1, "tags": ["file"], "timezone": "UTC"},
        {"timeout": 2, "schedule": "@daily", "description": "yaml"},
        {"timeout": 3, "timezone": "Europe/Berlin"},
    )
    assert errors == [] and made is not None
    assert (made.timeout, made.tags, made.timezone) == (3_000_000, ("file",), "Europe/Berlin")
    assert (made.config["schedule"], made.description) == ("@daily", "yaml")
    assert made.overridden == ("description", "schedule", "timeout", "timezone")


def test_params_are_merged_key_by_key_through_all_layers_and_the_file_keeps_its_own() -> None:
    own = {"a": 1, "b": {"x": 1}, "c": 1}
    made, errors = layered({"params": own}, {"params": {"b": {"y": 2}, "d": 2}}, {"params": {"c": None}})
    assert errors == [] and made is not None
    assert made.params == made.config["params"] == {"a": 1, "b": {"y": 2}, "c": None, "d": 2}
    assert own == {"a": 1, "b": {"x": 1}, "c": 1}
    assert made.overridden == ("params",)


def test_a_job_that_nothing_overrides_says_so() -> None:
    assert job().overridden == ()


@pytest.mark.parametrize(
    "stored",
    [
        {"timeout": "x"},
        {"schedule": "x"},
        {"timezone": "x"},
        {"params": [1]},
        {"nope": 1},
        {"name": "b"},
        {"tags": []},
        {"enabled": False},
    ],
)
def test_what_is_wrong_with_what_is_stored_is_said_of_set(stored: dict[str, Any]) -> None:
    made, errors = layered({"params": {"a": 1}}, {}, stored)
    assert made is None
    assert [(each.file, each.line, each.key) for each in errors] == [("set", None, next(iter(stored)))]
    assert errors[0].hint


def test_of_two_keys_that_disagree_the_one_that_was_overridden_last_is_to_blame() -> None:
    _, errors = layered({"jitter": "1m"}, {}, {"schedule": "every 30s"})
    assert [(each.file, each.key) for each in errors] == [("set", "schedule")]
    _, errors = layered({"schedule": "every 30s"}, {"jitter": "1m"}, {})
    assert [(each.file, each.key) for each in errors] == [("jobrunner.yaml", "jitter")]


def test_an_override_can_undo_a_key() -> None:
    made, errors = said(
        {"name": "a", "schedule": "@hourly", "timeout": 3}, {"timeout": None, "schedule": None}
    )
    assert errors == []
    assert made is not None and made.timeout is None and made.schedule is None
