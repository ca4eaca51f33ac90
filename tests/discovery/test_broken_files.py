"""One bad file never stops the others: it is listed with file, line, reason and what to do."""

# ruff: noqa: E501  (what a file says reads best on one line)

from __future__ import annotations

import os

import pytest

from tests.discovery.household import Project

BROKEN = {
    "syntax.py": (b'config = {\n"name": "x"\n', 1, "not Python"),
    "noconfig.py": (b"def default(): pass\n", 1, "no config"),
    "nodefault.py": (b'config = {"name": "n", "schedule": None}\n', 1, "no function"),
    "two.py": (
        b'config = {"name": "t", "schedule": None}\ndef one(): pass\ndef two(): pass\n',
        3,
        "one and two",
    ),
    "twin.py": (b'config = {"schedule": None,\n"name": "GOOD"}\ndef default(): pass\n', 2, "jobs/twins.py:1"),
    "twins.py": (b'config = {"name": "good", "schedule": None}\ndef default(): pass\n', 1, "jobs/twin.py:2"),
    "cron.py": (b'config = {"name": "c",\n"schedule": "99 * * * *"}\ndef default(): pass\n', 2, '"99"'),
    "key.py": (
        b'config = {"name": "k", "schedule": None,\n"timeuot": 3}\ndef default(): pass\n',
        2,
        '"timeuot"',
    ),
    "type.py": (
        b'config = {"name": "y", "schedule": None,\n\n"tags": 3}\ndef default(): pass\n',
        3,
        "tags is 3",
    ),
    "endless.py": (
        b'config = dict(name="e", schedule=None)\nwhile True: pass\ndef default(): pass',
        1,
        "1 s",
    ),
    "rubbish.py": (b"\x00\xff\xfe\x01" * 100, 1, "NUL"),
}


@pytest.fixture
def broken(project: Project) -> Project:
    project.plain("fine")
    for name, (text, _, _) in BROKEN.items():
        project.write(name, text)
    return project


def test_each_broken_file_is_a_problem_with_file_line_and_hint_and_the_good_one_stays(
    broken: Project,
) -> None:
    registry = broken.load(import_limit="1")
    assert list(registry.jobs) == ["fine"]
    found = {each.file: each for each in registry.problems}
    assert set(found) == {f"jobs/{name}" for name in BROKEN}
    for name, (_, line, words) in BROKEN.items():
        problem = found[f"jobs/{name}"]
        assert problem.line == line, problem
        assert words in problem.message, problem
        assert problem.hint, problem
        assert "\n" not in problem.message and not problem.message.endswith(".")


def test_the_name_of_a_broken_job_is_kept_where_it_can_be_read(broken: Project) -> None:
    names = {each.file: each.name for each in broken.load(import_limit="1").problems}
    assert names["jobs/cron.py"] == "c"
    assert names["jobs/nodefault.py"] == "n"
    assert names["jobs/endless.py"] == "e"
    assert names["jobs/noconfig.py"] is None


def test_problems_come_in_the_same_order_each_time(broken: Project) -> None:
    first = broken.load(import_limit="1").problems
    assert first == broken.load(import_limit="1").problems == sorted(first, key=lambda each: each.file)


SAID = {
    "config = 3\ndef default(): pass": "config is a int, not a dict",
    "config = {1: 2}\ndef default(): pass": "a key that is not a text",
    'config = {"name": "a", "name": "b", "schedule": None}\ndef default(): pass': "names name twice, on lines 1 and 1",
    'config = {"name": "a", "schedule": None, "params": {"x": 1j}}\ndef default(): pass': "params.x is a complex, which is not JSON",
    'config = {"name": "a", "schedule": None, "params": {"x": b"1"}}\ndef default(): pass': "params.x is a bytes, which is not JSON",
    'config = {"name": "a"}\ndef default(): pass': "config has no schedule",
    'config = {"schedule": None}\ndef default(): pass': "config has no name",
    "configs = []\ndef default(): pass": "configs is not a list of dicts",
    'config = {"name": "a", "schedule": None}\nconfigs = [config]\ndef default(): pass': "both config and configs",
    'config = {"name": "a", "schedule": None}\ndefault = 3': "default cannot be called",
    'config = {"name": "a", "schedule": None}\ndef default():\n    yield 1': "is a generator",
    'config = {"name": "a", "schedule": None}\nasync def default():\n    yield 1': "is a generator",
    'config = {"name": "a", "schedule": None}\nimport nowhere_at_all\nconfig["x"] = 1\ndef default(): pass': "No module",
    'config = dict(name="a", schedule=None)\n1/0\ndef default(): pass': "ZeroDivisionError: division by zero",
    'config = dict(name="a", schedule=None)\nimport sys; sys.exit(3)\ndef default(): pass': "SystemExit: 3",
    'import os\nconfig = dict(name="a", schedule=None)\nos._exit(3)\ndef default(): pass': "exit status 3",
    'import os\nconfig = dict(name="a", schedule=None)\nos.kill(os.getpid(), 11)\ndef default(): pass': "signal 11",
    'config = dict(name="a", schedule=object())\ndef default(): pass': "schedule is a object, which is not JSON",
    'config = dict(name="a", schedule=None, params={"x": float("nan")})\ndef default(): pass': "params.x is nan, which is no finite number",
    'config = dict(name="a", schedule=None, params={"s": [{1, 2}]})\ndef default(): pass': "params.s[0] is a set, which is not JSON",
    'config = dict(name="a", schedule=None, tags={"b", "a"})\ndef default(): pass': "tags is a set, which is not JSON",
    'config = dict(name="a", schedule=None, timeout=float("inf"))\ndef default(): pass': "timeout is inf, which is no finite number",
    'config = dict(name="a", schedule=None, params={"d": {1: 2}})\ndef default(): pass': "params.d has the key 1, which is not a text",
    'config = dict(name="a", schedule=None)\nconfig["params"] = config\ndef default(): pass': "nested more than",
    'class D(dict):\n    def items(self): raise MemoryError("ha")\nconfig = D(name="a")\ndef default(): pass': "MemoryError",
}


@pytest.mark.parametrize("text", SAID)
def test_every_odd_file_is_said_in_one_sentence_with_a_line(project: Project, text: str) -> None:
    project.write("odd.py", text)
    problem = project.problem("odd.py")
    assert SAID[text] in problem.message
    assert problem.line is not None


def test_the_line_of_a_failing_import_is_the_one_in_the_job_file(project: Project) -> None:
    project.write("_deep.py", "def fail():\n\n\n    raise ValueError('deep')\n")
    project.write("odd.py", "from ._deep import fail\n\nconfig = dict(x=fail())\ndef default(): pass\n")
    assert project.problem("odd.py").line == 3


def test_output_of_an_import_is_swallowed_and_forges_nothing(
    project: Project, capfd: pytest.CaptureFixture[str]
) -> None:
    project.write(
        "loud.py",
        """
        import os, sys
        print("x" * 10_000_000)
        os.write(2, b"{" * 1_000_000)
        config = {"name": "loud", "schedule": None, "tags": [str(1)]}
        def default(): pass
        """,
    )
    assert list(project.load().jobs) == ["loud"]
    assert capfd.readouterr() == ("", "")


def test_a_grandchild_that_holds_the_pipes_delays_nothing_and_is_killed(project: Project) -> None:
    project.write(
        "fork.py",
        f"""
        import os, time
        if os.fork() == 0:
            open({str(project.root / "pid")!r}, "w").write(str(os.getpid()))
            time.sleep(60)
            os._exit(0)
        while not os.path.exists({str(project.root / "pid")!r}): time.sleep(0.01)
        config = dict(name="fork", schedule=None)
        def default(): pass
        """,
    )
    assert list(project.load().jobs) == ["fork"]
    with pytest.raises(ProcessLookupError):
        _await_death(int((project.root / "pid").read_text()))


def _await_death(pid: int) -> None:
    for _ in range(10_000):
        os.kill(pid, 0)
        with open(f"/proc/{pid}/stat") as file:
            if file.read().rpartition(")")[2].split()[0] == "Z":
                raise ProcessLookupError


def test_the_database_address_is_not_shown_to_a_job_file(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOBRUNNER_STATE", "postgresql://me:secret@host/db")
    project.write(
        "a.py",
        "import os\nconfig = dict(name='a', schedule=None, description=str(os.environ.get('JOBRUNNER_STATE')))\ndef default(): pass\n",
    )
    assert project.load().find("a").description == "None"
