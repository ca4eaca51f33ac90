"""Whole jobs come from the cache as the files say, each of them: what has not changed is not built again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from jobrunner.config.keys import KEYS
from jobrunner.discovery import entries
from jobrunner.discovery.cache import Cache
from jobrunner.discovery.columns import packed, unpacked
from jobrunner.discovery.entries import build
from jobrunner.model import Job
from tests.discovery.household import Project

VALUES: dict[str, list[Any]] = {  # two for each key, beside its default
    "schedule": ["*/5 * * * *", ["0 9 * * *", "@weekly"], "every 30s", None],
    "numberOfExecutions": [1, 7],
    "timezone": ["Europe/Berlin", "UTC"],
    "description": ["one", "two"],
    "tags": [["a", "b"], ["c"]],
    "enabled": [False, True],
    "environments": [["test"], ["test", "live"]],
    "runsOn": ["gpu", ["gpu", "big"]],
    "params": [{"n": 1}, {"n": True}, {"n": 1.0}, {"deep": [{"x": None}]}],
    "timeout": ["10s", 3],
    "retries": [2, {"max": 3, "delay": "10s", "backoff": "exponential", "jitter": True}],
    "concurrency": ["allow", "queue"],
    "misfire": ["skip", "all"],
    "misfireGrace": ["60s", 0],
    "jitter": ["1s", "2s"],
    "priority": ["high", -3],
    "delivery": ["at-least-once", "exactly-once"],
    "stopOnError": [True, 3],
    "runPerMachine": [True, False],
    "hidden": [True, False],
    "runsPerProcess": [2, 9],
    "memoryLimit": ["512MB", "1GB"],
    "group": ["g", "h"],
    "formerNames": [["was"], ["older", "oldest"]],
    "dstGap": ["skip", "run-after"],
    "dstFold": ["second", "both"],
    "executor": ["process", {"name": "subprocess", "python": "/usr/bin/python3"}],
    "runOnStart": [True, False],
    "startAt": ["2026-03-01T09:00:00Z", "2026-03-02T09:00:00Z"],
    "endAt": ["2036-03-01T09:00:00Z", "2036-03-02T09:00:00Z"],
    "cancellable": [False, True],
    "stallAfter": ["1m", "2m"],
    "hooks": [{"on_failure": "alerts:page"}, {"on_finish": ":done"}],
}
REFUSED = {"skipOn", "onlyOn", "shift"}  # not yet supported
TEXT = '''"""What {name} does."""

import json
{more}
config = {config!r}


def default({parameters}):
    return 1
'''


def _write(project: Project, name: str, parameters: str = "container", more: str = "", **keys: Any) -> None:
    config = {"name": name, "schedule": "@daily", **keys}
    text = TEXT.format(name=name, config=config, parameters=parameters, more=more)
    (project.jobs / f"{name}.py").write_text(text)


@pytest.fixture
def varied(project: Project) -> Project:
    """A project in which each value of each key is that of one job, and of another that has it alone."""
    (project.root / ".jobrunner").mkdir()
    assert {*VALUES, *REFUSED, "name", "groupLimit"} == {*KEYS}
    for key, values in VALUES.items():
        for number, value in enumerate(values):
            former = [f"{each}-{number}" for each in value] if key == "formerNames" else value
            _write(project, f"{key}-{number}", "container", "", **{key: former})
    _write(project, "limited", group="g", groupLimit=3)
    _write(project, "takes", parameters="n: int, many: list[int] = [1], *, flag=None, **rest")
    _write(project, "imports", more="import xml.dom, csv")
    _write(project, "plain")
    _write(project, "plain-too")
    return project


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of jobs that were built from their entries."""
    names: list[str] = []

    def noting(entry: Any, job: Any, *rest: Any) -> Job:
        names.append(job["row"][0])
        return build(entry, job, *rest)

    monkeypatch.setattr(entries, "build", noting)
    return names


def _settled(project: Project, **options: Any) -> dict[str, Job]:
    """Load until the cache vouches for all files; returns the jobs as they were built."""
    while True:
        registry = project.load(**options)
        found = dict(registry.jobs)
        stamps = json.loads((project.root / ".jobrunner" / "cache" / "entries.json").read_bytes()[9:])[
            "stamps"
        ]
        if all(stamps):
            return found


def test_jobs_are_the_same_as_those_built_from_their_files_whatever_they_say(
    varied: Project, built: list[str]
) -> None:
    assert varied.load().problems == []
    first = dict(varied.load().jobs)
    assert sorted(built) == sorted(first)
    _settled(varied)
    built.clear()
    again = varied.load().jobs
    assert built == []
    assert list(again) == list(first)
    for name, job in first.items():
        assert (again[name], repr(again[name])) == (job, repr(job))
        assert [type(each) for each in again[name]] == [type(each) for each in job]


def test_what_the_cache_vouches_for_is_taken_from_two_of_its_files(
    varied: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    _settled(varied)
    read: list[str] = []
    real = Cache.read

    def noting(self: Cache, name: str) -> dict[str, Any] | None:
        read.append(name)
        return real(self, name)

    monkeypatch.setattr(Cache, "read", noting)
    monkeypatch.setattr("jobrunner.discovery.files.read_source", None)
    registry = varied.load()
    assert len(registry.jobs) > 50
    assert registry.imported() == []
    assert read == ["jobs.json", "whole.json"]


def test_one_job_is_found_without_building_any(varied: Project, built: list[str]) -> None:
    first = _settled(varied)
    built.clear()
    assert varied.load().find("TAKES") == first["takes"]
    assert built == []


def test_what_many_jobs_have_in_common_is_one_object(project: Project) -> None:
    (project.root / ".jobrunner").mkdir()
    for i in range(10):
        _write(project, f"plain-{i}", tags=["a"], params={"deep": [1000]}, executor={"name": "process"})
    _settled(project)
    one, other, *_ = project.load().jobs.values()
    differing = {"name", "file", "path", "content_hash", "hash", "config", "description"}
    assert {name for name, a, b in zip(Job._fields, one, other, strict=True) if a is not b} == differing
    assert one.config["schedule"] is other.config["schedule"]


def test_only_the_job_is_built_again_whose_file_was_edited(varied: Project, built: list[str]) -> None:
    before = _settled(varied)
    built.clear()
    _write(varied, "plain", timeout=5)
    after = varied.load().jobs
    assert built == ["plain"]
    assert after["plain"].timeout == 5_000_000
    assert {**after, "plain": None} == {**before, "plain": None}


def test_an_override_is_not_forgotten(varied: Project, built: list[str]) -> None:
    _settled(varied)
    (varied.root / "jobrunner.yaml").write_text("jobs: {plain: {timeout: 7s}}\n")
    for _ in range(3):
        job = varied.load().jobs["plain"]
        assert (job.timeout, job.overridden) == (7_000_000, ("timeout",))


def test_a_file_that_moved_to_another_jobs_folder_is_of_that_one(varied: Project) -> None:
    more = varied.root / "more"
    more.mkdir()
    folders = [str(varied.jobs), str(more)]
    _settled(varied, jobs=folders)
    (varied.jobs / "plain.py").rename(more / "plain.py")
    job = varied.load(jobs=folders).jobs["plain"]
    assert (job.path, job.folder) == (str(more / "plain.py"), str(more))


def test_a_broken_file_harms_no_other_job(varied: Project, built: list[str]) -> None:
    before = _settled(varied)
    built.clear()
    varied.write("plain.py", "config = {")
    registry = varied.load()
    assert registry.jobs == {name: job for name, job in before.items() if name != "plain"}
    assert [Path(each.path).name for each in registry.problems] == ["plain.py"]
    assert built == []


@pytest.mark.parametrize(
    "values",
    [
        [1, 1.0, True] * 10,
        [None] * 9,
        ["a"] * 9,
        ["a|b", "c~d", "e^f`g#h", ""],
        ["a", None, 3] * 4,
        [{"a": 1}, {"a": True}, {"a": 1.0}] * 5,
        [[1], [True], []] * 5,
        [str(i) for i in range(30)],
        list(range(30)),
        [{"n": i} for i in range(30)],
        [],
    ],
    ids=repr,
)
def test_a_column_says_what_was_packed(values: list[Any]) -> None:
    columns = json.loads(json.dumps(packed([[each, 0] for each in values])))
    found = [list(unpacked(each, len(values))) for each in columns]
    assert repr(found) == repr([values, [0] * len(values)] if values else [])
