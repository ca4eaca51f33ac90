"""A node full of hostile bodies: each run is recorded as what it was; node and neighbours live."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.hostile.bodies import BODIES, GOOD, Body
from tests.lifecycle.project import Project


def wrong_with(body: Body, runs: list[dict[str, Any]]) -> str | None:
    """Return what is not as the row promises, of the runs of its job."""
    if len(runs) != 1:
        return f"{body.name} has {len(runs)} runs"
    run = runs[0]
    told = json.dumps([run["result"], run["error"], run["reason"]])
    words = f"{run['error']['type']}: {run['error']['message']}" if run["error"] else told
    if run["state"] != body.state:
        return f"{body.name} is {run['state']}: {told[:300]}"
    return None if body.said in words else f"{body.name} does not say {body.said!r}: {words[:300]}"


@pytest.mark.timeout(300)
def test_every_hostile_body_is_recorded_as_what_it_was_and_the_node_lives(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    for body in [*BODIES, *GOOD]:
        (project.jobs / f"{body.name.replace('-', '_')}.py").write_text(body.source)
    node = project.start(
        "--until-done", "--slots", "6", "--grace", "1s", "--no-watch", JOBRUNNER_TIMEZONE="UTC"
    )
    assert node.wait(250) == 0, project.words()[-3_000:]
    runs = project.history()
    found = [wrong_with(body, [run for run in runs if run["job"] == body.name]) for body in [*BODIES, *GOOD]]
    assert not any(found), "\n".join(filter(None, found))
    assert "Traceback" not in project.words()
    seen = {json.dumps(run["result"]) for run in runs if run["job"].startswith("good")}
    assert len(seen) == 1 and str(project.root) in seen.pop()
    assert left_behind(project) == []


def left_behind(project: Project) -> list[int]:
    """Return processes whose working folder is still the project's."""
    return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if folder(pid) == project.root]


def folder(pid: int) -> Path | None:
    try:
        return Path(os.readlink(f"/proc/{pid}/cwd"))
    except OSError:
        return None
