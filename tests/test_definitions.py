"""What a node holds while files change: an edit counts when it is whole, and no sooner."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from jobrunner import definitions
from jobrunner.definitions import Definitions
from jobrunner.housekeeping import PRUNE
from jobrunner.model import Job
from jobrunner.restoring import restore
from jobrunner.settings import Settings
from jobrunner.settings.readers import Names
from tests.discovery.household import PLAIN, Project, write

TWO = """
configs = [{{"name": "a", "schedule": "{a}"}}, {{"name": "b", "schedule": "{b}"}}]
def default(): pass
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "project")


class Held:
    """What is held of a project, as a node with --watch would hold it."""

    def __init__(self, project: Project, **more: Any) -> None:
        self._project = project
        self.now = definitions.load(project.settings(), **{"keep_sources": True, **more})

    def reload(self, settings: Settings | None = None) -> Definitions:
        self.now = definitions.reload(self.now, settings or self._project.settings())
        return self.now

    def source(self, name: str) -> str | None:
        return self.now.source_of(self.now.jobs[name])


def test_a_start_holds_all_jobs_by_name_and_runs_their_files(project: Project) -> None:
    for name in ("b", "A"):
        project.plain(name)
    project.write("x.py", "broken(")
    held = definitions.load(project.settings())
    assert list(held.listed) == ["A", "b"]
    assert [each.file for each in held.problems] == ["jobs/x.py"]
    assert (held.kept, held.sources, held.source_of(held.jobs["A"])) == ((), {}, None)


def test_new_edited_and_deleted_files_are_seen_and_what_is_the_same_is_kept_as_it_is(
    project: Project,
) -> None:
    for name in ("a", "b", "c"):
        project.plain(name)
    held = Held(project)
    before = held.now.jobs
    project.plain("d")
    project.write("b.py", PLAIN.format(name="b").replace("*/5", "*/7"))
    (project.jobs / "c.py").unlink()
    after = held.reload()
    assert list(after.listed) == ["a", "b", "d"]
    assert after.jobs["a"] is before["a"]
    assert after.jobs["b"].config["schedule"] == "*/7 * * * *"
    assert (after.problems, after.kept, after.sources) == ([], (), {})


HALF: dict[str, str | bytes] = {
    "cut off": PLAIN.format(name="a")[:20],
    "emptied": "",
    "without a function": 'config = {"name": "a", "schedule": None}\n',
    "with an impossible schedule": PLAIN.format(name="a").replace("*/5", "99"),
    "with a failing import": "import nowhere_at_all\n" + PLAIN.format(name="a").replace('"a"', "str('a')"),
    "not UTF-8": PLAIN.format(name="a").encode() + b"x = '\xff'",
}


@pytest.mark.parametrize("how", HALF)
def test_a_job_whose_file_is_half_written_stays_as_it_was_with_the_text_that_it_was_read_from(
    project: Project, how: str
) -> None:
    project.plain("a")
    project.plain("z")
    held = Held(project)
    before = held.now.jobs["a"]
    project.write("a.py", HALF[how])
    for _ in range(2):
        after = held.reload()
        assert after.jobs["a"] is before
        assert (after.kept, held.source("a"), held.source("z")) == (("a",), PLAIN.format(name="a"), None)
        assert {each.file for each in after.problems} == {"jobs/a.py"}
    project.write("a.py", PLAIN.format(name="a").replace("*/5", "*/7"))
    after = held.reload()
    assert after.jobs["a"].config["schedule"] == "*/7 * * * *"
    assert (after.kept, after.sources, after.problems) == ((), {}, [])


def test_a_second_broken_edit_keeps_the_last_good_one_and_not_an_older_one(project: Project) -> None:
    project.plain("a")
    held = Held(project)
    good = PLAIN.format(name="a") + "# second\n"
    for text in (good, "broken(", "broken["):
        project.write("a.py", text)
        held.reload()
    assert held.source("a") == good
    assert held.now.texts is not None and list(held.now.texts.values()) == [good]


def test_a_deleted_file_takes_a_kept_job_with_it(project: Project) -> None:
    project.plain("a")
    held = Held(project)
    project.write("a.py", "broken(")
    held.reload()
    (project.jobs / "a.py").unlink()
    after = held.reload()
    assert (dict(after.listed), after.kept, after.sources, after.texts) == ({}, (), {}, {})


def test_a_new_file_that_is_broken_is_only_a_problem(project: Project) -> None:
    project.plain("a")
    held = Held(project)
    project.write("b.py", 'config = {"name": "b"')
    after = held.reload()
    assert (list(after.listed), after.kept) == (["a"], ())
    assert [each.name for each in after.problems] == ["b"]


def test_a_copy_of_a_file_does_not_stop_the_job_that_it_copies(project: Project) -> None:
    project.plain("a")
    held = Held(project)
    project.write("copy.py", PLAIN.format(name="a"))
    after = held.reload()
    assert (list(after.listed), after.kept) == (["a"], ("a",))
    assert after.jobs["a"].file == "jobs/a.py"
    assert [each.file for each in after.problems] == ["jobs/a.py", "jobs/copy.py"]


def test_a_renamed_file_goes_on_under_its_new_path_although_the_old_one_is_broken_now(
    project: Project,
) -> None:
    project.plain("a")
    held = Held(project)
    os.rename(project.jobs / "a.py", project.jobs / "b.py")
    project.write("a.py", "broken(")
    after = held.reload()
    assert after.jobs["a"].file == "jobs/b.py"
    assert (after.kept, after.sources) == ((), {})


def test_of_several_jobs_in_one_file_only_the_broken_one_stays_as_it_was(project: Project) -> None:
    project.write("x.py", TWO.format(a="@daily", b="@daily"))
    held = Held(project)
    project.write("x.py", TWO.format(a="nonsense", b="@hourly"))
    after = held.reload()
    assert [after.jobs[name].config["schedule"] for name in "ab"] == ["@daily", "@hourly"]
    assert (held.source("a"), held.source("b")) == (TWO.format(a="@daily", b="@daily"), None)
    project.write("x.py", TWO.format(a="@hourly", b="nonsense"))
    after = held.reload()
    assert [after.jobs[name].config["schedule"] for name in "ab"] == ["@hourly", "@hourly"]
    assert (held.source("a"), held.source("b")) == (None, TWO.format(a="nonsense", b="@hourly"))


def test_jobs_in_a_folder_that_cannot_be_read_stay_and_those_of_a_deleted_one_go(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write("sub/a.py", PLAIN.format(name="a"))
    project.plain("b")
    held = Held(project)
    opened = os.open

    def refusing(path: Any, *more: Any, **kinds: Any) -> int:
        if path == str(project.jobs / "sub"):
            raise PermissionError(13, "Permission denied")
        return opened(path, *more, **kinds)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refusing)
        after = held.reload()
    assert (list(after.listed), after.kept) == (["a", "b"], ("a",))
    (project.jobs / "sub" / "a.py").unlink()
    (project.jobs / "sub").rmdir()
    assert list(held.reload().listed) == ["b"]


def test_a_jobs_folder_that_is_gone_takes_its_jobs_and_is_a_problem(project: Project) -> None:
    project.plain("a")
    held = Held(project)
    (project.jobs / "a.py").unlink()
    project.jobs.rmdir()
    after = held.reload()
    assert dict(after.listed) == {}
    assert ["there is no folder" in each.message for each in after.problems] == [True]


def test_without_sources_a_broken_edit_takes_its_job_and_a_bad_override_does_not(project: Project) -> None:
    for name in ("a", "b"):
        project.plain(name)
    held = Held(project, keep_sources=False)
    project.write("a.py", "broken(")
    after = held.reload(project.settings()._replace(stored={"b": {"timezone": "Nowhere"}}))
    assert (list(after.listed), after.kept, after.sources) == (["b"], ("b",), {})
    assert [each.file for each in after.problems] == ["jobs/a.py", "set b timezone"]


def test_the_job_that_comes_along_stays_at_a_reload_and_one_that_was_left_out_stays_out(
    project: Project,
) -> None:
    project.plain("a")
    held, without = Held(project), Held(project)
    without.reload(project.settings()._replace(exclude=Names([PRUNE])))
    for _ in range(2):
        assert list(held.reload().jobs) == ["a", PRUNE]
        assert list(without.reload(without.now.settings).jobs) == ["a"]


def test_a_filter_holds_at_each_reload(project: Project) -> None:
    for name in ("a", "b"):
        project.plain(name)

    def not_b(job: Job) -> bool:
        return job.name != "b"

    held = Held(project, only=not_b)
    assert list(held.now.listed) == ["a"]
    project.plain("c")
    assert list(held.reload().listed) == ["a", "c"]
    project.write("b.py", "broken(")
    assert list(held.reload().listed) == ["a", "c"]


def test_a_changed_override_is_seen_at_a_reload(project: Project) -> None:
    project.plain("a")
    held = Held(project)
    write(project.root / "jobrunner.yaml", "jobs: {a: {params: {x: 1}}}\n")
    assert held.reload().jobs["a"].params == {"x": 1}
    after = held.reload(project.settings()._replace(stored={"A": {"params": {"y": 2}}}))
    assert after.jobs["a"].params == {"x": 1, "y": 2}
    assert after.jobs["a"].overridden == ("params",)


TEXTS = {
    "utf-8": "# é\r\n".join(PLAIN.format(name="a").splitlines()).encode(),
    "latin-1": b"# coding: latin-1\n# \xe9\n" + PLAIN.format(name="a").encode(),
}


@pytest.mark.parametrize("encoding", TEXTS)
def test_a_text_is_kept_as_python_reads_it_to_the_last_line_end(project: Project, encoding: str) -> None:
    project.write("a.py", TEXTS[encoding])
    held = Held(project)
    assert held.now.texts is not None
    (kept,) = held.now.texts.values()
    assert kept == TEXTS[encoding].decode(encoding)


def test_an_odd_byte_that_python_lets_pass_holds_no_edit_back(project: Project) -> None:
    project.plain("a")
    held = Held(project)
    project.write("a.py", PLAIN.format(name="a").replace("*/5", "*/7").encode() + b"# \xff")
    after = held.reload()
    assert (after.jobs["a"].config["schedule"], after.problems) == ("*/7 * * * *", [])


def test_a_file_that_changed_again_before_its_text_was_read_leaves_its_job_as_it_was(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.plain("a")
    held = Held(project)
    before = held.now.jobs["a"]
    project.write("a.py", PLAIN.format(name="a").replace("*/5", "*/7"))
    monkeypatch.setattr(definitions, "read_source", lambda path: b"broken(")
    after = held.reload()
    assert after.jobs["a"] is before
    assert (after.kept, after.problems, held.source("a")) == ((), [], PLAIN.format(name="a"))
    monkeypatch.undo()
    assert held.reload().jobs["a"].config["schedule"] == "*/7 * * * *"


def test_files_that_computed_configs_came_from_are_named(project: Project) -> None:
    part = project.write("_part.py", "NAME = 'one'\n")
    project.write(
        "a.py", "from ._part import NAME\nconfig = dict(name=NAME, schedule=None)\ndef default(): pass\n"
    )
    assert definitions.load(project.settings()).imported == (str(part),)


# --- what the state remembers -----------------------------------------------------------------

STORED: Mapping[str, Any] = {
    "name": "a", "schedule": "0 9 * * *", "timezone": "Europe/Berlin", "timeout": "5s", "dstGap": "skip",
}  # fmt: skip


def test_a_job_is_restored_from_what_was_registered_of_it(project: Project) -> None:
    project.write("a.py", f"config = {dict(STORED)!r}\ndef default(): pass\n")
    job = project.load().find("a")
    made = restore("a", job.config, job.file, job.hash, project.settings())
    assert made is not None
    assert (made.hash, made.file, made.path, made.config) == (job.hash, job.file, "", job.config)
    assert (made.schedule_key, made.timeout, made.timezone) == (job.schedule_key, job.timeout, job.timezone)


ODD = [
    {}, {"schedule": "99 * * * *"}, {"schedule": None, "later": 1}, {"schedule": object()}, [], None, "text",
]  # fmt: skip


@pytest.mark.parametrize("config", ODD)
def test_what_cannot_be_restored_is_none_and_never_an_error(project: Project, config: Any) -> None:
    assert restore("a", config, "jobs/a.py", "h", project.settings()) is None


def test_a_stored_definition_without_a_name_has_the_one_that_it_is_stored_under(project: Project) -> None:
    made = restore("a", {"schedule": None}, "jobs/a.py", "h", project.settings())
    assert made is not None and (made.name, made.hash) == ("a", "h")


def test_neither_the_file_nor_the_environment_can_say_what_is_stored(project: Project) -> None:
    from jobrunner import settings
    from jobrunner.errors import ConfigError

    environ = {"JOBRUNNER_STORED": "x", "PATH": os.environ["PATH"]}
    assert settings.load({"project": str(project.root)}, environ).stored == {}
    write(project.root / "jobrunner.yaml", "stored: {a: {timeout: 3}}\n")
    with pytest.raises(ConfigError, match="no setting"):
        project.settings()
