"""What a machine runs out of, and what becomes of a node's own processes and files while it works."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from tests.lifecycle.project import PATIENCE, Project, alive, children, stop, tagged, wait_until

TICK = "note('tick')"
HELD = """
note(f"begin {os.getpid()}")
import time
time.sleep(600)
"""
pytestmark = pytest.mark.sqlite


def on_it_goes(project: Project) -> None:
    before = project.notes().count("tick")
    wait_until(lambda: project.notes().count("tick") > before + 1, "it to work")


def zygote(node: subprocess.Popen[bytes]) -> int:
    (found,) = children(node.pid, "python3") or children(node.pid, "python")
    return found


def limit(pids: list[int], files: int) -> None:
    """Let processes open no more files than that, from now on."""
    for pid in pids:
        subprocess.run(["prlimit", "--pid", str(pid), f"--nofile={files}:4096"], check=True)


def stands_still(project: Project) -> bool:
    """Whether something has fallen due while what was due before could not start."""
    return any(run["state"] == "skipped" for run in project.history())


def test_a_zygote_that_is_killed_takes_its_runs_along_and_its_node_goes_on_with_another(
    project: Project,
) -> None:
    project.job("held", HELD, numberOfExecutions=1)
    project.job("tick", TICK)
    node = project.start(TEST_TAG=str(project.root))
    begun = wait_until(lambda: [line for line in project.notes() if line.startswith("begin")], "the run")
    os.kill(zygote(node), signal.SIGKILL)
    wait_until(lambda: project.history("held")[0]["state"] == "failed", "it to be recorded")
    assert project.history("held")[0]["error"]["message"] == "its zygote died, and the run with it"
    assert not alive(int(begun[0].split()[1]))
    on_it_goes(project)
    assert stop(node) == 0
    wait_until(lambda: not tagged(str(project.root)), "all its processes to be gone")


def test_a_node_and_its_zygote_that_could_open_no_more_files_go_on_when_they_can_again(
    project: Project,
) -> None:
    project.job("tick", TICK)
    node = project.start()
    on_it_goes(project)
    both = [node.pid, zygote(node)]
    limit(both, 3)
    wait_until(lambda: stands_still(project), "it to stand still")
    limit(both, 1024)
    on_it_goes(project)
    assert [node.pid, zygote(node)] == both
    assert stop(node) == 0
    assert "Traceback" not in project.words()
    assert {run["state"] for run in project.history()} == {"succeeded", "skipped"}


def test_what_a_node_leaves_that_could_open_no_more_files_the_next_one_makes_good(project: Project) -> None:
    project.job("tick", TICK)
    node = project.start()
    on_it_goes(project)
    forker = zygote(node)
    limit([node.pid, forker], 3)
    wait_until(lambda: stands_still(project), "it to stand still")
    node.kill()  # unless it has ended already: it does when it needs a file itself
    node.wait()
    assert "this is a flaw" not in project.words()
    last = project.start()
    on_it_goes(project)
    assert stop(last) == 0
    assert project.run("state", "check").returncode == 0
    states = {run["state"] for run in project.history()}
    assert "running" not in states


def test_a_start_that_may_open_too_few_files_says_so(project: Project) -> None:
    project.job("tick", TICK)
    node = project.start(within=["prlimit", "--nofile=11"])
    assert node.wait(PATIENCE) == 1
    assert "error: no more files can be opened here\nhint: raise the limit: ulimit -n" in project.words()
    assert project.history("tick") == []


def test_a_state_file_that_is_truncated_under_a_node_ends_its_runs_and_it_and_it_says_so(
    project: Project,
) -> None:
    project.job("held", HELD, numberOfExecutions=1)
    node = project.start()
    begun = wait_until(project.notes, "the run")
    os.truncate(project.file, 8192)
    assert node.wait(PATIENCE) == 7
    assert "was truncated while in use" in project.words() or "is damaged" in project.words()
    wait_until(lambda: not alive(int(begun[0].split()[1])), "the body to be gone")


def test_a_state_file_that_is_damaged_is_refused_by_each_command_and_stays_as_it_is(
    project: Project,
) -> None:
    project.job("tick", TICK, numberOfExecutions=1)
    assert project.start("--until-done").wait(PATIENCE) == 0
    size = project.file.stat().st_size
    with project.file.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (size - 4096))
    content = project.file.read_bytes()
    for words in (["ls"], ["history"], ["trigger", "tick"], ["state", "check"], ["start", "--for", "1s"]):
        done = project.run(*words, check=7)
        assert "state.db is damaged\nhint: nothing was changed; restore a copy" in done.stderr
    assert project.file.read_bytes() == content


@contextmanager
def locked(project: Project) -> Iterator[None]:
    with closing(sqlite3.connect(project.file, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield


def test_a_start_for_a_while_ends_after_it_though_it_could_never_join(project: Project) -> None:
    project.job("tick", TICK, numberOfExecutions=1)
    assert project.start("--until-done").wait(PATIENCE) == 0
    with locked(project):
        late = project.start("--for", "1s")
        assert late.wait(PATIENCE) == 7
    assert "is locked by another process" in project.words()
