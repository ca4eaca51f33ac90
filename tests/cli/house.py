"""A project in a temporary folder, and the command line on it: in this process, or as users have it."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import pytest

from jobrunner.cli import app
from jobrunner.clock import SECOND, Instant, SystemClock
from jobrunner.facts import NodeFacts
from jobrunner.model import Outcome, Run
from jobrunner.presence import boot_id
from jobrunner.registry import Registry
from jobrunner.settings import load
from jobrunner.store import exists, open_store
from jobrunner.store.base import LogChunk, Store
from jobrunner.store.postgres.dialect import TABLES

__all__ = ["Done", "House"]


class Done(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.err)["error"]
        return found


class House:
    """The project. `call` runs a command in this process, `process` in its own, `terminal` at a terminal."""

    def __init__(self, root: Path, capsys: pytest.CaptureFixture[str], state: str = "") -> None:
        self.root = root
        self.state = state or f"sqlite:///{root}/.jobrunner/state.db"
        self._capsys = capsys
        self._opened: list[Store] = []
        (root / "jobs").mkdir()

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        return path

    def job(self, name: str, body: str = "pass", *, schedule: Any = "0 9 * * *", **config: Any) -> Path:
        """Write jobs/NAME.py whose function takes the container; `body` is one line."""
        full = {"name": name, "schedule": schedule, **config}
        text = f'"""About {name}."""\n\nconfig = {full!r}\n\n\ndef default(container):\n    {body}\n'
        return self.write(f"jobs/{name.replace('/', '_')}.py", text)

    def call(self, *args: str) -> Done:
        self._capsys.readouterr()
        code = app.run(args)
        return Done(code, *self._capsys.readouterr())

    def process(self, *args: str, **options: Any) -> Done:
        done = subprocess.run(
            command(args), cwd=self.root, capture_output=True, text=True, timeout=60, check=False,
            env={**os.environ, **options.pop("env", {})}, **options,
        )  # fmt: skip
        return Done(done.returncode, done.stdout, done.stderr)

    def terminal(self, *args: str) -> str:
        """Return what a person sees on stdout."""
        master, slave = pty.openpty()
        environment = {**os.environ, "COLUMNS": "160", "TERM": "xterm-256color"}
        child = subprocess.Popen(
            command(args), cwd=self.root, stdout=slave, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
            env=environment,
        )  # fmt: skip
        os.close(slave)
        seen = b""
        try:
            while data := os.read(master, 65536):
                seen += data
        except OSError:  # Linux says EIO when the last one has closed it
            pass
        finally:
            os.close(master)
            child.communicate(timeout=60)
        return seen.decode().replace("\r\n", "\n")

    # -- the state, without running anything ---------------------------------------------------------------

    @property
    def stateless(self) -> bool:
        """Whether no state was made."""
        return not exists(self.state) and not (self.root / ".jobrunner").exists()

    @property
    def dead(self) -> dict[str, Any]:
        """The facts of a node that is dead: nobody holds its lock, or its lease is over at once."""
        return {} if self.state.startswith("sqlite:") else {"lease": 1}

    def store(self) -> Store:
        """Return the store, made if need be; it is closed with the house."""
        self._opened.append(open_store(self.state, create=True))
        return self._opened[-1]

    def rows(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        """Do what no verb does, in the words that all stores know."""
        found: list[Any] = self.store()._db.rows(statement, values)  # type: ignore[attr-defined]
        return found

    def content(self) -> object:
        """Return all that is in the state, to compare."""
        if self.state.startswith("sqlite:"):
            return Path(self.state.removeprefix("sqlite://")).read_bytes()
        return {table: self.rows(f"SELECT * FROM {table}") for table in TABLES}

    def close(self) -> None:
        for store in self._opened:
            store.close()

    def register(self, **node: Any) -> None:
        """Do what a `start` does first: become known, with all jobs."""
        store, me = self.store(), a_node(**node)
        jobs = list(Registry.load(load({"project": str(self.root)}, os.environ)).jobs.values())
        with store.transaction():
            store.join(me)
            store.register(me.owner, jobs, me.machine, me.started_at)
            if not node.get("stays"):
                store.leave(me.owner)
        store.close()

    def ran(
        self,
        name: str,
        state: Any = "succeeded",
        *,
        log: Sequence[tuple[int, bytes]] = (),
        log_bytes: int | None = None,
        at: Instant | None = None,
        dead: bool = False,
        **outcome: Any,
    ) -> Run:
        """Record a run of a job that there is; one that is running belongs to this process unless `dead`."""
        lives = self.dead if dead else {"pid": os.getpid(), "boot_id": boot_id()}
        store, me, now = self.store(), a_node(**lives), at or SystemClock().now() - SECOND
        job = Registry.load(load({"project": str(self.root)}, os.environ)).find(name)
        with store.transaction():
            store.join(me)
            job_id = store.enroll(job, now)
            claim = store.run_here(job_id, job, me, 1, {"rows": 1}, identity="system", force=True, now=now)
            store.append_log(claim.run.id, me.owner, [LogChunk(*chunk) for chunk in log])
            size = sum(len(data) for _, data in log) if log_bytes is None else log_bytes
            if state != "running":
                ended = Outcome(state=state, **outcome)
                store.finish(claim.run, ended, size, now + SECOND // 2)
                store.conclude(claim.run, ended, now + SECOND // 2)
                store.leave(me.owner)
        run = store.run(claim.run.id)
        store.close()
        assert run is not None
        return run


def a_node(**facts: Any) -> NodeFacts:
    facts.pop("stays", None)
    now = SystemClock().now()
    defaults: dict[str, Any] = {
        "owner": uuid4().hex, "node": "here", "machine": "m", "boot_id": "b", "pid": 1, "version": "0",
        "slots": 1, "exclusive": False, "started_at": now, "seen_at": now,
    }  # fmt: skip
    return NodeFacts(**{**defaults, **facts})


def command(args: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "jobrunner", *args]
