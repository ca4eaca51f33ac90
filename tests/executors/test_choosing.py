"""Which executor a job gets, by what its file, the settings and the machine say; or why it gets none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from jobrunner import plugins
from jobrunner.definitions import Definitions, load, reload
from jobrunner.executor.plugin import Plugin, Read
from jobrunner.model import BY_PROCESS, Chosen, Job, Problem
from jobrunner.registry import Registry
from jobrunner.settings import Settings
from jobrunner.settings import load as load_settings
from tests.executors.plugins_on_disk import offer

NAMES = ("JOBRUNNER_EXECUTOR", "JOBRUNNER_PROJECT")


class Place:
    """A project of files, read again whenever somebody asks."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "jobs").mkdir()

    def job(self, name: str = "a", **keys: Any) -> None:
        lines = "".join(f"    {key!r}: {value!r},\n" for key, value in keys.items())
        config = f"config = {{\n    'name': {name!r},\n    'schedule': '@daily',\n{lines}}}\n"
        text = config + "\ndef default(): pass\n"
        (self.root / "jobs" / f"{name}.py").write_text(text)

    def say(self, text: str) -> None:
        (self.root / "jobrunner.yaml").write_text(text)

    @property
    def settings(self) -> Settings:
        return load_settings({"project": str(self.root)}, {})

    def registry(self) -> Registry:
        return Registry.load(self.settings)

    def chosen(self, name: str = "a") -> Chosen:
        return self.read(name).executor

    def read(self, name: str = "a") -> Job:
        return self.registry().find(name)

    def problem(self) -> Problem:
        (found,) = self.registry().problems
        return found


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    plugins._made.cache_clear()
    yield Place(tmp_path)
    plugins._made.cache_clear()


# -- what it gets ----------------------------------------------------------------------------------------


def test_a_job_that_says_nothing_runs_in_a_process_of_the_pool(place: Place) -> None:
    place.job()
    assert place.chosen() == BY_PROCESS


@pytest.mark.parametrize("written", ["subprocess", {"name": "subprocess"}])
def test_a_job_names_its_executor_in_a_word_or_in_a_dict(place: Place, written: Any) -> None:
    place.job(executor=written)
    assert place.chosen() == Chosen("subprocess")


def test_what_jobrunner_yaml_names_is_what_jobs_get_that_name_none(place: Place) -> None:
    place.say("executor: subprocess\n")
    place.job()
    place.job("b", executor="process")
    assert (place.chosen("a").name, place.chosen("b").name) == ("subprocess", "process")


def test_the_environment_wins_over_jobrunner_yaml(place: Place) -> None:
    place.say("executor: nobody\n")
    place.job()
    settings = load_settings({"project": str(place.root)}, {"JOBRUNNER_EXECUTOR": "subprocess"})
    assert Registry.load(settings).find("a").executor.name == "subprocess"


def test_options_of_the_settings_hold_for_all_jobs_and_a_jobs_own_go_before(place: Place) -> None:
    place.say("executors:\n  subprocess:\n    python: /common/python\n")
    place.job("a", executor="subprocess")
    place.job("b", executor={"name": "subprocess", "python": "/own/python"})
    place.job("c", executor={"name": "subprocess", "python": None})
    found = [place.chosen(name).options for name in "abc"]
    assert found == [{"python": "/common/python"}, {"python": "/own/python"}, {"python": "/common/python"}]


def test_jobrunner_yaml_may_give_one_job_another_executor(place: Place) -> None:
    place.job(executor="process")
    place.say("jobs:\n  a:\n    executor: {name: subprocess, python: /p}\n")
    assert place.chosen() == Chosen("subprocess", {"python": "/p"})
    assert place.read().overridden == ("executor",)


def test_the_jobs_of_jobrunner_itself_run_in_processes_whatever_the_default(place: Place) -> None:
    place.say("executor: subprocess\n")
    place.job()
    assert place.registry().find("jobrunner.prune").executor == BY_PROCESS


def test_nobody_may_send_the_pruning_elsewhere(place: Place) -> None:
    place.say("jobs:\n  jobrunner.prune:\n    executor: subprocess\n")
    place.job()
    found = place.problem()
    assert (found.file, found.line) == ("jobrunner.yaml", 2) and "cannot be another" in found.message


def test_executor_and_options_are_part_of_the_definition(place: Place) -> None:
    place.job()
    hashes = [place.read().hash]
    for text in ("executor: subprocess\n", "executor: subprocess\nexecutors: {subprocess: {python: /p}}\n"):
        place.say(text)
        hashes.append(place.read().hash)
    assert len(set(hashes)) == 3
    place.say("executor: process\n")
    assert place.read().hash == hashes[0]


def test_a_running_node_takes_over_another_executor(place: Place) -> None:
    place.job()
    held = load(place.settings)
    place.say("executor: subprocess\n")
    again: Definitions = reload(held, place.settings)
    assert (held.jobs["a"].executor.name, again.jobs["a"].executor.name) == ("process", "subprocess")


# -- why it gets none ------------------------------------------------------------------------------------


def test_an_executor_that_is_not_installed_is_said_of_that_job_alone(place: Place) -> None:
    place.job(executor="nobody")
    place.job("b")
    found = place.problem()
    assert (found.file, found.line, found.name) == ("jobs/a.py", 4, "a")
    assert found.message == 'executor is "nobody", which is not installed'
    assert (
        "installed are " in str(found.hint)
        and "process" in str(found.hint)
        and "subprocess" in str(found.hint)
    )
    assert place.chosen("b") == BY_PROCESS


def test_a_default_that_is_not_installed_is_said_with_its_line(place: Place) -> None:
    place.say("timezone: UTC\nexecutor: nobody\n")
    place.job()
    place.job("b", executor="process")
    found = place.problem()
    assert (found.file, found.line, found.name) == ("jobrunner.yaml", 2, "a")
    assert found.message == 'executor is "nobody", which is not installed'
    assert place.chosen("b") == BY_PROCESS


def test_a_variable_is_to_blame_for_what_it_says(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBRUNNER_EXECUTOR", "nobody")
    place.job()
    settings = load_settings({"project": str(place.root)}, {"JOBRUNNER_EXECUTOR": "nobody"})
    (found,) = Registry.load(settings).problems
    assert found.message == 'JOBRUNNER_EXECUTOR is "nobody", which is not installed'


@pytest.mark.parametrize(
    ("own", "said", "hint"),
    [
        (
            {"pyhton": "x"},
            'executor has "pyhton", which is no option of subprocess',
            'did you mean "python"?',
        ),
        ({"zzz": "x"}, 'executor has "zzz", which is no option of subprocess', "its options are python"),
        ({"python": 3}, "executor.python is 3, which is not a text", "correct python, or leave it out"),
        ({"python": " "}, 'executor.python is " ", which is blank', "correct python, or leave it out"),
    ],
)
def test_a_bad_option_is_named_with_file_line_and_what_to_do(
    place: Place, own: Any, said: str, hint: str
) -> None:
    place.job(executor={"name": "subprocess", **own})
    found = place.problem()
    assert (found.file, found.line, found.message, found.hint) == ("jobs/a.py", 4, said, hint)


@pytest.mark.parametrize("key", ["python", "pyton"])
def test_a_bad_option_of_the_settings_is_named_with_its_line(place: Place, key: str) -> None:
    place.say(f"executors:\n  subprocess:\n    {key}: 3\n")
    place.job(executor="subprocess")
    found = place.problem()
    assert (found.file, found.line) == ("jobrunner.yaml", 3)
    assert found.message.startswith("executors.subprocess")


def test_a_process_has_no_options(place: Place) -> None:
    place.job(executor={"name": "process", "python": "x"})
    found = place.problem()
    assert found.message == 'executor has "python", which is no option of process'
    assert found.hint == "it has no options"


def test_options_without_a_name_are_no_executor(place: Place) -> None:
    place.job(executor={"python": "x"})
    assert place.problem().message == "executor is {'python': 'x'}, which has no name"


# -- plug-ins --------------------------------------------------------------------------------------------


class Picky(Plugin):
    """An executor with options of two words."""

    options: Mapping[str, Read] = {"numCpus": float, "other": str}


def test_an_option_may_be_written_in_snake_case_and_not_twice(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(tmp_path / "site", {"picky": f"{__name__}:Picky"}, monkeypatch)
    place.job(executor={"name": "picky", "num_cpus": "0.5"})
    assert place.chosen() == Chosen("picky", {"numCpus": 0.5})
    place.job(executor={"name": "picky", "num_cpus": 1, "numCpus": 1})
    assert place.problem().message == "executor has numCpus twice, in two spellings"


def test_a_plug_in_that_cannot_be_imported_is_said_of_the_job(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(tmp_path / "site", {"odd": "odd_executor:Odd", "older": "json:NoSuchThing"}, monkeypatch)
    (tmp_path / "site" / "odd_executor.py").write_text("import nowhere_to_be_found\n")
    place.job(executor="odd")
    place.job("b", executor="older")
    first, second = (each.message for each in place.registry().problems)
    assert first.startswith('executor is "odd", whose package cannot be used: ModuleNotFoundError')
    assert second.startswith('executor is "older", whose package cannot be used: AttributeError')


def test_no_package_can_take_the_place_of_the_process(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(tmp_path / "site", {"process": f"{__name__}:Picky"}, monkeypatch)
    place.job(executor="process")
    assert place.chosen() == BY_PROCESS


def test_without_ray_it_says_what_to_install(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobrunner.executor.ray_plugin.find_spec", lambda _: None)
    place.job(executor="ray")
    place.job("b")
    found = place.problem()
    assert found.message == 'executor is "ray", which needs the package ray, and that is not installed'
    assert str(found.hint).startswith(
        'pip install "jobrunner-cli[ray]"; installed are process and subprocess'
    )
    assert place.chosen("b") == BY_PROCESS


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"numCpus": -1}, "executor.numCpus is -1, which is not a number of at least 0"),
        ({"num_gpus": "1"}, 'executor.numGpus is "1", which is not a number of at least 0'),
        ({"resources": {"a": "x"}}, "executor.resources is {'a': 'x'}, which is not a mapping of resources"),
        ({"resources": ["a"]}, "executor.resources is ['a'], which is not a mapping of resources"),
        ({"runtimeEnv": []}, "executor.runtimeEnv is [], which is not a mapping of names to values"),
        ({"runtimeEnv": {"x": "y" * 40_000}}, "which is longer than 32 KiB of JSON"),
        ({"address": "local"}, 'executor.address is "local", which starts a cluster'),
    ],
)
def test_what_ray_is_told_is_looked_at_before(
    place: Place, monkeypatch: pytest.MonkeyPatch, options: Any, said: str
) -> None:
    monkeypatch.setattr("jobrunner.executor.ray_plugin.find_spec", lambda _: True)
    place.job(executor={"name": "ray", **options})
    assert said in place.problem().message


def test_all_that_ray_is_told_may_be_said(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobrunner.executor.ray_plugin.find_spec", lambda _: True)
    place.say("executors:\n  ray:\n    address: auto\n    num_cpus: 0.5\n")
    own = {"num_cpus": 2, "numGpus": 0, "resources": {"special": 1}, "runtime_env": {"env_vars": {"A": "b"}}}
    place.job(executor={"name": "ray", **own})
    found = {"numCpus": 2, "numGpus": 0, "resources": {"special": 1}, "runtimeEnv": {"env_vars": {"A": "b"}}}
    assert place.chosen() == Chosen("ray", {"address": "auto", **found})


def test_what_was_remembered_is_read_anew_when_a_plug_in_comes_or_goes(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place.root / ".jobrunner").mkdir()
    place.job(executor="picky")
    assert "not installed" in place.problem().message
    info = offer(tmp_path / "site", {"picky": f"{__name__}:Picky"}, monkeypatch)
    assert place.chosen().name == "picky" and place.registry().problems == []
    (info / "entry_points.txt").unlink()
    info.rmdir()
    assert "not installed" in place.problem().message


def test_settings_that_no_job_goes_by_are_checked_all_the_same(place: Place) -> None:
    from jobrunner.cli.checking import _of_executors

    place.say("executor: process\nexecutors:\n  subprocess:\n    pyton: x\n  ghost: {}\n")
    place.job()
    assert place.registry().problems == []
    found = [(each.file, each.line, each.message) for each in _of_executors(place.settings, [])]
    assert found == [
        ("jobrunner.yaml", 4, 'executors.subprocess has "pyton", which is no option of subprocess'),
        ("jobrunner.yaml", 5, 'executors has "ghost", which is not installed'),
    ]


def test_check_executes_no_file_that_another_environment_is_for(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jobrunner.cli.checking import prove

    place.job(executor="subprocess")
    (place.root / "jobs" / "a.py").write_text(
        (place.root / "jobs" / "a.py").read_text() + "\nimport of_the_other_environment\n"
    )
    assert prove([place.read()], place.settings) == []
