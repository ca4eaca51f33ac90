"""The executor that docs/executors.md shows how to write does what the page says, once it is installed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from tests.docs.pages import ROOT, blocks
from tests.executors.plugins_on_disk import offer

PAGE = ROOT / "docs" / "executors.md"


def installed(folder: Path) -> Path:
    """Install the page's example into a folder, as its own entry point says."""
    texts = [each.text for each in blocks(PAGE)]
    (module,) = [text for text in texts if text.startswith("# nice_executor.py")]
    (entry,) = [text for text in texts if "[project.entry-points" in text]
    found = re.search(r'^(\w+) = "([\w:]+)"$', entry, re.MULTILINE)
    assert found is not None
    offer(folder, {found[1]: found[2]})
    (folder / "nice_executor.py").write_text(module)
    return folder


def jobrunner(project: Path, site: Path, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "jobrunner", "--project", str(project), *args],
        env={**os.environ, "PYTHONPATH": str(site)}, cwd=project, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip


def job(project: Path, executor: object) -> None:
    (project / "jobs").mkdir(exist_ok=True)
    config = {"name": "polite", "schedule": None, "executor": executor}
    (project / "jobs" / "polite.py").write_text(
        f"import os\nconfig = {config!r}\ndef default(): return os.nice(0)\n"
    )


def test_the_example_runs_bodies_with_its_option(tmp_path: Path) -> None:
    site = installed(tmp_path / "site")
    for executor, level in (("nice", 10), ({"name": "nice", "level": 4}, 4)):
        job(tmp_path, executor)
        done = jobrunner(tmp_path, site, "run", "polite")
        assert (done.returncode, json.loads(done.stdout or "null")) == (0, os.nice(0) + level), done.stderr


def test_the_example_refuses_an_option_in_its_own_words(tmp_path: Path) -> None:
    site = installed(tmp_path / "site")
    job(tmp_path, {"name": "nice", "level": 40})
    done = jobrunner(tmp_path, site, "check")
    assert done.returncode == 1
    assert "jobs/polite.py:2: executor.level is 40, which is not a whole number from 0 to 19" in done.stdout


def test_without_the_package_the_job_is_refused(tmp_path: Path) -> None:
    job(tmp_path, "nice")
    done = jobrunner(tmp_path, tmp_path, "run", "polite")
    assert done.returncode == 3
    assert 'executor is "nice", which is not installed' in done.stderr
