"""Files that come, change and go while a node runs, and mean harm: the other jobs go on, and so does it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hostile.files import FRAME
from tests.lifecycle.project import Project, wait_until

GOOD = 'config = {{"name": "{name}", "schedule": "* * * * * *"}}\ndef default(): return {result}\n'
EDITS = {  # what is put into the folder
    "half.py": 'config = {"name": "half", "schedule": "* * * * * *"\ndef defau',
    "endless.py": "config = dict(name='endless', schedule=None)\nwhile True: pass\n",
    "forged.py": f"import os, sys\n{FRAME}_frame(b'{{}}')\nos._exit(0)\nconfig = dict(name='forged')\n",
    "kills.py": "import os\nos.killpg(0, 9)\nconfig = dict(name='kills')\n",
    "twin.py": GOOD.format(name="STEADY", result=3),
    "nul.py": "\0",
    "digits.py": GOOD.format(name="digits", result=1).replace("()", "(n=0x" + "f" * 9_000 + ")", 1),
}


def runs(project: Project) -> list[object]:
    """Return the results of the steady job; the list of jobs shows the files, not what the node holds."""
    return [run["result"] for run in project.history() if run["job"] == "steady" and run["finishedAt"]]


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    made = Project(tmp_path / "project")
    yield made
    made.end()


@pytest.mark.timeout(300)
def test_hostile_edits_stop_no_job_of_a_running_node(project: Project) -> None:
    steady = project.jobs / "steady.py"
    steady.write_text(GOOD.format(name="steady", result=1))
    project.environment["JOBRUNNER_IMPORT_LIMIT"] = "2s"
    node = project.start("--watch")
    wait_until(lambda: project.file.exists() and runs(project), "a first run")
    for name, text in EDITS.items():
        (project.jobs / name).write_text(text)
    os.mkfifo(project.jobs / "pipe.py")
    (project.jobs / "round.py").symlink_to("round.py")
    wait_until(lambda: "digits" in {run["job"] for run in project.history()}, "the one good job among them")
    before = len(runs(project))
    for _ in range(300):
        os.utime(steady)
    steady.rename(project.root / "away.py")
    (project.root / "away.py").rename(steady)
    wait_until(lambda: len(runs(project)) >= before + 2, "runs after its file was touched, gone and back")
    for name in ("twin.py", "half.py"):
        (project.jobs / name).unlink()
    steady.write_text(GOOD.format(name="steady", result=2))
    wait_until(lambda: 2 in runs(project), "the edited job")
    assert node.poll() is None
    node.terminate()
    assert node.wait(60) == 0
    assert "Traceback" not in project.words() and "flaw" not in project.words()
