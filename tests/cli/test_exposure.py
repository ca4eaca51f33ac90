"""Who else may write what is run is said, and nothing else is."""

from __future__ import annotations

import grp
import os
import pwd
from pathlib import Path

import pytest

from jobrunner import exposure
from jobrunner.exposure import Exposure, exposures
from jobrunner.settings import Settings, load
from tests.cli.house import House

FOLDERS = (".", "jobs", "jobs/deep", "jobs/deep/down")
FILES = ("jobs/a.py", "jobs/deep/down/b.py", "services.py", "hooks.py", "jobrunner.yaml")
PATHS = (*FOLDERS, *FILES)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / FOLDERS[-1]).mkdir(parents=True)
    for name in FILES:
        (tmp_path / name).write_text("")
    for name in PATHS:
        (tmp_path / name).chmod(0o755 if name in FOLDERS else 0o644)
    return tmp_path


def look(project: Path) -> list[Exposure]:
    settings: Settings = load({"project": str(project)}, {})
    return exposures(settings, [str(project / "jobs/a.py"), str(project / "jobs/deep/down/b.py"), ""])


def be_in_a_shared_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exposure, "_private_group", lambda _: -1)


def test_a_project_that_only_its_owner_may_write_is_not_spoken_of(project: Path) -> None:
    assert look(project) == []


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize("bit", [0o002, 0o020])
def test_whoever_else_may_write_what_is_run_is_named_with_the_path_its_mode_and_what_to_do(
    project: Path, monkeypatch: pytest.MonkeyPatch, name: str, bit: int
) -> None:
    be_in_a_shared_group(monkeypatch)
    path = project / name
    mode = path.stat().st_mode & 0o777 | bit
    path.chmod(mode)
    (told,) = look(project)
    who = "everybody on this machine" if bit == 0o002 else f"the group {grp.getgrgid(path.stat().st_gid)[0]}"
    assert told.said == f"{who} may write {path} (mode {mode:04o}), and what is in there is run"
    assert told.hint == f"chmod go-w {path}"


def test_a_group_that_is_ours_alone_may_write(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exposure, "_private_group", lambda _: (project / "jobs").stat().st_gid)
    for name in PATHS:
        (project / name).chmod(0o775)
    assert look(project) == []


def test_a_primary_group_is_ours_alone_where_it_has_our_name(monkeypatch: pytest.MonkeyPatch) -> None:
    me = pwd.getpwuid(0)
    assert exposure._private_group.__wrapped__(0) == me.pw_gid
    shared = grp.struct_group(("users", "x", me.pw_gid, []))
    monkeypatch.setattr(grp, "getgrgid", lambda _: shared)
    assert exposure._private_group.__wrapped__(0) == -1


def test_a_file_of_somebody_who_is_neither_we_nor_root_is_told(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, me = project / "jobs/a.py", os.geteuid()
    if me == 0:
        os.chown(path, 54_321, -1)
        (told,) = look(project)
        assert told.hint == f"chown {pwd.getpwuid(me).pw_name} {path}"
    else:  # all of it is ours, so be another
        monkeypatch.setattr(os, "geteuid", lambda: 54_321)
        told = look(project)[0]
    assert "who is neither you nor root, owns " in told.said
    assert "(mode 0" in told.said


def test_ten_files_alike_are_one_sentence(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    be_in_a_shared_group(monkeypatch)
    files = [project / "jobs" / f"job{number}.py" for number in range(10)]
    for file in files:
        file.write_text("")
        file.chmod(0o666)
    (told,) = exposures(load({"project": str(project)}, {}), map(str, files))
    assert f"{files[2]} and 7 more (mode 0666)" in told.said
    assert told.hint == f"chmod go-w {files[0]} {files[1]} {files[2]} …"


def test_a_file_system_without_modes_is_not_looked_at(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "jobs").chmod(0o777)
    assert len(look(project)) == 1
    table = f"36 35 0:1 / {project.parent} rw - vfat /dev/sdb1 rw"
    monkeypatch.setattr("jobrunner.store.sqlite.place.mounts", lambda: table)
    assert look(project) == []


def test_start_check_and_doctor_warn_and_go_on(house: House) -> None:
    house.job("a", schedule="*/2 * * * * *")
    (house.root / "jobs/a.py").chmod(0o666)
    said = f"everybody on this machine may write {house.root}/jobs/a.py (mode 0666)"
    checked = house.call("check")
    assert (checked.code, f"warning: {said}" in checked.out) == (0, True)
    assert house.call("check", "--strict").code == 1
    started = house.process("start", "--for", "0.1s")
    assert (started.code, started.err.count(said)) == (0, 1)
    assert f"warning: {said}" in house.call("doctor").out
