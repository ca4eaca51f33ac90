"""A folder full of hostile job files: each is said in one sentence, and the others are jobs as ever."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from tests.hostile import files
from tests.hostile.rows import Row, jobs_of

Problems = dict[str, list[dict[str, Any]]]
LIMIT = "7s"  # for one import; what goes on for ever costs this much


def project(root: Path) -> Path:
    (root / "jobs").mkdir()
    for name, source in files.BESIDE.items():
        (root / "jobs" / name).write_text(source)
    for row in files.ROWS.values():
        row.write(root / "jobs")
    return root


def command(root: Path, *args: str) -> subprocess.CompletedProcess[str]:
    keep = {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ}
    return subprocess.run(
        [sys.executable, "-m", "jobrunner", "--project", str(root), *args, "--json"], cwd=root, text=True,
        env={**keep, "JOBRUNNER_IMPORT_LIMIT": LIMIT, "JOBRUNNER_TIMEZONE": "UTC"}, capture_output=True,
        check=False, timeout=280,
    )  # fmt: skip


def wrong_with(row: Row, problems: list[dict[str, Any]], *, executed: bool) -> list[str]:
    """Return what is not as the row promises, of the problems of its file."""
    if row.said is None or (row.proved and not executed):
        return [f"{row.file} is said to be wrong: {problems}"] if problems else []
    if len(problems) != 1:
        return [f"{row.file} has {len(problems)} problems: {problems}"]
    message, line, hint = problems[0]["message"], problems[0]["line"], problems[0]["hint"]
    found = [] if row.said in message else [f"{row.file} does not say {row.said!r}: {message}"]
    if not message.isprintable() or "Traceback" in message or len(message) > 1_000:
        found.append(f"{row.file} is not one short sentence: {message[:200]!r}")
    if line != row.line and row.line != 0:
        found.append(f"{row.file} blames line {line}: {message}")
    if hint is not None and not hint.isprintable():
        found.append(f"{row.file} has a hint that a terminal would obey: {hint!r}")
    return found


def wrong(problems: Problems, *, executed: bool) -> list[str]:
    rows = {row.shown: row for row in files.ROWS.values()}
    unknown = [f"{file} is no row: {said}" for file, said in problems.items() if said and file not in rows]
    return unknown + [
        said for file, row in rows.items() for said in wrong_with(row, problems[file], executed=executed)
    ]


@pytest.mark.timeout(300)
def test_check_says_of_each_hostile_file_what_is_wrong_with_it_and_of_the_others_nothing(
    tmp_path: Path,
) -> None:
    done = command(project(tmp_path), "check")
    assert (done.returncode, done.stderr) == (1, "")
    said = json.loads(done.stdout)
    problems: Problems = defaultdict(list)
    for one in said["problems"]:
        problems[one["file"]].append(one)
    found = wrong(problems, executed=True)
    assert not found, "\n".join(found)
    proved = [row for row in files.ROWS.values() if row.proved]
    assert said["jobs"] == len(jobs_of(files.ROWS)) + len(proved)


@pytest.mark.timeout(300)
def test_a_list_of_jobs_shows_the_good_ones_beside_all_the_hostile_files(tmp_path: Path) -> None:
    done = command(project(tmp_path), "ls", "--all")
    assert (done.returncode, done.stderr) == (0, "")
    listed = json.loads(done.stdout)
    problems: Problems = defaultdict(list)
    for one in listed:
        problems[one["file"]] += one["problems"]
    found = wrong(problems, executed=False)
    assert not found, "\n".join(found)
    good = sorted(one["id"] for one in listed if one["state"] == "on-demand" or one["id"] == "shadow")
    proved = [row.name for row in files.ROWS.values() if row.proved]
    assert good == sorted([*jobs_of(files.ROWS), *proved])


def test_the_table_has_more_than_a_hundred_files() -> None:
    assert len(files.ROWS) > 100
