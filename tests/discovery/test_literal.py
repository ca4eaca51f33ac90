"""A file is described without running it, when its config is literal; only a computed one is imported."""

# ruff: noqa: E501  (what a file says reads best on one line)

from __future__ import annotations

import pytest

from jobrunner.clock import DAY
from tests.discovery.household import Project

MARK = "import pathlib; pathlib.Path({path!r}).write_text('ran')\n"
LITERAL = {
    "plain": 'config = {"name": "a", "schedule": "@daily"}\ndef default(container): pass',
    "annotated": 'config: dict[str, object] = {"name": "a", "schedule": "@daily"}\nasync def default(): pass',
    "several": 'configs = [{"name": "a", "schedule": "@daily"}]\ndef default(): pass',
    "parameter": 'config = {"name": "a", "schedule": "@daily"}\ndef default(config): return config.copy()',
    "variable": 'config = {"name": "a", "schedule": "@daily"}\ndef default(c):\n    config = c.resolve("config")\n    config["x"] = 1',
    "read": 'config = {"name": "a", "schedule": "@daily"}\ndef default(): return config["name"]',
    "class": 'config = {"name": "a", "schedule": "@daily"}\nclass default:\n    def run(self): pass',
    "only one": 'config = {"name": "a", "schedule": "@daily"}\ndef _helper(): pass\ndef work(): pass',
    "attribute": 'config = {"name": "a", "schedule": "@daily"}\nimport os\nos.config = 3\ndef default(): pass',
    "lambda": 'config = {"name": "a", "schedule": "@daily"}\ndefault = lambda container: 1',
    "imported": 'config = {"name": "a", "schedule": "@daily"}\nfrom shutil import copy as default',
}
COMPUTED = {
    "assigned twice": 'config = {"name": "z"}\nconfig = {"name": "a", "schedule": "@daily"}\ndef default(): pass',
    "item set": 'config = {"name": "a", "schedule": None}\nconfig["schedule"] = "@daily"\ndef default(): pass',
    "updated": 'config = {"name": "a"}\nconfig.update(schedule="@daily")\ndef default(): pass',
    "or-ed": 'config = {"name": "a"}\nconfig |= {"schedule": "@daily"}\ndef default(): pass',
    "deleted": 'config = {"name": "a", "schedule": "@daily", "oops": 1}\ndel config["oops"]\ndef default(): pass',
    "global": 'config = {"name": "a"}\ndef _set():\n    global config\n    config = {"name": "a", "schedule": "@daily"}\n_set()\ndef default(): pass',
    "passed on": 'config = {"name": "a"}\ndict.__setitem__(config, "schedule", "@daily")\ndef default(): pass',
    "aliased": 'config = {"name": "a"}\nother = config\nother["schedule"] = "@daily"\ndef default(): pass',
    "two targets": 'config = other = {"name": "a"}\nother["schedule"] = "@daily"\ndef default(): pass',
    "in a function": 'config = {"name": "a"}\ndef _f(): config["schedule"] = "@daily"\n_f()\ndef default(): pass',
    "reached into": 'config = {"name": "a", "tags": [], "schedule": "@daily"}\ndef _f(): config["tags"].append("x")\n_f()\ndef default(): pass',
    "globals": 'config = {"name": "a"}\nglobals()["config"]["schedule"] = "@daily"\ndef default(): pass',
    "exec": 'config = {"name": "a"}\nexec("config[\'schedule\'] = \'@daily\'")\ndef default(): pass',
    "a call": 'config = dict(name="a", schedule="@daily")\ndef default(): pass',
    "spread": 'base = {"schedule": "@daily"}\nconfig = {"name": "a", **base}\ndef default(): pass',
    "branch": 'if True:\n    config = {"name": "a", "schedule": "@daily"}\ndef default(): pass',
    "imported": 'from ._other import config\ndef default(): pass',
    "starred": 'from ._other import *\ndef default(): pass',
    "loop": 'for config in [{"name": "a", "schedule": "@daily"}]: pass\ndef default(): pass',
    "match": 'match {"name": "a", "schedule": "@daily"}:\n    case config: pass\ndef default(): pass',
    "builder": 'from jobrunner.schedules import daily\nconfig = {"name": "a", "schedule": daily(at="00:00")}\ndef default(): pass',
    "callable": 'config = {"name": "a", "schedule": lambda c: c.daily(at="00:00")}\ndef default(): pass',
    "list of builders": 'from jobrunner.schedules import daily\nconfig = {"name": "a", "schedule": [daily(at="00:00"), "@daily"]}\ndef default(): pass',
    "enum and timedelta": 'import enum, datetime\nclass S(enum.StrEnum):\n    D = "@daily"\nconfig = {"name": "a", "schedule": S.D, "timeout": datetime.timedelta(seconds=5)}\ndef default(): pass',
}  # fmt: skip


@pytest.mark.parametrize("case", LITERAL)
def test_a_literal_config_is_read_without_executing_the_file(project: Project, case: str) -> None:
    marker = project.root / "marker"
    project.write("a.py", MARK.format(path=str(marker)) + LITERAL[case])
    job = project.load().find("a")
    assert job.schedule is not None and job.schedule.next_after(0, 0) == DAY
    assert not marker.exists()


@pytest.mark.parametrize("case", COMPUTED)
def test_a_computed_config_is_what_an_import_gives(project: Project, case: str) -> None:
    marker = project.root / "marker"
    project.write("_other.py", 'config = {"name": "a", "schedule": "@daily"}\n')
    project.write("a.py", MARK.format(path=str(marker)) + COMPUTED[case])
    registry = project.load()
    assert registry.problems == []
    job = registry.find("a")
    assert job.schedule is not None and job.schedule.next_after(0, 0) == DAY
    assert marker.exists()


def test_the_first_line_of_the_docstring_is_the_description_unless_config_has_one(project: Project) -> None:
    project.write(
        "a.py", '"""\nCopy orders.\n\nMore."""\nconfig = {"name": "a", "schedule": None}\ndef default(): pass'
    )
    project.write(
        "b.py",
        '"""Doc."""\nconfig = {"name": "b", "schedule": None, "description": "Own"}\ndef default(): pass',
    )
    jobs = project.load().jobs
    assert (jobs["a"].description, jobs["b"].description) == ("Copy orders.", "Own")


def test_top_level_imports_are_collected_for_the_preload(project: Project) -> None:
    text = 'import json, os.path\nfrom xml.dom import minidom\nfrom . import _x\nconfig = {"name": "a", "schedule": None}\ndef default():\n    import socket'
    project.write("a.py", text)
    assert project.load().find("a").imports == ("json", "os.path", "xml.dom")


def test_several_configs_are_several_jobs_of_one_function(project: Project) -> None:
    project.write(
        "a.py",
        'configs = [\n  {"name": "a", "schedule": None},\n  {"name": "b", "schedule": None},\n]\ndef default(): pass',
    )
    project.write(
        "c.py", 'configs = [{"name": f"c{i}", "schedule": None} for i in range(3)]\ndef default(): pass'
    )
    jobs = project.load().jobs
    assert list(jobs) == ["a", "b", "c0", "c1", "c2"]
    assert (jobs["a"].line, jobs["b"].line) == (2, 3)
    assert len({job.hash for job in jobs.values()}) == 5


def test_one_bad_config_of_several_does_not_stop_the_others(project: Project) -> None:
    project.write(
        "a.py",
        'configs = [\n  {"name": "a", "schedule": None},\n  {"name": "b", "schedule": "nope"},\n]\ndef default(): pass',
    )
    registry = project.load()
    assert list(registry.jobs) == ["a"]
    assert [(each.line, each.name) for each in registry.problems] == [(3, "b")]
