"""A pool with a loop around it and a project on disk, as a node would have them."""

from __future__ import annotations

import os
import selectors
import textwrap
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from jobrunner.executor.happened import Asked, Began, Ended, Happening, Output
from jobrunner.executor.pool import Pool
from jobrunner.model import Outcome
from jobrunner.wire import RunSpec

PATIENCE = 20.0


class Household:
    """`write` job files, `start` runs of them, `finish` them; every event is in `events`."""

    def __init__(self, root: Path, *, spawn: Literal["fork", "exec"] = "fork", **more: Any) -> None:
        self.root = root
        (root / "jobs").mkdir(exist_ok=True)
        self.selector = selectors.DefaultSelector()
        self.more = {"slots": 2, "grace": 400_000, "project": str(root), **more}
        self.pool = Pool(self.selector, spawn=spawn, **self.more)
        self.events: list[Happening] = []
        self.count = 0

    def write(self, body: str, name: str = "job") -> str:
        """Write a job file; `body` is the whole module, `config` apart."""
        head = f"config = {{'name': {name!r}, 'schedule': None}}\n"
        (self.root / "jobs" / f"{name}.py").write_text(head + textwrap.dedent(body))
        return name

    def start(self, name: str = "job", *, timeout: int | None = None, runs: int = 1, **facts: Any) -> int:
        """Hand a run to a ready child; returns the run's id."""
        self.until(lambda: bool(self.pool.ready))
        self.count += 1
        self.pool.run(self.spec(self.count, name, facts), self.pool.ready[0], timeout, runs)
        return self.count

    def spec(self, run_id: int, name: str, facts: Mapping[str, Any]) -> RunSpec:
        spec: dict[str, Any] = {
            "runId": run_id, "job": name, "file": str(self.root / "jobs" / f"{name}.py"), "target": "",
            "folder": str(self.root / "jobs"), "root": str(self.root), "fileHash": "",
            "config": {"name": name},
            "params": {}, "settings": {}, "services": {}, "trigger": "manual",
            "scheduledFor": None,
            "startedAt": 1_800_000_000_000_000, "attempt": 1, "rootId": run_id, "node": "node",
            "identity": "system", "fence": run_id, "isLast": False, "last": None, "cursor": None,
            "memoryLimit": None, "source": None, "hook": None, "delivery": "at-most-once", "steps": [],
            "undo": 0, "secrets": [],
        }  # fmt: skip
        return RunSpec(**{**spec, **facts})  # type: ignore[typeddict-item]

    def run(self, body: str, name: str = "job", **facts: Any) -> Outcome:
        """Write, start and finish."""
        self.write(body, name)
        return self.finish(self.start(name, **facts))

    def finish(self, run_id: int) -> Outcome:
        self.until(lambda: self.ended(run_id) is not None)
        ended = self.ended(run_id)
        assert ended is not None
        return ended.outcome

    def ended(self, run_id: int) -> Ended | None:
        return next((one for one in self.events if isinstance(one, Ended) and one.run_id == run_id), None)

    def began(self, run_id: int) -> bool:
        return any(isinstance(one, Began) and one.run_id == run_id for one in self.events)

    def asked(self, run_id: int) -> list[Asked]:
        return [one for one in self.events if isinstance(one, Asked) and one.run_id == run_id]

    def log(self, run_id: int) -> bytes:
        return b"".join(one.data for one in self.events if isinstance(one, Output) and one.run_id == run_id)

    def until(self, condition: Callable[[], bool], patience: float = PATIENCE) -> None:
        """Turn the loop until the condition holds."""
        limit = time.monotonic() + patience
        while not condition():
            assert time.monotonic() < limit, f"waited in vain; events: {self.events[-5:]}"
            self.turn()

    def turn(self, wait: float = 0.05) -> None:
        self.pool.replenish()
        deadline = self.pool.next_deadline()
        if deadline is not None:
            wait = max(0.0, min(wait, deadline - time.monotonic()))
        for key, _ in self.selector.select(wait):
            key.data(key.fileobj)
        self.pool.tick(time.monotonic())
        self.events += self.pool.happened()

    def close(self) -> None:
        self.pool.close()
        self.events += self.pool.happened()
        self.selector.close()


def alive(pid: int) -> bool:
    """Say whether a process runs; a zombie does not."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state != "Z"


def wait_for(condition: Callable[[], bool], patience: float = PATIENCE) -> None:
    """Wait for something that no loop of ours brings about."""
    limit = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < limit, "waited in vain"
        time.sleep(0.005)


def pid_in(path: Path) -> int:
    """Return the pid that a process wrote to a file, once it is there."""
    wait_for(lambda: path.exists() and path.read_text().strip().isdigit())
    return int(path.read_text())
