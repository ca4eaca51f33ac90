"""A Ray cluster of one machine, in a session of its own: it ends by the ids of what was started for it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from tests.executor.household import wait_for

PATIENCE = 90.0


class Cluster:
    """Started on a port of this machine, with room for `cpus` and one of `special`."""

    def __init__(self, port: int | None = None, cpus: int = 4) -> None:
        self.port = port or free_port()
        self.address = f"127.0.0.1:{self.port}"
        self._folder = Path(tempfile.mkdtemp(prefix="jr-ray-"))  # short: sockets lie in it
        self._machines: list[subprocess.Popen[bytes]] = []
        self._start(
            "--head", f"--port={self.port}", f"--num-cpus={cpus}", '--resources={"special": 1}',
            "--include-dashboard=false", f"--temp-dir={self._folder / 't'}",
        )  # fmt: skip

    def join(self) -> int:
        """Have another machine, as far as Ray knows, with room for one of `far`; returns whose id it is."""
        return self._start(f"--address={self.address}", "--num-cpus=1", '--resources={"far": 1}')

    def _start(self, *options: str) -> int:
        command = [
            str(Path(sys.executable).parent / "ray"), "start", "--block", "--disable-usage-stats",
            "--node-ip-address=127.0.0.1", "--object-store-memory=80000000", *options,
        ]  # fmt: skip
        said = self._folder / f"words-{len(self._machines)}"
        environ = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        with said.open("wb") as words:
            machine = subprocess.Popen(
                command, env=environ, stdin=subprocess.DEVNULL, stdout=words, stderr=words,
                start_new_session=True,
            )  # fmt: skip
        self._machines.append(machine)
        wait_for(lambda: _is_up(machine, said), PATIENCE)
        return machine.pid

    def members(self, machine: int | None = None) -> list[int]:
        """Return the processes of the cluster, or of one machine, workers included."""
        wanted = [machine] if machine is not None else [each.pid for each in self._machines]
        found = []
        for name in filter(str.isdecimal, os.listdir("/proc")):
            with suppress(OSError, IndexError):
                fields = Path(f"/proc/{name}/stat").read_text("ascii", "replace").rpartition(")")[2].split()
                if int(fields[3]) in wanted and fields[0] not in "ZX":
                    found.append(int(name))
        return found

    def hosts(self) -> list[int]:
        """Return the workers that have a run of ours."""
        return [pid for pid in self.members() if b"ray::Host" in _command(pid)]

    def kill(self, machine: int | None = None) -> None:
        """Kill all of it, or one machine."""
        while members := self.members(machine):
            for pid in members:
                with suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            for each in self._machines:
                each.poll()

    def end(self) -> None:
        """Leave nothing of it."""
        self.kill()
        for each in self._machines:
            each.wait()
        shutil.rmtree(self._folder, ignore_errors=True)


def _is_up(machine: subprocess.Popen[bytes], said: Path) -> bool:
    words = said.read_text(errors="replace")
    assert machine.poll() is None, words
    return "Ray runtime started" in words


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
    return port


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
