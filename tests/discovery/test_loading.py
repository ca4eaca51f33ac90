"""How a job file is imported, in a process that may run it; each test has one of its own."""

# ruff: noqa: E501  (what a file says reads best on one line)

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from jobrunner.discovery import syntax
from tests.discovery.household import Project, write

BEGIN = """
import sys
from jobrunner import loading
folder, root = sys.argv[1:3]
"""
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def ran(project: Project, code: str, *more: str) -> str:
    """Run code in a child that has `loading`, `folder` and `root`; return what it prints."""
    arguments = [str(project.jobs), str(project.root), *more]
    command = [sys.executable, "-P", "-W", "error", "-c", BEGIN + dedent(code), *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/", env=ENVIRONMENT)
    assert result.stderr == "", result.stderr
    return result.stdout.strip()


def value(project: Project, name: str) -> str:
    """Load a file and return what its function gives, as text."""
    code = "print(loading.default_function(loading.load(folder, sys.argv[3], root))())"
    return ran(project, code, str(project.jobs / name))


def test_siblings_and_the_project_root_are_importable(project: Project) -> None:
    write(project.root / "app" / "__init__.py", "")
    write(project.root / "app" / "tools.py", "X = 'root'")
    project.write("_shared.py", "X = 'sibling'")
    project.write(
        "sync-orders.py", "from ._shared import X\nfrom app import tools\ndef default(): return X + tools.X"
    )
    assert value(project, "sync-orders.py") == "siblingroot"


def test_subfolders_are_packages_with_or_without_an_init_file(project: Project) -> None:
    project.write("_top.py", "X = 'top'")
    project.write("v1.2/_near.py", "X = 'near'")
    project.write("v1.2/a.py", "from ._near import X\nfrom .._top import X as Y\ndef default(): return X + Y")
    project.write("whole/__init__.py", "X = 'init'")
    project.write("whole/a.py", "from . import X\nfrom .._top import X as Y\ndef default(): return X + Y")
    assert value(project, "v1.2/a.py") == "neartop"
    assert value(project, "whole/a.py") == "inittop"


def test_a_job_called_json_shadows_nothing(project: Project) -> None:
    write(project.root / "random.py", "raise SystemExit('shadowed')")
    project.write("json.py", "import json, random\ndef default(): return json.dumps([1]) + random.__name__")
    assert value(project, "json.py") == "[1]random"


def test_an_edit_within_the_same_second_and_size_is_what_runs(project: Project) -> None:
    code = """
    import os
    from pathlib import Path
    path, near = folder + "/a.py", folder + "/_b.py"
    for i in range(3):
        Path(near).write_text(f"X = {i}"); Path(path).write_text(f"from ._b import X\\ndef default(): return (X, {i})")
        for each in (near, path): os.utime(each, (1, 1))
        print(loading.default_function(loading.load(folder, path, root))())
        for name in [name for name in sys.modules if name.startswith(loading.PREFIX)]: del sys.modules[name]
    print(sorted(os.listdir(folder)))
    """
    assert ran(project, code).splitlines() == ["(0, 0)", "(1, 1)", "(2, 2)", "['_b.py', 'a.py']"]


def test_the_source_that_was_run_can_be_asked_for(project: Project) -> None:
    path = project.write("a.py", "def default(): pass")
    assert (
        ran(project, "print(loading.source(loading.load(folder, sys.argv[3], root)))", str(path))
        == "b'def default(): pass'"
    )


def test_what_the_file_raises_goes_through_and_leaves_no_module(project: Project) -> None:
    path = project.write("a.py", "1 / 0")
    code = """
    try:
        loading.load(folder, sys.argv[3], root)
    except ZeroDivisionError:
        print([name for name in sys.modules if name.endswith(".a")])
    """
    assert ran(project, code, str(path)) == "[]"


RULE = {
    "def default(): pass": "default",
    "async def default(): pass": "default",
    "class default: pass": "default",
    "default = print": "print",
    "from os import getcwd as default": "getcwd",
    "def work(): pass": "work",
    "def work(): pass\nagain = work": "work",
    "def work(): pass\nfrom os import getcwd": "work",
    "def work(): pass\nclass Thing: pass": "work",
    "def work(): pass\ndef _other(): pass": "work",
    "import functools\n@functools.cache\ndef work(): pass": "work",
    "if True:\n    def work(): pass\nelse:\n    def other(): pass\n    del other": None,
    "def one(): pass\ndef two(): pass": "one and two could each be the job's function",
    "class Thing: pass": "the file has no function to run",
    "default = 3": "default cannot be called",
}


@pytest.mark.parametrize("text", RULE)
def test_the_tree_and_the_module_agree_on_what_is_called(project: Project, text: str) -> None:
    path = project.write("a.py", text)
    code = """
    from jobrunner.errors import ConfigError
    try:
        print(loading.default_function(loading.load(folder, sys.argv[3], root)).__name__)
    except ConfigError as error:
        print(error.message)
    """
    at_run_time = ran(project, code, str(path))
    problems = syntax.read(b'config = {"name": "a"}\n' + text.encode()).problems
    assert (
        RULE[text] is None or (problems[0].message if problems else RULE[text]) == at_run_time == RULE[text]
    )


def test_loading_is_lean(project: Project) -> None:
    heavy = (
        "{'yaml','ast','inspect','dataclasses','asyncio','subprocess','json','hashlib','typing_extensions'}"
    )
    assert ran(project, f"print(sorted({heavy} & set(sys.modules)))") == "[]"


def test_paths_with_odd_letters_are_fine(project: Project) -> None:
    project.write("ü mit leer/é-1.py", "def default(): return __name__")
    assert value(project, "ü mit leer/é-1.py").endswith("ü mit leer.é-1")
    assert os.listdir(project.jobs) == ["ü mit leer"]
    assert Path(project.jobs / "ü mit leer").exists()
