"""Which files are job files; a hostile one is refused by name, and nothing waits for it."""

# ruff: noqa: E501  (what a file says reads best on one line)

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from jobrunner.discovery import walk
from jobrunner.discovery.files import read_source
from jobrunner.errors import ConfigError, UnknownJob
from tests.discovery.household import PLAIN, Project, write


def test_all_python_files_below_the_folder_are_jobs(project: Project) -> None:
    for name in ("a.py", "sub/b.py", "sub/deeper still/c-d.py", "json.py", "v1.2/e.f.py"):
        project.write(name, PLAIN.format(name=name.replace(" ", "_")))
    assert [job.file for job in project.load().jobs.values()] == [
        "jobs/a.py", "jobs/json.py", "jobs/sub/b.py", "jobs/sub/deeper still/c-d.py", "jobs/v1.2/e.f.py",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "name",
    ["_a.py", ".a.py", "test_a.py", "a_test.py", "conftest.py", "tests/a.py", "_x/a.py", ".x/a.py", "__pycache__/a.py",
     "a.py~", "#a.py#", "a.pyc", "a.txt", "a.py.swp"],
)  # fmt: skip
def test_helpers_tests_and_editor_files_are_left_out(project: Project, name: str) -> None:
    project.write(name, "syntax error(")
    registry = project.load()
    assert (registry.summaries, registry.problems) == ([], [])


def test_several_folders_are_looked_through_each_file_once(project: Project) -> None:
    project.plain("a")
    write(project.root / "more" / "b.py", PLAIN.format(name="b"))
    folders = [str(project.jobs), str(project.root / "more"), str(project.root)]
    registry = project.load(jobs=folders)
    assert list(registry.jobs) == ["a", "b"]
    assert registry.problems == []
    assert registry.jobs["b"].folder == str(project.root / "more")


def test_a_missing_folder_is_said_in_one_sentence_with_the_next_step(
    project: Project, tmp_path: Path
) -> None:
    registry = project.load(jobs=[str(tmp_path / "nowhere")])
    assert registry.missing_folder is not None
    assert "there is no folder" in registry.missing_folder.message and registry.missing_folder.hint
    assert (registry.summaries, registry.problems) == ([], [])


def test_one_missing_folder_of_several_is_a_problem(project: Project, tmp_path: Path) -> None:
    project.plain("a")
    registry = project.load(jobs=[str(project.jobs), str(tmp_path / "nowhere")])
    assert list(registry.jobs) == ["a"]
    assert registry.missing_folder is None
    assert [each.message for each in registry.problems] == [f"there is no folder {tmp_path / 'nowhere'}"]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (os.mkfifo, "pipe, socket or device"),
        (lambda path: os.symlink("/nowhere/at/all", path), "leads nowhere"),
        (lambda path: os.symlink(path, path), "leads nowhere"),
        (lambda path: os.symlink("/etc/hostname", path), "out of the project"),
        (lambda path: os.symlink("/dev/zero", path), "no regular file"),
        (lambda path: path.write_bytes(b"#" * 2_000_000), "larger than 1 MB"),
        (lambda path: path.write_bytes(b"x = 1\n\0"), "NUL"),
        (lambda path: path.write_bytes(b"x = '\xff'"), "not Python"),
        (lambda path: path.write_bytes(b"# coding: nonsense\n"), "not Python"),
        (lambda path: path.write_text("x = " + "[" * 10_000), "not Python"),
        (lambda path: path.write_text("x = " + "-" * 10_000 + "1"), "nested"),
        (lambda path: path.write_text("x = " + "-" * 300_000 + "1"), "nested"),
        (lambda path: path.write_text("x" + ".a" * 10_000), ""),
        (lambda path: path.write_text("def default(): return x" + ".a" * 5_000), ""),
        (lambda path: path.write_text("x = " + "9" * 100_000), "not Python"),
        (lambda path: path.write_text("config = {'name': " + "-" * 10_000 + "1}"), ""),
        (lambda path: path.write_text("config = {'name': 'a', 'schedule': None, 'params': {'x': 0x" + "f" * 10_000 + "}}\ndef default(): pass"), "not JSON"),
        (lambda path: path.write_text("config = {'name': 'a', 'schedule': None, 'timeout': 1e999}\ndef default(): pass"), "not a duration"),
    ],
)  # fmt: skip
def test_a_hostile_file_is_a_problem_and_the_others_stay(project: Project, make: object, words: str) -> None:
    project.plain("fine")
    assert callable(make)
    make(project.jobs / "odd.py")
    assert words in project.problem("odd.py").message
    assert list(project.load().jobs) == ["fine"]


def test_a_pipe_that_takes_a_files_place_after_the_walk_keeps_nobody_waiting(project: Project) -> None:
    os.mkfifo(project.jobs / "a.py")
    with pytest.raises(ConfigError, match="not a regular file"):
        read_source(str(project.jobs / "a.py"))


def test_a_file_that_vanishes_during_the_walk_is_no_error(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = project.plain("a")
    project.plain("b")
    listed = walk._name

    def removing(entry: os.DirEntry[str]) -> object:
        gone.unlink(missing_ok=True)
        return listed(entry)

    monkeypatch.setattr(walk, "_name", removing)
    assert list(project.load().jobs) == ["b"]


def test_a_file_that_may_not_be_read_is_a_problem(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    forbidden, opened = str(project.plain("fine")), os.open

    def as_the_kernel_answers_others_than_root(path: str, *rest: int, **more: int) -> int:
        if path == forbidden:
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return opened(path, *rest, **more)

    monkeypatch.setattr(os, "open", as_the_kernel_answers_others_than_root)
    assert "cannot be read" in project.problem("fine.py").message


@pytest.mark.parametrize("name", ["a\nb.py", "a\x1b[31mb.py", "a\u202eb.py", "a\udcffb.py", "a\u200bb.py"])
def test_a_name_that_cannot_be_shown_is_refused_and_shown_escaped(project: Project, name: str) -> None:
    project.write(name, PLAIN.format(name="a"))
    registry = project.load()
    assert registry.summaries == []
    assert len(registry.problems) == 1 and registry.problems[0].file.isprintable()


def test_a_link_inside_the_project_is_a_job_once(project: Project) -> None:
    shared = write(project.root / "shared" / "x.py", PLAIN.format(name="x"))
    (project.jobs / "x.py").symlink_to(shared)
    (project.jobs / "y.py").symlink_to(project.jobs / "x.py")
    project.plain("z")
    (project.jobs / "again.py").symlink_to(project.jobs / "z.py")
    registry = project.load()
    assert registry.problems == []
    assert sorted(job.file for job in registry.jobs.values()) == ["jobs/x.py", "jobs/z.py"]


def test_files_as_kubernetes_mounts_them_are_jobs(project: Project) -> None:
    write(project.jobs / "..2026_01" / "a.py", PLAIN.format(name="a"))
    (project.jobs / "..data").symlink_to("..2026_01")
    (project.jobs / "a.py").symlink_to("..data/a.py")
    assert list(project.load().jobs) == ["a"]


def test_a_link_to_a_folder_is_not_followed_but_said(project: Project) -> None:
    (project.jobs / "loop").symlink_to(project.jobs)
    assert "not followed" in project.problem("loop").message


@pytest.mark.parametrize(
    "text",
    [
        b"\xef\xbb\xbfconfig = {'name': 'a', 'schedule': None, 'description': '\xc3\xa9'}\ndef default(): pass",
        b"# -*- coding: latin-1 -*-\nconfig = {'name': 'a', 'schedule': None, 'description': '\xe9'}\ndef default(): pass",
        b"config = {'name': 'a', 'schedule': None, 'description': '\xc3\xa9'}\r\ndef default(): pass\r\n",
    ],
)
def test_marks_cookies_and_line_ends_are_as_in_python(project: Project, text: bytes) -> None:
    project.write("a.py", text)
    assert project.load().find("a").description == "é"


def test_names_are_found_in_any_case_and_near_ones_are_offered(project: Project) -> None:
    project.plain("Sync-Orders")
    registry = project.load()
    assert registry.find("sync-orders").name == "Sync-Orders"
    with pytest.raises(UnknownJob) as caught:
        registry.find("sync-ordres")
    assert caught.value.hint == 'did you mean "Sync-Orders"?'
    with pytest.raises(UnknownJob) as caught:
        registry.find("x\x1b")
    assert "\x1b" not in caught.value.message


def test_asking_for_a_broken_job_says_what_is_wrong_with_it(project: Project) -> None:
    project.write("a.py", 'config = {"name": "a", "schedule": "nope"}\ndef default(): pass')
    with pytest.raises(ConfigError) as caught:
        project.load().find("A")
    assert (caught.value.file, caught.value.line) == ("jobs/a.py", 1)


def test_jobs_of_installed_packages_are_found_without_importing_them(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    write(site / "acme" / "__init__.py", "raise SystemExit")
    write(site / "acme" / "jobs" / "tidy.py", PLAIN.format(name="acme.tidy"))
    write(
        site / "acme-1.dist-info" / "entry_points.txt",
        "[console_scripts]\nx = y:z\n[jobrunner.jobs]\nacme = acme.jobs\nlost = lost.jobs\n",
    )
    monkeypatch.syspath_prepend(str(site))
    project.plain("own")
    for _ in range(2):
        registry = project.load()
        assert list(registry.jobs) == ["acme.tidy", "own"]
        assert [each.file for each in registry.problems] == ["lost.jobs"]
