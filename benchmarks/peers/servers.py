"""Databases that peers need, for the length of a measurement: on loopback, in a folder of their own."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.measure import NotMeasured
from benchmarks.processes import end, last_words, wait
from tests.postgres.binaries import NoServer
from tests.postgres.ports import free_port
from tests.postgres.server import Server

PATIENCE = 20.0  # seconds for a server to answer


@contextmanager
def redis(folder: Path) -> Iterator[str]:
    """Yield the URL of a Redis that writes its log to disk once a second, as its manual recommends."""
    program = shutil.which("redis-server")
    if program is None:
        raise NotMeasured("needs redis-server on PATH")
    port = free_port()
    command = [
        program, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder),
        "--appendonly", "yes", "--appendfsync", "everysec", "--save", "",
    ]  # fmt: skip
    with (folder / "redis.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        if not wait(lambda: _answers(port), PATIENCE):
            raise NotMeasured(f"redis-server did not start: {last_words(folder / 'redis.log')}")
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        end(process)


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False


@contextmanager
def postgres() -> Iterator[str]:
    """Yield the URL of a PostgreSQL that waits for the disk."""
    try:
        server = Server(fsync=True, settings={"shared_buffers": "128MB"})
    except NoServer as error:
        raise NotMeasured(f"needs PostgreSQL: {error}") from error
    with server:
        yield f"postgresql://jobrunner@127.0.0.1:{server.port}/jobrunner"
