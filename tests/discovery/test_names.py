"""A job whose file is broken is still known by its name, wherever its author's text shows one."""

# ruff: noqa: E501  (what a file says reads best on one line)

from __future__ import annotations

import pytest

from jobrunner.config.keys import KEYS
from jobrunner.errors import ConfigError, UnknownJob
from tests.discovery.household import Project, write

NAMED: dict[str, str | bytes] = {
    "a bracket never closed": 'config = {\n"name": "sync", "schedule": None\ndef default(): pass\n',
    "a broken body": 'config = {"name": "sync", "schedule": None}\ndef default():\n    return (\n',
    "a broken body below params with a name": 'config = {"name": "sync", "schedule": None, "params": {"name": "world"}}\ndef default():\n    retrun 1\n',
    "a comma forgotten": 'config = {\n    # "name": "old",\n    "name": "sync"\n    "schedule": None,\n}\ndef default(): pass\n',
    "a name elsewhere": 'people = [{"name": "bob"}]\nconfig = {"name": "sync", schedule: }\nother = {"name": "eve"}\ndef default(): pass\n',
    "a NUL byte": 'config = {"name": "sync", "schedule": None}\n\0def default(): pass\n',
    "not UTF-8": b'config = {"name": "sync", "schedule": None}\ndef default(): "\xff"\n',
    "a key twice": 'config = {"name": "sync", "schedule": None, "schedule": None}\ndef default(): pass\n',
    "a key that is no text": 'config = {"name": "sync", "schedule": None, 1: 2}\ndef default(): pass\n',
    "params that are no JSON": 'config = {"name": "sync", "schedule": None, "params": {"d": {1: 2}}}\ndef default(): pass\n',
    "two candidates": 'config = {"name": "sync", "schedule": None}\ndef one(): pass\ndef two(): pass\n',
    "two candidates and a computed config": 'config = dict(name="sync", schedule=None)\ndef one(): pass\ndef two(): pass\n',
    "config and configs": 'config = {"name": "sync", "schedule": None}\nconfigs = []\ndef default(): pass\n',
    "an import that fails": 'import nowhere_at_all\nconfig = {"name": "sync", "schedule": str(1)}\ndef default(): pass\n',
}  # fmt: skip


@pytest.mark.parametrize("kind", NAMED)
def test_a_job_in_a_broken_file_is_known_by_its_name_with_file_line_and_reason(
    project: Project, kind: str
) -> None:
    text = NAMED[kind]
    project.write("x.py", text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError) as caught:
        project.load().find("Sync")
    assert (caught.value.file, caught.value.exit_code) == ("jobs/x.py", 3)
    assert caught.value.line and caught.value.message
    assert [each.name for each in project.load().problems] == ["sync"]


NAMELESS = {
    "two that it may be": 'config = {"name": "a"\n"name": "b"\ndef default(): pass\n',
    "none": "config = {\ndef default(): pass\n",
    "outside of the config": 'x = {"name": "sync"}\ndef default(:\n',
    "one that no job may have": 'config = {"name": "a b"\ndef default(): pass\n',
    "two names of one config": 'config = {"name": "a", "name": "b", "schedule": None}\ndef default(): pass\n',
}


@pytest.mark.parametrize("kind", NAMELESS)
def test_a_name_that_is_not_certain_is_not_guessed(project: Project, kind: str) -> None:
    project.write("x.py", NAMELESS[kind])
    assert [each.name for each in project.load().problems] == [None]


def test_every_job_of_a_broken_file_with_several_is_known(project: Project) -> None:
    project.write(
        "x.py",
        """
        configs = [{"name": "a", "schedule": None}, {"name": "b", "schedule": None}]
        def one(): pass
        def two(): pass
        """,
    )
    for name in ("a", "b"):
        with pytest.raises(ConfigError, match="one and two"):
            project.load().find(name)


def test_an_override_of_a_job_in_a_broken_file_is_not_called_one_of_no_job(project: Project) -> None:
    project.write("x.py", 'config = {"name": "sync"\n')
    write(project.root / "jobrunner.yaml", "jobs:\n  sync:\n    timeout: 5s\n")
    assert [each.file for each in project.load().problems] == ["jobs/x.py"]


def test_a_good_job_is_found_although_a_broken_file_has_its_name(project: Project) -> None:
    project.plain("sync")
    project.write("x.py", 'config = {"name": "sync"\n')
    assert project.load().find("sync").file == "jobs/sync.py"


def test_nothing_but_a_broken_file_makes_a_name_known(project: Project) -> None:
    project.write("x.py", 'config = {"name": "sync"\n')
    with pytest.raises(UnknownJob):
        project.load().find("other")


def test_jobs_are_sorted_by_name_ignoring_case(project: Project) -> None:
    for name in ("beta", "Alpha", "gamma", "Delta"):
        project.plain(name)
    assert [each.name for each in project.load().summaries] == ["Alpha", "beta", "Delta", "gamma"]
    assert list(project.load().jobs) == ["Alpha", "beta", "Delta", "gamma"]


ODD = {
    '{"s": {1, 2}}': "params.s is a set",
    '{"a": [0, {"b": b"x"}]}': "params.a[1].b is a bytes",
    '{"d": {1: 2}}': "params.d has the key 1",
    '{"x": 1e999}': "params.x is inf",
    '{"x": [-1e999]}': "params.x[0] is -inf",
    '{"x": ...}': "params.x is a ellipsis",
    '{"x": "\\ud800"}': "params.x is a text that UTF-8 cannot hold",
}


@pytest.mark.parametrize("params", ODD)
def test_params_that_are_not_json_are_refused_by_the_path_of_the_part_to_blame(
    project: Project, params: str
) -> None:
    project.write(
        "x.py", f'config = {{"name": "a", "schedule": None,\n"params": {params}}}\ndef default(): pass\n'
    )
    problem = project.problem("x.py")
    assert ODD[params] in problem.message
    assert (problem.line, problem.name) == (2, "a")
    assert problem.hint and "finite numbers" in problem.hint


COMPUTED = {
    '{"s": {1, 2}}': "params.s is a set",
    '{"a": [0, {"b": float("nan")}]}': "params.a[1].b is nan",
    '{"d": {1: 2}}': "params.d has the key 1",
    '{"x": object()}': "params.x is a object",
}


@pytest.mark.parametrize("params", COMPUTED)
def test_computed_params_that_are_not_json_are_refused_by_that_path_too(
    project: Project, params: str
) -> None:
    project.write("x.py", f'config = dict(name="a", schedule=None, params={params})\ndef default(): pass\n')
    problem = project.problem("x.py")
    assert COMPUTED[params] in problem.message
    assert problem.name == "a" and problem.hint and "finite numbers" in problem.hint


def test_the_rows_of_one_broken_file_with_several_jobs_are_equal_but_for_the_name(project: Project) -> None:
    project.write("x.py", 'configs = [{"name": n, "schedule": None} for n in "ab"]\ndef default(: pass\n')
    project.write(
        "y.py", 'configs = [{"name": "c"}, {"name": "d"}]\n1/0\nconfigs[0]["x"] = 1\ndef default(): pass'
    )
    found = [each for each in project.load().problems if each.file == "jobs/y.py"]
    assert [each.name for each in found] == ["c", "d"]
    assert len({(each.file, each.line, each.message, each.hint, each.path) for each in found}) == 1


FORMER = 'config = {{"name": "{name}", "schedule": None, "formerNames": {former}}}\ndef default(): pass\n'


@pytest.fixture
def renames(monkeypatch: pytest.MonkeyPatch) -> None:
    """Former names as they will be, whether this version supports them or not."""
    monkeypatch.setitem(KEYS, "formerNames", KEYS["formerNames"]._replace(has=None))


@pytest.mark.usefixtures("renames")
def test_a_former_name_that_two_jobs_claim_is_neithers(project: Project) -> None:
    project.write("x.py", FORMER.format(name="x", former='["old"]'))
    project.write("y.py", FORMER.format(name="y", former='["other", "OLD"]'))
    registry = project.load()
    assert list(registry.jobs) == []
    said = [(each.name, each.message) for each in registry.problems]
    assert said == [
        ("x", 'the name "old" is also used at jobs/y.py:1'),
        ("y", 'the name "OLD" is also used at jobs/x.py:1'),
    ]


@pytest.mark.usefixtures("renames")
def test_a_former_name_that_another_job_has_now_is_an_error_of_both(project: Project) -> None:
    project.plain("sync")
    project.write("x.py", FORMER.format(name="x", former='["Sync"]'))
    registry = project.load()
    assert list(registry.jobs) == []
    assert [each.name for each in registry.problems] == ["sync", "x"]


@pytest.mark.usefixtures("renames")
def test_a_job_cannot_be_its_own_former_self(project: Project) -> None:
    project.write("x.py", FORMER.format(name="sync", former='["old", "SYNC"]'))
    problem = project.problem("x.py")
    assert problem.message == 'formerNames has "sync", the name that the job has now'
    assert (problem.line, problem.name) == (1, "sync")


@pytest.mark.usefixtures("renames")
def test_former_names_that_nobody_else_has_are_fine(project: Project) -> None:
    project.write("x.py", FORMER.format(name="x", former='["a", "A", "b"]'))
    assert list(project.load().jobs) == ["x"]


def test_a_tuple_arrives_as_a_list(project: Project) -> None:
    project.write(
        "x.py",
        'config = {"name": "a", "schedule": None, "params": {"x": (1, (2,))}}\ndef default(): pass\n',
    )
    assert project.load().find("a").params == {"x": [1, [2]]}


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ("{d: {1: 2}}", "the key 1"),
        ("{x: !!binary aGVsbG8=}", "bytes"),
        ("{x: .inf}", "params.x is inf"),
    ],
)
def test_an_override_that_is_not_json_is_a_problem_of_its_job_alone(
    project: Project, params: str, words: str
) -> None:
    project.plain("a")
    project.plain("b")
    write(project.root / "jobrunner.yaml", f"jobs:\n  a:\n    params: {params}\n")
    registry = project.load()
    assert list(registry.jobs) == ["b"]
    (problem,) = registry.problems
    assert (problem.file, problem.line, problem.name) == ("jobrunner.yaml", 3, "a")
    assert words in problem.message


def test_a_jobs_folder_that_is_a_file_is_said_to_be_one_by_its_own_path(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.plain("a")
    monkeypatch.chdir(project.root)
    registry = project.load(project=None, jobs=["jobs/a.py"])
    assert registry.missing_folder is not None
    assert registry.missing_folder.message == "jobs/a.py is a file, not a folder of job files"
    assert registry.missing_folder.hint == "name the folder that it lies in, jobs"


def test_a_project_without_problems_imports_nothing_to_say_so(project: Project) -> None:
    import subprocess
    import sys

    project.plain("a")
    code = (
        "import sys\nfrom jobrunner import settings\nfrom jobrunner.registry import Registry\n"
        f"from jobrunner.clock import SystemClock\nfor _ in range(2):\n"
        f"    found = Registry.load(settings.load({{'project': {str(project.root)!r}, 'timezone': 'UTC'}}, {{}}))\n"
        "    for name in [each for each in sys.modules if each == 'jobrunner.model']: del sys.modules[name]\n"
        "    assert found.problems == []\nprint('jobrunner.model' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"
