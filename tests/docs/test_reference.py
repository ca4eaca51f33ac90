"""The tables in the pages say what the code says: keys, settings, states, codes, commands, schedules."""

from __future__ import annotations

import ast
import re
import zoneinfo
from collections.abc import Iterator
from datetime import datetime
from typing import get_args

import click
import pytest

from jobrunner import errors, schedules
from jobrunner.cli import app, byhand
from jobrunner.cli.asking import Verb
from jobrunner.clock import from_datetime, to_datetime
from jobrunner.config.keys import KEYS, REQUIRED
from jobrunner.model import Reason, State
from jobrunner.schedule import parse
from jobrunner.settings import OPTION, READERS, SECTIONS
from tests.docs.pages import FENCED, ROOT

BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")


def section(page: str, heading: str) -> str:
    """Return the text below a heading, up to the next one of the same or a higher level."""
    text = FENCED.sub("", (ROOT / page).read_text("utf-8"))
    match = re.search(rf"^(#+) {re.escape(heading)}$", text, re.MULTILINE)
    assert match, f"{page} has no heading {heading!r}"
    rest = text[match.end() :]
    end = re.search(rf"^#{{1,{len(match[1])}}} ", rest, re.MULTILINE)
    return rest[: end.start()] if end else rest


def rows(page: str, heading: str, number: int = 0) -> Iterator[list[str]]:
    """Yield the cells of a section's table (the first, or another one), without its head."""
    tables = re.findall(r"(?:^\|.*\|$\n?)+", section(page, heading), re.MULTILINE)
    for line in tables[number].splitlines()[2:]:
        yield [cell.strip() for cell in line.strip("|").split(" | ")]


def words(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def first_words(page: str, heading: str) -> list[str]:
    return [word for row in rows(page, heading) for word in words(row[0])]


# -- config ----------------------------------------------------------------------------------------------


def test_the_key_tables_are_those_of_the_code() -> None:
    have = {key: how for key, how in KEYS.items() if how.has is None or len(how.has) > 1}
    assert sorted(first_words("docs/configuration.md", "Keys of this version")) == sorted(have)
    later = first_words("docs/configuration.md", "Not yet supported")
    assert sorted(later) == sorted(KEYS.keys() - have.keys())
    assert sorted(first_words("README.md", "The config of a job")) == sorted(have)


def test_the_table_says_which_keys_are_required() -> None:
    required = {
        words(row[0])[0]
        for row in rows("docs/configuration.md", "Keys of this version")
        if row[2] == "required"
    }
    assert required == set(REQUIRED)


@pytest.mark.parametrize(
    "row", list(rows("docs/configuration.md", "Keys of this version")), ids=lambda row: words(row[0])[0]
)
def test_defaults_are_those_of_the_code(row: list[str]) -> None:
    key = KEYS[words(row[0])[0]]
    said = words(row[2])
    assert key.default == (key.read(eval(said[0])) if said else None)


@pytest.mark.parametrize(
    "row", list(rows("docs/configuration.md", "Not yet supported")), ids=lambda row: words(row[0])[0]
)
def test_what_is_not_yet_supported_is_accepted_as_the_table_says(row: list[str]) -> None:
    key = KEYS[words(row[0])[0]]
    said = words(row[1])
    meant = eval(said[0]) if said else None
    assert key.has == (tuple(meant) if isinstance(meant, list) else meant,)


# -- settings --------------------------------------------------------------------------------------------


def test_the_settings_table_is_that_of_the_code() -> None:
    table = list(rows("docs/configuration.md", "Settings"))
    variables = {word for row in table for word in words(row[2])}
    assert variables == {"JOBRUNNER_" + OPTION.get(name, name).upper() for name in READERS}
    in_file = {word for row in table for word in words(row[0])}
    assert in_file == {OPTION.get(name, name) for name in {*READERS, *SECTIONS} - {"project", "overrides"}}


def test_options_in_the_settings_table_exist() -> None:
    said = {word for row in rows("docs/configuration.md", "Settings") for word in words(row[1])}
    assert said <= options("start")


def options(command: str) -> set[str]:
    found = app.jobrunner.get_command(click.Context(app.jobrunner), command)
    assert isinstance(found, Verb)
    return {option for param in found.params for option in (*param.opts, *param.secondary_opts)}


# -- states ----------------------------------------------------------------------------------------------


def test_run_states() -> None:
    assert sorted(first_words("docs/states.md", "Runs")) == sorted(get_args(State))


def test_reasons() -> None:
    text = section("docs/states.md", "Reasons")
    reasons = set(get_args(Reason))
    assert reasons <= set(words(text)), f"not named: {reasons - set(words(text))}"
    assert set(first_words("docs/states.md", "Reasons")) <= reasons


def test_job_states() -> None:
    texts = [(ROOT / "jobrunner" / each).read_text("utf-8") for each in ("status.py", "client/board.py")]
    nodes = [node for text in texts for node in ast.walk(ast.parse(text))]
    literals = {node.value for node in nodes if isinstance(node, ast.Constant)}
    said = first_words("docs/states.md", "Jobs")
    assert len(said) == 8
    assert set(said) <= literals


def _tree(error: type[errors.JobrunnerError]) -> Iterator[type[errors.JobrunnerError]]:
    yield error
    for each in error.__subclasses__():
        yield from _tree(each)


def test_exit_codes() -> None:
    codes = {error.exit_code for error in _tree(errors.JobrunnerError)}
    codes |= {0, app.INTERRUPTED, *byhand.EXIT.values()}
    assert [int(row[0]) for row in rows("docs/states.md", "Exit codes")] == sorted(codes)
    readme = section("README.md", "Commands").partition("Exit codes:")[2]
    assert sorted(map(int, re.findall(r"(?:^|·)\s*(\d+)\s", readme))) == sorted(codes)


# -- commands --------------------------------------------------------------------------------------------


def test_the_commands_of_the_readme_are_those_there_are() -> None:
    said = [word.split()[0] for row in rows("README.md", "Commands") for word in words(row[0])]
    assert sorted(said) == sorted(app.COMMANDS)


@pytest.mark.parametrize("command", sorted(app.COMMANDS))
def test_options_that_the_readme_names_exist(command: str) -> None:
    for row in rows("README.md", "Commands"):
        if words(row[0])[0].split()[0] == command:
            named = {option for word in words(row[1]) for option in re.findall(r"(?<!\S)--?[a-z-]+", word)}
            assert named <= options(command)


# -- schedules -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", list(rows("docs/schedules.md", "Forms")), ids=lambda row: row[0])
def test_schedules_mean_what_the_table_says(row: list[str]) -> None:
    schedule = parse(words(row[0])[0], "Europe/Berlin")
    now = from_datetime(datetime(2026, 1, 15, 10, 41, tzinfo=BERLIN))
    due = schedule.next_after(now, now)
    assert due is not None
    assert [schedule.words(), f"{to_datetime(due).astimezone(BERLIN):%Y-%m-%d %H:%M:%S}"] == row[1:]


@pytest.mark.parametrize("row", list(rows("docs/schedules.md", "In Python")), ids=lambda row: row[0])
def test_builders_make_the_texts_of_the_table(row: list[str]) -> None:
    built = eval(words(row[0])[0], {name: getattr(schedules, name) for name in schedules.__all__})
    assert built.text == words(row[1])[0]
    parse(built.text)
