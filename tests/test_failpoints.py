"""A node dies, freezes or fails exactly where a test has asked for it, and nowhere without one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lifecycle.project import wait_until

REACH = "import sys; from jobrunner.failpoints import reach\n"


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("JOBRUNNER_")}
    return {**kept, "JOBRUNNER_TESTING": "1", **more}


def passing(*points: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Pass points in a process of its own, which writes the number of each that it has survived."""
    code = REACH + "for n, point in enumerate(sys.argv[1:], 1):\n    reach(point); print(n, flush=True)"
    return subprocess.run(
        [sys.executable, "-c", code, *points],
        env=environment(**more),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("text", "points", "survived"),
    [
        ("before-claim:kill", ["before-claim"], 0),
        ("before-claim:kill", ["after-claim", "before-claim"], 1),
        ("FP4:kill", ["after-claim-commit"], 0),
        ("after-claim-commit:kill", ["FP4"], 0),
        ("FP9:kill:3", ["before-commit"] * 5, 2),
        ("FP9:kill:3", ["before-commit", "body", "FP9", "body", "before-commit"], 4),
        ("FP0:kill:2, FP7:kill:2", ["body", "before-plan", "body"], 2),
        ("reaped:kill:2,reaped:kill:3", ["reaped"] * 4, 1),
    ],
)
def test_kill_ends_the_process_on_that_pass_of_that_point(
    text: str, points: list[str], survived: int
) -> None:
    done = passing(*points, JOBRUNNER_FAILPOINT=text)
    assert done.returncode == -signal.SIGKILL
    assert len(done.stdout.split()) == survived


def test_raise_fails_once_on_its_pass_and_names_the_point() -> None:
    code = REACH + (
        "for n in range(1, 5):\n"
        "    try: reach('before-commit')\n"
        "    except RuntimeError as error: print(n, error)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], env=environment(JOBRUNNER_FAILPOINT="FP9:raise:2"),
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert ran.stdout == "2 the fail point before-commit was reached\n"


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"JOBRUNNER_FAILPOINT": ""},
        {"JOBRUNNER_FAILPOINT": "body:kill", "JOBRUNNER_TESTING": ""},
        {"JOBRUNNER_FAILPOINT": "body:kill", "JOBRUNNER_TESTING": "yes"},
        {"JOBRUNNER_FAILPOINT": "nonsense", "JOBRUNNER_TESTING": "0"},
    ],
)
def test_without_both_variables_nothing_happens(more: dict[str, str], tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    done = passing("body", "body", JOBRUNNER_FAILPOINT_MARK=str(mark), **more)
    assert (done.returncode, done.stdout) == (0, "1\n2\n")
    assert not mark.exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("body", "after the point comes kill, raise, dbgone or freeze:SECONDS"),
        ("body:explode", "after the point comes kill, raise, dbgone or freeze:SECONDS"),
        ("bodi:kill", "there is no point 'bodi', only before-plan"),
        ("FP3:kill", "there is no point 'FP3'"),
        ("body:kill,", "says '': there is no point ''"),
        ("body:kill:0", "'0' is no pass"),
        ("body:kill:x", "'x' is no pass"),
        ("body:kill:1:2", "'1:2' is no pass"),
        ("body:freeze", "after the point comes"),
        ("body:freeze:-1", "'-1' is no number of seconds"),
        ("body:freeze:inf", "'inf' is no number of seconds"),
        ("body:freeze:1:0", "'0' is no pass"),
    ],
)
def test_what_cannot_be_read_is_refused_at_the_first_pass_of_any_point(text: str, words: str) -> None:
    done = passing("reaped", JOBRUNNER_FAILPOINT=text)
    assert done.returncode == 1 and done.stdout == ""
    last = done.stderr.splitlines()[-1]
    assert last.startswith("ValueError: JOBRUNNER_FAILPOINT says ") and words in last


def test_a_call_that_names_no_known_point_is_found_by_the_first_test_that_passes_it() -> None:
    done = passing("bodi", JOBRUNNER_FAILPOINT="body:kill")
    assert "ValueError: there is no point 'bodi'" in done.stderr


def test_a_mark_is_written_before_the_action_with_point_and_pass(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    text = "FP7:freeze:0,FP7:freeze:0:2,FP5:kill"
    done = passing(
        "body",
        "FP4",
        "body",
        "body",
        "after-go",
        JOBRUNNER_FAILPOINT=text,
        JOBRUNNER_FAILPOINT_MARK=str(mark),
    )
    assert done.returncode == -signal.SIGKILL
    assert mark.read_text() == "body 1\nbody 2\nafter-go 1\n"


# --- freezing -----------------------------------------------------------------------------------

TICKING = REACH + (
    "import threading, time\n"
    "def tick():\n"
    "    while True:\n"
    "        print('tick', flush=True); time.sleep(0.01)\n"
    "threading.Thread(target=tick, daemon=True).start()\n"
    "reach('body'); print('thawed', flush=True); sys.stdin.read()"
)


def ticking(seconds: str, out: Path) -> subprocess.Popen[bytes]:
    with out.open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-c", TICKING], env=environment(JOBRUNNER_FAILPOINT=f"body:freeze:{seconds}"),
            stdin=subprocess.PIPE, stdout=log, start_new_session=True,
        )  # fmt: skip


def is_stopped(pid: int) -> bool:
    ran = subprocess.run(["ps", "-o", "state=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return ran.stdout.strip().startswith("T")


def test_a_frozen_process_stands_still_with_all_its_threads_and_goes_on_by_itself(tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = ticking("2", out)
    wait_until(lambda: is_stopped(process.pid), "the process is stopped")
    said = out.read_bytes()
    assert b"thawed" not in said
    for _ in range(5):
        assert is_stopped(process.pid)
        assert out.read_bytes() == said
    wait_until(lambda: b"thawed" in out.read_bytes(), "it goes on")
    process.communicate(timeout=30)
    assert process.returncode == 0


def test_whoever_kills_a_frozen_process_need_not_wait_for_its_helper() -> None:
    """The helper is in no group of ours and holds none of our pipes."""
    process = subprocess.Popen(
        [sys.executable, "-c", TICKING], env=environment(JOBRUNNER_FAILPOINT="body:freeze:300"),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    wait_until(lambda: is_stopped(process.pid), "the process is stopped")
    helper = int(subprocess.check_output(["pgrep", "-P", str(process.pid)], text=True))
    try:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL
    finally:
        os.killpg(helper, signal.SIGKILL)  # raises where the helper has gone with the others


@pytest.mark.parametrize("_", range(20))
def test_the_shortest_freeze_ends_too(_: int) -> None:
    done = passing("body", "body", JOBRUNNER_FAILPOINT="body:freeze:0")
    assert (done.returncode, done.stdout) == (0, "1\n2\n")


def test_freezing_survives_a_handler_that_reaps_every_child() -> None:
    code = REACH + (
        "import os, signal\n"
        "def reap(*_):\n"
        "    try: os.waitpid(-1, os.WNOHANG)\n"
        "    except ChildProcessError: pass\n"
        "signal.signal(signal.SIGCHLD, sys.argv[1] == 'ignore' and signal.SIG_IGN or reap)\n"
        "reach('body'); print('thawed')"
    )
    for how in ("reap", "ignore"):
        ran = subprocess.run(
            [sys.executable, "-c", code, how], env=environment(JOBRUNNER_FAILPOINT="body:freeze:0.1"),
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert ran.stdout == "thawed\n"


def test_the_module_imports_nothing_that_is_not_there_already() -> None:
    code = (
        "import sys, os, signal, jobrunner; before = set(sys.modules); import jobrunner.failpoints;"
        "print(sorted(set(sys.modules) - before))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "['jobrunner.failpoints']"
