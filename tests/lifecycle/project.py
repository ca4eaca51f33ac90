"""A project in a temporary folder, driven from outside like a user would."""

from __future__ import annotations

import io
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from unittest.mock import patch

from jobrunner.cli import app

PATIENCE = 60.0  # seconds until a condition that should hold soon is given up


def wait_until(condition: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
    """Wait for a condition to hold and return its value; fail, naming it, when it never does."""
    end = time.monotonic() + patience
    while (asked := time.monotonic()) < end:
        value = condition()
        if value:
            return value
        took = time.monotonic() - asked
        time.sleep(max(0.02, 2 * took))  # where the question is a command, the others need the machine, too
    raise AssertionError(f"waited {patience:g} s in vain for {what}")


class Project:
    """A folder with jobs/, and the command line; its state is in a file."""

    lease = 0.0  # seconds that others wait until they take a silent node for dead

    def __init__(self, root: Path) -> None:
        self.root = root
        self.url = f"sqlite:///{root}/.jobrunner/state.db"
        self.jobs = root / "jobs"
        self.jobs.mkdir(parents=True)
        self.out = root / "out.txt"
        self.file = root / ".jobrunner" / "state.db"
        self.nodes: list[subprocess.Popen[bytes]] = []
        self.environment: dict[str, str] = {}

    def job(self, name: str, body: str = "pass", *, schedule: Any = "* * * * * *", **config: Any) -> Path:
        """Write a job file; `body` may use `note(text)`, which appends a line to `self.out`."""
        full = {"name": name, "schedule": schedule, **config}
        path = self.jobs / f"{name.replace('/', '_').replace('-', '_')}.py"
        path.write_text(
            f"import os\n\nconfig = {full!r}\nOUT = {str(self.out)!r}\n\n\n"
            "def _note(text):\n"
            "    handle = os.open(OUT, os.O_WRONLY | os.O_APPEND | os.O_CREAT)\n"
            '    os.write(handle, (text + "\\n").encode())\n'
            "    os.close(handle)\n\n\n"
            "def default(ctx):\n"
            "    note = _note\n" + textwrap.indent(textwrap.dedent(body).strip(), "    ") + "\n"
        )
        return path

    def notes(self) -> list[str]:
        """Return the lines that bodies have written."""
        return self.out.read_text().splitlines() if self.out.exists() else []

    def command(self, *args: str) -> list[str]:
        return [sys.executable, "-m", "jobrunner", "--project", str(self.root), *args]

    def env(self, **more: str) -> dict[str, str]:
        keep = {
            key: os.environ[key]
            for key in ("PATH", "HOME", "LANG", "COVERAGE_PROCESS_CONFIG")
            if key in os.environ
        }
        return {**keep, **self.environment, **more}

    def start(self, *args: str, within: Sequence[str] = (), **env: str) -> subprocess.Popen[bytes]:
        """Start a node; its words go to node-N.log. `within` stands before the command."""
        with (self.root / f"node-{len(self.nodes)}.log").open("wb") as log:
            node = subprocess.Popen(
                [*within, *self.command("start", *args)], env=self.env(**env), cwd=self.root, stdout=log,
                stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
        self.nodes.append(node)
        return node

    def words(self, node: int = -1) -> str:
        """Return what a node has said."""
        index = node if node >= 0 else len(self.nodes) + node
        return (self.root / f"node-{index}.log").read_text(errors="replace")

    def run(self, *args: str, check: int | None = None, **env: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        done = subprocess.run(
            self.command(*args), env=self.env(**env), cwd=self.root, capture_output=True, text=True,
            stdin=subprocess.DEVNULL, timeout=PATIENCE, check=False,
        )  # fmt: skip
        if check is not None:
            assert done.returncode == check, (
                f"{args} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
            )
        return done

    def told(self, *args: str) -> Any:
        """Return what a command that only reads says as JSON: in this process, for tests ask all the time."""
        said, wrong = io.StringIO(), io.StringIO()
        with (
            patch.dict(os.environ, self.env(), clear=True),
            redirect_stdout(said),
            redirect_stderr(wrong),
        ):
            code = app.run(["--project", str(self.root), *args, "--json"])
        assert code == 0, f"{args} ended with {code}\n{said.getvalue()}\n{wrong.getvalue()}"
        return json.loads(said.getvalue())

    def ls(self, name: str) -> dict[str, Any]:
        """Return one job of `ls --json`."""
        found = self.told("ls", name, "--all")
        assert len(found) == 1
        job: dict[str, Any] = found[0]
        return job

    def history(self, name: str | None = None, limit: int = 100_000) -> list[dict[str, Any]]:
        """Return `history --json`, oldest first."""
        args = [name] if name else []
        found: list[dict[str, Any]] = self.told("history", *args, "--limit", str(limit))
        return found[::-1]

    @contextmanager
    def state(self) -> Iterator[sqlite3.Connection]:
        """Read the state file with another library than ours."""
        with closing(sqlite3.connect(f"file:{self.file}?mode=ro", uri=True)) as connection:
            yield connection

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """Return the rows of a statement, in which `{schema}` stands before the names of tables.

        Before there is a state there are none.
        """
        if not self.file.exists():
            return []
        with self.state() as connection:
            return connection.execute(sql.format(schema="main")).fetchall()

    def content(self) -> bytes:
        """Return all that is in the state and beside it."""
        files = (self.root / ".jobrunner").rglob("*")
        return b"".join(path.read_bytes() for path in files if path.is_file())

    def joined(self, number: int) -> None:
        """Wait until so many nodes work."""
        asked = "SELECT count(*) FROM {schema}.nodes"
        wait_until(lambda: self.ask(asked) == [(number,)], f"{number} nodes")

    def stop(self) -> None:
        """Ask all nodes to end that have not ended yet, and wait for it."""
        for node in self.nodes:
            if node.poll() is None:
                node.send_signal(signal.SIGTERM)
        for node in self.nodes:
            node.wait(PATIENCE)

    def end(self) -> None:
        """Kill what the test started and left running."""
        for node in self.nodes:
            if node.poll() is None:
                node.kill()
            node.wait()


def stop(node: subprocess.Popen[bytes], number: int = signal.SIGTERM) -> int:
    """Signal a node and return its exit code."""
    node.send_signal(number)
    return node.wait(timeout=PATIENCE)


def kill_again_and_again(
    living: list[subprocess.Popen[bytes]], start: Callable[[], subprocess.Popen[bytes]],
    *, seconds: float, every: float, dice: random.Random,
) -> int:  # fmt: skip
    """Kill nodes, one at a time, and start another in the place of each; returns how many were killed."""
    kills, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(min(every, max(0.0, end - time.monotonic())))
        victim = dice.randrange(len(living))
        living[victim].kill()
        living[victim].wait()
        kills += 1
        living[victim] = start()
    return kills


def failing(text: str, mark: Path) -> dict[str, str]:
    """Return what makes a node reach fail points; it writes to the file `mark` just before."""
    return {
        "JOBRUNNER_TESTING": "1", "JOBRUNNER_FAILPOINT": text, "JOBRUNNER_FAILPOINT_MARK": str(mark)
    }  # fmt: skip


def thaw(node: subprocess.Popen[bytes]) -> None:
    """Let a node go on now that a fail point has frozen, or is about to."""
    helper = wait_until(lambda: children(node.pid, "sh"), "the helper that has frozen it")[0]
    os.kill(wait_until(lambda: children(helper, "sleep"), "it to be frozen")[0], signal.SIGKILL)


def children(pid: int, name: str) -> list[int]:
    """Return the children of a process that are called so."""
    found = subprocess.run(["pgrep", "-x", "-P", str(pid), name], capture_output=True, text=True, check=False)
    return [int(line) for line in found.stdout.split()]


def alive(pid: int) -> bool:
    """Say whether a process exists and is no zombie."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def tagged(tag: str) -> list[int]:
    """Return the processes that were started, however indirectly, with TEST_TAG=`tag`."""
    found = []
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/environ", "rb") as file:
                if f"TEST_TAG={tag}".encode() in file.read().split(b"\0") and alive(int(name)):
                    found.append(int(name))
        except OSError:
            continue
    return found
