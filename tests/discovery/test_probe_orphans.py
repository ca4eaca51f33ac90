"""Nothing that an imported file started outlives the question."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jobrunner import probe, processes
from tests.executor.household import alive, pid_in, wait_for

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs prctl and /proc")
DAEMON = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        open("{path}.tmp", "w").write(str(os.getpid())); os.rename("{path}.tmp", "{path}")
        time.sleep(1000)
    os._exit(0)
while not os.path.exists("{path}"): time.sleep(0.01)
"""
POPEN = """
import subprocess
child = subprocess.Popen(["sleep", "1000"], start_new_session=True, env={{}})
open("{path}", "w").write(str(child.pid))
"""
ENDS = {
    "answers": "config = dict(name='x', schedule=None)",
    "kills itself": "os.kill(os.getpid(), 9)",
    "hangs": "while True: pass",
}


def asked(root: Path, text: str, timeout: float = 10.0) -> probe.Answer:
    (root / "jobs").mkdir()
    (root / "jobs" / "x.py").write_text(text)
    folder = str(root / "jobs")
    request = {"verb": "config", "folder": folder, "path": folder + "/x.py", "root": str(root)}
    return probe.ask(request, timeout)


@pytest.mark.parametrize("way", [DAEMON, POPEN], ids=["daemon", "popen"])
@pytest.mark.parametrize("end", ENDS)
def test_what_a_file_left_behind_dies_however_the_file_ends(tmp_path: Path, way: str, end: str) -> None:
    text = "import os\n" + way.format(path=tmp_path / "pid") + ENDS[end]
    asked(tmp_path, text, 1.5 if end == "hangs" else 10.0)
    assert not alive(pid_in(tmp_path / "pid"))


def test_a_question_kills_no_process_that_was_there_before_or_is_our_own(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "1000"], start_new_session=True) as old:
        time.sleep(0.05)
        asked(tmp_path, "config = dict(name='x', schedule=None)")
        assert alive(old.pid)
        since = processes.now()
        born = processes.bear(lambda: subprocess.Popen(["sleep", "1000"], start_new_session=True))
        near = subprocess.Popen(["sleep", "1000"])
        processes.kill_strays(since)
        assert all(alive(one.pid) for one in (born, near))
        for one in (old, born, near):
            one.kill()
            one.wait()
        processes.forget(born.pid)


def test_a_file_whose_asker_is_killed_leaves_nothing_behind_when_it_ends(tmp_path: Path) -> None:
    (tmp_path / "jobs").mkdir()
    go = tmp_path / "go"
    wait = f"while not os.path.exists({str(go)!r}): time.sleep(0.01)\n"
    text = DAEMON.format(path=tmp_path / "pid") + wait + ENDS["answers"]
    (tmp_path / "jobs" / "x.py").write_text(text)
    folder = str(tmp_path / "jobs")
    request = {"verb": "config", "folder": folder, "path": folder + "/x.py", "root": str(tmp_path)}
    asker = subprocess.Popen([sys.executable, "-c", f"from jobrunner import probe; probe.ask({request!r})"])
    orphan = pid_in(tmp_path / "pid")
    asker.kill()
    asker.wait()
    go.write_text("")
    wait_for(lambda: not alive(orphan), 5)
    assert os.path.exists(go)
