"""Descriptions are kept by content: an edit is always seen, and a doubtful cache is no cache."""

# ruff: noqa: E501  (what a file says reads best on one line)

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from jobrunner.discovery import catalog, entries
from jobrunner.discovery.files import describe
from jobrunner.registry import Registry
from tests.discovery.household import PLAIN, Project

FILES = ("jobs.json", "entries.json", "whole.json")
LONG_AGO = 1_600_000_000_000_000_000


@pytest.fixture
def cached(project: Project) -> Project:
    """A project with two jobs, whose cache vouches for both."""
    (project.root / ".jobrunner").mkdir()
    for name in ("a", "b"):
        project.plain(name)
    _settle(project)
    assert list(project.load().jobs) == ["a", "b"]
    return project


def _settle(project: Project) -> None:
    """Load until the stamps are old enough to be believed."""
    for _ in range(200):
        project.load()
        if all(_noted(project)):
            return
    pytest.fail("the stamps were never believed")


def _noted(project: Project) -> list[int]:
    found: list[int] = json.loads((_folder(project) / "entries.json").read_bytes()[9:])["stamps"]
    return found


def _folder(project: Project) -> Path:
    return project.root / ".jobrunner" / "cache"


def _reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note each file that is described anew."""
    seen: list[str] = []
    real = describe

    def noting(found, limit):  # type: ignore[no-untyped-def]
        seen.extend(os.path.basename(each.path) for each in found)
        return real(found, limit)

    monkeypatch.setattr(entries, "describe", noting)
    return seen


def test_unchanged_files_are_neither_read_nor_parsed_again(
    cached: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = _reads(monkeypatch)
    monkeypatch.setattr("jobrunner.discovery.files.read_source", None)
    registry = cached.load()
    assert [each.name for each in registry.summaries] == ["a", "b"]
    assert registry.find("b").config == {"name": "b", "schedule": "*/5 * * * *"}
    assert seen == []


def test_only_the_edited_file_is_read_again(cached: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = _reads(monkeypatch)
    cached.write("b.py", PLAIN.format(name="new"))
    assert [each.name for each in cached.load().summaries] == ["a", "new"]
    assert seen == ["b.py"]


def test_an_edit_that_keeps_size_and_mtime_is_seen(cached: Project) -> None:
    path = cached.jobs / "b.py"
    facts = path.stat()
    path.write_text(path.read_text().replace('"b"', '"c"'))
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (facts.st_size, facts.st_mtime_ns)
    assert list(cached.load().jobs) == ["a", "c"]


def test_an_edit_right_after_a_load_is_seen(project: Project) -> None:
    (project.root / ".jobrunner").mkdir()
    for i in range(30):
        project.write("a.py", PLAIN.format(name=f"a{i % 10}"))
        assert list(project.load().jobs) == [f"a{i % 10}"]


def test_a_file_changed_just_now_is_not_vouched_for(project: Project) -> None:
    (project.root / ".jobrunner").mkdir()
    project.plain("a")
    project.load()
    assert _noted(project) == [0, 0, 0, 0]


@pytest.mark.parametrize(
    "how", ["touched", "replaced", "removed", "added", "settings", "overridden", "stored"]
)
def test_every_other_change_is_seen_too(cached: Project, how: str) -> None:
    path, options = cached.jobs / "b.py", {}
    if how == "touched":
        os.utime(path)
    elif how == "replaced":
        os.replace(cached.write("_n", PLAIN.format(name="c")), path)
    elif how == "removed":
        path.unlink()
    elif how == "added":
        cached.plain("c")
    elif how == "settings":
        options = {"timezone": "Europe/Berlin"}
    elif how == "overridden":
        (cached.root / "jobrunner.yaml").write_text("jobs: {b: {description: other}}\n")
    stored = {"B": {"schedule": "@daily"}} if how == "stored" else {}
    registry = Registry.load(cached.settings(**options)._replace(stored=stored))
    jobs = registry.jobs
    expected = {"replaced": ["a", "c"], "removed": ["a"], "added": ["a", "b", "c"]}
    assert list(jobs) == expected.get(how, ["a", "b"])
    assert jobs["a"].timezone == ("Europe/Berlin" if how == "settings" else "UTC")
    assert how != "overridden" or jobs["b"].description == "other"
    assert how != "stored" or registry.summary("b").schedule == "@daily"


@pytest.mark.parametrize("load", ["first", "second"])
def test_a_list_shows_what_is_overridden(cached: Project, load: str) -> None:
    (cached.root / "jobrunner.yaml").write_text("jobs: {b: {description: other}}\n")
    given = cached.settings()._replace(stored={"b": {"schedule": "@daily"}})
    for _ in range(1 if load == "first" else 3):
        registry = Registry.load(given)
    found = registry.summary("b")
    assert (list(found.overridden), found.schedule) == (["description", "schedule"], "@daily")
    assert list(registry.summary("a").overridden) == []


@pytest.mark.parametrize("state", ["gone", "broken"])
def test_what_is_stored_for_a_job_without_a_good_file_is_no_problem_of_its_own(
    cached: Project, state: str
) -> None:
    (cached.jobs / "b.py").unlink()
    if state == "broken":
        cached.write("b.py", 'config = {"name": "b"')
    problems = Registry.load(cached.settings()._replace(stored={"b": {"schedule": "@daily"}})).problems
    assert [each.file for each in problems] == (["jobs/b.py"] if state == "broken" else [])


def test_a_stored_value_that_does_not_fit_any_more_is_said_by_the_command_that_set_it(
    cached: Project,
) -> None:
    problems = Registry.load(cached.settings()._replace(stored={"B": {"timezone": "Nowhere"}})).problems
    assert [(each.file, each.line, each.name) for each in problems] == [("set b timezone", None, "b")]


def _rubbish(path: Path) -> None:
    path.write_bytes(b"\xff" * 1000)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _forge(value: object) -> Callable[[Path], None]:
    def forge(path: Path) -> None:
        body = json.dumps(value).encode()
        path.write_bytes(b"%08x\n" % zlib.crc32(body) + body)

    return forge


def _odd_entries(path: Path) -> None:
    found = json.loads(path.read_bytes()[9:])
    _forge(
        {"generation": found["generation"], "entries": ['{"path": 1}', "[]"] * 3, "key": found.get("key")}
    )(path)


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _altered(path: Path) -> bytes:
    """Return what the file would say had it been made from other jobs."""
    return path.read_bytes()[9:].replace(b"*/5 * * * *", b"*/7 * * * *")


@pytest.mark.parametrize("name", FILES)
def test_a_cache_whose_checksum_is_wrong_is_not_believed(cached: Project, name: str) -> None:
    path = _folder(cached) / name
    path.write_bytes(path.read_bytes()[:9] + _altered(path))
    assert _says_five(cached)


@pytest.mark.parametrize("name", FILES)
def test_a_cache_that_others_may_write_is_not_believed(cached: Project, name: str) -> None:
    path = _folder(cached) / name
    body = _altered(path)
    path.write_bytes(b"%08x\n" % zlib.crc32(body) + body)
    path.chmod(0o666)
    assert _says_five(cached)


def _says_five(project: Project) -> bool:
    registry = project.load()
    when = registry.find("a").schedule
    return registry.summary("a").schedule == "*/5 * * * *" and when is not None and when.text == "*/5 * * * *"


SPOILED = [
    _rubbish,
    _cut,
    _flip,
    _forge([]),
    _forge({}),
    _forge({"generation": 1}),
    _odd_entries,
    _pipe,
    Path.unlink,
]


@pytest.mark.parametrize("spoil", SPOILED)
@pytest.mark.parametrize("name", [*FILES, "all"])
def test_a_damaged_forged_or_missing_cache_is_made_anew(
    cached: Project, spoil: Callable[[Path], None], name: str
) -> None:
    for each in FILES if name == "all" else [name]:
        spoil(_folder(cached) / each)
    cached.plain("c")
    jobs = cached.load().jobs
    assert list(jobs) == ["a", "b", "c"]
    assert list(cached.load().jobs) == ["a", "b", "c"]


@pytest.mark.parametrize("change", [{"at": [1 << 64, 0]}, {"columns": [{"by": "|", "text": 5}] * 22}])
def test_a_list_of_an_odd_shape_is_made_anew(cached: Project, change: dict[str, object]) -> None:
    path = _folder(cached) / "jobs.json"
    _forge({**json.loads(path.read_bytes()[9:]), **change})(path)
    assert list(cached.load().jobs) == ["a", "b"]


def test_a_job_whose_kept_schedule_cannot_be_read_any_more_is_built_from_its_file(cached: Project) -> None:
    path = _folder(cached) / "whole.json"
    odd = path.read_bytes()[9:].replace(b"*/5 * * * *", b"*/5 * * * x")
    path.write_bytes(b"%08x\n" % zlib.crc32(odd) + odd)
    assert _says_five(cached)
    assert list(cached.load().jobs) == ["a", "b"]


@pytest.mark.parametrize("spoil", SPOILED)
def test_a_job_is_found_also_when_only_the_larger_part_was_spoiled(
    cached: Project, spoil: Callable[[Path], None]
) -> None:
    registry = cached.load()
    spoil(_folder(cached) / "entries.json")
    assert registry.find("a").name == "a"
    assert cached.load().find("b").name == "b"


def test_what_a_killed_process_of_our_pid_has_left_is_in_nobodys_way(cached: Project) -> None:
    left = [_folder(cached) / f"{name}.{os.getpid()}" for name in ("entries.json", "jobs.json")]
    for each in left:
        each.write_bytes(b"half")
    cached.plain("c")
    _settle(cached)
    assert not any(each.exists() for each in left)


def test_a_small_project_gets_no_folder_by_being_listed(project: Project) -> None:
    project.plain("a")
    project.load()
    assert os.listdir(project.root) == ["jobs"]


def test_a_large_project_gets_a_private_one_that_git_ignores(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog, "WORTH", 2)
    for name in ("a", "b"):
        project.plain(name)
    project.load()
    home = project.root / ".jobrunner"
    assert (home / ".gitignore").read_text() == "*\n"
    assert stat.S_IMODE(home.stat().st_mode) == stat.S_IMODE(_folder(project).stat().st_mode) == 0o700
    assert {stat.S_IMODE(each.stat().st_mode) for each in _folder(project).iterdir()} == {0o600}
    assert sorted(each.name for each in _folder(project).iterdir()) == ["entries.json", "jobs.json"]


def test_a_folder_that_cannot_be_written_costs_nothing_but_time(
    cached: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "replace", refuse)
    cached.plain("c")
    assert list(cached.load().jobs) == ["a", "b", "c"]
    assert sorted(os.listdir(_folder(cached))) == sorted(FILES)


COMPUTED = "from ._part import NAME\nconfig = dict(name=NAME, schedule=None)\ndef default(): pass\n"


def test_a_computed_config_is_imported_once_for_its_content_and_what_it_imports(cached: Project) -> None:
    counter = cached.root / "count"
    count = f"open({str(counter)!r}, 'a').write('x')\n"
    cached.write("_part.py", "NAME = 'one'\n")
    cached.write("c.py", count + COMPUTED)
    _settle(cached)
    imports = len(counter.read_text())
    assert imports == 1
    assert list(cached.load().jobs) == ["a", "b", "one"]
    assert len(counter.read_text()) == imports
    cached.write("_part.py", "NAME = 'two'\n")
    assert list(cached.load().jobs) == ["a", "b", "two"]


READING = """
import json, pathlib
config = {"name": json.loads((pathlib.Path(__file__).parent / "said.json").read_text()), "schedule": None}


def default(container):
    pass
"""


def test_a_computed_config_is_read_again_when_a_file_that_it_has_read_is_another(cached: Project) -> None:
    said = cached.write("said.json", '"one"')
    cached.write("c.py", READING)
    _settle(cached)
    assert list(cached.load().jobs) == ["a", "b", "one"]
    assert cached.load().imported() == [str(said)]
    said.write_text('"two"')
    assert list(cached.load().jobs) == ["a", "b", "two"]


class _Later:
    """A clock that is `ahead` microseconds ahead."""

    def __init__(self, ahead: int) -> None:
        self._ahead = ahead

    def now(self) -> int:
        import time

        return time.time_ns() // 1000 + self._ahead

    def monotonic(self) -> float:
        return 0.0

    boottime = monotonic


def test_a_failed_import_is_tried_again_after_a_minute(cached: Project) -> None:
    marker = cached.root / "there"
    cached.write(
        "c.py",
        f"import os\nassert os.path.exists({str(marker)!r})\nconfig = dict(name='c', schedule=None)\ndef default(): pass\n",
    )
    assert "c" not in cached.load().jobs
    marker.write_text("")
    assert "c" not in cached.load().jobs
    assert "c" in Registry.load(cached.settings(), _Later(61_000_000)).jobs


def test_the_cache_brings_back_what_was_there_to_the_last_field(cached: Project) -> None:
    cached.write(
        "c.py",
        'config = {"name": "c", "schedule": ["@daily", "every 3s"], "tags": ["x"], "environments": ["p"], "params": {"é": [1]}}\ndef default(): pass',
    )
    cached.write("d.py", "broken(")
    fresh = cached.load()
    first = [tuple(each) for each in fresh.summaries], fresh.problems, dict(fresh.jobs)
    _settle(cached)
    again = cached.load()
    second = [tuple(each) for each in again.summaries], again.problems, dict(again.jobs)
    assert json.dumps(first[0]) == json.dumps(second[0])
    assert repr(first[1:]) == repr(second[1:])


def test_the_next_moment_is_remembered_only_as_long_as_it_lies_ahead(cached: Project) -> None:
    five, at = 300_000_000, 1_800_000_000_000_000
    for after in (at, at + 1, at + five - 1, at + five, at - 1, at + 10 * five):
        registry = cached.load()
        upcoming = registry.upcoming()
        expected = after - after % five + five
        assert upcoming.next_after(registry.summary("a"), after) == expected
        upcoming.save()
        assert (_folder(cached) / "next.json").exists()


def test_a_registry_costs_no_heavy_import_and_never_imports_a_job(cached: Project) -> None:
    code = (
        "import sys, os; from jobrunner import settings; from jobrunner.registry import Registry\n"
        "r = Registry.load(settings.load({'timezone': 'UTC'}, os.environ)); assert len(r.summaries) == 2\n"
        "heavy = {'yaml','croniter','apsw','click','rich','asyncio','subprocess','multiprocessing','tzlocal'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=cached.root, capture_output=True, text=True, check=False
    )
    assert (ran.stdout, ran.stderr) == ("[]\n", "")
