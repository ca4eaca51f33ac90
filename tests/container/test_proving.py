"""`check` proves, without making anything, that services and the job's function can work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jobrunner import probe
from jobrunner.cli.checking import check_services
from jobrunner.errors import ConfigError
from jobrunner.settings import load


class Project:
    """A project on disk, and what the probe's check verb says of its services and of one job."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "jobs").mkdir()

    def services(self, text: str) -> None:
        (self.root / "services.py").write_text(text)

    def services_said(self, **services: Any) -> str:
        """Return what is wrong with the services, one sentence a line."""
        return self._said("services.py", "", {}, services)

    def job_said(self, text: str, params: dict[str, Any] | None = None, **services: Any) -> str:
        """Return what is wrong with a job file of that text."""
        (self.root / "jobs" / "a.py").write_text(text)
        return self._said("jobs/a.py", "a", params or {}, services)

    def _said(self, path: str, job: str, params: dict[str, Any], services: dict[str, Any]) -> str:
        self.answer = probe.ask(
            {
                "verb": "check", "root": str(self.root), "settings": {}, "services": services,
                "path": str(self.root / path), "folder": str(self.root / "jobs"), "target": "", "job": job,
                "config": {}, "params": params,
            }
        )  # fmt: skip
        found = [self.answer["problem"]] if "problem" in self.answer else self.answer["problems"]
        self.found: list[dict[str, Any]] = found
        return "\n".join(one["message"] for one in found)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


# -- services ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "complaint"),
    [
        ("no.such:thing", "No module named 'no'"),
        ("os:nosuch", "no attribute 'nosuch'"),
        ("os:sep", "os:sep is a str, and no factory"),
    ],
)
def test_a_service_of_the_settings_that_cannot_be_loaded_is_a_problem(
    project: Project, address: str, complaint: str
) -> None:
    said = project.services_said(good="pathlib:Path", x=address)
    assert said.startswith("service 'x': ")
    assert complaint in said
    assert "\n" not in said
    assert "jobrunner.yaml" in project.found[0]["hint"]


def test_an_argument_that_a_factory_does_not_take_is_a_problem(project: Project) -> None:
    said = project.services_said(x={"factory": "queue:Queue", "args": {"maxsice": 1}})
    assert said.startswith("service 'x': ")
    assert "maxsice" in said


def test_services_that_need_each_other_are_one_problem_with_their_chain(project: Project) -> None:
    project.services(
        "def register(container):\n"
        "    container.register('c', lambda a: 1)\n"
        "    container.register('a', lambda b: 1)\n"
        "    container.register('b', lambda a: 1)\n"
    )
    assert project.services_said() == "services that need each other (asked for by c -> a -> b -> a)"
    assert project.found[0]["line"] == 4


@pytest.mark.parametrize("kept", ["session", "ctx", "params", "through"])
def test_a_singleton_that_would_keep_what_belongs_to_one_run_is_a_problem(
    project: Project, kept: str
) -> None:
    project.services(
        "def register(container):\n"
        "    container.register('session', object)\n"
        "    container.register('through', lambda session: 1, 'transient')\n"
        f"    container.register('cache', lambda {kept}: 1, 'singleton')\n"
    )
    name = "session" if kept == "through" else kept
    said = project.services_said()
    assert said.startswith(f"the singleton 'cache' would keep '{name}', which belongs to one run")
    assert "\n" not in said


def test_services_that_can_work_are_no_problem_and_none_is_made(project: Project) -> None:
    project.services(
        "import asyncio, queue\n"
        "class Db: pass\n"
        "def made(*_, **__): open('made', 'w')\n"
        "def db(settings, config, logger) -> Db: made()\n"
        "async def register(container):\n"
        "    await asyncio.sleep(0)\n"
        "    container.register(Db, db, 'singleton')\n"
        "    container.register('value', 5)\n"
        "    container.register('repo', lambda ctx, params, container, x, value, extra=1: made())\n"
        "    container.register('pool', lambda value, settings: made(), 'singleton')\n"
        "    container.register('own', object)\n"
        "    container.register('later', lambda own, of_the_hook: made())\n"
        "def virtualize(container, params): container.register('of_the_hook', 1)\n"
    )
    assert project.services_said(x="queue:Queue") == ""
    assert (
        project.job_said("from services import Db\ndef default(later, repo, pool, x, db: Db): pass\n") == ""
    )
    assert not (project.root / "made").exists()


def test_start_refuses_services_of_the_settings_that_cannot_be_loaded(project: Project) -> None:
    (project.root / "jobrunner.yaml").write_text("services:\n  x: no.such:thing\n")
    settings = load({"project": str(project.root)}, {})
    with pytest.raises(ConfigError, match=r"service 'x': no\.such:thing cannot be loaded"):
        check_services(settings)


# -- jobs --------------------------------------------------------------------------------------------


def test_a_class_without_run_is_a_problem(project: Project) -> None:
    assert project.job_said("class default:\n    pass\n") == "class default has no run() to call"
    assert project.job_said("class default:\n    def run(self): pass\n") == ""
    assert "generator" in project.job_said("class default:\n    def run(self): yield\n")


@pytest.mark.parametrize("name", ["ctx", "container"])
def test_a_param_that_the_harness_hides_is_a_problem(project: Project, name: str) -> None:
    said = project.job_said(f"def default({name}): pass\n", {name: 1, "rows": 2})
    assert said.startswith(f"'{name}' is both a param and ")
    assert project.found[0]["hint"] == "rename the param"
    assert project.job_said("def default(params): pass\n", {name: 1}) == said


@pytest.mark.parametrize("name", ["scheduler", "state"])
def test_a_body_and_its_services_may_have_the_runs_own_documents_and_calls(
    project: Project, name: str
) -> None:
    project.services(f"def register(c): c.register('report', lambda {name}: 1)\n")
    assert project.services_said() == ""
    assert project.job_said(f"def default({name}, report): pass\n") == ""
    assert project.job_said(f"def default({name}): pass\n", {name: 1}).startswith(f"{name!r} is both")


@pytest.mark.parametrize("name", ["scheduler", "state"])
def test_a_singleton_that_would_keep_what_a_run_has_asked_for_is_a_problem(
    project: Project, name: str
) -> None:
    project.services(f"def register(c): c.register('report', lambda {name}: 1, 'singleton')\n")
    assert f"'report' would keep '{name}', which belongs to one run" in project.services_said()


def test_what_a_service_of_the_job_lacks_is_a_problem_of_the_job(project: Project) -> None:
    project.services("def register(c): c.register('report', lambda tenant: 1)\n")
    assert project.services_said() == ""  # a body may register what is lacking before it asks
    said = project.job_said("def default(report): pass\n")
    assert "parameter 'tenant'" in said
    assert "asked for by report" in said


def test_broken_services_hide_no_problem_of_a_job_and_are_not_told_by_each(project: Project) -> None:
    project.services("raise RuntimeError('no')\n")
    assert project.services_said() == "it cannot be executed: RuntimeError: no"
    assert "has no run()" in project.job_said("class default: pass\n")
    assert "ValueError: mine" in project.job_said("raise ValueError('mine')\n")
    assert "'ctx' is both" in project.job_said("def default(db): pass\n", {"ctx": 1})
    assert project.job_said("def default(db): pass\n") == ""
    assert project.job_said("import services\ndef default(db): pass\n") == ""


def test_a_service_that_cannot_be_loaded_hides_no_problem_of_a_job(project: Project) -> None:
    text = "import pathlib\ndef default(x, folder: pathlib.Path, y): pass\n"
    said = project.job_said(text, {"y": 1}, x="no.such:thing", y="queue:Queue")
    assert said == "'y' is both a param and a service"
