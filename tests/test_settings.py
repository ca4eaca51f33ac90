"""Command line over environment over jobrunner.yaml over defaults; a mistake is said with its place."""

# ruff: noqa: E501  (what a file says reads best on one line)

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from jobrunner import settings
from jobrunner.errors import ConfigError
from jobrunner.settings import OPTION, READERS, Settings, load


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that we are in; no jobrunner.yaml above it."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(home)
    return home


def write(home: Path, text: str) -> Path:
    path = home / "jobrunner.yaml"
    path.write_text(text)
    return path


def test_without_anything_said_the_defaults_hold(home: Path) -> None:
    found = load({}, {})
    assert found.project == str(home)
    assert found.folders == (str(home / "jobs"),)
    assert found.state == f"sqlite:///{home}/.jobrunner/state.db"
    assert found.state_folder == str(home / ".jobrunner")
    assert found.slots >= 4
    assert (found.grace, found.log_limit) == (30_000_000, 1_000_000)
    assert (found.file, found.explicit) == (None, False)
    assert found.timezone and found.node and found.machine


def test_the_command_line_wins_then_the_environment_then_the_file(home: Path) -> None:
    write(home, "slots: 5\ngrace: 5s\nnode: file\n")
    assert (load({}, {}).slots, load({}, {}).grace) == (5, 5_000_000)
    environ = {"JOBRUNNER_SLOTS": "6", "JOBRUNNER_GRACE": "6"}
    found = load({"slots": 7}, environ)
    assert (found.slots, found.grace, found.node) == (7, 6_000_000, "file")


VALUES = {
    "state": "postgresql://h/d", "timezone": "Asia/Tokyo", "slots": "9", "node": "n", "machine": "m", "env": "prod",
    "role": "worker", "labels": "gpu,zone:eu",
    "executor": "subprocess",
    "disabled": "a,b", "secrets": "STRIPE,smtp.password", "grace": "1m", "lease": "9s", "log_limit": "2MB", "import_limit": "3s",
    "retention": "7d", "retention_failed": "8d", "retention_rows": "9", "retention_calls": "6d",
    "allow_network_fs": "yes",
    "log_format": "json", "only": "a", "exclude": "b", "tag": "c,d", "paused": "true", "exclusive": "on", "strict": "1",
    "until_done": "yes", "run_for": "1h",
}  # fmt: skip


@pytest.mark.parametrize("name", [name for name in READERS if name not in ("project", "folders")])
def test_every_setting_can_be_given_in_each_of_the_three_places(home: Path, name: str) -> None:
    option = OPTION.get(name, name)
    default = getattr(load({}, {}), name)
    by_option = getattr(load({option: VALUES[name]}, {}), name)
    by_variable = getattr(load({}, {"JOBRUNNER_" + option.upper(): VALUES[name]}), name)
    write(home, f'{option}: "{VALUES[name]}"\n')
    by_file = getattr(load({}, {}), name)
    assert by_option == by_variable == by_file != default


@pytest.mark.parametrize("written", ["for: 90", "for: 1m30s", "run_for: 90", "runFor: 90", "run-for: 90"])
def test_start_can_be_told_in_the_file_how_long_to_run(home: Path, written: str) -> None:
    write(home, written)
    assert load({}, {}).run_for == 90_000_000
    assert load({}, {"JOBRUNNER_FOR": "2"}).run_for == 2_000_000


@pytest.mark.parametrize("key", ["until_done", "untilDone", "until-done"])
def test_start_can_be_told_in_the_file_to_end_when_all_is_done(home: Path, key: str) -> None:
    assert (load({}, {}).until_done, load({}, {}).run_for) == (False, None)
    write(home, f"{key}: true")
    assert load({}, {}).until_done
    assert not load({}, {"JOBRUNNER_UNTIL_DONE": "no"}).until_done


@pytest.mark.parametrize(
    ("written", "why"),
    [("\x1b[2Jn", "has control characters"), ("a\nb", "has control characters"), (" ", "is blank")],
)
def test_a_name_that_a_terminal_would_obey_is_refused_for_that(home: Path, written: str, why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load({"node": written}, {})
    assert why in caught.value.message
    assert "\x1b" not in caught.value.message
    assert "\n" not in caught.value.message


# --- the zone of the system ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "zone"),
    [
        ("EST5EDT", "EST5EDT"),
        ("Europe/Berlin", "Europe/Berlin"),
        (":Asia/Tokyo", "Asia/Tokyo"),
        ("/usr/share/zoneinfo/Asia/Tokyo", "Asia/Tokyo"),
        (" UTC ", "UTC"),
    ],
)
def test_the_zone_that_TZ_names_is_the_default(home: Path, written: str, zone: str) -> None:
    assert load({}, {"TZ": written}).timezone == zone


@pytest.mark.parametrize(
    "written",
    ["Europe/Bogus", "CET-1CEST", "UTC-5", "CET-1CEST,M3.5.0,M10.5.0/3", "/etc/hostname", ":", "../x"],
)
def test_a_TZ_that_is_no_zone_is_refused_and_never_taken_for_UTC(home: Path, written: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load({}, {"TZ": written})
    assert f'TZ is "{written}", which is no IANA zone' in caught.value.message
    assert caught.value.hint is not None and "--timezone" in caught.value.hint
    assert (caught.value.exit_code, caught.value.key) == (3, "timezone")


@pytest.mark.parametrize(
    ("options", "environ"), [({"timezone": "UTC"}, {}), ({}, {"JOBRUNNER_TIMEZONE": "UTC"})]
)
def test_TZ_does_not_matter_where_a_zone_is_set(
    home: Path, options: dict[str, Any], environ: dict[str, str]
) -> None:
    assert load(options, {"TZ": "Europe/Bogus", **environ}).timezone == "UTC"


@pytest.mark.parametrize("written", [":/etc/localtime", "/etc/localtime"])
def test_a_TZ_that_points_at_the_system_zone_means_it(home: Path, written: str) -> None:
    assert load({}, {"TZ": written}).timezone == load({}, {}).timezone


def test_a_TZ_that_is_a_link_to_a_zone_means_that_zone(home: Path) -> None:
    link = home / "zone"
    link.symlink_to("/usr/share/zoneinfo/Asia/Tokyo")
    assert load({}, {"TZ": f":{link}"}).timezone in ("Asia/Tokyo", "Japan")


@pytest.mark.parametrize(("linked", "zone"), [("Asia/Tokyo", "Asia/Tokyo"), ("Asia/Bogus", "UTC")])
def test_where_the_systems_files_disagree_the_one_that_its_clocks_follow_wins(
    home: Path, monkeypatch: pytest.MonkeyPatch, linked: str, zone: str
) -> None:
    def contradict() -> str:
        raise ValueError("the system has two zones")

    monkeypatch.setattr(settings, "_linked", lambda path: linked)
    monkeypatch.setattr(settings, "_line_of", lambda path: "Europe/Paris")
    monkeypatch.setattr("tzlocal.get_localzone_name", contradict)
    assert load({}, {}).timezone == zone


def test_a_blank_TZ_and_a_blank_zone_in_the_file_count_as_unset(home: Path) -> None:
    known = load({}, {}).timezone
    assert load({}, {"TZ": " "}).timezone == known
    write(home, 'timezone: ""\n')
    assert load({}, {"TZ": "Asia/Tokyo"}).timezone == "Asia/Tokyo"


def test_blank_variables_and_options_that_were_not_given_count_for_nothing(home: Path) -> None:
    assert load({"slots": None, "jobs": (), "strict": False}, {"JOBRUNNER_SLOTS": " "}) == load({}, {})


def test_zero_is_a_value(home: Path) -> None:
    assert load({"grace": 0}, {}).grace == 0


def test_names_are_found_in_any_case(home: Path) -> None:
    disabled = load({}, {"JOBRUNNER_DISABLED": "Sync, other"}).disabled
    assert "sync" in disabled and "OTHER" in disabled and "x" not in disabled


@pytest.mark.parametrize(("written", "micros"), [("5", 5_000_000), ("1.5", 1_500_000), ("1h", 3_600_000_000)])
def test_a_number_alone_is_seconds_in_the_environment_too(home: Path, written: str, micros: int) -> None:
    assert load({}, {"JOBRUNNER_GRACE": written}).grace == micros


# --- where the project is -----------------------------------------------------------------------


def test_the_project_is_the_nearest_folder_above_with_a_file(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(home, "slots: 5\n")
    deep = home / "a" / "b"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    assert (load({}, {}).project, load({}, {}).slots) == (str(home), 5)
    assert load({}, {}).folders == (str(home / "jobs"),)


def test_the_project_option_wins_over_what_is_nearest(home: Path, tmp_path: Path) -> None:
    write(home, "slots: 5\n")
    other = tmp_path / "other"
    other.mkdir()
    write(other, "slots: 6\njobs: tasks\n")
    for found in (load({"project": "../other"}, {}), load({}, {"JOBRUNNER_PROJECT": str(other)})):
        assert (found.project, found.slots, found.folders) == (str(other), 6, (str(other / "tasks"),))


def test_without_a_file_the_project_is_the_parent_of_the_first_jobs_folder(
    home: Path, tmp_path: Path
) -> None:
    found = load({"jobs": ["../one/jobs", "two"]}, {})
    assert found.project == str(tmp_path / "one")
    assert found.folders == (str(tmp_path / "one" / "jobs"), str(home / "two"))
    assert found.explicit


def test_folders_in_the_environment_are_separated_as_in_path(home: Path) -> None:
    assert load({}, {"JOBRUNNER_JOBS": f"a{os.pathsep}b"}).folders == (str(home / "a"), str(home / "b"))


def test_a_project_that_is_not_there_is_said(home: Path) -> None:
    with pytest.raises(ConfigError, match="no such folder"):
        load({"project": "nowhere"}, {})


@pytest.mark.parametrize(
    ("state", "expected"), [("sqlite:///x.db", "{home}/x.db"), ("sqlite:////var/x.db", "/var/x.db")]
)
def test_a_relative_state_file_counts_from_the_project(home: Path, state: str, expected: str) -> None:
    assert load({"state": state}, {}).state == "sqlite:///" + expected.format(home=home)


# --- the file -----------------------------------------------------------------------------------


def test_the_files_sections_arrive_with_their_lines(home: Path) -> None:
    write(
        home,
        "folders: [jobs, more]\nsettings:\n  currency: EUR\nservices:\n  db: app.db:connect\n"
        "jobs:\n  sync:\n    timeout: 5s\n    retries: 3\n  other:\n",
    )
    found = load({}, {})
    assert found.folders == (str(home / "jobs"), str(home / "more"))
    assert found.settings == {"currency": "EUR"}
    assert found.services == {"db": "app.db:connect"}
    assert found.overrides == {"sync": {"timeout": "5s", "retries": 3}, "other": {}}
    assert found.lines["jobs", "sync", "retries"] == 9


@pytest.mark.parametrize("written", ["jobs: tasks", "jobs: [tasks]", "folders: tasks", "folders: [tasks]"])
def test_folders_may_be_one_or_several(home: Path, written: str) -> None:
    write(home, written)
    assert load({}, {}).folders == (str(home / "tasks"),)


@pytest.mark.parametrize("key", ["log_limit", "logLimit", "log-limit"])
def test_keys_may_be_written_in_three_ways(home: Path, key: str) -> None:
    write(home, f"{key}: 2MB")
    assert load({}, {}).log_limit == 2_000_000


@pytest.mark.parametrize(
    ("text", "line", "words", "hint"),
    [
        ("slots: 5\nslotz: 5\n", 2, '"slotz" is no setting', 'did you mean "slots"'),
        ("slots: 5\nqqqq: 5\n", 2, '"qqqq" is no setting', "settings:"),
        ("\nslots: many\n", 2, 'slots is "many"', None),
        ("slots: true\n", 1, "slots is True", None),
        ("slots: 0\n", 1, "slots is 0", None),
        ("grace: -3\n", 1, "grace is -3", None),
        ("timezone: Europe/Berln\n", 1, "time zone", None),
        ("state: here.db\n", 1, "address", None),
        ("log_format: xml\n", 1, '"text" nor "json"', None),
        ("services: [a]\n", 1, "mapping", None),
        ("settings: 3\n", 1, "mapping", None),
        ("jobs:\n  a: 3\n", 2, "jobs.a is 3, which is not a mapping of config keys", None),
        ("jobs:\n  A: {}\n  folders: [jobs]\n", 3, "jobs.folders is ['jobs']", "top of the file"),
        ("jobs:\n  folders: jobs\n", 2, 'jobs.folders is "jobs"', "top of the file"),
        ("jobs:\n  1: {}\n", 2, "key that is not a text", None),
        ("folders: {a: b}\n", 1, "folder", None),
        ("jobs: [a]\nfolders: [b]\n", 2, "folders is given twice", None),
        ("slots: 1\nslots: 2\n", 2, "twice, on lines 1 and 2", None),
        ("jobs:\n  a:\n    timeout: 1\n    timeout: 2\n", 4, "twice", None),
        ("x: y: z\n", 1, "not YAML", None),
        ("jobs:\n  a:\n    schedule: */5 * * * *\n", 3, "not YAML", "quotes"),
        ("a: [1\n", None, "not YAML", None),
        ("- a\n", 1, "not a mapping", None),
        ("just text\n", 1, "not a mapping", None),
        ("settings: !!python/object/apply:os.system [true]\n", 1, "not YAML", None),
        ("settings: {a: 2026-99-99}\n", 1, "not of its type", "quotes"),
        ("a: \x00\n", None, "YAML", None),
        ("a: &a [*a]\n", 1, "part of itself", None),
        ("settings: " + "[" * 3000 + "]" * 3000, None, "", None),
        ("x" * 1_000_001, None, "larger than 1 MB", None),
    ],
)
def test_a_mistake_in_the_file_names_the_line(
    home: Path, text: str, line: int | None, words: str, hint: str | None
) -> None:
    write(home, text)
    with pytest.raises(ConfigError) as caught:
        load({}, {})
    assert caught.value.file == "jobrunner.yaml"
    assert words in caught.value.message
    assert line is None or caught.value.line == line
    assert hint is None or hint in str(caught.value.hint)
    assert "\n" not in caught.value.message
    assert str(caught.value).count("jobrunner.yaml") == 1


@pytest.mark.parametrize("text", ["", "# nothing\n", "slots:\n", "---\n"])
def test_an_empty_file_says_nothing(home: Path, text: str) -> None:
    write(home, text)
    assert load({}, {}).slots >= 4


def test_a_file_that_is_a_folder_is_said(home: Path) -> None:
    (home / "jobrunner.yaml").mkdir()
    with pytest.raises(ConfigError) as caught:
        load({}, {})
    assert str(caught.value) == "jobrunner.yaml: the file is not a regular file"


@pytest.mark.parametrize(
    ("options", "environ", "words"),
    [
        ({"slots": "x"}, {}, '--slots is "x"'),
        ({"log_format": "x"}, {}, '--log-format is "x"'),
        ({}, {"JOBRUNNER_GRACE": "soon"}, 'JOBRUNNER_GRACE is "soon"'),
        ({}, {"JOBRUNNER_TIMEZONE": "Nowhere"}, 'JOBRUNNER_TIMEZONE is "Nowhere"'),
        ({}, {"JOBRUNNER_STRICT": "maybe"}, 'JOBRUNNER_STRICT is "maybe"'),
    ],
)
def test_a_mistake_elsewhere_names_the_option_or_variable(
    home: Path, options: dict[str, Any], environ: dict[str, str], words: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(options, environ)
    assert words in caught.value.message


def test_settings_are_one_frozen_value(home: Path) -> None:
    found = load({}, {})
    with pytest.raises(AttributeError):
        found.slots = 3  # type: ignore[misc]
    assert isinstance(found, Settings)


def test_yaml_is_imported_only_for_a_file(home: Path) -> None:
    code = "import sys, os; from jobrunner.settings import load; load({}, os.environ); print('yaml' in sys.modules)"
    for expected in ("False", "True"):
        ran = subprocess.run(
            [sys.executable, "-c", code], cwd=home, capture_output=True, text=True, check=True
        )
        assert ran.stdout.strip() == expected
        write(home, "slots: 5\n")
